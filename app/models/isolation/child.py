"""What runs in the supervised process: one `Engine`, asked through a pipe.

Started by `process` as `python -m groundling.models.isolation.child`; not for people. Calls
come in on standard input and answers go out on what was standard output; anything that is
printed goes to standard error, which the parent logs. The process keeps nothing: it may be
killed at any instant, and ends by itself when its parent is gone.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from groundling.models.calls import Answer, Choice, Chunk, Job, ModelEngine, Request
from groundling.models.engine import Engine
from groundling.models.isolation.messages import (
    Begun,
    Cancel,
    Describe,
    Encode,
    Fault,
    FromChild,
    Load,
    Logged,
    Malformed,
    Progress,
    Ready,
    Specials,
    SpecialTexts,
    Texts,
    Tokenize,
    Tokens,
    pack,
    read_call,
)
from groundling.models.vocabulary import Part
from groundling.settings import environment

# How eagerly Linux picks a process when memory runs out: -1000 never, 1000 before all others.
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_PARENT_CHECK_SECONDS = 1.0
# The parent counts the calls; this side learns a little later which of them are over.
_QUEUE_SLACK = 1024


def main() -> None:
    """Serve one parent until it is gone."""
    # The terminal sends Ctrl-C to every process of the group; what it means is the parent's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    incoming, outgoing = _take_pipes()
    _volunteer_for_memory()
    # Without this, llama.cpp starts a debugger, where one is installed, before it aborts.
    environment().setdefault("GGML_NO_BACKTRACE", "1")
    first = read_call(incoming)
    if first is None:
        return
    load = first[1]
    assert isinstance(load, Load)
    threading.Thread(target=_end_with, args=(load.parent,), daemon=True).start()
    child = Child(outgoing)
    child.forward_log(load.log_level)
    if child.load(load):
        child.serve(incoming)
    child.flush()
    # Nothing is worth freeing, and native code that runs at exit may hang.
    os._exit(0)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return incoming, outgoing


def _volunteer_for_memory() -> None:
    """Have the system end this process and not the application when memory runs out."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            _OOM_SCORE.write_text("1000")


def _end_with(parent: int) -> None:
    # The pipe's end says it sooner, unless a forked relative still holds the other end.
    while sys.platform == "win32" or os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(0)


class Child:
    """The engine's side of the pipe.

    Args:
        outgoing: where answers go.
    """

    def __init__(self, outgoing: BinaryIO) -> None:
        self._outgoing = outgoing
        self._frames: deque[bytes] = deque()
        self._some = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._write, name="answers", daemon=True).start()
        self._served: dict[int, Served] = {}
        # Long texts are split into tokens beside the calls, so that a cancellation passes them.
        self._lookups = ThreadPoolExecutor(1)
        self._engine: ModelEngine | None = None

    def forward_log(self, level: int) -> None:
        """Send llama.cpp's log to the parent, from a level on."""
        logger = logging.getLogger("groundling.llama")
        logger.setLevel(level)
        logger.addHandler(_Forward(self))

    def load(self, message: Load) -> bool:
        """Load the model and tell whether that worked."""
        try:
            engine = Engine.open(
                Path(os.fsdecode(message.path)),
                replace(message.settings, queue=message.settings.queue + _QUEUE_SLACK),
                lambda share: self.send(Progress(share)),
            )
        except Exception as error:
            self.send(Fault.of(error))
            return False
        self._engine = engine
        self.send(
            Ready(engine.name, engine.context_length, engine.chat_template, engine.vocabulary.size)
        )
        return True

    def serve(self, incoming: BinaryIO) -> None:
        """Take calls until the parent closes the pipe."""
        engine = self._engine
        assert engine is not None
        while True:
            try:
                read = read_call(incoming)
            except Malformed as error:
                self.send(Fault("ValueError", str(error)), error.call)
                continue
            if read is None:
                return
            call, message = read
            if isinstance(message, Request | Choice):
                served = self._served[call] = Served(self, call)
                served.submit(engine, message)
            elif isinstance(message, Cancel):
                wanted = self._served.get(call)
                if wanted is not None:
                    wanted.cancel()
            elif not isinstance(message, Load):
                self._lookups.submit(self._look_up, engine, call, message)

    def send(self, message: FromChild, call: int = 0) -> None:
        """Have something written to the parent, soon and in turn; from any thread.

        What the calls of one forward pass say is so written together, while the next pass
        runs: the parent wakes up once for all of them.
        """
        self._frames.append(pack(message, call))
        self._some.set()

    def flush(self) -> None:
        """Write everything before this returns."""
        with self._writing, contextlib.suppress(BrokenPipeError):
            while self._frames:
                self._outgoing.write(self._frames.popleft())
            self._outgoing.flush()

    def forget(self, call: int) -> None:
        """Let go of a call that is over."""
        self._served.pop(call, None)

    def _write(self) -> None:
        while self._some.wait():
            self._some.clear()
            self.flush()

    def _look_up(
        self, engine: ModelEngine, call: int, message: Encode | Tokenize | Describe | Specials
    ) -> None:
        vocabulary = engine.vocabulary
        answer: FromChild
        try:
            match message:
                case Encode(parts):
                    answer = Tokens(
                        vocabulary.encode([Part(text.decode(), markup) for text, markup in parts])
                    )
                case Tokenize(text, markup, begin):
                    answer = Tokens(vocabulary.tokenize(text.decode(), markup=markup, begin=begin))
                case Describe(tokens, markup):
                    answer = Texts(
                        tuple(vocabulary.piece(token, markup=markup) for token in tokens),
                        tuple(vocabulary.ends(token) for token in tokens),
                    )
                case Specials():
                    answer = SpecialTexts(vocabulary.bos, vocabulary.eos, vocabulary.control_texts)
        except Exception as error:
            answer = Fault.of(error)
        self.send(answer, call)


class Served:
    """One call, from its arrival to its last word."""

    def __init__(self, child: Child, call: int) -> None:
        self._child = child
        self._call = call
        self._job: Job | None = None

    def submit(self, engine: ModelEngine, request: Request | Choice) -> None:
        """Hand the call to the engine."""
        try:
            self._job = engine.submit(request, self._answer)
        except Exception as error:
            self._answer(error)
            return
        self._job.when_begun(self._begin)

    def cancel(self) -> None:
        """Pass a cancellation on."""
        if self._job is not None:
            self._job.cancel()

    def _begin(self) -> None:
        # The forward pass that comes next may be the last one of this process.
        self._child.send(Begun(), self._call)
        self._child.flush()

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, BaseException):
            self._child.send(Fault.of(answer), self._call)
        else:
            self._child.send(answer, self._call)
        if not isinstance(answer, Chunk) or answer.finish_reason is not None:
            self._child.forget(self._call)


class _Forward(logging.Handler):
    """Sends log records to the parent."""

    def __init__(self, child: Child) -> None:
        super().__init__()
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        self._child.send(Logged(record.levelno, record.getMessage()))


if __name__ == "__main__":
    main()
