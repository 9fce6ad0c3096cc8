"""The one door to llama.cpp: `import_llama` loads the library the way it must be loaded.

Nothing else in the project imports `llama_cpp` (a test holds that). Two things have to
happen before and after the library loads: libgomp reads its wait policy at load time, and
llama.cpp writes its log to the terminal until it is given another place.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

from groundling.settings import environment

log = logging.getLogger("groundling.llama")
# Without a handler of its own Python would print llama.cpp's warnings on the terminal.
log.addHandler(logging.NullHandler())

# ggml_log_level: none, debug, info, warn, error; 5 continues the line before.
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
_ERROR, _CONTINUED = 4, 5

_kept: list[object] = []  # what llama.cpp holds a bare pointer to
_errors: list[str] = []
_errors_lock = threading.Lock()


@cache
def import_llama() -> ModuleType:
    """Load llama.cpp and return its low-level binding, `llama_cpp.llama_cpp`.

    `OMP_WAIT_POLICY=passive` is set first unless the user set one: with spinning threads, a
    machine whose cores are shared decodes up to forty times slower. llama.cpp's log goes to
    the logger `groundling.llama`.
    """
    environment().setdefault("OMP_WAIT_POLICY", "passive")
    binding = importlib.import_module("llama_cpp.llama_cpp")
    callback = binding.llama_log_callback(_write_log)
    binding.llama_log_set(callback, ctypes.c_void_p(0))
    _kept.append(callback)
    binding.llama_backend_init()
    return binding


@contextmanager
def native_errors() -> Iterator[list[str]]:
    """Collect the error lines that llama.cpp logs inside the block, from any thread."""
    with _errors_lock:
        _errors.clear()
    yield _errors


def _write_log(level: int, text: bytes, _: object) -> None:
    line = text.decode("utf-8", "replace").rstrip()
    if not line or level == _CONTINUED:
        return
    if level == _ERROR:
        with _errors_lock:
            _errors.append(line)
            del _errors[:-20]
    log.log(_LEVELS.get(level, logging.DEBUG), line)
