"""Token buckets: how often someone may ask, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from threading import Lock

from groundling.server.problems import Problem

_MOST = 10_000  # buckets; the one that was asked for the longest time ago goes first
_FAILED_BURST = 10
_FAILED_PER_SECOND = 1 / 6


@dataclass(frozen=True)
class Taken:
    """What a bucket answers.

    Args:
        allowed: there was a token.
        left: how many there are still.
        wait: seconds until there is one.
    """

    allowed: bool
    left: int
    wait: float


class Buckets:
    """One bucket for each key; full at first, and refilled steadily.

    Args:
        most: tokens that a bucket holds: so many requests may come at once.
        per_second: tokens that come back.
        clock: gives seconds that only grow.
    """

    def __init__(
        self, most: int, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self._per_second = per_second
        self._clock = clock
        self._lock = Lock()
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, key: str) -> Taken:
        """Take a token, if there is one."""
        with self._lock:
            now = self._clock()
            tokens, then = self._held.pop(key, (float(self.most), now))
            tokens = min(float(self.most), tokens + (now - then) * self._per_second)
            allowed = tokens >= 1.0
            self._held[key] = (tokens - 1.0 if allowed else tokens, now)
            if len(self._held) > _MOST:
                self._held.popitem(last=False)
        left = tokens - 1.0 if allowed else tokens
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._per_second
        return Taken(allowed, int(left), wait)


class Failures:
    """Slows down whoever sends wrong keys, by address.

    A right key is always taken: the secrets cannot be guessed, so nothing is won by locking
    an address, behind which, with a proxy, everyone is.
    """

    def __init__(self) -> None:
        self._buckets = Buckets(_FAILED_BURST, _FAILED_PER_SECOND)

    def count(self, address: str) -> None:
        """Count a wrong key.

        Raises:
            Problem: 429, there were too many.
        """
        taken = self._buckets.take(address)
        if not taken.allowed:
            raise Problem(
                429,
                "Too many wrong keys came from this address.",
                headers={"Retry-After": str(math.ceil(taken.wait))},
            )


def network(address: str) -> str:
    """Return what one caller cannot choose at will: an IPv4 address, or an IPv6 network of 64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return parsed.exploded[:19]
    return address
