"""Secrets and personal data are blacked out before a run is stored.

The runs of a graph repeat each other: the same passages, the same prompts, the same metadata
again at every node. What was looked at once and found clean is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from groundling.guardrails.redact import Redactor

# What LangGraph and the tracer number and date their runs with: new each time, and nobody's.
# Under any other name a text of this form is looked at: a key may be one, too.
_NUMBERED = frozenset(
    {"id", "time", "langgraph_checkpoint_ns", "checkpoint_ns", "checkpoint_id", "run_id"}
)
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OWN = re.compile(
    rf"(?:lc_run--|[a-z_]{{1,40}}(?:_[0-9]{{1,3}})?:)?{_UUID}(?:-[0-9]{{1,3}})?"
    r"|20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9](?::[0-5][0-9]){2}(?:\.[0-9]{1,6})?(?:Z|\+00:00)"
)
LONGEST = 8_000  # characters of a text that is remembered
MOST = 16_000_000  # characters that are remembered together


class Redaction:
    """Blacks out JSON values; one object serves many threads.

    Args:
        redactor: what finds and replaces.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        self._redactor = redactor or Redactor()
        self._clean: set[tuple[str, str]] = set()
        self._size = 0

    def __call__(self, value: Any) -> tuple[Any, int]:
        """Return the value without what is private, and how many places were blacked out."""
        new = self._unknown(value)
        if not new or not self._redactor([{name: text} for name, text in new])[1]:
            self._remember(new)
            return value, 0
        kept, found = self._redactor(value)
        return kept, sum(found.values())

    def _unknown(self, value: Any) -> list[tuple[str, str]]:
        """Return the texts that were not looked at yet, each with the name it stands under."""
        clean = self._clean
        new: list[tuple[str, str]] = []
        waiting = [value if isinstance(value, dict | list) else [value]]
        while waiting:
            inside = waiting.pop()
            if isinstance(inside, dict):
                new += [("", key) for key in inside if ("", key) not in clean]
                entries: Iterable[tuple[str, Any]] = inside.items()
            else:
                entries = [("", each) for each in inside]
            for entry in entries:
                each = entry[1]
                if isinstance(each, str):
                    if entry in clean or (entry[0] in _NUMBERED and _OWN.fullmatch(each)):
                        continue
                    new.append(entry)
                elif isinstance(each, dict | list):
                    waiting.append(each)
        return new

    def _remember(self, texts: list[tuple[str, str]]) -> None:
        for name, text in texts:
            if len(text) <= LONGEST:
                self._clean.add((name, text))
                self._size += len(text) + 100
        if self._size > MOST:
            self._clean.clear()
            self._size = 0
