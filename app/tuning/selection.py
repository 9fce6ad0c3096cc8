"""From all examples that were found to those worth learning from; each loss has its reason.

    chosen = select(examples, Limits(), questions_of(datasets))
    chosen.train, chosen.heldout, chosen.drops, chosen.redacted

The order matters: texts are made normal and private before they are compared, and what an
evaluation asks is taken out before examples are parted, so that no score is learnt by heart.
Which of several examples stays follows from what they are, not from where they stand.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from groundling.guardrails.redact import default_detectors
from groundling.tuning.cleaning import (
    Limits,
    fault,
    normal,
    nothing_said,
    rules,
    without_private,
)
from groundling.tuning.example import Example, plain
from groundling.tuning.similar import Similar, likeness

ALIKE = 0.9  # of two examples: one of them is enough
LEAKED = 0.8  # of a question and one that an evaluation asks
HELDOUT = 0.1  # share of the examples
FEWEST = 10  # with fewer examples none are held out
_WORD = re.compile(r"\w+")
_ASKED_BY = re.compile(r"\s*(?:question|질문|q)\s*[:：]\s*", re.IGNORECASE)
_SHORTEST_LINE = 8  # characters of a question within a prompt
_MOST_LINES = 200


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
        examples: of two that are alike, or contradict each other, what people said of runs
            stays before what was made for learning, and runs that nobody judged come last;
            then the later one.
        limits: see `cleaning`.
        evaluated: the questions of evaluations, by the data set's name.
        heldout: share of the examples that is kept for trying the result; 0: none, but for
            examples that say `about["split"] == "heldout"`.
    """
    chosen = Selection()
    kept = _without_contradictions(_clean(examples, limits or Limits(), chosen), chosen)
    kept = _without_leaks(kept, evaluated or {}, chosen)
    train, chosen.heldout = split(_without_duplicates(kept, chosen), heldout)
    held = {asks(each) for each in chosen.heldout}
    for example in train:
        if asks(example) in held:
            chosen.drops.append(Drop(example, "held out", "another that asks this is held out"))
        else:
            chosen.train.append(example)
    return chosen


def asks(example: Example) -> str:
    """Return what an example asks, as questions are compared: the words of the conversation."""
    said = "\n".join(turn.text for turn in example.prompt if turn.role != "system")
    return " ".join(_WORD.findall(plain(said))) or plain(said)


