"""The adapters of a home folder: by name, each with its card, and which one is promoted.

    adapters/<name>/{adapter.gguf, card.json}
    adapters/promoted.json      by base: the names that were promoted, the latest last
    adapters/promotions.jsonl   every promotion and rollback, the latest last

An adapter belongs to the very base it was trained on, which its card names by SHA-256; for
another one it is refused. The promoted one is used by whoever names none. Promotion changes
one file, written beside and renamed: whoever answers reads it with the next call.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from groundling.errors import AdapterError

ADAPTER, CARD, PROMOTED = "adapter.gguf", "card.json", "promoted.json"
PROMOTIONS = "promotions.jsonl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_RESERVED = ("none", "promoted")
_BLOB = re.compile(r"sha256-([0-9a-f]{64})")
_READ = 8 << 20


@dataclass(frozen=True)
class AdapterCard:
    """What is known of an adapter.

    Args:
        base: SHA-256 of the model's file that it was trained on.
        base_name: what that model calls itself.
        created: ISO 8601, UTC.
        method: `sft`, `dpo` or `kto`.
        data: the training data, as `name@version`.
        recipe: all of it, as TOML.
        parent: the adapter that it went on from.
        scores: what a gate measured.
    """

    name: str
    base: str
    base_name: str
    created: str
    method: str = "sft"
    data: str = ""
    recipe: str = ""
    parent: str | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shelved:
    """An adapter on the shelf."""

    card: AdapterCard
    path: Path

    @property
    def file(self) -> Path:
        """The GGUF file."""
        return self.path / ADAPTER


class AdapterShelf:
    """The adapters of a home folder; several processes may use it.

    Args:
        folder: made when the first is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, name: object) -> bool:
        """Tell whether there is an adapter of that name."""
        return isinstance(name, str) and is_name(name) and (self._folder / name / CARD).is_file()

    def list(self) -> builtins.list[Shelved]:
        """Return all of them, the newest first."""
        if not self._folder.is_dir():
            return []
        found = [self.get(each.name) for each in self._folder.iterdir() if each.name in self]
        return sorted(found, key=lambda each: each.card.created, reverse=True)

    def of(self, base: str) -> builtins.list[Shelved]:
        """Return the adapters of a base, the newest first; damaged ones are passed over."""
        found = []
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            with suppress(AdapterError):
                found.append(self.get(folder.name))
        found = [each for each in found if each.card.base == base]
        return sorted(found, key=lambda each: each.card.created, reverse=True)

    def get(self, name: str) -> Shelved:
        """Return an adapter.

        Raises:
            AdapterError: there is none of that name, or its card is damaged.
        """
        if name not in self:
            raise _unknown(name)
        place = self._folder / name
        try:
            card = AdapterCard(**json.loads((place / CARD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise AdapterError(
                f"The card of the adapter {name} is damaged: {error}",
                hint=f"groundling tune remove {name}",
            ) from error
        return Shelved(card, place)

    def check_free(self, name: str) -> None:
        """Look whether an adapter of that name may be added.

        Raises:
            AdapterError: the name is none, or is promoted.
        """
        if not is_name(name):
            raise AdapterError(
                f"{name!r} cannot be an adapter's name.",
                hint="Letters, digits, “-”, “_” and “.”, at most 64.",
            )
        if name in self._all_promoted():
            raise AdapterError(
                f"The adapter {name} is promoted and answers at this moment.",
                hint="Give the new one another name, or: groundling tune rollback",
            )

    def add(self, file: Path, card: AdapterCard) -> Shelved:
        """Put a file on the shelf; one of that name is replaced, unless it is promoted.

        Raises:
            AdapterError: the name is none, or is promoted; the disk is full.
        """
        name = card.name
        self.check_free(name)  # before the file is copied; and again where nobody can promote it
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = self._folder / f".{name}.{uuid.uuid4().hex[:8]}"
        try:
            beside.mkdir()
            shutil.copyfile(file, beside / ADAPTER)
            _write(beside / CARD, asdict(card))
            with self._locked():
                self.check_free(name)
                shutil.rmtree(self._folder / name, ignore_errors=True)
                beside.rename(self._folder / name)
        except AdapterError:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise AdapterError(
                f"The adapter {name} cannot be stored: {error.strerror or error}.",
                hint="Free the disk if it is full; what was trained is kept.",
            ) from error
        return self.get(name)

    def score(self, name: str, scores: Mapping[str, Any]) -> Shelved:
        """Write into the card what a gate measured."""
        known = self.get(name)
        card = {**asdict(known.card), "scores": dict(scores)}
        _write(known.path / CARD, card)
        return self.get(name)

    def remove(self, name: str) -> None:
        """Delete an adapter.

        Raises:
            AdapterError: there is none, or it is promoted.
        """
        if name not in self:  # a damaged card is no reason: this is what mends it
            raise _unknown(name)
        with self._locked():
            if name in self._all_promoted():
                raise AdapterError(
                    f"The adapter {name} is promoted and answers at this moment.",
                    hint="groundling tune rollback",
                )
            shutil.rmtree(self._folder / name)

    # promotion

    def promote(self, name: str) -> str | None:
        """Let an adapter answer wherever its base does; return the one that did before."""
        self.get(name)  # before a lock is made for nothing
        with self._locked():
            card = self.get(name).card
            history = self._history()
            before = _last(history, card.base)
            if before != name:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                step = {"name": name, "at": now, "created": card.created}
                history.setdefault(card.base, []).append(step)
                self._record({"at": now, "did": "promoted", "name": name, "before": before})
                self._keep(history)
        return before

    def rollback(self, base: str) -> tuple[str, str | None]:
        """Take the latest promotion of a base back.

        Returns:
            the adapter that answered, and the one that does from here on; None: the bare base.

        Raises:
            AdapterError: none is promoted.
        """
        with self._locked():
            history = self._history()
            if not history.get(base):
                raise AdapterError(
                    "No adapter of this base is promoted.", hint="groundling tune list"
                )
            gone = history[base].pop()["name"]
            while history[base] and not self._stands(history[base][-1]):
                history[base].pop()
            answers = _last(history, base)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._record({"at": now, "did": "rolled back", "name": gone, "answers": answers})
            self._keep(history)
            return gone, answers

    def promotions(self, name: str) -> builtins.list[dict[str, Any]]:
        """Return when an adapter was promoted and rolled back, the latest last."""
        try:
            lines = (self._folder / PROMOTIONS).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return []
        return [
            step for line in lines if (step := _step(line)) is not None and step["name"] == name
        ]

    @property
    def any_promoted(self) -> bool:
        """Whether an adapter of any base was ever promoted; costs one look at the disk."""
        return (self._folder / PROMOTED).is_file()

    def promoted(self, base: str) -> str | None:
        """Return the adapter that is promoted for a base; None: the bare base answers."""
        return _last(self._history(), base)

    def for_base(self, name: str, base: str) -> Shelved:
        """Return an adapter that is to be used with a base.

        Raises:
            AdapterError: there is none of that name, or it was trained on another base.
        """
        found = self.get(name)
        if found.card.base != base:
            raise AdapterError(
                f"The adapter {name} was trained on {found.card.base_name} "
                f"({found.card.base[:12]}), which this model ({base[:12]}) is not.",
                hint=f"groundling --model {found.card.base_name} …, or groundling tune sft",
            )
        return found

    def _stands(self, step: Mapping[str, str]) -> bool:
        """Tell whether what was promoted is still there: not deleted, nor trained anew since."""
        if step["name"] not in self:
            return False
        created = self.get(step["name"]).card.created
        return step.get("created", created) == created

    def _all_promoted(self) -> set[str]:
        history = self._history()
        return {name for base in history if (name := _last(history, base)) is not None}

    def _history(self) -> dict[str, builtins.list[dict[str, str]]]:
        try:
            return dict(_read_pointer(self._folder / PROMOTED))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise AdapterError(
                f"{self._folder / PROMOTED} is damaged: {error}",
                hint="Delete it: the bare models answer then, and every adapter is still there.",
            ) from error

    def _keep(self, history: Mapping[str, Any]) -> None:
        _write(self._folder / PROMOTED, history)

    def _record(self, step: Mapping[str, Any]) -> None:
        with (self._folder / PROMOTIONS).open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(step, ensure_ascii=False)}\n")

    def _locked(self) -> FileLock:
        return FileLock(self._folder / ".lock")


def is_name(name: str) -> bool:
    """Tell whether an adapter may be called so; such a name is no path."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED and ".." not in name


def fingerprint(file: Path) -> str:
    """Return the SHA-256 of a model's file; read once, and not at all where its name says it."""
    path = file.resolve()
    if (named := _BLOB.fullmatch(path.name)) is not None:
        return named[1]
    known = path.stat()
    return _hashed(str(path), known.st_ino, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=64)
def _hashed(path: str, *_: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123
        while block := file.read(_READ):
            digest.update(block)
    return digest.hexdigest()


def _unknown(name: str) -> AdapterError:
    return AdapterError(f"There is no adapter {name}.", hint="groundling tune list")


def _read_pointer(file: Path) -> dict[str, builtins.list[dict[str, str]]]:
    told = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise ValueError("it is no object")
    return {
        base: [step for step in steps if isinstance(step, dict) and "name" in step]
        for base, steps in told.items()
    }


def _step(line: str) -> dict[str, Any] | None:
    """Read a line of the record; None: it is damaged, as by a full disk."""
    try:
        step = json.loads(line)
    except ValueError:
        return None
    return step if isinstance(step, dict) and {"at", "did", "name"} <= step.keys() else None


def _last(history: Mapping[str, builtins.list[dict[str, str]]], base: str) -> str | None:
    steps = history.get(base)
    return steps[-1]["name"] if steps else None


def _write(file: Path, value: Any) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    beside.replace(file)
