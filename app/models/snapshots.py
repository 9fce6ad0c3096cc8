"""What a context has read, kept on disk from one run to the next.

A folder holds one file for each remembered sequence, as llama.cpp writes it, and a manifest.
llama.cpp takes the state of another model without a word, and damaged numbers as they are;
so the manifest says which model, build and cache the files belong to and what their sha256
is, and whatever does not agree is not loaded. Reading the prompt again is always right.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groundling.models.adapters import NO_ADAPTERS
from groundling.models.cpu import read_build

if TYPE_CHECKING:
    from groundling.models.context import Context
    from groundling.models.prefix import PrefixCache, Sequence

log = logging.getLogger("groundling.models")

_MANIFEST = "manifest.json"


def save(context: Context, cache: PrefixCache, folder: Path) -> int:
    """Write what is remembered; return how many tokens that is.

    The folder is written beside the old one and renamed, readable by its owner alone: it
    holds what people wrote. A disk that is full leaves the old one as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    kept = [one for one in cache.remembered if one.adapters == NO_ADAPTERS]
    try:
        files = [_write(context, sequence, beside) for sequence in kept]
        manifest = {**_identity(context), "sequences": files}
        (beside / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        _replace(folder, beside)
    except OSError as error:
        log.warning("What the model has read could not be kept in %s: %s", folder, error)
        return 0
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return sum(sequence.length for sequence in kept)


def restore(context: Context, cache: PrefixCache, folder: Path) -> int:
    """Load what an earlier run remembered, as far as there is room; return the tokens."""
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if {key: manifest.get(key) for key in _identity(context)} != _identity(context):
            return 0
        found = [
            (folder / Path(one["file"]).name, str(one["sha256"])) for one in manifest["sequences"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    # The last used comes last: it is loaded last and so forgotten last.
    return sum(_read(context, cache, path, sha256) for path, sha256 in found)


def _identity(context: Context) -> dict[str, Any]:
    file = context.header.path.resolve().stat()
    return {
        "model": [file.st_size, file.st_mtime_ns, context.header.name],
        "llama.cpp": read_build().version,
        "cache": [context.settings.cache_type, context.settings.flash_attention],
    }


def _write(context: Context, sequence: Sequence, folder: Path) -> dict[str, str]:
    path = folder / f"{sequence.id}.state"
    context.save(sequence.id, sequence.tokens, path)
    return {"file": path.name, "sha256": _sha256(path)}


def _read(context: Context, cache: PrefixCache, path: Path, sha256: str) -> int:
    try:
        if _sha256(path) != sha256:
            return 0
    except OSError:
        return 0
    # One token alone has no beginning to share: this opens an empty sequence.
    sequence = cache.begin(np.zeros(1, np.int32), NO_ADAPTERS)
    if sequence is None:
        return 0
    tokens = context.load(sequence.id, path)
    cache.extend(sequence, tokens)
    cache.release(sequence)
    return len(tokens)


def _replace(folder: Path, beside: Path) -> None:
    old = folder.with_name(f"{beside.name}.old")
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
