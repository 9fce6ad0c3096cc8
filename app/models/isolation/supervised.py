"""`SupervisedEngine`: an engine whose process may crash without taking this one along.

What a crash ends are the calls that had begun: they hear `EngineCrashed`, because running
what killed a process again would kill the next one. Calls that had not begun go on in a new
process, and their callers notice a longer wait. When processes die again and again the
engine closes, and says why.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.errors import EngineCrashed, ModelError, ModelFileError, ModelTooBig
from groundling.models.calls import (
    Choice,
    Chunk,
    EngineSettings,
    Job,
    ModelEngine,
    Request,
    Sink,
    Weights,
)
from groundling.models.isolation.ledger import Ledger, copy
from groundling.models.isolation.messages import (
    Fault,
    FromChild,
    Load,
    Logged,
    Progress,
    Ready,
    pack,
)
from groundling.models.isolation.process import COMMAND, ChildProcess, describe_end, log
from groundling.models.isolation.vocabulary import Question, RemoteVocabulary

if TYPE_CHECKING:
    from groundling.models.context import OnProgress
    from groundling.models.vocabulary import Vocabulary

# This many crashes within that time, and no new process is started.
MOST_CRASHES = 5
CRASH_WINDOW_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0


class SupervisedEngine(ModelEngine):
    """A loaded model in a child process; `SupervisedEngine.open` starts one.

    The child is the first that Linux ends when memory runs out, ends by itself when this
    process is gone, and leaves Ctrl-C to this one. Its log is this process's, too: the
    logger `groundling.llama`.
    """

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self.path = path.absolute()
        self.settings = settings
        self.command = COMMAND
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._ledger = Ledger()
        self._process: ChildProcess | None = None
        self._loaded: Future[Ready] = Future()
        self._on_progress: OnProgress | None = None
        self._vocabulary: RemoteVocabulary | None = None
        self._identity: tuple[int, ...] = ()
        self._why: Exception | None = None  # closed, for this reason
        self._crashes: deque[float] = deque(maxlen=MOST_CRASHES)
        self._thread = threading.Thread(
            target=self._supervise, name=f"supervises {path.name}", daemon=True
        )

    @classmethod
    def open(
        cls, path: Path, settings: EngineSettings, on_progress: OnProgress | None = None
    ) -> SupervisedEngine:
        """Start a process and load a model in it; Ctrl-C stops the load.

        Args:
            path: of a GGUF file.
            settings: how to run it.
            on_progress: called with the loaded share, from 0 to 1.

        Raises:
            ModelFileError: the file is no whole GGUF of a known architecture.
            ModelTooBig: it does not fit into the free memory; nothing was loaded.
            EngineCrashed: the process ended while it loaded the file.
        """
        engine = cls(path, settings)
        engine._on_progress = on_progress
        engine.start()
        return engine

    def start(self) -> None:
        """Load the model; see `open`."""
        self._thread.start()
        try:
            ready = self._loaded.result()
        except BaseException:
            self.close()
            raise
        self._vocabulary = RemoteVocabulary(ready.vocabulary_size, self._ask)

    @property
    def name(self) -> str:
        loaded = self._loaded.done() and self._loaded.exception() is None
        return self._loaded.result().name if loaded else self.path.name

    @property
    def closed(self) -> bool:
        return self._why is not None

    @property
    def context_length(self) -> int:
        self._check()
        return self._loaded.result().context_length

    @property
    def vocabulary(self) -> Vocabulary:
        self._check()
        assert self._vocabulary is not None
        return self._vocabulary

    @property
    def chat_template(self) -> str | None:
        self._check()
        return self._loaded.result().chat_template

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        process = self._process
        return process.pid if process else None

    def submit(self, request: Request | Choice, sink: Sink) -> Job:
        self._check()
        number = 0
        job = Job(lambda: self._ledger.cancel(number))

        def told(answer: FromChild | Exception) -> None:
            if isinstance(answer, Chunk | Weights | Exception):
                sink(answer)

        try:
            number = self._ledger.add(
                request, told, job, self.settings.queue + self.settings.parallel
            )
        except ValueError as error:
            sink(error)
        return job

    def close(self) -> None:
        if self._owner == os.getpid():  # a fork does not own the child
            self._give_up(ModelError(f"{self.name} is closed."))
            if self._thread is not threading.current_thread() and self._thread.is_alive():
                self._thread.join()

    def _give_up(self, why: Exception) -> None:
        """End the child and start no other; the first reason is the one that callers hear."""
        with self._lock:
            self._why = self._why or why
            if self._process is not None:
                self._process.kill()
        self._closing.set()

    def _check(self) -> None:
        if self._owner != os.getpid():
            raise ModelError(
                f"{self.name} was loaded by the process that this one was forked from.",
                hint='Start worker processes with the "spawn" method, or load the model in them.',
            )
        if self._why is not None:
            raise copy(self._why)

    def _ask(self, question: Question) -> FromChild:
        """Ask the child about its vocabulary, and wait for the answer."""
        self._check()
        future: Future[FromChild] = Future()

        def told(answer: FromChild | Exception) -> None:
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self._ledger.add(question, told)
        return future.result()

    # From here on everything runs on the supervising thread.

    def _supervise(self) -> None:
        try:
            while (process := self._start()) is not None:
                fault = self._listen(process)
                self._ended(process.wait(), fault)
                self._closing.wait(self._pause())
        except Exception as error:
            log.exception("The process of %s is not supervised any more", self.path)
            self._give_up(ModelError(f"{self.name} cannot be run in a process: {error!r}"))
        assert self._why is not None
        if not self._loaded.done():
            self._loaded.set_exception(self._why)
        self._ledger.close(self._why)

    def _start(self) -> ChildProcess | None:
        identity = _identity(self.path)
        if self._identity and identity and identity != self._identity:
            self._give_up(
                ModelFileError(
                    f"{self.path} was changed while it was in use, and its process ended.",
                    hint="Ask again: the new file is loaded.",
                )
            )
        self._identity = identity
        with self._lock:
            if self._why is not None:
                return None
            process = self._process = ChildProcess(self.command, self.path.name)
        level = log.getEffectiveLevel()
        process.send(pack(Load(os.fsencode(self.path), self.settings, level, os.getpid())))
        return process

    def _listen(self, process: ChildProcess) -> Exception | None:
        """Take what the child says until it ends; return why it could not load the model."""
        fault = None
        for number, message in process.messages():
            if isinstance(message, Progress):
                self._report(message.share)
            elif isinstance(message, Ready):
                if not self._loaded.done():
                    self._loaded.set_result(message)
                self._ledger.open(process)
            elif isinstance(message, Logged):
                log.log(message.level, "%s", message.text)
            elif isinstance(message, Fault) and not number:
                fault = message.error()
            else:
                self._ledger.deliver(number, message)
        return fault

    def _report(self, share: float) -> None:
        if self._on_progress is None or self._loaded.done():
            return
        try:
            self._on_progress(share)
        except BaseException as error:
            self._loaded.set_exception(error)
            self._give_up(ModelError(f"The load of {self.name} was stopped."))

    def _ended(self, code: int, fault: Exception | None) -> None:
        """Draw the consequences of a child's end."""
        with self._lock:
            self._process = None
        if self._why is not None:
            return
        if fault is not None and not (self._loaded.done() and isinstance(fault, ModelTooBig)):
            self._give_up(fault)
            return
        end = describe_end(code)
        log.error("The process of %s ended %s", self.path, end)
        hint = "Ask again: a new process is starting. The log groundling.llama may tell more."
        if code == -signal.SIGKILL:
            hint = "If memory ran out, lower model.context or model.cache; then ask again."
        crash = EngineCrashed(
            f"The process of {self.name} ended {end} during this call.", hint=hint
        )
        self._ledger.lose(crash)
        if not self._loaded.done():
            self._give_up(
                EngineCrashed(
                    f"The process of {self.name} ended {end} while it loaded {self.path}.",
                    hint="groundling model verify tells whether the file is whole",
                )
            )
        self._crashes.append(time.monotonic())
        if len(self._recent()) >= MOST_CRASHES:
            self._give_up(
                fault
                or EngineCrashed(
                    f"The process of {self.name} ended {MOST_CRASHES} times within "
                    f"{CRASH_WINDOW_SECONDS:g} seconds, last {end}; it is not started again.",
                    hint="groundling doctor looks for the cause",
                )
            )

    def _recent(self) -> list[float]:
        after = time.monotonic() - CRASH_WINDOW_SECONDS
        return [crash for crash in self._crashes if crash > after]

    def _pause(self) -> float:
        """Return the seconds before the next start: none at first, then twice as long each."""
        earlier = len(self._recent()) - 1
        if earlier < 1:
            return 0.0
        return min(_FIRST_PAUSE_SECONDS * 2.0 ** (earlier - 1), _LONGEST_PAUSE_SECONDS)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        file = path.stat()
    except OSError:
        return ()  # the child says what is wrong
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns
