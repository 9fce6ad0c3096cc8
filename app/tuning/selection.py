"""From all examples that were found to those worth learning from; each loss has its reason.

    chosen = select(examples, Limits(), questions_of(datasets))
    chosen.train, chosen.heldout, chosen.drops, chosen.redacted

The order matters: texts are made normal and private before they are compared, and what an
evaluation asks is taken out before examples are parted, so that no score is learnt by heart.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from groundling.tuning.cleaning import Limits, fault, normal, rules, without_private
from groundling.tuning.example import Example, plain
from groundling.tuning.similar import Similar

ALIKE = 0.9  # of two examples: one of them is enough
LEAKED = 0.8  # of a question and one that an evaluation asks
HELDOUT = 0.1  # share of the examples
FEWEST = 10  # with fewer examples none are held out


class Drop(NamedTuple):
    """An example that is not learnt from: why, in a word and in words."""

    example: Example
    rule: str
    reason: str


@dataclass
class Selection:
    """What is learnt from, what the result is tried on, and what was let go.

    Args:
        redacted: how many findings of each kind were blacked out.
    """

    train: list[Example] = field(default_factory=list)
    heldout: list[Example] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    redacted: Counter[str] = field(default_factory=Counter)


def select(
    examples: Iterable[Example],
    limits: Limits | None = None,
    evaluated: Mapping[str, Sequence[str]] | None = None,
    *,
    heldout: float = HELDOUT,
) -> Selection:
    """Choose among examples.

    Args:
        examples: in the order of their worth: of two that are alike the first stays.
        limits: see `cleaning`.
        evaluated: the questions of evaluations, by the data set's name.
        heldout: share of the examples that is kept for trying the result; 0: none, but for
            examples that say `about["split"] == "heldout"`.
    """
    chosen = Selection()
    kept = _without_contradictions(_clean(examples, limits or Limits(), chosen), chosen)
    kept = _without_leaks(kept, evaluated or {}, chosen)
    chosen.train, chosen.heldout = split(_without_duplicates(kept, chosen), heldout)
    return chosen


def split(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Part examples into those to learn from and those to try the result on.

    A group stays together, and so do examples that ask the same. Which groups are held out
    follows from their names alone: more examples do not move the others.
    """
    train = [each for each in examples if each.about.get("split") != "heldout"]
    held = [each for each in examples if each.about.get("split") == "heldout"]
    if held or share <= 0 or len(examples) < FEWEST:
        return train, held
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in train:
        groups[example.group or plain(example.question)].append(example)
    wanted = max(1, round(share * len(train)))
    if len(groups) < 2:
        return train, []
    for name in sorted(groups, key=lambda each: hashlib.sha256(each.encode()).digest()):
        if held and len(held) + len(groups[name]) > 1.5 * wanted:
            continue
        held += groups[name]
        if len(held) >= wanted:
            break
    ids = {id(each) for each in held}
    return [each for each in train if id(each) not in ids], held


def _clean(examples: Iterable[Example], limits: Limits, chosen: Selection) -> list[Example]:
    asked = rules(limits)
    kept: list[Example] = []
    for example in examples:
        read = normal(example)
        if (found := fault(read, asked)) is not None:
            chosen.drops.append(Drop(example, *found))
            continue
        private, findings = without_private(read)
        chosen.redacted += findings
        kept.append(private)
    return kept


def _without_contradictions(examples: list[Example], chosen: Selection) -> list[Example]:
    """Of examples that contradict each other keep those that say what the latest says."""
    rivals: dict[tuple[object, ...], list[Example]] = defaultdict(list)
    for example in examples:
        rivals[_decided(example)[0]].append(example)
    kept: list[Example] = []
    for example in examples:
        about, said = _decided(example)
        latest = max(rivals[about], key=_created)  # of equally late ones the first
        if said == _decided(latest)[1]:
            kept.append(example)
        else:
            reason = f"another example of {example.question[:60]!r} says otherwise"
            chosen.drops.append(Drop(example, "contradiction", reason))
    return kept


def _decided(example: Example) -> tuple[tuple[object, ...], object]:
    """Return what an example decides, and how: equal ones with another how contradict it."""
    context = "\n".join(f"{turn.role}: {plain(turn.text)}" for turn in example.prompt)
    answer = plain(example.answer)
    match example.kind:
        case "chat":
            return ("chat", context), answer
        case "label":
            return ("label", context, answer), example.good
        case "preference":
            pair = frozenset((answer, plain(example.rejected or "")))
            return ("preference", context, pair), answer


def _without_leaks(
    examples: list[Example], evaluated: Mapping[str, Sequence[str]], chosen: Selection
) -> list[Example]:
    known = Similar(LEAKED)
    names: dict[str, str] = {}
    for name, questions in evaluated.items():
        for number, question in enumerate(questions):
            known.add(f"{name}#{number}", question)
            names[f"{name}#{number}"] = name
    if not names:
        return examples
    kept: list[Example] = []
    for example in examples:
        found = known.find(example.question)
        if found is None:
            kept.append(example)
        else:
            reason = f"the data set {names[found]} asks nearly the same"
            chosen.drops.append(Drop(example, "leak", reason))
    return kept


def _without_duplicates(examples: list[Example], chosen: Selection) -> list[Example]:
    told: dict[str, str] = {}
    near = {kind: Similar(ALIKE) for kind in {each.kind for each in examples}}
    kept: list[Example] = []
    for example in examples:
        if example.digest in told:
            chosen.drops.append(Drop(example, "duplicate", "it is there already"))
            continue
        text = "\n".join(example.texts)
        found = near[example.kind].find(text)
        # A number is few characters and decides what is said: with others it is another text.
        if found is not None and _figures(told[found]) == _figures(text):
            chosen.drops.append(Drop(example, "near duplicate", "another says nearly the same"))
            continue
        told[example.digest] = text
        near[example.kind].add(example.digest, text)
        kept.append(example)
    return kept


def _figures(text: str) -> tuple[str, ...]:
    return tuple(sorted("".join(c if c.isdigit() else " " for c in text).split()))


def _created(example: Example) -> float:
    created = example.about.get("created")
    return float(created) if isinstance(created, int | float) else 0.0
