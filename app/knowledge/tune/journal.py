"""An append-only file of JSON lines: what was done stays done, whatever happens next.

Each line is flushed to the disk before the next piece of work begins, so an interruption
loses at most the line that was being written; a torn one is cut off when the file is read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Journal:
    """Rows of one kind, in the order in which they were written.

    Args:
        file: made at the first `append`, with its folder.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def rows(self) -> list[Row]:
        """Return all rows; a line that is no JSON object is passed over."""
        if not self.file.exists():
            return []
        self._cut_torn_line()
        found = []
        for line in self.file.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                found.append(row)
        return found

    def append(self, row: Row) -> None:
        """Add a row; when this returns it is on the disk."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _cut_torn_line(self) -> None:
        written = self.file.read_bytes()
        whole = written.rfind(b"\n") + 1
        if whole < len(written):
            os.truncate(self.file, whole)
