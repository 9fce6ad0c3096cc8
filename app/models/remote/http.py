"""HTTP to one OpenAI-compatible server: requests, streams, deadlines, and what refusals mean.

Nothing but the named server is asked: proxies and logins of the environment are not read,
redirects are not followed, no other host is known. A call that is left, cancelled or late
closes its connection, which is how such servers learn to stop.

What to ask is written as a *dialogue*: a generator that yields requests and receives their
answers, so that it reads the same whether a thread or an event loop carries it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar

import httpx
from pydantic import SecretStr

from groundling.egress import announce
from groundling.errors import ModelError
from groundling.models.calls import timed_out
from groundling.models.remote.errors import nonsense, refusal, unreachable

Json = dict[str, Any]
T = TypeVar("T")

_CONNECT_SECONDS = 10.0
_LONGEST_LINE = 8_000_000  # bytes of one event
_LONGEST_BODY = 64_000_000  # bytes of one answer


@dataclass(frozen=True)
class Ask:
    """One request; `top` paths stand beside `/v1`, where llama.cpp's server has its own."""

    path: str
    body: Json | None = None
    top: bool = False

    @property
    def method(self) -> Literal["GET", "POST"]:
        return "GET" if self.body is None else "POST"


Dialogue = Generator[Ask, Json, T]


