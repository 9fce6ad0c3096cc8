"""What leaves this machine is announced here, and whoever keeps account listens.

Rooms that call other machines announce each call; the tracer notes it at the run that made
it. Calls to this machine itself are no egress.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from groundling.settings import LOOPBACK


@dataclass(frozen=True)
class Call:
    """One call to another machine.

    Args:
        host: the other machine.
        purpose: what for, such as `model` or `download`.
        sent: bytes of the request's body.
    """

    host: str
    purpose: str
    sent: int = 0


Listener = Callable[[Call], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Be told of every call from now on."""
    if listener not in _listeners:
        _listeners.append(listener)


def announce(host: str, purpose: str, sent: int = 0) -> None:
    """Say that this process calls another machine; calls to this one are passed over."""
    if host not in LOOPBACK:
        for listener in _listeners:
            listener(Call(host, purpose, sent))
