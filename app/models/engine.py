"""One model, one worker thread, many callers at once: `Engine` takes calls and answers them.

Callers of any thread or event loop submit; the worker owns everything native and answers
through sinks. It serves all calls together, one forward pass after the other (continuous
batching; Yu et al. 2022, "Orca"): the `scheduler` says who reads what in a pass, `prefix`
keeps what was read for whoever begins alike, `tasks` know what a call does with the
outcome. This module knows tokens, not messages: templates and LangChain are above it.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from groundling.errors import AdapterError, ContextOverflow, EngineBusy, ModelError
from groundling.models.calls import (
    Adapter,
    Choice,
    EngineSettings,
    Job,
    ModelEngine,
    Request,
    Sink,
)
from groundling.models.context import Cancelled, Context, OnProgress, Span
from groundling.models.prefix import PrefixCache
from groundling.models.scheduler import Pass, Scheduler
from groundling.models.snapshots import restore, save
from groundling.models.tasks import Branch, Task, Weighing, Writing
from groundling.models.vocabulary import Vocabulary

# How long a text that is being written may wait for pieces of others' prompts, and a call
# that comes for a pass that has begun.
_PATIENCE_SECONDS = 0.5
_PASS_SECONDS = 1.5
_LEAST_PASS = 128  # tokens; fewer are read more slowly
_LEAST_PIECE = 16  # tokens; from there on a pass tells how fast prompts are read
_TRIES = 2  # of a call whose outcome is no numbers, before the fault is its own


@dataclass
class Totals:
    """What an engine has done since it was loaded: forward passes, and tokens read in them.

    `reused` tokens of prompts were known already.
    """

    passes: int = 0
    read: int = 0
    reused: int = 0


class Engine(ModelEngine):
    """A loaded model in this process; `Engine.open` loads one, `engine_for` shares one."""

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self.path = path
        self.settings = settings
        self.totals = Totals()
        self._inbox: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._queued = 0
        self._closing = threading.Event()
        self._process = os.getpid()
        self._loaded: Future[Context] = Future()
        self._thread = threading.Thread(target=self._run, name=f"llama {path.name}", daemon=True)
        self._abort_load = False
        self._on_progress: OnProgress | None = None
        self._running: list[Job] = []
        self._speed = 0.0

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
        loaded = self._loaded.done() and self._loaded.exception() is None
        return self._loaded.result().header.name if loaded else self.path.name

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    @property
    def context_length(self) -> int:
        return self._context.length

    @property
    def vocabulary(self) -> Vocabulary:
        return self._context.vocabulary

    @property
    def chat_template(self) -> str | None:
        return self._context.header.chat_template

    def submit(self, request: Request | Choice, sink: Sink) -> Job:
        job = Job(self._stop_if_unwanted)
        error = self._refuse(request)
        if error is not None:
            sink(error)
            return job
        task: Task
        if isinstance(request, Request):
            length, guesses = self.context_length, self.settings.speculate
            task = Writing(request, sink, job, length=length, speculate=guesses)
        else:
            task = Weighing(request, sink, job, self._inbox.put)
        with self._lock:
            self._check()
            if self._queued >= self.settings.queue + self.settings.parallel:
                raise EngineBusy(
                    f"{self._queued} calls are running or waiting for {self.name}.",
                    hint="Try again later, or raise model.queue.",
                )
            self._queued += 1
            self._inbox.put(task)
        return job

    def close(self) -> None:
        with self._lock:
            if not self._closing.is_set():
                self._closing.set()
                self._inbox.put(None)
                if self._loaded.done() and self._loaded.exception() is None:
                    self._loaded.result().abort()
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

    def _refuse(self, request: Request | Choice) -> Exception | None:
        """Say what is wrong with a call, before it can harm the others."""
        options = [[]] if isinstance(request, Request) else request.options
        longest = max(map(len, options), default=0)
        if not request.tokens:
            return ValueError("no tokens to read")
        if isinstance(request, Choice) and not (options and all(map(len, options))):
            return ValueError("an option has no tokens")
        tokens = len(request.tokens) + max(0, longest - 1)
        if tokens > self.context_length:
            return ContextOverflow(tokens, self.context_length)
        size = self.vocabulary.size
        if any(not 0 <= token < size for run in (request.tokens, *options) for token in run):
            return ValueError("a token that is not in the vocabulary")
        return None

    # From here on everything runs on the worker's thread.

    def _run(self) -> None:
        try:
            context = Context(self.path, self.settings, self._report)
        except BaseException as error:
            self._loaded.set_exception(error)
            return
        cache = PrefixCache(
            context,
            cells=context.cells,
            sequences=context.sequences,
            length=context.length,
            divisible=context.divisible,
        )
        scheduler = Scheduler(
            cache,
            batch=context.batch,
            outputs=context.outputs,
            parallel=self.settings.parallel,
            guesses=self.settings.speculate if context.divisible else 0,
        )
        if self.settings.snapshot is not None:
            restore(context, cache, self.settings.snapshot)
        self._loaded.set_result(context)
        try:
            while not self.closed:
                self._serve(context, cache, scheduler)
        finally:
            self._end(scheduler)
            if self.settings.snapshot is not None:
                save(context, cache, self.settings.snapshot)
            context.close()

    def _report(self, share: float) -> None:
        if self._abort_load:
            raise Cancelled
        if self._on_progress is not None:
            self._on_progress(share)

    def _serve(self, context: Context, cache: PrefixCache, scheduler: Scheduler) -> None:
        """Take what came in, and run one forward pass."""
        idle = not any(True for _ in scheduler.tasks())
        while idle or not self._inbox.empty():
            task = self._inbox.get()
            if task is None:
                return
            self._take(context, scheduler, task)
            idle = False
        for task in list(scheduler.tasks()):
            if task.job.cancelled:
                self._fail(scheduler, task, ModelError("The call was cancelled."))
        step = scheduler.plan(*self._limits())
        while step and not cache.room(sum(len(piece.tokens) for _, piece in step.pieces)):
            scheduler.preempt()
            step = scheduler.plan(*self._limits())
        if step:
            self._pass(context, cache, scheduler, step)

    def _take(self, context: Context, scheduler: Scheduler, task: Task) -> None:
        try:
            task.adapters = context.resolve(task.wanted)
        except Exception as error:
            task.fail(error)
            self._ended(task)
        else:
            scheduler.add(task)

    def _pass(self, context: Context, cache: PrefixCache, scheduler: Scheduler, step: Pass) -> None:
        spans = [
            Span(task.sequence.id, task.sequence.length, *piece)
            for task, piece in step.pieces
            if task.sequence is not None
        ]
        tasks = [task for task, _ in step.pieces]
        with self._lock:
            self._running = [task.job for task in tasks]
            if not self.closed:
                context.resume()
        started = time.perf_counter()
        try:
            rows = context.decode(spans, step.adapters)
        except Cancelled:
            self._forget_half_read(context, cache, tasks)
            return
        except Exception as error:
            self._forget_half_read(context, cache, tasks)
            for task in tasks:
                self._fail(scheduler, task, error)
            return
        finally:
            with self._lock:
                self._running = []
        self._learn_speed(step, time.perf_counter() - started)
        last = [row + (len(span.tokens) - 1 if span.outputs == "all" else 0)
                for span, row in zip(spans, rows, strict=True)]  # fmt: skip
        unsound = [
            task for task, row in zip(tasks, last, strict=True)
            if row >= 0 and not context.sound(row)
        ]  # fmt: skip
        if unsound:
            self._start_over(context, scheduler, unsound)
            return
        for task, span, row in zip(tasks, spans, rows, strict=True):
            assert task.sequence is not None
            cache.extend(task.sequence, span.tokens)
            if row < 0:
                continue
            outputs = range(row, row + (len(span.tokens) if span.outputs == "all" else 1))
            try:
                cache.shorten(task.sequence, task.receive(context, outputs))
            except Exception as error:
                self._fail(scheduler, task, error)
                continue
            if task.done or not task.missing:
                self._remove(scheduler, task)

    def _forget_half_read(self, context: Context, cache: PrefixCache, tasks: list[Task]) -> None:
        """A model that cannot go back a few tokens has lost the whole sequence."""
        for task in tasks:
            if task.sequence is not None and not context.divisible:
                cache.shorten(task.sequence, 0)

    def _start_over(self, context: Context, scheduler: Scheduler, unsound: list[Task]) -> None:
        """Forget everything, after weights whose numbers overflow were used.

        What is no number stays in cells that nobody uses any more, and attention multiplies
        by nought what it does not look at: every later call would be answered by no numbers.
        Whose weights they were the tries tell, since victims are well on clean cells.
        """
        scheduler.restart()
        context.wipe()
        for task in unsound:
            task.unsound += 1
            if task.unsound > _TRIES:
                self._fail(scheduler, task, _overflowed(self.name, task.wanted))

    def _limits(self) -> tuple[int, int]:
        """Return the tokens of prompts between two tokens of a text, and in one pass."""
        patience, longest = self._speed * _PATIENCE_SECONDS, self._speed * _PASS_SECONDS
        return max(_LEAST_PIECE, int(patience)), max(_LEAST_PASS, int(longest))

    def _learn_speed(self, step: Pass, seconds: float) -> None:
        self.totals.passes += 1
        self.totals.read += sum(len(piece.tokens) for _, piece in step.pieces)
        if step.prompts >= _LEAST_PIECE:
            self._speed += 0.3 * (step.prompts / seconds - self._speed)

    def _fail(self, scheduler: Scheduler, task: Task, error: BaseException) -> None:
        task.fail(error)
        self._remove(scheduler, task)

    def _remove(self, scheduler: Scheduler, task: Task) -> None:
        scheduler.remove(task)
        self._ended(task)

    def _ended(self, task: Task) -> None:
        task.close()
        if not isinstance(task, Branch):
            self._queued -= 1
            self.totals.reused += task.cached or 0

    def _end(self, scheduler: Scheduler) -> None:
        while not self._inbox.empty():
            task = self._inbox.get()
            if task is not None:
                scheduler.add(task)
        for task in list(scheduler.tasks()):
            self._fail(scheduler, task, ModelError(f"{self.name} was closed."))

    def _stop_if_unwanted(self) -> None:
        """Stop the forward pass that is running if nobody waits for its outcome any more."""
        with self._lock:
            if self._running and all(job.cancelled for job in self._running):
                self._loaded.result().abort()


def _overflowed(model: str, adapters: Sequence[Adapter]) -> ModelError:
    if not adapters:
        return ModelError(
            f"{model} computes no numbers for this prompt.",
            hint="groundling model verify tells whether its file is whole",
        )
    # On the shelf each has a folder of its name.
    names = ", ".join(
        path.parent.name if path.name == "adapter.gguf" else path.name
        for path in (adapter.path for adapter in adapters)
    )
    return AdapterError(
        f"With the adapter {names} the numbers of {model} overflow; nothing can be answered.",
        hint="Train it with a smaller learning rate. groundling tune rollback, if it is promoted",
    )