class Endpoint:
    """A server; holds no connection between calls and is safe from any thread or loop.

    Args:
        base_url: its OpenAI-compatible part, usually ending in `/v1`.
        key: sent as a bearer token.
        timeout: seconds for one whole call.
        retries: further attempts to connect, should the first ones fail.
    """

    def __init__(
        self, base_url: str, key: SecretStr | None, timeout: float | None, retries: int
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._top = self.base_url.removesuffix("/v1")
        self._key = key
        self._timeout = timeout
        self._retries = retries

    def run(self, dialogue: Dialogue[T]) -> T:
        """Carry a dialogue out; errors are thrown into it where it asked.

        Raises:
            ModelError: the server cannot be reached, refuses, or answers nonsense.
        """
        deadline = self._deadline()
        with self._client() as client:
            try:
                ask = next(dialogue)
                while True:
                    try:
                        answer = self._fetch(client, ask, deadline)
                    except ModelError as error:
                        ask = dialogue.throw(error)
                    else:
                        ask = dialogue.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                dialogue.close()

    async def arun(self, dialogue: Dialogue[T]) -> T:
        """Carry a dialogue out as `run` does, without blocking the event loop."""
        async with self._aclient() as client:
            try:
                async with _within(self._deadline(), self._timeout):
                    ask = next(dialogue)
                    while True:
                        try:
                            answer = await self._afetch(client, ask)
                        except ModelError as error:
                            ask = dialogue.throw(error)
                        else:
                            ask = dialogue.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                dialogue.close()

    def stream(self, ask: Ask) -> Iterator[Json]:
        """Yield the events of a streamed answer; leaving the loop closes the connection.

        A server that does not stream answers with one event, the whole.
        """
        deadline = self._deadline()
        events, body = _Events(self.base_url), bytearray()
        with (
            self._client() as client,
            self._network(),
            client.stream(ask.method, self._url(ask), json=ask.body) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise refusal(self.base_url, ask.path, response.status_code, response.read())
            whole = _is_whole(response)
            for piece in response.iter_bytes():
                self._check(deadline)
                if whole:
                    self._collect(body, piece)
                else:
                    yield from events.feed(piece)
            if whole:
                yield self._read(ask, response.status_code, bytes(body))
        events.finish()

    async def astream(self, ask: Ask) -> AsyncGenerator[Json, None]:
        """Yield the events of a streamed answer as `stream` does, without blocking the loop."""
        deadline = self._deadline()
        events, body = _Events(self.base_url), bytearray()
        async with self._aclient() as client:
            with self._network():
                request = client.build_request(ask.method, self._url(ask), json=ask.body)
                # Between events the loop is the caller's: its own timeouts must not meet
                # one of ours, so each step has its own.
                async with _within(deadline, self._timeout):
                    response = await client.send(request, stream=True)
                try:
                    if response.status_code != httpx.codes.OK:
                        said = await response.aread()
                        raise refusal(self.base_url, ask.path, response.status_code, said)
                    whole = _is_whole(response)
                    pieces = response.aiter_bytes()
                    while True:
                        async with _within(deadline, self._timeout):
                            piece = await anext(pieces, None)
                        if piece is None:
                            break
                        if whole:
                            self._collect(body, piece)
                            continue
                        for event in events.feed(piece):
                            yield event
                    if whole:
                        yield self._read(ask, response.status_code, bytes(body))
                finally:
                    await response.aclose()
        events.finish()

    def _fetch(self, client: httpx.Client, ask: Ask, deadline: float | None) -> Json:
        body = bytearray()
        with (
            self._network(),
            client.stream(ask.method, self._url(ask), json=ask.body) as response,
        ):
            for piece in response.iter_bytes():
                self._check(deadline)
                self._collect(body, piece)
        return self._read(ask, response.status_code, bytes(body))

    async def _afetch(self, client: httpx.AsyncClient, ask: Ask) -> Json:
        body = bytearray()
        with self._network():
            async with client.stream(ask.method, self._url(ask), json=ask.body) as response:
                async for piece in response.aiter_bytes():
                    self._collect(body, piece)
        return self._read(ask, response.status_code, bytes(body))

    def _read(self, ask: Ask, status: int, body: bytes) -> Json:
        if status != httpx.codes.OK:
            raise refusal(self.base_url, ask.path, status, body)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise nonsense(self.base_url, body) from None
        if not isinstance(answer, dict):
            raise nonsense(self.base_url, body)
        if answer.get("error"):
            raise refusal(self.base_url, ask.path, status, body)
        return answer

    def _collect(self, body: bytearray, piece: bytes) -> None:
        body += piece
        if len(body) > _LONGEST_BODY:
            raise nonsense(self.base_url, bytes(body))

    def _url(self, ask: Ask) -> str:
        return (self._top if ask.top else self.base_url) + ask.path

    def _announce(self, request: httpx.Request) -> None:
        announce(request.url.host, "model", int(request.headers.get("content-length", 0)))

    async def _aannounce(self, request: httpx.Request) -> None:
        self._announce(request)

    def _options(self) -> dict[str, Any]:
        key = self._key.get_secret_value() if self._key is not None else ""
        connect = min(_CONNECT_SECONDS, self._timeout or _CONNECT_SECONDS)
        return {
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "timeout": httpx.Timeout(self._timeout, connect=connect),
            "trust_env": False,
            "follow_redirects": False,
        }

    def _client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=_tls(), retries=self._retries)
        hooks = {"request": [self._announce]}
        return httpx.Client(transport=transport, event_hooks=hooks, **self._options())

    def _aclient(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(verify=_tls(), retries=self._retries)
        hooks = {"request": [self._aannounce]}
        return httpx.AsyncClient(transport=transport, event_hooks=hooks, **self._options())

    def _deadline(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _check(self, deadline: float | None) -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise timed_out(self._timeout)

    @contextmanager
    def _network(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise unreachable(self.base_url, error) from error
        except httpx.TimeoutException:
            raise timed_out(self._timeout) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ModelError(
                f"{self.base_url} broke off in the middle of the answer: "
                f"{error or type(error).__name__}.",
                hint="Ask again; if it happens again, look at the server's log.",
            ) from error


def _is_whole(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.startswith("application/json")


class _Events:
    """Cuts a byte stream of server-sent events into JSON objects."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[Json]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise nonsense(self._base_url, self._rest)
        for line in lines:
            name, colon, data = line.strip().partition(b":")
            # llama.cpp's server once sent errors under a name of their own.
            if not colon or name not in (b"data", b"error") or data.strip() == b"[DONE]":
                continue
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                raise nonsense(self._base_url, data) from None
            if not isinstance(event, dict):
                raise nonsense(self._base_url, data)
            if name == b"error" or event.get("error"):
                raise refusal(self._base_url, "", httpx.codes.OK, bytes(data))
            yield event

    def finish(self) -> None:
        if self._rest.strip():
            raise nonsense(self._base_url, self._rest)


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificates takes longer than a connection; every client shares them.
    return httpx.create_ssl_context(trust_env=False)


@asynccontextmanager
async def _within(deadline: float | None, allowed: float | None) -> AsyncIterator[None]:
    """Bound a wait by the call's deadline; `allowed` seconds are what the error names."""
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError:
        raise timed_out(allowed) from None
