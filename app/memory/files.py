"""Facts as JSON lines, to take along and to bring back."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groundling.errors import MemoriesError
from groundling.memory.memories import Memories
from groundling.memory.memory import check_kind, check_user, clean, plain

_NEXT = "Give a file that `groundling memory export FILE` has written; nothing was imported."


def export_facts(memories: Memories, user: str) -> Iterator[dict[str, Any]]:
    """Yield a person's facts, the oldest first, with those that no longer hold."""
    for fact in reversed(memories.list(user, superseded=True)):
        values = fact.as_json()
        del values["score"]
        yield values


def write(file: Path, facts: Iterable[dict[str, Any]]) -> None:
    """Write facts beside the file and put them in its place; its owner alone may read it.

    Raises:
        MemoriesError: it cannot be written; what was there is kept.
    """
    beside = None
    try:
        handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as page:
            page.writelines(json.dumps(fact, ensure_ascii=False) + "\n" for fact in facts)
        Path(beside).replace(file)
    except OSError as error:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)
        raise MemoriesError(
            f"{file} cannot be written: {error.strerror}.", hint="Name a file in another folder."
        ) from error


def read(file: Path) -> list[dict[str, Any]]:
    """Read facts from JSON lines.

    Raises:
        MemoriesError: the file cannot be read, or a line is no fact; it says which.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MemoriesError(f"{file} cannot be read: {error}.", hint=_NEXT) from error
    facts: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fact = json.loads(line)
        except (ValueError, RecursionError):
            fact = None
        if not isinstance(fact, dict) or not all(
            isinstance(fact.get(key, default), str)
            for key, default in (("text", None), ("kind", "fact"), ("user", ""))
        ):
            raise MemoriesError(f"{file}, line {number}: no fact with a text.", hint=_NEXT)
        facts.append(fact)
    return facts


def import_facts(
    memories: Memories, facts: Sequence[dict[str, Any]], user: str | None, *, default: str
) -> int:
    """Remember facts; history is joined again. All are checked before the first is kept.

    Args:
        memories: where to.
        facts: as `read` gives them.
        user: whose they are; None: as each says, else `default`'s.
        default: whose they are where neither says so.

    Returns:
        How many were not known before.

    Raises:
        MemoriesError: one of them is empty, too long, or of an unknown kind.
    """
    for fact in facts:
        clean(fact["text"])
        check_kind(fact.get("kind", "fact"))
        check_user(user or fact.get("user") or default)
    new = 0
    numbers: dict[int, tuple[str, int]] = {}
    before: dict[int, list[tuple[str, int]]] = {}
    for fact in facts:
        owner = user or fact.get("user") or default
        source = fact.get("source")
        held = memories.list(owner, superseded=True)
        known = {one.id for one in held}
        if isinstance(fact.get("superseded_by"), int) and plain(clean(fact["text"])) in {
            plain(one.text) for one in held
        }:
            continue  # what did not hold there is known here, whether it holds or not
        kept = memories.remember(
            owner,
            fact["text"],
            kind=fact.get("kind", "fact"),
            source=source if isinstance(source, str) else None,
        )
        new += kept.id not in known
        if isinstance(fact.get("id"), int):
            numbers[fact["id"]] = (owner, kept.id)
        if isinstance(fact.get("superseded_by"), int):
            before.setdefault(fact["superseded_by"], []).append((owner, kept.id))
    for later, earlier in before.items():
        for owner, old in earlier:
            holder = numbers.get(later)
            if holder is not None and holder[0] == owner and holder[1] != old:
                one = memories.get(owner, holder[1])
                memories.remember(owner, one.text, kind=one.kind, source=one.source, supersedes=old)
    return new
