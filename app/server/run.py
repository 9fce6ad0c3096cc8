"""The server process: a bound port, whoever may come, uvicorn, and an orderly end.

    serve(Application(home), port=2025, ready=print)                 # until Ctrl-C or SIGTERM
    serve(application(traces, datasets), port=1984, ready=print)     # LangSmith's routes alone

    with listening(application(traces, datasets), port=0) as address:
        ...                                                          # http://127.0.0.1:40123

It binds this machine alone. At any other address each request must say whose it is: by a key
that is given here, or, where the application knows people, by theirs.

The first signal lets running answers finish, the second does not wait, the third is the end.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from ipaddress import ip_address
from threading import Event, Thread
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from groundling.errors import SettingsError
from groundling.server.guard import LOCAL_HOSTS, Guard
from groundling.server.protocol import HEAD_BYTES, PatientProtocol

HOST = "127.0.0.1"
PORT = 1984  # where LangSmith's own server listens when one runs it oneself
SHORTEST_KEY = 16
_KEEP_ALIVE = 75  # seconds; clients keep connections and dislike to find them closed
_BACKLOG = 2048
_CONNECTIONS = 4096  # further ones are told 503: each costs a few kilobytes, a stream some more
_FILES = 2 * _CONNECTIONS
_GRACE = 10  # seconds for requests that are being answered when the server ends
_REST = 2  # seconds for the last bytes of what was ended in order


class Served(ABC):
    """An application that decides itself who may use it, and how it ends."""

    @abstractmethod
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

    @abstractmethod
    def admit(self, host: str) -> None:
        """Make sure that an address may be bound.

        Raises:
            SettingsError: others could come without saying who they are.
        """

    @abstractmethod
    def at(self, address: str) -> AbstractContextManager[None]:
        """Hold what is needed while it is served at an address.

        Raises:
            SettingsError: it is served already.
        """

    @abstractmethod
    async def drain(self, seconds: float | None = None) -> None:
        """Take nothing new, and return when what runs has ended.

        Args:
            seconds: how long that may take; default: as configured.
        """


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
        key: what each request must carry as `x-api-key`; needed where `host` is not loopback,
            and of no meaning to an application that knows people.
        hosts: further names that this machine may be called by.
        ready: called with the server's address once it listens.

    Raises:
        SettingsError: the address cannot be bound, or is open to others without a key.
    """
    allow_files(_FILES)
    with _bound(app, host, port, key, hosts) as (server, bound):
        server.tell = ready
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
    with _bound(app, host, port, key, hosts) as (server, bound):
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
    return _bind(host, port)


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def allow_files(number: int) -> None:
    """Let this process have that many open files, connections among them, if it may."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio spares connections Nagle's wait of 40 ms only if they say that they are TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would let several programs have the same port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # inherited by connections
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


@contextmanager
def _bound(
    app: ASGIApp, host: str, port: int, key: str | None, hosts: Collection[str]
) -> Iterator[tuple[_Server, socket.socket]]:
    """Bind an address and make a server for it, which nothing else may serve meanwhile."""
    if isinstance(app, Served):
        app.admit(host)
    with _bind(host, port) if isinstance(app, Served) else bind(host, port, key) as bound:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{bound.getsockname()[1]}"
        if isinstance(app, Served):
            with app.at(address):
                yield _Server(app, address), bound
        else:
            yield _Server(Guard(app, _known(host, hosts), key), address), bound


def _known(host: str, hosts: Collection[str]) -> set[str] | None:
    return None if not is_loopback(host) and not hosts else {*LOCAL_HOSTS, host, *hosts}


class _Server(uvicorn.Server):
    """uvicorn's, which says when it listens and where, and ends in two steps."""

    tell: Callable[[str], object] | None = None

    def __init__(self, app: Guard | Served, address: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                h11_max_incomplete_event_size=HEAD_BYTES,
                limit_concurrency=_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=_REST if isinstance(app, Served) else _GRACE,
                reset_contextvars=True,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
            )
        )
        self.address = address
        self._app = app
        self._signals = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.tell is not None:
            self.tell(self.address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers finish while the port still answers who asks how it stands."""
        if isinstance(self._app, Served):
            drained = asyncio.create_task(self._app.drain())
            while not drained.done() and not self.force_exit:
                await asyncio.wait({drained}, timeout=0.1)
            if not drained.done():
                drained.cancel()
                await self._app.drain(0)
        hurried, self.force_exit = self.force_exit, False
        if hurried:
            self.config.timeout_graceful_shutdown = 0
        await super().shutdown(sockets)
        if self.force_exit:  # hurried meanwhile: uvicorn then leaves this out
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal; uvicorn would raise it once more when all is in order."""
        self._signals += 1
        self.should_exit = True
        self.force_exit = self._signals == 2
        if self._signals > 2:
            os._exit(128 + signal.Signals(sig))
