"""What differs between two runs of a graph: in what they gave, and where that began.

Ids of messages, timings and token counts are different each time and say nothing. Shares
and probabilities as near to each other as `TOLERANCE` count as alike: a model that takes part
of its prompt from its cache rounds differently from one that reads all of it.
"""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# SmolLM2-135M moved a probability by 0.017 when a prompt was in its cache; others move less.
TOLERANCE = 0.05
_ROLES = frozenset(
    {"human", "ai", "system", "tool", "function", "chat", "AIMessageChunk", "remove", "developer"}
)
_INCIDENTAL = frozenset({"id", "response_metadata", "usage_metadata", "chunk_position"})


@dataclass(frozen=True)
class Difference:
    """One key of the outputs that is not the same.

    Args:
        key: in the outputs; `error` for the error that a run ended with.
        before: the value recorded first, None where there was none.
        after: the value now.
        diff: the lines that differ, as `diff -u` writes them.
    """

    key: str
    before: Any
    after: Any
    diff: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """What one node of a graph gave."""

    node: str
    outputs: Any
    error: str | None = None


@dataclass(frozen=True)
class Fork:
    """Where two runs part: the first node that did not do the same.

    Args:
        node: its name.
        reason: what it did otherwise.
        differences: of its outputs.
    """

    node: str
    reason: str
    differences: tuple[Difference, ...] = ()


def differences(before: Any, after: Any) -> list[Difference]:
    """Compare outputs key by key; what is no mapping is compared as `output`."""
    left, right = _keyed(before), _keyed(after)
    found = []
    for key in dict.fromkeys((*left, *right)):
        old, new = comparable(left.get(key)), comparable(right.get(key))
        if not alike(old, new):
            found.append(Difference(key, left.get(key), right.get(key), text_diff(old, new)))
    return found


def fork(before: Sequence[Step], after: Sequence[Step]) -> Fork | None:
    """Find the first node that did not do the same; None if all did.

    Nodes are matched by name, and the second time that one ran with the second time: what
    runs side by side may end in any order.
    """
    now = dict(zip(_numbered(after), after, strict=True))
    keys = _numbered(before)
    for key, step in zip(keys, before, strict=True):
        if key not in now:
            ran = ", ".join(each.node for each in after) or "none"
            return Fork(step.node, f"it did not run this time; those that ran: {ran}")
        other = now[key]
        if (step.error is None) != (other.error is None):
            reason = "it failed this time" if other.error else "it failed then, and not now"
            return Fork(step.node, reason, tuple(error_difference(step.error, other.error)))
        if found := differences(step.outputs, other.outputs):
            return Fork(
                step.node, f"it gave another {', '.join(d.key for d in found)}", tuple(found)
            )
    for key, other in now.items():
        if key not in keys:
            return Fork(other.node, "it did not run then")
    return None


def error_difference(before: str | None, after: str | None) -> list[Difference]:
    """Compare errors by their first lines: tracebacks name lines that move."""
    old, new = ((text or "").partition("\n")[0] or None for text in (before, after))
    return [] if old == new else [Difference("error", old, new, text_diff(old, new))]


def alike(left: Any, right: Any) -> bool:
    """Tell whether two JSON values say the same, shares up to `TOLERANCE`."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) or isinstance(right, float):
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            return False
        shares = 0 <= left <= 1 and 0 <= right <= 1
        return math.isclose(left, right, abs_tol=TOLERANCE if shares else 0.0)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(alike(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    return bool(left == right)


def comparable(value: Any) -> Any:
    """Leave out of a JSON value what is different each time."""
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("lc") == 1 and isinstance(value.get("kwargs"), Mapping):
        return comparable(value["kwargs"])
    skipped = _INCIDENTAL if value.get("type") in _ROLES and "content" in value else frozenset()
    return {key: comparable(each) for key, each in value.items() if key not in skipped}


def text_diff(before: Any, after: Any) -> tuple[str, ...]:
    """Return the lines that differ between two values, with one line around them."""
    lines = difflib.unified_diff(
        _lines(before), _lines(after), "recorded", "replayed", n=1, lineterm=""
    )
    return tuple(lines)


def _keyed(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    return value if isinstance(value, Mapping) else {"output": value}


def _numbered(steps: Sequence[Step]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    keys = []
    for step in steps:
        keys.append((step.node, seen[step.node]))
        seen[step.node] += 1
    return keys


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return value.splitlines() or [""]
    if isinstance(value, list) and value and all(map(_is_message, value)):
        return [line for each in value for line in _message_lines(each)]
    return json.dumps(value, ensure_ascii=False, indent=1).splitlines()


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") in _ROLES and "content" in value


def _message_lines(said: Mapping[str, Any]) -> list[str]:
    others = {key: each for key, each in said.items() if key not in ("type", "content")}
    content = said["content"]
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    rest = [json.dumps(others, ensure_ascii=False)] if others else []
    return [f"{said['type']}: {line}" for line in text.splitlines() or [""]] + rest
