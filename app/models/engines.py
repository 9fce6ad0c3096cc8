"""The engines of this process, shared: one for each file and each way to run it."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path

from groundling.models.calls import EngineSettings, ModelEngine
from groundling.models.context import OnProgress
from groundling.models.engine import Engine

_Key = tuple[str, int, int, EngineSettings]
_engines: dict[_Key, ModelEngine] = {}
_engines_lock = threading.Lock()


def engine_for(
    path: Path, settings: EngineSettings, on_progress: OnProgress | None = None
) -> ModelEngine:
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
