"""One model, one worker thread, many callers: `Engine` takes requests and streams text.

Callers of any thread or event loop submit; the worker owns everything native and answers
through a sink. What stands behind `submit` and `choose` may change (several sequences at
once, another process) without a caller noticing. This module knows tokens, not messages:
templates and LangChain are above it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from groundling.errors import ModelError
from groundling.models.context import Cancelled, Context, EngineSettings, OnProgress
from groundling.models.sampling import Sampling
from groundling.models.stream import TextStream
from groundling.models.vocabulary import Vocabulary

__all__ = [
    "Chunk", "Engine", "EngineSettings", "Job", "Request", "Sampling", "Usage", "close_engines",
    "engine_for",
]  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What to write, after which tokens, and how far.

    Args:
        tokens: the prompt.
        sampling: how tokens are drawn.
        max_tokens: the longest answer; the context's end also ends it.
        stop: strings that end the text and are not part of it.
    """

    tokens: Sequence[int]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 512
    stop: Sequence[str] = ()


@dataclass(frozen=True)
class Usage:
    """What a call cost: tokens, how many of the prompt's were not read again, seconds."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Chunk:
    """A piece of the answer; the last one says why it ends and what the call cost."""

    text: str
    finish_reason: Literal["stop", "length"] | None = None
    usage: Usage | None = None


Sink = Callable[[Chunk | BaseException], None]
Work = Callable[[Context | None], None]  # None: the engine was closed meanwhile


class Job:
    """A submitted request."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Stop within one token, or one batch of the prompt; the sink hears no more."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()


class Engine:
    """A loaded model; `Engine.open` loads one, `engine_for` shares one."""

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self.path = path
        self.settings = settings
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._process = os.getpid()
        self._loaded: Future[Context] = Future()
        self._thread = threading.Thread(target=self._run, name=f"llama {path.name}", daemon=True)
        self._abort_load = False
        self._on_progress: OnProgress | None = None

    @classmethod
    def open(
        cls, path: Path, settings: EngineSettings, on_progress: OnProgress | None = None
    ) -> Engine:
        """Load a model; Ctrl-C stops the load.

        Args:
            path: of a GGUF file.
            settings: how to run it.
            on_progress: called with the loaded share, from 0 to 1.

        Raises:
            ModelFileError: the file is no whole GGUF of a known architecture.
            ModelTooBig: it does not fit into the free memory; nothing was loaded.
        """
        engine = cls(path, settings)
        engine._on_progress = on_progress
        engine._thread.start()
        try:
            engine._loaded.result()
        except BaseException:
            engine._abort_load = True
            engine.close()
            raise
        return engine

    @property
    def name(self) -> str:
        """What the model calls itself."""
        loaded = self._loaded.done() and self._loaded.exception() is None
        return self._loaded.result().header.name if loaded else self.path.name

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    @property
    def context_length(self) -> int:
        """The tokens that prompt and answer may have together."""
        return self._context.n_ctx

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens; usable from any thread."""
        return self._context.vocabulary

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that the model's file carries."""
        return self._context.header.chat_template

    def submit(self, request: Request, sink: Sink) -> Job:
        """Queue a request; the sink is called from the worker's thread.

        It receives chunks, the last of which has a `finish_reason`, or one exception. It
        must neither block nor raise.

        Raises:
            ModelError: the engine is closed, or belongs to another process.
        """
        job = Job()
        self._submit(lambda context: self._write(context, request, sink, job))
        return job

    def generate(self, request: Request, timeout: float | None = None) -> Iterator[Chunk]:
        """Yield the answer's chunks; leaving the loop cancels the rest.

        Args:
            request: what to write.
            timeout: seconds for the whole answer, the wait for other calls included.

        Raises:
            ContextOverflow: the prompt is longer than the context.
            ModelError: it took too long, or the engine was closed meanwhile.
        """
        answers: queue.SimpleQueue[Chunk | BaseException] = queue.SimpleQueue()
        job = self.submit(request, answers.put)
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                try:
                    chunk = answers.get(timeout=left)
                except queue.Empty:
                    raise timed_out(timeout) from None
                if isinstance(chunk, BaseException):
                    raise chunk
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
        answers: asyncio.Queue[Chunk | BaseException] = asyncio.Queue()
        job = self.submit(request, lambda chunk: _deliver(loop, lambda: answers.put_nowait(chunk)))
        deadline = None if timeout is None else loop.time() + timeout
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        chunk = await answers.get()
                except TimeoutError:
                    raise timed_out(timeout) from None
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
                if chunk.finish_reason is not None:
                    return
        finally:
            job.cancel()

    def choose(
        self, tokens: Sequence[int], options: Sequence[Sequence[int]]
    ) -> tuple[Job, Future[list[float]]]:
        """Weigh continuations of a prompt against each other.

        Returns:
            A handle to cancel with, and the future list of the options' log-probabilities,
            normalised so that their exponentials add up to 1.

        Raises:
            ModelError: the engine is closed, or belongs to another process.
        """
        job = Job()
        future: Future[list[float]] = Future()

        def work(context: Context | None) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                if context is None:
                    raise Cancelled
                scores = context.score(tokens, options, lambda: self._stopped(job))
                future.set_result(_normalise(scores))
            except Cancelled:
                future.set_exception(self._why_cancelled())
            except Exception as error:
                future.set_exception(error)

        self._submit(work)
        return job, future

    def close(self) -> None:
        """End running calls within one token and free the model; safe from any thread."""
        with self._lock:
            if not self._closing.is_set():
                self._closing.set()
                self._work.put(None)
        here = self._process == os.getpid() and self._thread is not threading.current_thread()
        if here and self._thread.is_alive():
            self._thread.join()

    @property
    def _context(self) -> Context:
        self._check()
        return self._loaded.result()

    def _check(self) -> None:
        if self._process != os.getpid():
            raise ModelError(
                f"{self.name} was loaded by the process that this one was forked from.",
                hint='Start worker processes with the "spawn" method, or load the model in them.',
            )
        if self.closed:
            raise ModelError(f"{self.name} is closed.")

    def _submit(self, work: Work) -> None:
        with self._lock:
            self._check()
            self._work.put(work)

    def _run(self) -> None:
        try:
            context = Context(self.path, self.settings, self._report)
        except BaseException as error:
            self._loaded.set_exception(error)
            return
        self._loaded.set_result(context)
        try:
            while (work := self._work.get()) is not None:
                # After `close`, what still waits is told so instead of being run.
                work(None if self.closed else context)
        finally:
            context.close()

    def _report(self, share: float) -> None:
        if self._abort_load:
            raise Cancelled
        if self._on_progress is not None:
            self._on_progress(share)

    def _write(self, context: Context | None, request: Request, sink: Sink, job: Job) -> None:
        try:
            if context is None:
                raise Cancelled
            for chunk in self._chunks(context, request, job):
                sink(chunk)
        except Cancelled:
            sink(self._why_cancelled())
        except Exception as error:
            sink(error)

    def _chunks(self, context: Context, request: Request, job: Job) -> Iterator[Chunk]:
        started = time.perf_counter()
        cached = context.read(request.tokens, lambda: self._stopped(job))
        read = time.perf_counter()
        text = TextStream(request.stop)
        reason: Literal["stop", "length"] = "length"
        count = 0
        sampler = context.sampler(request.sampling)
        try:
            while count < request.max_tokens:
                if self._stopped(job):
                    raise Cancelled
                token = sampler.sample()
                if context.vocabulary.ends(token):
                    reason = "stop"
                    break
                count += 1
                shown = text.push(context.vocabulary.piece(token))
                if shown:
                    yield Chunk(shown)
                if text.stopped:
                    reason = "stop"
                    break
                if context.full:
                    break
                if count < request.max_tokens:
                    context.append(token)
        finally:
            sampler.close()
        done = time.perf_counter()
        usage = Usage(len(request.tokens), cached, count, read - started, done - read)
        yield Chunk(text.finish(), reason, usage)

    def _stopped(self, job: Job) -> bool:
        return job.cancelled or self.closed

    def _why_cancelled(self) -> ModelError:
        return ModelError(f"{self.name} was closed." if self.closed else "The call was cancelled.")


