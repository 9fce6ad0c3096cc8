"""Weighing given options: many prompts at once, their probabilities, what they cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from langchain_core.messages.ai import UsageMetadata

from groundling.errors import EngineBusy
from groundling.models.answers import timings, usage_metadata
from groundling.models.calls import Choice, Job, ModelEngine, Weights, normalise, timed_out


class Choices(dict[str, float]):
    """The probability of each option among the options; they add up to 1.

    Args:
        weights: the probabilities.
        usage: the tokens of prompt and options, in LangChain's form.
        timings: seconds that the call waited and read.
    """

    def __init__(
        self, weights: Mapping[str, float], usage: UsageMetadata, timings: Mapping[str, float]
    ) -> None:
        super().__init__(weights)
        self.usage = usage
        self.timings = timings

    @property
    def best(self) -> str:
        """The likeliest option; of equals the first."""
        return max(self, key=self.__getitem__)


class Ballot:
    """Choices that are submitted together, so that what they share is read once.

    Args:
        engine: the model.
        choices: one for each prompt.
        timeout: seconds for all of them together.
    """

    def __init__(
        self, engine: ModelEngine, choices: Sequence[Choice], timeout: float | None
    ) -> None:
        self._engine = engine
        self._choices = choices
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._jobs: list[tuple[Job, Future[Weights]]] = []

    def result(self) -> list[Weights]:
        """Wait for all of them.

        Raises:
            EngineBusy: others have filled the queue, so that not even one found a place.
            ModelError: it took too long, or the engine was closed.
        """
        try:
            for running in self._submit():
                wait(running, self._left(), FIRST_COMPLETED)
            return [future.result(self._left()) for _, future in self._jobs]
        except TimeoutError:
            raise timed_out(self._timeout) from None
        finally:
            self._cancel()

    async def aresult(self) -> list[Weights]:
        """Wait for all of them without blocking the event loop."""
        try:
            async with asyncio.timeout(self._timeout):
                for running in self._submit():
                    wrapped = [asyncio.ensure_future(asyncio.wrap_future(one)) for one in running]
                    await asyncio.wait(wrapped, return_when=asyncio.FIRST_COMPLETED)
                return [await asyncio.wrap_future(future) for _, future in self._jobs]
        except TimeoutError:
            raise timed_out(self._timeout) from None
        finally:
            self._cancel()

    def _submit(self) -> Iterator[list[Future[Weights]]]:
        """Submit one after the other; yield what runs whenever there is no place for more."""
        for choice in self._choices:
            while True:
                try:
                    self._jobs.append(self._engine.choose(choice))
                    break
                except EngineBusy:
                    running = [future for _, future in self._jobs if not future.done()]
                    if not running:
                        raise
                    yield running
            self._left()

    def _left(self) -> float | None:
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _cancel(self) -> None:
        for job, _ in self._jobs:
            job.cancel()


def choices_of(options: Sequence[str], weights: Weights) -> Choices:
    """Make probabilities of an engine's weights."""
    return Choices(
        dict(zip(options, normalise(weights.logarithms), strict=True)),
        usage_metadata(weights.usage),
        timings(weights.usage),
    )
