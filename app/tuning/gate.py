"""The gate: an adapter answers in place of its base only if it has earned it.

    verdict = gate(model, "bot", examples, tell=print)
    if verdict.passed: shelf.promote("bot")

Base and adapter are asked the same, through llama.cpp, and compared in pairs. What was to be
learnt must have risen beyond chance: the bootstrap's interval of the mean difference is above
zero, and so is the sign-flip test's, which is exact where examples are few and the bootstrap
is too sure of itself. Of what could be done before, no skill may have fallen: not by more than
`ALLOWED`, and nothing that is beyond chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from groundling.errors import TuningError
from groundling.evaluation.paired import Paired, paired
from groundling.models.adapter_shelf import AdapterShelf
from groundling.models.chat import ChatLlama
from groundling.tuning.dataset import DataShelf
from groundling.tuning.example import Example
from groundling.tuning.marking import frequent, right
from groundling.tuning.regression import SKILLS, Case, suite
from groundling.tuning.selection import asks

ALLOWED = 0.05
CHANCE = 0.05  # probability of such a rise, if both were alike
FEWEST = 5  # all of so few must rise: of four, one in sixteen does so by chance
LEARNT = "learnt"
_MESSAGES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}
_BROKEN = 0.5  # a score that falls by as much broke
WORST = 3
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Broken:
    """Something that the base could do and the adapter cannot."""

    skill: str
    question: str
    base: float
    adapter: float


@dataclass(frozen=True)
class Comparison:
    """One skill, base against adapter; `reason` says why it does not pass."""

    skill: str
    paired: Paired
    reason: str | None


@dataclass(frozen=True)
class Verdict:
    """What the gate found.

    Args:
        comparisons: what was to be learnt first, then each skill.
        broken: the examples that fell by half or more, and of a skill that does not pass
            the `WORST` at least; the worst first.
    """

    adapter: str
    comparisons: Sequence[Comparison]
    broken: Sequence[Broken]

    @property
    def passed(self) -> bool:
        """Whether the adapter may answer."""
        return all(each.reason is None for each in self.comparisons)

    @property
    def scores(self) -> dict[str, Any]:
        """What the adapter's card keeps."""
        return {
            each.skill: {
                "base": round(each.paired.mean_a, 4),
                "adapter": round(each.paired.mean_b, 4),
                "low": round(each.paired.low, 4),
                "high": round(each.paired.high, 4),
                "p": round(each.paired.p, 4),
                "examples": each.paired.examples,
            }
            for each in self.comparisons
        } | {"passed": self.passed}


def gate(
    model: ChatLlama,
    adapter: str,
    heldout: Sequence[Example],
    *,
    cases: Sequence[Case] | None = None,
    allowed: float = ALLOWED,
    tell: Tell = lambda *_: None,
) -> Verdict:
    """Compare base and adapter.

    Args:
        model: the base, as it is configured.
        adapter: its name, or its file.
        heldout: what was not learnt from, of the data that was.
        cases: what any model should do; default: the shipped suite.
        allowed: most that the mean of a skill may fall.
        tell: called with what is asked, how much is done, of how much.

    Raises:
        TuningError: there is too little held out to tell anything.
    """
    if len(heldout) < FEWEST:
        raise TuningError(
            f"{len(heldout)} examples are held out; at least {FEWEST} are needed to tell luck "
            "from learning.",
            hint="groundling tune data build … --heldout 0.2, with more examples",
        )
    common = frequent(each.answer for each in heldout)
    pairs = [(each.question, _score(model, each, common)) for each in heldout]
    learnt, broken = _compare(LEARNT, pairs, adapter, _not_risen, tell)
    comparisons = [learnt]
    for skill in SKILLS:
        asked = [case for case in cases or suite() if case.skill == skill]
        questions = [(case.shown, _case(model, case)) for case in asked]
        found, fell = _compare(skill, questions, adapter, lambda one: _fallen(one, allowed), tell)
        comparisons.append(found)
        broken += fell
    return Verdict(adapter, comparisons, sorted(broken, key=lambda one: one.adapter - one.base))