def _deliver(loop: asyncio.AbstractEventLoop, put: Callable[[], None]) -> None:
    # A loop that was closed meanwhile has nobody left who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(put)


def timed_out(timeout: float | None) -> ModelError:
    """Make the error of a call that took too long."""
    return ModelError(
        f"The model did not finish within {timeout:g} seconds.",
        hint="Raise the timeout, or ask for a shorter answer.",
    )


def _normalise(scores: list[float]) -> list[float]:
    import numpy as np

    values = np.asarray(scores)
    shifted = values - values.max()
    return [float(value) for value in shifted - np.log(np.exp(shifted).sum())]


_Key = tuple[str, int, int, EngineSettings]
_engines: dict[_Key, Engine] = {}
_engines_lock = threading.Lock()


def engine_for(
    path: Path, settings: EngineSettings, on_progress: OnProgress | None = None
) -> Engine:
    """Return the engine of that file and those settings, loading it at the first call.

    Callers share it; a file that was replaced since is loaded anew. Loads wait for each
    other, so that two of them do not both count on the same free memory.
    """
    with _engines_lock:
        try:
            file = path.resolve().stat()
            key = (str(path.resolve()), file.st_ino, file.st_mtime_ns, settings)
        except OSError:
            key = (str(path), 0, 0, settings)
        engine = _engines.get(key)
        if engine is None or engine.closed:
            engine = _engines[key] = Engine.open(path, settings, on_progress)
        return engine


@atexit.register
def close_engines() -> None:
    """Close every shared engine and free its memory."""
    with _engines_lock:
        engines = list(_engines.values())
        _engines.clear()
    for engine in engines:
        engine.close()
