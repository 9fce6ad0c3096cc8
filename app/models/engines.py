"""The engines of this process, shared: one for each file and each way to run it."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path

from groundling.errors import ModelTooBig
from groundling.models.calls import EngineSettings, ModelEngine
from groundling.models.context import OnProgress
from groundling.models.encoders import unload_encoders
from groundling.models.engine import Engine
from groundling.models.isolation.supervised import SupervisedEngine

_Key = tuple[str, int, int, EngineSettings, bool]
_engines: dict[_Key, ModelEngine] = {}
_engines_lock = threading.Lock()


def engine_for(
    path: Path,
    settings: EngineSettings,
    on_progress: OnProgress | None = None,
    isolated: bool = False,
) -> ModelEngine:
    """Return the engine of that file and those settings, loading it at the first call.

    Callers share it; a file that was replaced since is loaded anew. Loads wait for each
    other, so that two of them do not both count on the same free memory.

    Args:
        path: of a GGUF file.
        settings: how to run it.
        on_progress: called with the loaded share, from 0 to 1.
        isolated: run it in a process of its own, which may crash without this one.

    Raises:
        ModelFileError: the file is no whole GGUF of a known architecture.
        ModelTooBig: it does not fit into the free memory; nothing was loaded.
        EngineCrashed: the process of its own ended while it loaded the file.
    """
    kind = SupervisedEngine if isolated else Engine
    with _engines_lock:
        try:
            file = path.resolve().stat()
            key = (str(path.resolve()), file.st_ino, file.st_mtime_ns, settings, isolated)
        except OSError:
            key = (str(path), 0, 0, settings, isolated)
        engine = _engines.get(key)
        if engine is None or engine.closed:
            engine = _engines[key] = _open(kind, path, settings, on_progress)
        return engine


def shared() -> list[ModelEngine]:
    """Return the engines that are loaded; does not wait for one that is being loaded."""
    return [engine for engine in list(_engines.values()) if not engine.closed]


def _open(
    kind: type[Engine | SupervisedEngine],
    path: Path,
    settings: EngineSettings,
    on_progress: OnProgress | None,
) -> ModelEngine:
    try:
        return kind.open(path, settings, on_progress)
    except ModelTooBig:
        # An embedder that nobody uses at the moment loads itself again when it is wanted.
        if not unload_encoders():
            raise
        return kind.open(path, settings, on_progress)


@atexit.register
def close_engines() -> None:
    """Close every shared engine and free its memory."""
    with _engines_lock:
        engines = list(_engines.values())
        _engines.clear()
    for engine in engines:
        engine.close()
