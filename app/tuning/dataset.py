"""Training data on the disk: versions whose examples never change, each with a card.

    tuning/data/<name>/<version>/{train.jsonl, heldout.jsonl, drops.jsonl, card.json}

A version is named by the hash of what is learnt from and tried on, in any order; building
the same again gives the same version, whose card tells of the latest build. A folder is
written beside and renamed, so that a version is whole or not there.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundling.errors import TuningError
from groundling.guardrails.redact import default_detectors, redact
from groundling.tuning.example import Example
from groundling.tuning.formats import parse, write_lines
from groundling.tuning.selection import Selection

_NAME = re.compile(r"[A-Za-z0-9가-힣][A-Za-z0-9가-힣_.-]{0,63}")
_CARD, _DROPS = "card.json", "drops.jsonl"
_UNKNOWN = "unknown"
_DIGITS = 12
_SHOWN_DROPS = 2_000  # kept with their reason; all are counted
_SHOWN = 200  # characters of a question


@dataclass(frozen=True)
class Card:
    """What is known of a version of a data set.

    Args:
        name: of the data set.
        version: hexadecimal digits of the hash of its examples.
        created: when its examples were first put together; ISO 8601, UTC.
        train, heldout: how many examples, by kind.
        sources: how many came from where.
        languages: how many examples have Hangul in them (`ko`) and how many not (`en`).
        drops: how many were let go, by rule.
        redacted: what was blacked out, by kind.
        licence: under which terms the examples may be used; as their owner says.
        made_of: how it was built, to build it again.
    """

    name: str
    version: str
    created: str
    train: Mapping[str, int]
    heldout: Mapping[str, int]
    sources: Mapping[str, int]
    languages: Mapping[str, int]
    drops: Mapping[str, int] = field(default_factory=dict)
    redacted: Mapping[str, int] = field(default_factory=dict)
    licence: str = _UNKNOWN
    made_of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def examples(self) -> int:
        """How many there are to learn from."""
        return sum(self.train.values())


@dataclass(frozen=True)
class TrainingData:
    """A version that was read.

    Args:
        path: its folder.
    """

    card: Card
    path: Path

    def train(self) -> list[Example]:
        """Return the examples to learn from."""
        return list(_read(self.path / "train.jsonl"))

    def heldout(self) -> list[Example]:
        """Return the examples to try the result on."""
        return list(_read(self.path / "heldout.jsonl"))

    def drops(self) -> list[dict[str, Any]]:
        """Return what was let go, with the rule and the reason."""
        return list(_objects(self.path / _DROPS))


class DataShelf:
    """The data sets of a home folder.

    Args:
        folder: made when the first is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def store(
        self,
        name: str,
        chosen: Selection,
        *,
        licence: str = _UNKNOWN,
        made_of: Mapping[str, Any] | None = None,
    ) -> TrainingData:
        """Store a version; of one that is there already only the card and the drops change.

        Raises:
            TuningError: the name is none, nothing is left to learn from, or the disk is full.
        """
        check_name(name)
        if not chosen.train:
            why = Counter(drop.rule for drop in chosen.drops)
            told = ", ".join(f"{count} {rule}" for rule, count in why.most_common())
            raise TuningError(
                f"Nothing is left to learn from: {told or 'there were no examples'}.",
                hint="groundling feedback add RUN --correction …, or --docs, --file: "
                "groundling tune data build --help",
            )
        card = _card(name, chosen, licence, made_of or {})
        place = self._folder / name / card.version
        try:
            if _whole(place):
                _retell(place, card, chosen)
            else:
                shutil.rmtree(place, ignore_errors=True)  # what is left is told by the rename
                self._write(place, card, chosen)
            _put(self._folder / name / "latest", card.version)
        except OSError as error:
            raise TuningError(
                f"The data set {name} cannot be stored: {error.strerror or error}.",
                hint="Free the disk if it is full; nothing of it was kept.",
            ) from error
        return self.get(name, card.version)

    def get(self, name: str, version: str | None = None) -> TrainingData:
        """Return a data set.

        Args:
            version: the beginning of one; default: the latest. `name@version` says it, too.

        Raises:
            TuningError: there is none, or several versions begin so.
        """
        name, _, said = name.partition("@")
        version = version or said or None
        check_name(name)
        folder = self._folder / name
        if version is None:
            try:
                version = (folder / "latest").read_text(encoding="utf-8").strip()
            except OSError:
                raise _unknown(name) from None
        found = [each for each in self._versions(folder) if each.name.startswith(version)]
        if len(found) != 1:
            several = f"Several versions of {name} begin with {version}."
            raise (
                TuningError(several, hint="groundling tune data list")
                if found
                else _unknown(f"{name}@{version}")
            )
        return TrainingData(_read_card(found[0]), found[0])

    def list(self) -> builtins.list[TrainingData]:
        """Return all versions of all data sets, the newest first."""
        if not self._folder.is_dir():
            return []
        found = [
            TrainingData(_read_card(version), version)
            for folder in self._folder.iterdir()
            for version in self._versions(folder)
        ]
        return sorted(found, key=lambda each: each.card.created, reverse=True)

    def remove(self, name: str) -> int:
        """Delete a data set with all its versions; return how many.

        Raises:
            TuningError: there is none.
        """
        check_name(name)
        versions = self._versions(self._folder / name)
        if not versions:
            raise _unknown(name)
        shutil.rmtree(self._folder / name)
        return len(versions)

    def _versions(self, folder: Path) -> builtins.list[Path]:
        if not folder.is_dir():
            return []
        return sorted(each for each in folder.iterdir() if (each / _CARD).is_file())

    def _write(self, place: Path, card: Card, chosen: Selection) -> None:
        beside = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}")
        try:
            beside.mkdir(parents=True)
            files = {
                "train.jsonl": write_lines(chosen.train),
                "heldout.jsonl": write_lines(chosen.heldout),
                _DROPS: _drops(chosen),
                _CARD: _as_text(card),
            }
            for name, text in files.items():
                (beside / name).write_text(text, encoding="utf-8")
            beside.rename(place)
        except OSError:
            shutil.rmtree(beside, ignore_errors=True)
            if not (place / _CARD).is_file():  # else another process was as fast
                raise


