"""What an engine is asked and what it answers, wherever it runs.

`ModelEngine` is the surface that everything above stands on. `engine.Engine` runs in this
process; `isolation.SupervisedEngine` runs in a child process that may die without taking
this one along. Both get requests through `submit` and answer through a sink; reading an
answer in a loop, blocking or not, is the same for both and is written here once.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from groundling.errors import ModelError
from groundling.models.sampling import Sampling

if TYPE_CHECKING:
    from groundling.models.vocabulary import Vocabulary

FinishReason = Literal["stop", "length"]


class Priority(IntEnum):
    """Who goes first when calls wait for each other: lower numbers."""

    DECISION = 0
    ANSWER = 1
    BACKGROUND = 2


@dataclass(frozen=True)
class EngineSettings:
    """How a model is run.

    Args:
        context: tokens that one prompt and its answer may have; longer than the model was
            trained for is cut to that.
        cache: tokens kept for all callers together, running and remembered; default: twice
            the context.
        parallel: calls that are written at once; more of them wait.
        queue: calls that may wait; one more is refused with `EngineBusy`.
        threads: default: the physical cores.
        batch: tokens read in one forward pass at most; default: 512.
        gpu_layers: layers on the GPU where there is one; -1 places all.
        flash_attention: faster where several calls are served at once; see docs/measurements.md.
        repack: repacked weights: faster decode, slower prefill, more memory; not used where
            they would crash (see `extra_buffers_safe`).
        cache_type: how the cache is kept; `q8_0` halves its memory and needs flash attention.
        speculate: tokens guessed ahead from the text itself where it repeats; 0: none.
        snapshot: a folder that keeps what was read from one run to the next; it holds what
            people wrote.
    """

    context: int = 4096
    cache: int | None = None
    parallel: int = 16
    queue: int = 1024
    threads: int | None = None
    batch: int | None = None
    gpu_layers: int = -1
    flash_attention: bool = True
    repack: bool = False
    cache_type: Literal["f16", "q8_0"] = "f16"
    speculate: int = 6
    snapshot: Path | None = None


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter for one call: a GGUF file, and how strongly it counts."""

    path: Path
    scale: float = 1.0


@dataclass(frozen=True)
class Request:
    """What to write, after which tokens, and how far.

    Args:
        tokens: the prompt.
        sampling: how tokens are drawn.
        max_tokens: the longest answer; the context's end also ends it.
        stop: strings that end the text and are not part of it.
        logprobs: None: none; n: each token's own log-probability and those of the n likeliest.
        priority: which calls go first while others wait.
        adapters: what changes the weights for this call alone.
        overflow: where the context ends: `stop` there, or `shift`: forget the older half of
            what follows the first `keep` tokens, read the rest again, and go on.
        keep: tokens at the start that a shift never forgets.
        markup: whether control tokens that the model writes are part of the text, too.
    """

    tokens: Sequence[int]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 512
    stop: Sequence[str] = ()
    logprobs: int | None = None
    priority: Priority = Priority.ANSWER
    adapters: tuple[Adapter, ...] = ()
    overflow: Literal["stop", "shift"] = "stop"
    keep: int = 0
    markup: bool = False


@dataclass(frozen=True)
class Choice:
    """Which continuations of a prompt to weigh against each other.

    Args:
        tokens: the prompt.
        options: at least one, each at least one token.
        priority: decisions go before answers, because a whole graph waits for them.
        adapters: what changes the weights for this call alone.
    """

    tokens: Sequence[int]
    options: Sequence[Sequence[int]]
    priority: Priority = Priority.DECISION
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True)
class Usage:
    """What a call cost.

    Args:
        prompt_tokens: of the whole prompt.
        cached_tokens: those of them that were not read again.
        completion_tokens: written; of a choice, the options' tokens that were read.
        prefill_seconds: reading the prompt, the wait for other calls not included.
        decode_seconds: from the first token to the last.
        queued_seconds: waiting before the first forward pass.
        drafted_tokens: guessed ahead.
        accepted_tokens: those of the guesses that the model would have written, too.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float
    queued_seconds: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True)
class TokenProbability:
    """A written token: its text's bytes, its log-probability, and the likeliest instead."""

    piece: bytes
    logprob: float
    likeliest: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True)
class Chunk:
    """A piece of the answer; the last one says why it ends and what the call cost.

    `logprobs` are of the tokens that were written since the last chunk; text that is held
    back (half a character, the beginning of a stop string) comes later than they do.
    """

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    logprobs: tuple[TokenProbability, ...] = ()


@dataclass(frozen=True)
class Weights:
    """The options' log-probabilities, before they are normalised, and what they cost."""

    logarithms: tuple[float, ...]
    usage: Usage


