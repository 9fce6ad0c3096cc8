"""The server process: a bound port, the guard before the application, uvicorn.

    serve(application(traces, datasets), port=1984, ready=print)     # until Ctrl-C

    with listening(application(traces, datasets), port=0) as address:
        ...                                                          # http://127.0.0.1:40123

It binds this machine alone. Any other address needs a key, which each request must then carry.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp

from groundling.errors import SettingsError
from groundling.server.guard import LOCAL_HOSTS, Guard

HOST = "127.0.0.1"
PORT = 1984  # where LangSmith's own server listens when one runs it oneself
SHORTEST_KEY = 16
_KEEP_ALIVE = 75  # seconds; clients keep connections and dislike to find them closed
_BACKLOG = 2048
_GRACE = 10  # seconds for requests that are being answered when the server ends


def serve(
    app: ASGIApp,
    host: str = HOST,
    port: int = PORT,
    *,
    key: str | None = None,
    hosts: Collection[str] = (),
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve an application until the process is told to end.

    Args:
        app: what answers.
        host: the address to bind.
        port: 0 takes any that is free.
        key: what each request must carry as `x-api-key`; needed where `host` is not loopback.
        hosts: further names that this machine may be called by.
        ready: called with the server's address once it listens.

    Raises:
        SettingsError: the address cannot be bound, or is open to others without a key.
    """
    with bind(host, port, key) as bound:
        server = _server(app, host, bound, key, hosts)
        server.tell = ready
        # Ctrl-C is how one ends it; uvicorn passes it on when all is in order.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[bound])


@contextmanager
def listening(
    app: ASGIApp,
    host: str = HOST,
    port: int = 0,
    *,
    key: str | None = None,
    hosts: Collection[str] = (),
) -> Iterator[str]:
    """Serve in a thread of this process while the block lasts; give the address.

    Raises:
        SettingsError: as `serve`.
    """
    with bind(host, port, key) as bound:
        server = _server(app, host, bound, key, hosts)
        up = Event()
        server.tell = lambda _: up.set()

        def run() -> None:
            try:
                server.run(sockets=[bound])
            finally:
                up.set()  # also when it could not start: do not wait for it

        thread = Thread(target=run, name="groundling-server")
        thread.start()
        try:
            up.wait()
            if not server.started:
                raise SettingsError("The server could not start; its log says why.")
            yield server.address
        finally:
            server.should_exit = True
            thread.join()


def bind(host: str, port: int, key: str | None = None) -> socket.socket:
    """Bind an address, after making sure that others cannot use it without a key.

    Raises:
        SettingsError: they could, or the address is taken or not this machine's.
    """
    if not is_loopback(host) and (key is None or len(key) < SHORTEST_KEY):
        raise SettingsError(
            f"On {host} other machines could read and write the traces.",
            hint=f"Give a key of at least {SHORTEST_KEY} characters, or bind 127.0.0.1.",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio spares connections Nagle's wait of 40 ms only if they say that they are TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would let several programs have the same port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "something else listens there" if taken else error.strerror or str(error)
        raise SettingsError(
            f"{host} port {port} cannot be bound: {reason}.",
            hint="Choose another with --port; 0 takes any that is free." if taken else None,
        ) from error
    return bound


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class _Server(uvicorn.Server):
    """uvicorn's, which says when it listens and where."""

    address: str = ""
    tell: Callable[[str], object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.tell is not None:
            self.tell(self.address)


def _server(
    app: ASGIApp, host: str, bound: socket.socket, key: str | None, hosts: Collection[str]
) -> _Server:
    known = None if not is_loopback(host) and not hosts else {*LOCAL_HOSTS, host, *hosts}
    config = uvicorn.Config(
        Guard(app, known, key),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    server = _Server(config)
    name = f"[{host}]" if ":" in host else host
    server.address = f"http://{name}:{bound.getsockname()[1]}"
    return server