def _card(name: str, chosen: Selection, licence: str, made_of: Mapping[str, Any]) -> Card:
    every = [*chosen.train, *chosen.heldout]
    told = sorted(f"{part}:{each.digest}{_accepted(each)}" for part, each in _parts(chosen))
    return Card(
        name=name,
        version=hashlib.sha256("\n".join(told).encode()).hexdigest()[:_DIGITS],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        train=_counted(each.kind for each in chosen.train),
        heldout=_counted(each.kind for each in chosen.heldout),
        sources=_counted(each.source for each in every),
        languages=_counted("ko" if _hangul("".join(each.texts)) else "en" for each in every),
        drops=_counted(drop.rule for drop in chosen.drops),
        redacted=dict(chosen.redacted),
        licence=licence,
        made_of=made_of,
    )


def _retell(place: Path, card: Card, chosen: Selection) -> None:
    """Have a version's card tell of this build: what it let go, and under which terms."""
    known = _read_card(place)
    licence = known.licence if card.licence == _UNKNOWN else card.licence
    _put(place / _DROPS, _drops(chosen))
    _put(place / _CARD, _as_text(replace(card, created=known.created, licence=licence)))


def _put(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _as_text(card: Card) -> str:
    return json.dumps(asdict(card), ensure_ascii=False, indent=2) + "\n"


def _accepted(example: Example) -> str:
    """Return what a gate accepts besides the answer: it decides what is tried on."""
    accept = example.about.get("accept")
    return f" {json.dumps(accept)}" if accept else ""


def _parts(chosen: Selection) -> Iterator[tuple[str, Example]]:
    yield from (("train", each) for each in chosen.train)
    yield from (("heldout", each) for each in chosen.heldout)


def _drops(chosen: Selection) -> str:
    detectors = default_detectors()

    def private(text: str) -> str:
        return redact(text, detectors)[0]

    lines = [
        {
            "rule": drop.rule,
            "reason": private(drop.reason),
            "source": private(drop.example.source),
            # Cut after it was read: half an address is not told from words.
            "question": private(drop.example.question[: 2 * _SHOWN])[:_SHOWN],
        }
        for drop in chosen.drops[:_SHOWN_DROPS]
    ]
    # Lone surrogates are among what is let go, and cannot be written.
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def _read(file: Path) -> Iterator[Example]:
    for value in _objects(file):
        yield parse(value, source="file")


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    try:
        # Not splitlines: a text may have other ends of lines in it, such as U+2028.
        for line in file.read_text(encoding="utf-8").split("\n"):
            if line:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise TuningError(
            f"{file} is damaged: {error}", hint="groundling tune data build makes it anew."
        ) from error


def _whole(folder: Path) -> bool:
    """Tell whether a version is there and can be read."""
    if not (folder / _CARD).is_file():
        return False
    try:
        stored = TrainingData(_read_card(folder), folder)
        return bool(stored.train()) and stored.heldout() is not None
    except TuningError:
        return False


def _read_card(folder: Path) -> Card:
    try:
        return Card(**json.loads((folder / _CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TuningError(
            f"The card of {folder.parent.name}@{folder.name} is damaged: {error}",
            hint="groundling tune data build makes it anew.",
        ) from error


def check_name(name: str) -> None:
    """Look whether a data set may be called so.

    Raises:
        TuningError: it may not.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise TuningError(
            f"{name!r} cannot be a data set's name.",
            hint="Letters, digits, “-”, “_” and “.”, at most 64.",
        )


def _unknown(name: str) -> TuningError:
    return TuningError(
        f"There is no training data {name}.", hint="groundling tune data list shows what there is."
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names))


def _hangul(text: str) -> bool:
    return any("가" <= character <= "힣" for character in text)
