"""Which loader reads which file.

Loaders are named, not imported: a folder of Markdown files never loads the PDF reader.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument
from groundling.knowledge.loaders.members import Member

# The largest file of each kind: what a loader holds in memory is a multiple of it.
MAX_TEXT_BYTES = 64 * 1024 * 1024
MAX_PACKED_BYTES = 256 * 1024 * 1024
MAX_ARCHIVE_BYTES = 1024 * 1024 * 1024

_HERE = "groundling.knowledge.loaders"
_TEXT = (f"{_HERE}.text:load_text", MAX_TEXT_BYTES)
_MARKDOWN = (f"{_HERE}.text:load_markdown", MAX_TEXT_BYTES)
_HTML = (f"{_HERE}.html:load_html", MAX_TEXT_BYTES)
_LINES = (f"{_HERE}.json_text:load_json_lines", MAX_TEXT_BYTES)
_TABLE = (f"{_HERE}.sheets:load_sheets", MAX_TEXT_BYTES)
_CODE = (f"{_HERE}.code:load_code", MAX_TEXT_BYTES)
# fmt: off
_CODE_SUFFIXES = [
    ".bash", ".c", ".cc", ".clj", ".cmake", ".cpp", ".cs", ".css", ".cxx", ".dart", ".ex", ".exs",
    ".go", ".gradle", ".groovy", ".h", ".hpp", ".hs", ".java", ".jl", ".js", ".jsx", ".kt", ".kts",
    ".lua", ".m", ".mjs", ".ml", ".nix", ".php", ".pl", ".proto", ".ps1", ".py", ".pyi", ".r",
    ".rb", ".rs", ".scala", ".scss", ".sh", ".sql", ".swift", ".tf", ".toml", ".ts", ".tsx", ".vue",
    ".yaml", ".yml", ".zig",
]
# fmt: on

LOADERS: dict[str, tuple[str, int]] = {
    ".txt": _TEXT,
    ".text": _TEXT,
    ".log": _TEXT,
    ".rst": _TEXT,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".pdf": (f"{_HERE}.pdf:load_pdf", MAX_PACKED_BYTES),
    ".docx": (f"{_HERE}.docx:load_docx", MAX_PACKED_BYTES),
    ".pptx": (f"{_HERE}.pptx:load_pptx", MAX_PACKED_BYTES),
    ".epub": (f"{_HERE}.epub:load_epub", MAX_PACKED_BYTES),
    ".csv": _TABLE,
    ".tsv": _TABLE,
    ".xlsx": _TABLE,
    ".eml": (f"{_HERE}.mail:load_mail", MAX_PACKED_BYTES),
    ".ipynb": (f"{_HERE}.notebook:load_notebook", MAX_TEXT_BYTES),
    ".json": (f"{_HERE}.json_text:load_json", MAX_TEXT_BYTES),
    ".jsonl": _LINES,
    ".ndjson": _LINES,
    **dict.fromkeys(_CODE_SUFFIXES, _CODE),
}

# Files of several documents; their functions yield a `Member` for each.
CONTAINERS: dict[str, tuple[str, int]] = {
    ".zip": (f"{_HERE}.archive:zip_members", MAX_ARCHIVE_BYTES),
    ".mbox": (f"{_HERE}.mail:mail_members", MAX_ARCHIVE_BYTES),
}

# Suffix to the name of a class in langchain_community.document_loaders.
Community = Mapping[str, str]


def readable(path: Path, community: Community | None = None) -> bool:
    """Tell whether there is a loader for the file's suffix."""
    suffix = path.suffix.lower()
    return suffix in LOADERS or suffix in CONTAINERS or suffix in (community or {})


def holds_several(path: Path) -> bool:
    """Tell whether a file holds several documents, which `members` reads."""
    return path.suffix.lower() in CONTAINERS


def check_size(path: Path, size: int) -> None:
    """Raise DocumentError if a file of this many bytes is too big for its loader, or empty."""
    bound = {**LOADERS, **CONTAINERS}.get(path.suffix.lower(), ("", MAX_PACKED_BYTES))[1]
    if size == 0:
        raise DocumentError(f"{path.name} is empty: 0 bytes.")
    if size > bound:
        raise DocumentError(
            f"{path.name} has {size / 1e6:,.0f} MB; at most {bound / 1e6:,.0f} MB can be read.",
            hint="Split it into parts and add those.",
        )


def load(path: Path, community: Community | None = None) -> LoadedDocument:
    """Read a file with the loader for its suffix.

    Args:
        path: the file.
        community: loaders of LangChain for other suffixes, and instead of ours.

    Raises:
        DocumentError: there is no loader, the file is too big, broken, or has no text.
        OSError: the file cannot be opened.
    """
    suffix = path.suffix.lower()
    check_size(path, path.stat().st_size)
    if suffix in (community or {}):
        from groundling.knowledge.loaders.community import load_community

        document = load_community(path, (community or {})[suffix])
    else:
        document = _function(LOADERS, path)(path)
    assert isinstance(document, LoadedDocument)
    if not document.text.strip():
        raise DocumentError(f"{path.name} holds no text.")
    return document


def members(path: Path) -> Iterator[Member]:
    """Read the documents of a file that holds several, one by one.

    Raises:
        DocumentError: the file is too big, or broken as a whole.
        OSError: the file cannot be opened.
    """
    check_size(path, path.stat().st_size)
    yield from _function(CONTAINERS, path)(path)


def kinds() -> list[str]:
    """Return the suffixes that can be read, sorted."""
    return sorted({*LOADERS, *CONTAINERS})


def _function(table: dict[str, tuple[str, int]], path: Path) -> Callable[[Path], Any]:
    try:
        where, _ = table[path.suffix.lower()]
    except KeyError:
        raise DocumentError(
            f"{path.name}: there is no reader for {path.suffix or 'files without a suffix'}.",
            hint=f"Readable are {', '.join(kinds())}. With the extra `community`, "
            "groundling knowledge add --loader SUFFIX=CLASS reads what LangChain's loaders can.",
        ) from None
    module, _, function = where.partition(":")
    loader: Callable[[Path], Any] = getattr(importlib.import_module(module), function)
    return loader
