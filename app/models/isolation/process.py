"""The child process: started, written to, listened to, ended, and what its end was.

The pipe is the child's standard input and output: no name, no port and no password, so that
nobody else can speak to it, and the same on every system. It is started anew (never forked),
and does not import the program that it serves.
"""

from __future__ import annotations

import logging
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from groundling.models.isolation.messages import FromChild, Malformed, read_answer

log = logging.getLogger("groundling.llama")

# -P: a folder that the user happens to be in shadows no module.
COMMAND = (sys.executable, "-P", "-m", "groundling.models.isolation.child")
_LAST_SECONDS = 2.0


class ChildProcess:
    """One child, from its start to its end.

    Threads of it write and log; `messages` is read by its owner.

    Args:
        command: what to run.
        name: for its threads.
    """

    def __init__(self, command: Sequence[str], name: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._incoming: BinaryIO = self._process.stdout  # type: ignore[assignment]
        self._threads = [
            threading.Thread(target=run, args=(pipe,), name=f"{what} {name}", daemon=True)
            for run, pipe, what in (
                (self._write, self._process.stdin, "requests to"),
                (self._log, self._process.stderr, "errors of"),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Have a frame written; returns at once, and a dead child does not mind."""
        self._frames.put(frame)

    def messages(self) -> Iterator[tuple[int, FromChild]]:
        """Yield what the child says until it ends; one that says nonsense is ended."""
        try:
            while (read := read_answer(self._incoming)) is not None:
                yield read
        except Malformed as error:
            log.error("The model's process wrote what is no message: %s", error)
            self.kill()

    def kill(self) -> None:
        """End it at once; from any thread, more than once."""
        self._process.kill()

    def wait(self) -> int:
        """Collect it and its threads after `messages` ended.

        Returns:
            How it ended, as `subprocess` tells it: minus the signal's number, or a code.
        """
        # What closed its pipe and does not end would be waited for for ever.
        try:
            self._process.wait(_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        code = self._process.wait()
        self._frames.put(None)
        for thread in self._threads:
            thread.join()
        self._incoming.close()
        return code

    def _write(self, pipe: BinaryIO) -> None:
        try:
            with pipe:
                while (frame := self._frames.get()) is not None:
                    pipe.write(frame)
                    pipe.flush()
        except OSError:  # it is gone; whoever waits for it hears that from its other pipe
            pass

    def _log(self, pipe: BinaryIO) -> None:
        with pipe:
            for line in pipe:
                log.warning("%s", line.decode("utf-8", "replace").rstrip())


def describe_end(code: int) -> str:
    """Say how a process ended: `by signal 11 (SIGSEGV)`, `with code 1`."""
    if code >= 0:
        return f"with code {code}" if code < 256 else f"with code {code:#x}"
    try:
        return f"by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"by signal {-code}"
