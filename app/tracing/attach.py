"""Recording is on for a whole process: every run of LangChain in it, whoever began it.

`attach` is called when a home folder's graphs or models are first used. LangChain asks the
hook below for a handler whenever something runs; there is one tracer for the process, and it
writes into the home folder that was attached last.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import Any, cast
from uuid import UUID

from langchain_core.tracers.context import register_configure_hook

from groundling import egress
from groundling.settings import Settings, keep_private
from groundling.tracing.retention import prune
from groundling.tracing.store import Redact, TraceStore
from groundling.tracing.tracer import Origin, Tracer, origin
from groundling.tracing.writer import Tell, TraceWriter

SILENCE = 3600.0  # seconds after which a client of the server that said nothing is gone

_tracer = Tracer()
_writers: dict[Path, TraceWriter] = {}
_lock = Lock()
_hooked = False


class _Hook:
    """Stands where LangChain asks a context variable: recording is the process's, not a task's."""

    def get(self) -> Tracer | None:
        """Return the tracer while there is somewhere to write."""
        return _tracer if _tracer.sink is not None else None


def attach(settings: Settings, tell: Tell | None = None) -> None:
    """Record the runs of this process, as the settings say; safe to call again and again.

    Args:
        settings: of the home folder that keeps them.
        tell: takes messages for the person; default: Python's warnings.
    """
    global _hooked
    if turned_off := keep_private(settings):
        (tell or _warn)(turned_off)
    with _lock:
        if not settings.tracing.enabled:
            _tracer.sink = None
            return
        file = settings.traces_path
        if file not in _writers:
            _writers[file] = writer_for(settings, tell or _warn)
        _tracer.sink, _tracer.project = _writers[file], settings.tracing.project
        if not _hooked:
            register_configure_hook(cast("ContextVar[Any | None]", _Hook()), inheritable=True)
            egress.listen(_tracer.note_egress)
            _hooked = True


def detach() -> None:
    """Stop recording; what was recorded is stored before this returns."""
    with _lock:
        _tracer.sink = None
        _tracer.forget()
        while _writers:
            _writers.popitem()[1].close()


def flush(timeout: float = 10.0) -> bool:
    """Wait until what was recorded so far is stored; tell whether it is."""
    stored = [writer.flush(timeout) for writer in list(_writers.values())]
    return all(stored)


@contextmanager
def recording(project: str | None = None, example: UUID | None = None) -> Iterator[None]:
    """Let runs that begin inside belong to a project, and answer a data set's example."""
    token = origin.set(Origin(project, example))
    try:
        yield
    finally:
        origin.reset(token)


def writer_for(settings: Settings, tell: Tell) -> TraceWriter:
    """Make a writer that redacts, and keeps the file within bounds, as the settings say."""

    def maintain(store: TraceStore) -> bool:
        store.mark_lost(silent_for=SILENCE)
        return prune(store, settings.tracing, seconds=0.2).done

    redact = redactor() if settings.tracing.redact else None
    return TraceWriter(settings.traces_path, redact, tell=tell, maintain=maintain)


def redactor() -> Redact:
    """Return what blacks out secrets and personal data before runs are stored."""
    from groundling.tracing.redaction import Redaction

    return Redaction()


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=2)
