"""Objects named from outside: `module:name` and `file.py:name`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from groundling.errors import EvaluationError


def load_object(reference: str) -> Any:
    """Import what a reference names; modules are looked for in the working folder, too.

    Args:
        reference: `package.module:name`, `package.module:object.attribute`, or
            `path/to/file.py:name`.

    Raises:
        EvaluationError: there is no such module or name, or importing it fails.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name:
        raise EvaluationError(
            f"{reference} names no object.", hint="Write MODULE:NAME or FILE.py:NAME."
        )
    try:
        found: Any = _file(Path(where)) if where.endswith(".py") else _module(where)
    except EvaluationError:
        raise
    except ModuleNotFoundError as error:
        raise EvaluationError(
            f"{where} cannot be imported: {error}.",
            hint="Run the command in the folder that holds it, or install its package.",
        ) from error
    except Exception as error:
        raise EvaluationError(
            f"{where} cannot be imported: {type(error).__name__}: {error}",
            hint=f"python -c 'import {where}' shows where it fails.",
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise EvaluationError(f"{where} has no {name}.", hint="Look at how it is spelled.")
        found = getattr(found, part)
    return found


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _file(path: Path) -> ModuleType:
    place = path.expanduser().resolve()
    if not place.is_file():
        raise EvaluationError(f"There is no file {path}.", hint="Look at how it is spelled.")
    name = f"groundling_loaded_{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
