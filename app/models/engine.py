"""One model, one worker thread, many callers: `Engine` takes requests and streams text.

Callers of any thread or event loop submit; the worker owns everything native and answers
through a sink. What stands behind `submit` and `choose` may change (several sequences at
once, another process) without a caller noticing. This module knows tokens, not messages:
templates and LangChain are above it.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from groundling.errors import ModelError
from groundling.models.calls import (
    Choice,
    Chunk,
    EngineSettings,
    Job,
    ModelEngine,
    Request,
    Sink,
    Usage,
    Weights,
)  # fmt: skip
from groundling.models.context import Cancelled, Context, OnProgress
from groundling.models.stream import TextStream
from groundling.models.vocabulary import Vocabulary

Work = Callable[[Context | None], None]  # None: the engine was closed meanwhile


class Engine(ModelEngine):
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

    def submit(self, request: Request | Choice, sink: Sink) -> Job:
        job = Job()
        write = self._write if isinstance(request, Request) else self._weigh
        self._submit(lambda context: write(context, request, sink, job))  # type: ignore[arg-type]
        return job

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

    def _weigh(self, context: Context | None, choice: Choice, sink: Sink, job: Job) -> None:
        try:
            if context is None:
                raise Cancelled
            started = time.perf_counter()
            scores = context.score(choice.tokens, choice.options, lambda: self._stopped(job))
            seconds = time.perf_counter() - started
            sink(Weights(tuple(scores), Usage(len(choice.tokens), 0, 0, seconds, 0.0)))
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
