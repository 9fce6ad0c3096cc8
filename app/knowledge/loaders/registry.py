"""Which loader reads which file.

Loaders are named, not imported: a folder of Markdown files never loads the PDF reader.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument

# The largest file of each kind: what a loader holds in memory is a multiple of it.
MAX_TEXT_BYTES = 64 * 1024 * 1024
MAX_PACKED_BYTES = 256 * 1024 * 1024

_HERE = "groundling.knowledge.loaders"
_TEXT = (f"{_HERE}.text:load_text", MAX_TEXT_BYTES)
_MARKDOWN = (f"{_HERE}.text:load_markdown", MAX_TEXT_BYTES)
_HTML = (f"{_HERE}.html:load_html", MAX_TEXT_BYTES)

LOADERS: dict[str, tuple[str, int]] = {
    ".txt": _TEXT,
    ".text": _TEXT,
    ".rst": _TEXT,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".pdf": (f"{_HERE}.pdf:load_pdf", MAX_PACKED_BYTES),
    ".docx": (f"{_HERE}.docx:load_docx", MAX_PACKED_BYTES),
}


def readable(path: Path) -> bool:
    """Tell whether there is a loader for the file's suffix."""
    return path.suffix.lower() in LOADERS


def check_size(path: Path, size: int) -> None:
    """Raise DocumentError if a file of this many bytes is too big for its loader, or empty."""
    _, bound = _entry(path)
    if size == 0:
        raise DocumentError(f"{path.name} is empty: 0 bytes.")
    if size > bound:
        raise DocumentError(
            f"{path.name} has {size / 1e6:,.0f} MB; at most {bound / 1e6:,.0f} MB can be read.",
            hint="Split it into parts and add those.",
        )


def load(path: Path) -> LoadedDocument:
    """Read a file with the loader for its suffix.

    Raises:
        DocumentError: there is no loader, the file is too big, broken, or has no text.
        OSError: the file cannot be opened.
    """
    where, _ = _entry(path)
    check_size(path, path.stat().st_size)
    module, _, function = where.partition(":")
    document = getattr(importlib.import_module(module), function)(path)
    assert isinstance(document, LoadedDocument)
    if not document.text.strip():
        raise DocumentError(f"{path.name} holds no text.")
    return document


def _entry(path: Path) -> tuple[str, int]:
    try:
        return LOADERS[path.suffix.lower()]
    except KeyError:
        raise DocumentError(
            f"{path.name}: there is no reader for {path.suffix or 'files without a suffix'}.",
            hint=f"Readable are {', '.join(sorted(LOADERS))}.",
        ) from None
