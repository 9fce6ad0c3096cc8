"""Jupyter notebooks: their Markdown, their code, and what it printed.

Both formats in use are read, nbformat 4 (a list of cells) and 3 (worksheets of cells). No
field is trusted to be there or to be of its kind: what is not text is passed over. Images,
also those inside of Markdown, are dropped. Specification: https://nbformat.readthedocs.io
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, storable
from groundling.knowledge.loaders.markdown import read_markdown
from groundling.knowledge.loaders.text import decode

# An output is evidence of what the code does, not a text of its own: its start is enough.
MAX_OUTPUT_CHARACTERS = 2000

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_INLINE_IMAGE = re.compile(r"!\[([^\]\n]{0,200})\]\(data:[^)\s]*\)")


def load_notebook(path: Path) -> LoadedDocument:
    """Read a .ipynb file; the title is its first heading of level 1, else its name.

    Raises:
        DocumentError: it is not JSON, or has no cells.
    """
    try:
        notebook = json.loads(decode(path))
    except (ValueError, RecursionError) as error:
        raise DocumentError(
            f"{path.name} is not a notebook: its JSON is damaged ({error}).",
            hint="Open it in Jupyter and save it again.",
        ) from error
    cells = list(_cells(notebook))
    if not cells:
        raise DocumentError(
            f"{path.name} has no cells: it is empty, or JSON of another kind.",
            hint="Give it the suffix .json if it is not a notebook.",
        )
    builder = TextBuilder()
    for cell in cells:
        _write(builder, cell)
    title = next((h.title for h in builder.headings if h.level == 1), path.stem)
    return builder.document(title, "notebook")


def _cells(notebook: Any) -> Iterator[dict[str, Any]]:
    """Yield the cells that are objects, of either format."""
    holders = [notebook, *_list(notebook, "worksheets")]
    for holder in holders:
        yield from (cell for cell in _list(holder, "cells") if isinstance(cell, dict))


def _write(builder: TextBuilder, cell: dict[str, Any]) -> None:
    kind = cell.get("cell_type")
    text = _text(cell.get("source", cell.get("input")))
    if kind == "heading":  # nbformat 3
        level = cell.get("level")
        builder.heading(level if isinstance(level, int) and 1 <= level <= 6 else 1, text)
    elif kind == "markdown":
        text = storable(_INLINE_IMAGE.sub(r"\1", text)).strip()
        builder.section(read_markdown(text, ""), above=0)
    else:
        builder.paragraph(text)
    for output in _list(cell, "outputs"):
        if isinstance(output, dict) and (printed := _COLOURS.sub("", _printed(output)).strip()):
            builder.paragraph(f"Output: {_bounded(printed)}")


def _printed(output: dict[str, Any]) -> str:
    """Return an output as text; nothing for an image."""
    if output.get("output_type") in ("error", "pyerr"):
        return f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
    data = output.get("data")
    shown = data if isinstance(data, dict) else output
    if any(kind in shown for kind in ("image/png", "image/jpeg", "image/svg+xml", "png", "jpeg")):
        return ""
    return _text(shown.get("text/plain", shown.get("text")))


def _bounded(text: str) -> str:
    left_out = len(text) - MAX_OUTPUT_CHARACTERS
    if left_out <= 0:
        return text
    return f"{text[:MAX_OUTPUT_CHARACTERS]}… ({left_out:,} more characters)"


def _text(value: Any) -> str:
    """Return a multi-line string of the format: one string, or a list of its lines."""
    lines = value if isinstance(value, list) else [value]
    return "".join(line for line in lines if isinstance(line, str))


def _list(holder: Any, key: str) -> list[Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, list) else []
