"""What the routes share: one home folder, opened once, and the threads that work in it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from starlette.requests import HTTPConnection

from groundling.server.graphs import Graphs

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.evaluation.datasets import DatasetStore
    from groundling.home import Home
    from groundling.memory.threads import Threads
    from groundling.server.metrics import Metrics
    from groundling.server.people.people import People
    from groundling.server.runs.runs import Runs
    from groundling.settings import Settings
    from groundling.tracing.store import TraceStore

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 16


class Services:
    """What the routes work with; `services(request)` finds it.

    Args:
        home: the home folder.
        threads: the conversations.
        people: who there is and what is whose.
        metrics: what is counted.
        model: answers instead of the configured one.
    """

    runs: Runs

    def __init__(
        self,
        home: Home,
        threads: Threads,
        people: People,
        metrics: Metrics,
        model: BaseChatModel | None = None,
    ) -> None:
        self.home = home
        self.threads = threads
        self.people = people
        self.metrics = metrics
        self.graphs = Graphs(home, threads.saver, model)
        self._datasets: DatasetStore | None = None
        self._workers = ThreadPoolExecutor(_THREADS, thread_name_prefix="groundling-server")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        home: Home,
        people: People,
        metrics: Metrics,
        model: BaseChatModel | None = None,
    ) -> AsyncIterator[Services]:
        """Open all of it; runs that a killed server left behind go on or are marked.

        Raises:
            GroundlingError: a file of the home folder cannot be opened.
        """
        from groundling.memory.threads import Threads
        from groundling.server.runs.runs import Runs

        settings = home.settings
        async with AsyncExitStack() as stack:
            threads = await stack.enter_async_context(
                Threads.open(settings.state_path, settings.conversation)
            )
            await asyncio.to_thread(home.record)
            opened: Services = cls(home, threads, people, metrics, model)
            stack.callback(opened._close)
            opened.runs = await stack.enter_async_context(Runs.open(opened))
            yield opened

    @property
    def settings(self) -> Settings:
        """The settings of the home folder."""
        return self.home.settings

    @property
    def traces(self) -> TraceStore:
        """What was recorded of runs; use it from a worker, see `work`."""
        return self.home.traces

    @property
    def datasets(self) -> DatasetStore:
        """The data sets and experiments; use it from a worker, see `work`."""
        if self._datasets is None:
            from groundling.evaluation.datasets import DatasetStore

            self._datasets = DatasetStore(self.settings.evaluation_path)
        return self._datasets

    async def work(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread: all that computes or uses SQLite goes this way.

        It finds the context variables of its caller, the fields of the log among them.
        """
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._workers, lambda: context.run(function, *args, **kwargs)
        )

    def _close(self) -> None:
        self._workers.shutdown()
        self.graphs.close()
        if self._datasets is not None:
            self._datasets.close()


def services(request: HTTPConnection) -> Services:
    """Return the services behind the application that a request came to."""
    return cast("Services", request.app.state.services)
