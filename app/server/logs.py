"""The server's log: one line for each event, for a person at a terminal or for a program.

    20:14:07 info  GET /threads/7/state 200 in 3.1 ms  request=4f2a person=ann
    {"time":"2026-11-26T20:14:07.123Z","level":"info","event":"request","request":"4f2a",…}

A line never holds what people write: of a failure it has the place and the kind, and the
message only where it is Groundling's or the operating system's own. `note` adds fields to the
lines of the present request, its runs among them. Lines are written by a thread, so that a
slow terminal or pipe does not stop the server; when too many wait, the newest are dropped and
counted.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import sqlite3
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from logging.handlers import QueueHandler, QueueListener
from threading import Thread
from typing import Any, Literal, TextIO

from groundling.errors import GroundlingError

Form = Literal["auto", "text", "json"]
_MOST_WAITING = 10_000  # lines
_LAST_SECONDS = 2.0
# GGML_STATUS_ABORTED is 1, and llama_decode then returns 2.
_STOPPED = re.compile(
    r"failed with error 1$|compute status: 1$|failed to decode, ret = 2$"
    r"|removing memory module entries"
)
_TELLING = (GroundlingError, OSError, sqlite3.Error, ImportError)
_context: ContextVar[dict[str, Any] | None] = ContextVar("groundling_log_fields", default=None)


def note(**fields: Any) -> None:
    """Add fields to the lines of the present request; outside of one, do nothing."""
    if (known := _context.get()) is not None:
        known.update(fields)


@contextmanager
def about(**fields: Any) -> Iterator[dict[str, Any]]:
    """Give the lines that are written inside these fields; `note` adds more."""
    known = {**(_context.get() or {}), **fields}
    token = _context.set(known)
    try:
        yield known
    finally:
        _context.reset(token)


class Fields(logging.Formatter):
    """What both forms share: the fields of a record, its own and those of its request."""

    def __init__(self, *, debug: bool = False) -> None:
        super().__init__()
        self._debug = debug

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the fields of a line, without time, level and event."""
        fields = {**(_context.get() or {}), **getattr(record, "fields", {})}
        if record.exc_info and (error := record.exc_info[1]) is not None:
            fields["error"] = describe(error, debug=self._debug)
        return fields


class JsonLines(Fields):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self.fields(record),
        }
        return json.dumps(line, default=str).replace("\x7f", "\\u007f")


class Lines(Fields):
    """One line of text, with its fields at the end."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = self.fields(record)
        error = fields.pop("error", None)
        said = "  ".join(
            part
            for part in (
                f"{moment} {record.levelname.lower():<7} {_plain(record.getMessage())}",
                " ".join(_plain(f"{name}={value}") for name, value in fields.items()),
            )
            if part
        )
        return f"{said}\n    {error}" if error else said


def describe(error: BaseException, *, debug: bool = False) -> str:
    """Tell of an error its kind and where it was raised; its words only where they are ours.

    Other libraries' messages quote what they were given, which may be what a person wrote.
    """
    told = f": {error}" if debug or isinstance(error, _TELLING) else ""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = " < ".join(f"{_short(f.filename)}:{f.lineno} {f.name}" for f in reversed(frames))
    return _plain(f"{type(error).__name__}{told} ({places})" if places else f"{error!r}")


def _short(file: str) -> str:
    return "/".join(file.replace("\\", "/").split("/")[-3:])


def _plain(text: str) -> str:
    """Keep a text on its line: a caller's path could forge one, or drive a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _unless_stopped(record: logging.LogRecord) -> bool:
    """Leave out what llama.cpp calls errors when an answer is stopped, as its reader wished."""
    return _STOPPED.search(record.getMessage()) is None


class _Bounded(QueueHandler):
    """Formats in the thread that logs, where the request is known, and never waits."""

    queue: queue.Queue[logging.LogRecord]
    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class _Writer(QueueListener):
    """Writes in a thread; at the end it waits a little for who reads slowly, not for ever."""

    queue: queue.Queue[Any]
    _thread: Thread | None

    def stop(self) -> None:
        if (thread := self._thread) is not None:
            with suppress(queue.Full):
                self.queue.put(None, timeout=_LAST_SECONDS)  # what ends the thread
                thread.join(_LAST_SECONDS)
            self._thread = None


@contextmanager
def logging_to(
    stream: TextIO | None = None, form: Form = "auto", *, debug: bool = False
) -> Iterator[None]:
    """Write the log of the whole process to a stream while the block lasts.

    Args:
        stream: default: stderr.
        form: `auto` is text on a terminal and JSON elsewhere.
        debug: also lines that help to find faults, and errors' own words.
    """
    stream = stream if stream is not None else sys.stderr
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_MOST_WAITING)
    handler = _Bounded(waiting)
    handler.setFormatter(JsonLines(debug=debug) if as_json else Lines(debug=debug))
    writer = _Writer(waiting, logging.StreamHandler(stream))
    root = logging.getLogger()
    least = {
        "": logging.WARNING,  # what other libraries note by the way may quote a person
        "groundling": logging.DEBUG if debug else logging.INFO,
        "groundling.llama": logging.INFO if debug else logging.WARNING,  # 200 lines for a load
    }
    before = list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in least}
    root.handlers = [handler]
    for name, level in least.items():
        logging.getLogger(name).setLevel(level)
    llama = logging.getLogger("groundling.llama")
    llama.addFilter(_unless_stopped)
    logging.captureWarnings(True)
    writer.start()
    try:
        yield
    finally:
        writer.stop()
        logging.captureWarnings(False)
        llama.removeFilter(_unless_stopped)
        root.handlers = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if handler.dropped:
            stream.write(f"{handler.dropped} lines of the log were dropped.\n")