def split(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Part examples into those to learn from and those to try the result on.

    A group stays together; what has none is a group with what asks the same. Which groups are
    held out follows from their names and sizes, and not from their order.
    """
    train = [each for each in examples if not _held(each)]
    held = [each for each in examples if _held(each)]
    if held or share <= 0 or len(examples) < FEWEST:
        return train, held
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in train:
        groups[example.group or asks(example)].append(example)
    wanted = max(1, round(share * len(train)))
    if len(groups) < 2:
        return train, []
    order = sorted(groups, key=lambda each: hashlib.sha256(each.encode()).digest())
    for name in order:
        if len(held) + len(groups[name]) > 1.5 * wanted:
            continue
        held += groups[name]
        if len(held) >= wanted:
            break
    held = held or groups[min(order, key=lambda each: len(groups[each]))]  # all are too large
    ids = {id(each) for each in held}
    return [each for each in train if id(each) not in ids], held


def _clean(examples: Iterable[Example], limits: Limits, chosen: Selection) -> list[Example]:
    asked, detectors = rules(limits), default_detectors()
    kept: list[Example] = []
    for example in examples:
        read = normal(example)
        if (found := fault(read, asked)) is not None:
            chosen.drops.append(Drop(example, *found))
            continue
        private, findings = without_private(read, detectors)
        if nothing_said(private):
            reason = "nothing is left of the answer but what is blacked out"
            chosen.drops.append(Drop(private, "private", reason))
            continue
        chosen.redacted += findings
        kept.append(private)
    return kept


def _without_contradictions(examples: list[Example], chosen: Selection) -> list[Example]:
    """Of examples that contradict each other keep those that say what the worthiest says."""
    rivals: dict[tuple[object, ...], list[Example]] = defaultdict(list)
    for example in examples:
        rivals[_decided(example)[0]].append(example)
    right = {about: _settled(some) for about, some in rivals.items()}
    judged: dict[tuple[str, str], tuple[tuple[int, float], bool]] = {}
    for example in examples:
        if example.source == "feedback" and (found := _judgement(example)) is not None:
            answer, good = found
            told = _rank(example), good
            judged[answer] = min(told, judged.get(answer, told))
    kept: list[Example] = []
    for example in examples:
        about, said = _decided(example)
        if said != right[about]:
            reason = f"another example of {example.question[:60]!r} says otherwise"
        elif (found := _judgement(example)) is not None and judged.get(found[0], (None, found[1]))[
            1
        ] != found[1]:
            reason = "of the same answer somebody said otherwise later"
        else:
            kept.append(example)
            continue
        chosen.drops.append(Drop(example, "contradiction", reason))
    return kept


def _judgement(example: Example) -> tuple[tuple[str, str], bool] | None:
    """Return the answer of a run of which an example says, or takes for granted, how good it is."""
    if example.source not in ("feedback", "traces"):
        return None
    context = _context(example)
    if example.rejected is not None:
        return (context, plain(example.rejected)), False
    if example.good is not None or example.source == "traces":
        return (context, plain(example.answer)), example.good is not False
    return None


def _settled(rivals: Sequence[Example]) -> object:
    """Return what the worthiest of rivals says; of equally worthy ones, what most say."""
    votes = Counter(_decided(each)[1] for each in rivals)
    best = min(rivals, key=lambda each: (_rank(each), -votes[_decided(each)[1]], each.digest))
    return _decided(best)[1]


def _decided(example: Example) -> tuple[tuple[object, ...], object]:
    """Return what an example decides, and how: equal ones with another how contradict it."""
    context, answer = _context(example), plain(example.answer)
    match example.kind:
        case "chat":
            return ("chat", context), answer
        case "label":
            return ("label", context, answer), example.good
        case "preference":
            pair = frozenset((answer, plain(example.rejected or "")))
            return ("preference", context, pair), answer


def _context(example: Example) -> str:
    return "\n".join(f"{turn.role}: {plain(turn.text)}" for turn in example.prompt)


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
        found = next(filter(None, map(known.find, _questions(example))), None)
        if found is None or _held(example):  # which nobody learns from
            kept.append(example)
        else:
            reason = f"the data set {names[found]} asks nearly the same"
            chosen.drops.append(Drop(example, "leak", reason))
    return kept


def _questions(example: Example) -> Iterator[str]:
    """Yield what may be a question: the person's turn, and its lines if it is a prompt."""
    yield example.question
    lines = example.question.splitlines()
    if len(lines) > 1:
        for line in lines[-_MOST_LINES:]:
            if len(line) >= _SHORTEST_LINE:
                yield _ASKED_BY.sub("", line, count=1)


def _without_duplicates(examples: list[Example], chosen: Selection) -> list[Example]:
    told: dict[str, str] = {}
    near = {kind: Similar(ALIKE) for kind in {each.kind for each in examples}}
    kept: set[int] = set()
    for place in sorted(range(len(examples)), key=lambda each: _worth(examples[each])):
        example = examples[place]
        if example.digest in told:
            chosen.drops.append(Drop(example, "duplicate", "it is there already"))
            continue
        text = "\n".join(example.texts)
        alike = near[example.kind].alike(text)
        if any(_says_the_same(told[name], text) for name in alike):
            chosen.drops.append(Drop(example, "near duplicate", "another says nearly the same"))
            continue
        told[example.digest] = text
        near[example.kind].add(example.digest, text)
        kept.add(place)
    return [examples[place] for place in sorted(kept)]


def _worth(example: Example) -> tuple[object, ...]:
    return (*_rank(example), _held(example), example.digest)


def _held(example: Example) -> bool:
    """Tell whether it says itself that it is held out."""
    return example.about.get("split") == "heldout"


def _rank(example: Example) -> tuple[int, float]:
    """Return what sorts examples by their worth, the worthiest first."""
    created = example.about.get("created")
    when = float(created) if isinstance(created, int | float) else 0.0
    return {"feedback": 0, "traces": 2}.get(example.source, 1), -when


def _says_the_same(one: str, other: str) -> bool:
    """Tell whether two texts that are alike differ in nothing that matters.

    A number is few characters and decides what is said: with others it is another text. And
    two questions about one passage have most of their text in common, and nothing else.
    """
    lines, others = one.split("\n"), other.split("\n")
    left = "\n".join(line for line in lines if line not in others)
    right = "\n".join(line for line in others if line not in lines)
    return _figures(one) == _figures(other) and (left == right or likeness(left, right) >= ALIKE)


def _figures(text: str) -> tuple[str, ...]:
    return tuple(sorted("".join(c if c.isdigit() else " " for c in text).split()))
