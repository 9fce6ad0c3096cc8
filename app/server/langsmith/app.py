"""The server that LangSmith's client takes for LangSmith.

    app = application(traces, datasets)
    serve(app, port=1984)           # groundling.server.run

Programs then need LANGSMITH_TRACING=true and LANGSMITH_ENDPOINT=http://127.0.0.1:1984 and no
change. The routes answer at the top, and under `/api/v1`, `/api` and `/v1`, where clients look
for them too. Whether a caller may be here at all is `groundling.server.guard`'s concern.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from groundling.server.langsmith.errors import HANDLERS
from groundling.server.langsmith.routes import ROUTES
from groundling.server.langsmith.service import Limits, Service
from groundling.tracing.store import TraceStore
from groundling.tracing.writer import TraceWriter

if TYPE_CHECKING:
    from groundling.evaluation.datasets import DatasetStore

_LOOK_EVERY = 60.0  # seconds
_SILENT_FOR = 3600.0  # seconds after which a trace that has not ended is thought to be lost
_LOG = logging.getLogger(__name__)


def application(
    traces: TraceStore,
    datasets: DatasetStore,
    *,
    writer: TraceWriter | None = None,
    limits: Limits | None = None,
) -> Starlette:
    """Return the application; it may be mounted in another one.

    Args:
        traces: where runs are read and feedback is kept.
        datasets: the data sets.
        writer: stores the runs that come in; default: one of its own, for the same file.
        limits: of requests.
    """
    own = writer is None
    writing = writer or TraceWriter(traces.file, traces.redact, tell=_LOG.warning)
    held = Service(traces, datasets, writing, limits or Limits())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(_look_for_lost(held))
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            if own:
                await held.work(writing.close)
            held.close()

    app = Starlette(routes=ROUTES, exception_handlers=HANDLERS, lifespan=lifespan)
    app.state.service = held
    return app


async def _look_for_lost(held: Service) -> None:
    """Mark runs whose process is gone, now and then."""
    while True:
        try:
            await held.work(held.traces.mark_lost, silent_for=_SILENT_FOR)
        except (sqlite3.Error, OSError) as error:
            _LOG.warning("Lost runs could not be looked for: %s", error)
        await asyncio.sleep(_LOOK_EVERY)