Answer = Chunk | Weights | BaseException
Sink = Callable[[Answer], None]


def _nothing() -> None:
    pass


class Job:
    """A submitted call; `cancel` may be called from any thread, more than once."""

    def __init__(self, on_cancel: Callable[[], None] | None = None) -> None:
        self._cancelled = threading.Event()
        self._on_cancel = on_cancel
        self._begun = False
        self._on_begin: Callable[[], None] = _nothing

    def cancel(self) -> None:
        """Stop within one token; the sink hears that the call was cancelled, then no more."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            if self._on_cancel is not None:
                self._on_cancel()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def begin(self) -> None:
        """Note that the first forward pass for this call comes next."""
        if not self._begun:
            self._begun = True
            self._on_begin()

    def when_begun(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when the call begins, at once if it has; perhaps twice."""
        self._on_begin = tell
        if self._begun:
            tell()


class ModelEngine(ABC):
    """A loaded model that many threads and event loops ask at once."""

    path: Path
    settings: EngineSettings

    @property
    @abstractmethod
    def name(self) -> str:
        """What the model calls itself."""

    @property
    @abstractmethod
    def closed(self) -> bool: ...

    @property
    @abstractmethod
    def context_length(self) -> int:
        """The tokens that a prompt and its answer may have together."""

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The model's tokens; usable from any thread."""

    @property
    @abstractmethod
    def chat_template(self) -> str | None:
        """The Jinja template that the model's file carries."""

    @abstractmethod
    def submit(self, request: Request | Choice, sink: Sink) -> Job:
        """Queue a call; the sink is called from another thread.

        For a `Request` it receives chunks, the last of which has a `finish_reason`; for a
        `Choice`, one `Weights`; or, at any point, one exception, which is the last thing it
        hears. It must neither block nor raise.

        Raises:
            ModelError: the engine is closed, or belongs to another process.
            EngineBusy: as many calls wait already as the settings allow.
        """

    @abstractmethod
    def close(self) -> None:
        """End running calls within one token and free the model; safe from any thread."""

    def generate(self, request: Request, timeout: float | None = None) -> Iterator[Chunk]:
        """Yield the answer's chunks; leaving the loop cancels the rest.

        Args:
            request: what to write.
            timeout: seconds for the whole answer, the wait for other calls included.

        Raises:
            ContextOverflow: the prompt is longer than the context.
            ModelError: it took too long, or the engine was closed meanwhile.
        """
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        job = self.submit(request, answers.put)
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                try:
                    answer = answers.get(timeout=left)
                except queue.Empty:
                    raise timed_out(timeout) from None
                chunk = _chunk(answer)
                yield chunk
                if chunk.finish_reason is not None:
                    return
        finally:
            job.cancel()

    async def agenerate(
        self,
        request: Request,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncIterator[Chunk]:
        """Yield the answer's chunks as `generate` does, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Queue[Answer] = asyncio.Queue()
        job = self.submit(request, lambda answer: _deliver(loop, answers, answer))
        deadline = None if timeout is None else loop.time() + timeout
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        answer = await answers.get()
                except TimeoutError:
                    raise timed_out(timeout) from None
                chunk = _chunk(answer)
                yield chunk
                if chunk.finish_reason is not None:
                    return
        finally:
            job.cancel()

    def choose(self, choice: Choice) -> tuple[Job, Future[Weights]]:
        """Weigh continuations of a prompt against each other.

        Returns:
            A handle to cancel with, and the future weights; `normalise` makes probabilities
            of them. Errors in the call itself come out of the future.

        Raises:
            ModelError: the engine is closed, or belongs to another process.
        """
        future: Future[Weights] = Future()

        def sink(answer: Answer) -> None:
            with contextlib.suppress(Exception):  # nobody waits any more
                if isinstance(answer, Weights):
                    future.set_result(answer)
                elif isinstance(answer, BaseException):
                    future.set_exception(answer)

        return self.submit(choice, sink), future


def normalise(logarithms: Sequence[float]) -> list[float]:
    """Return the probabilities of the options among each other; they add up to 1."""
    import numpy as np

    values = np.asarray(logarithms, dtype=np.float64)
    weights = np.exp(values - values.max())
    return [float(weight) for weight in weights / weights.sum()]


def timed_out(timeout: float | None) -> ModelError:
    """Make the error of a call that took too long."""
    return ModelError(
        f"The model did not finish within {timeout:g} seconds.",
        hint="Raise the timeout, or ask for a shorter answer.",
    )


def _chunk(answer: Answer) -> Chunk:
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(answer, Chunk)
    return answer


def _deliver(loop: asyncio.AbstractEventLoop, answers: asyncio.Queue[Answer], one: Answer) -> None:
    # A loop that was closed meanwhile has nobody left who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(answers.put_nowait, one)
