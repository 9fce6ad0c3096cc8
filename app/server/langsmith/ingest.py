"""Runs come in: `/runs/multipart`, `/runs/batch`, `/runs` and `/runs/{id}`.

A request is answered 202 when its runs are on the disk. If a part of it is wrong, everything
else is stored all the same and the answer is 422 with the names of the wrong parts: LangSmith's
client logs that and sends nothing again, and a client that does would change nothing.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from groundling.errors import TraceError
from groundling.server.langsmith.assembly import Assembly
from groundling.server.langsmith.bodies import incoming, read_object
from groundling.server.langsmith.errors import BadPart, busy, wrong
from groundling.server.langsmith.multipart import MultipartReader
from groundling.server.langsmith.service import Service, service
from groundling.server.langsmith.wire import identity
from groundling.tracing.run import Patch

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16_000_000  # bytes of runs that are given to the writer together
_NAMED = 20  # faults that an answer spells out
UNREADABLE = "parts of requests that could not be read"
TOO_LARGE = "requests that were too large"
REFUSED = "runs that the store refused"


async def multipart(request: Request) -> Response:
    """Store runs and feedback that come as the parts of a form."""
    held = service(request)
    assembly = Assembly(held.limits)
    refused: HTTPException | None = None

    async with _counted(held):
        reader = MultipartReader(request, held.limits, assembly.part)

        def finish() -> list[Patch]:
            reader.close()
            return assembly.patches()

        async with incoming(request) as body:
            patches: list[Patch] | None = None
            try:
                patches = await body.through(reader.feed, finish)
            except BadPart as error:
                assembly.fault("the body", str(error))
            except ClientDisconnect:
                assembly.fault("the body", "The client broke off.")
            except HTTPException as error:
                refused = error
            if patches is None:  # what had come whole is stored in any case
                patches = await held.work(assembly.patches)
            await commit(held, assembly, patches)
            if refused is not None:
                raise refused
    return answer(assembly)


async def batch(request: Request) -> Response:
    """Store runs that come as `{"post": […], "patch": […]}`."""
    held = service(request)
    async with _counted(held):
        body = await read_object(request)
    assembly = Assembly(held.limits)

    def assemble() -> list[Patch]:
        for operation in ("post", "patch"):
            runs = body.get(operation) or []
            if not isinstance(runs, list):
                assembly.fault(operation, "no list of runs")
                continue
            for number, run in enumerate(runs):
                if isinstance(run, dict):
                    assembly.run(operation, run)
                else:
                    assembly.fault(f"{operation}[{number}]", "no JSON object")
        return assembly.patches()

    await commit(held, assembly, await held.work(assemble))
    return answer(assembly)


async def post_run(request: Request) -> Response:
    """Store one run."""
    return await _one(request, "post", None)


async def patch_run(request: Request) -> Response:
    """Store what became known of one run; it may be unknown still."""
    return await _one(request, "patch", identity(request.path_params["run_id"]))


async def commit(held: Service, assembly: Assembly, patches: Sequence[Patch]) -> None:
    """Store what was gathered; it is on the disk when this returns.

    Args:
        patches: of the runs of `assembly`.

    Raises:
        HTTPException: 503, the disk is full, locked or too slow.
    """
    until = time.monotonic() + held.limits.patience
    for part in _slices(patches):
        async with held.unwritten.take(sum(each.size for each in part), _left(until)):
            try:
                await _store(held, part, until)
            except (HTTPException, TraceError, sqlite3.Error, OSError):
                raise
            except Exception:
                _LOG.exception("Runs could not be stored together; trying one by one.")
                await _store_singly(held, part, assembly, until)
    if assembly.feedback:
        await held.work(held.feedback.add, *assembly.feedback)
    if assembly.faults:
        await _count(held, UNREADABLE, len(assembly.faults))


def answer(assembly: Assembly) -> Response:
    """Answer a request whose good parts are stored.

    Raises:
        HTTPException: 422, there were others; they are named.
    """
    if not assembly.faults:
        return JSONResponse({}, 202)
    named = "; ".join(f"{part}: {why}" for part, why in list(assembly.faults.items())[:_NAMED])
    rest = len(assembly.faults) - _NAMED
    more = f"; and {rest} more" if rest > 0 else ""
    raise wrong(f"Stored without what could not be read: {named}{more}")


async def _one(request: Request, operation: str, run_id: UUID | None) -> Response:
    held = service(request)
    async with _counted(held):
        body = await read_object(request)
    assembly = Assembly(held.limits)

    def assemble() -> list[Patch]:
        assembly.run(operation, body, run_id)
        return assembly.patches()

    await commit(held, assembly, await held.work(assemble))
    return answer(assembly)


async def _store(held: Service, patches: Sequence[Patch], until: float) -> None:
    stored = asyncio.wrap_future(held.writer.submit(patches))
    try:
        # The runs stay in line when the wait is over: asking again stores nothing twice.
        async with asyncio.timeout(_left(until)):
            await asyncio.shield(stored)
    except TimeoutError:
        stored.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise busy("The runs wait for the disk.") from None
    except TraceError as error:
        raise busy(str(error)) from error


async def _store_singly(
    held: Service, patches: Sequence[Patch], assembly: Assembly, until: float
) -> None:
    refused = 0
    for patch in patches:
        try:
            await _store(held, [patch], until)
        except (HTTPException, sqlite3.Error, OSError):
            raise
        except Exception as error:
            refused += 1
            assembly.fault(f"run {patch.id}", f"{type(error).__name__}: {error}")
    await _count(held, REFUSED, refused)


@asynccontextmanager
async def _counted(held: Service) -> AsyncIterator[None]:
    """Count a request that cannot be read; the client will not send it again."""
    try:
        yield
    except BadPart:
        await _count(held, UNREADABLE, 1)
        raise
    except HTTPException as error:
        if error.status_code < 500:
            await _count(held, TOO_LARGE if error.status_code == 413 else UNREADABLE, 1)
        raise


async def _count(held: Service, reason: str, count: int) -> None:
    """Count what is dropped, if the store lets us; the answer says it in any case."""
    if count:
        try:
            await held.work(held.traces.count_drop, reason, count)
        except sqlite3.Error:
            _LOG.exception("%d %s could not be counted.", count, reason)


def _left(until: float) -> float:
    return max(0.05, until - time.monotonic())


def _slices(patches: Sequence[Patch]) -> Iterator[list[Patch]]:
    part: list[Patch] = []
    size = 0
    for patch in patches:
        if part and size + patch.size > _AT_ONCE:
            yield part
            part, size = [], 0
        part.append(patch)
        size += patch.size
    if part:
        yield part


ROUTES = [
    Route("/runs/multipart", multipart, methods=["POST"]),
    Route("/runs/batch", batch, methods=["POST"]),
    Route("/runs", post_run, methods=["POST"]),
    Route("/runs/{run_id}", patch_run, methods=["PATCH"]),
]