def not_learnt(heldout: Sequence[Example], learnt: Iterable[Example]) -> list[Example]:
    """Return those of the held-out examples whose question nobody learnt from.

    Args:
        learnt: what the adapter was trained on, and the adapters that it went on from.
    """
    known = {asks(each) for each in learnt}
    return [each for each in heldout if asks(each) not in known]


def learnt_by(name: str, shelf: AdapterShelf, data: DataShelf) -> tuple[list[Example], list[str]]:
    """Return what an adapter and those that it went on from learnt from.

    Returns:
        the examples, and the names of adapters and data that are gone.
    """
    found: list[Example] = []
    gone: list[str] = []
    seen: set[str] = set()
    following: str | None = name
    while following is not None and following not in seen:
        seen.add(following)
        if following not in shelf:
            gone.append(following)
            break
        card = shelf.get(following).card
        try:
            found += data.get(card.data).train()
        except TuningError:
            gone.append(card.data or f"the data of {following}")
        following = card.parent
    return found, gone


Asked = Callable[[Sequence[str]], float]


def _compare(
    skill: str,
    questions: Sequence[tuple[str, Asked]],
    adapter: str,
    fault: Callable[[Paired], str | None],
    tell: Tell,
) -> tuple[Comparison, list[Broken]]:
    # All of the base first: what both have in common of a prompt is then read once by each.
    tell(skill, 0, 2 * len(questions))
    sides: list[list[float]] = []
    finite = True
    for names in ([], [adapter]):
        scores: list[float] = []
        for _, ask in questions:
            score = ask(names)
            finite = finite and math.isfinite(score)
            scores.append(score if math.isfinite(score) else 0.0)
            tell(skill, len(sides) * len(questions) + len(scores), 2 * len(questions))
        sides.append(scores)
    found = paired(*sides)
    # What an adapter makes infinite may reach the bare model's next answers as well.
    reason = fault(found) if finite else "with it the model's numbers are not finite"
    fell = [
        Broken(skill, shown, base, tuned)
        for (shown, _), base, tuned in zip(questions, *sides, strict=True)
        if tuned < base
    ]
    fell.sort(key=lambda one: one.adapter - one.base)
    kept = WORST if reason else 0
    broken = [one for place, one in enumerate(fell)
              if place < kept or one.base - one.adapter >= _BROKEN]  # fmt: skip
    return Comparison(skill, found, reason), broken


def _case(model: ChatLlama, case: Case) -> Asked:
    return lambda adapters: case.score(model, adapters)


def _score(model: ChatLlama, example: Example, common: Collection[str]) -> Asked:
    messages = messages_of(example)

    def ask(adapters: Sequence[str]) -> float:
        if example.rejected:  # an empty one has no probability
            answers = [example.answer, example.rejected]
            return model.choose(messages, answers, adapters=adapters)[example.answer]
        reply = model.invoke(
            messages, adapters=list(adapters), temperature=0.0, max_tokens=_room(example)
        ).text
        said = right(example, reply, common)
        return 1.0 - said if example.good is False else said

    return ask


def messages_of(example: Example) -> list[BaseMessage]:
    """Return the conversation that an example asks with."""
    return [_MESSAGES[turn.role](turn.text) for turn in example.prompt]


def _room(example: Example) -> int:
    return min(256, 16 + 2 * len(example.answer))


def _not_risen(found: Paired) -> str | None:
    chance = found.p / 2  # of a rise; a fall is no luck here
    if found.low > 0 and chance <= CHANCE:
        return None
    told = (
        f"{found.mean_a:.2f} → {found.mean_b:.2f}, difference {found.low:+.2f} to {found.high:+.2f}"
    )
    few = f"; {found.higher} of {found.examples} rose" if found.low > 0 else ""
    return f"it did not rise beyond chance: {told}{few}"


def _fallen(found: Paired, allowed: float) -> str | None:
    if found.difference < -allowed:
        return f"it fell by {-found.difference:.2f}, more than {allowed:g}"
    if found.high < 0 and found.p / 2 <= CHANCE:
        return f"it fell beyond chance: {found.low:+.3f} to {found.high:+.3f}"
    return None
