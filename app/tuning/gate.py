"""The gate: an adapter answers in place of its base only if it has earned it.

    verdict = gate(model, "bot", examples, tell=print)
    if verdict.passed: shelf.promote("bot")

Base and adapter are asked the same, through llama.cpp, and compared in pairs. What was to be
learnt must have risen beyond chance (the interval of the mean difference is above zero); of
what could be done before, no skill may have fallen: not by more than `ALLOWED`, and nothing
that is beyond chance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from groundling.errors import TuningError
from groundling.evaluation.evaluators.f1 import f1
from groundling.evaluation.evaluators.matching import holds
from groundling.evaluation.paired import Paired, paired
from groundling.models.chat import ChatLlama
from groundling.tuning.example import Example
from groundling.tuning.regression import SKILLS, Case, suite

ALLOWED = 0.05
FEWEST = 5
LEARNT = "learnt"
_MESSAGES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}
_SHORT = re.compile("[A-Za-z]{1,5}")
_BROKEN = 0.5  # a score that falls by as much broke
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
        broken: the examples that fell furthest, the worst first.
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
    broken: list[Broken] = []
    pairs = [(each.question, _score(model, each)) for each in heldout]
    learnt = _compare(LEARNT, pairs, adapter, broken, tell)
    comparisons = [Comparison(LEARNT, learnt, None if learnt.low > 0 else _not_risen(learnt))]
    for skill in SKILLS:
        asked = [case for case in cases or suite() if case.skill == skill]
        found = _compare(skill, [(case.shown, _case(model, case)) for case in asked],
                         adapter, broken, tell)  # fmt: skip
        comparisons.append(Comparison(skill, found, _fallen(found, allowed)))
    return Verdict(adapter, comparisons, sorted(broken, key=lambda one: one.adapter - one.base))


Asked = Callable[[Sequence[str]], float]


def _compare(
    skill: str,
    questions: Sequence[tuple[str, Asked]],
    adapter: str,
    broken: list[Broken],
    tell: Tell,
) -> Paired:
    # All of the base first: what both have in common of a prompt is then read once by each.
    tell(skill, 0, 2 * len(questions))
    sides: list[list[float]] = []
    for names in ([], [adapter]):
        scores: list[float] = []
        for _, ask in questions:
            scores.append(ask(names))
            tell(skill, len(sides) * len(questions) + len(scores), 2 * len(questions))
        sides.append(scores)
    for (shown, _), base, tuned in zip(questions, *sides, strict=True):
        if base - tuned >= _BROKEN:
            broken.append(Broken(skill, shown, base, tuned))
    return paired(*sides)


def _case(model: ChatLlama, case: Case) -> Asked:
    return lambda adapters: case.score(model, adapters)


def _score(model: ChatLlama, example: Example) -> Asked:
    messages = messages_of(example)

    def ask(adapters: Sequence[str]) -> float:
        if example.rejected:  # an empty one has no probability
            answers = [example.answer, example.rejected]
            return model.choose(messages, answers, adapters=adapters)[example.answer]
        reply = model.invoke(
            messages, adapters=list(adapters), temperature=0.0, max_tokens=_room(example)
        ).text
        said = right(example, reply)
        return 1.0 - said if example.good is False else said

    return ask


def messages_of(example: Example) -> list[BaseMessage]:
    """Return the conversation that an example asks with."""
    return [_MESSAGES[turn.role](turn.text) for turn in example.prompt]


def right(example: Example, reply: str) -> float:
    """Say how much of an example's answer a reply has, 0 to 1.

    What an example accepts (`about["accept"]`, a list), and an answer of a few words, is
    there or not; of a longer one it is the share of its words (token F1).
    """
    accept = example.about.get("accept")
    if isinstance(accept, list) and accept:
        return float(any(_says(reply, str(each)) for each in accept))
    if _says(reply, example.answer):
        return 1.0
    return 0.0 if len(example.answer.split()) <= 3 else f1(reply, example.answer)


def _says(reply: str, answer: str) -> bool:
    """Tell whether a reply has an answer; a short word must be one: “know” does not say “no”."""
    if not _SHORT.fullmatch(answer):
        return holds(reply, answer)
    word = re.escape(answer.casefold())
    return re.search(rf"(?<![a-z]){word}(?![a-z])", reply.casefold()) is not None


def _room(example: Example) -> int:
    return min(256, 16 + 2 * len(example.answer))


def _not_risen(found: Paired) -> str:
    return (
        f"it did not rise beyond chance: {found.mean_a:.2f} → {found.mean_b:.2f}, difference "
        f"{found.low:+.2f} to {found.high:+.2f}"
    )


def _fallen(found: Paired, allowed: float) -> str | None:
    if found.difference < -allowed:
        return f"it fell by {-found.difference:.2f}, more than {allowed:g}"
    if found.high < 0:
        return f"it fell beyond chance: {found.low:+.3f} to {found.high:+.3f}"
    return None
