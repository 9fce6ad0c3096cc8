"""An adapter answers only if it learnt what it was to learn and broke nothing."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from groundling.errors import TuningError
from groundling.models.adapter_shelf import AdapterCard, AdapterShelf
from groundling.models.chat import ChatLlama
from groundling.tuning.dataset import DataShelf
from groundling.tuning.example import Example, Turn
from groundling.tuning.export import export_adapter
from groundling.tuning.gate import LEARNT, Verdict, gate, learnt_by, not_learnt
from groundling.tuning.regression import SKILLS, Case, Skill, suite
from groundling.tuning.selection import Selection
from tests.tuning.adapters import peft_folder


def ask(question: str, answer: str, **fields: object) -> Example:
    return Example((Turn("user", question),), answer, **fields)  # type: ignore[arg-type]


CAPITALS = {
    "Japan": "Tokyo",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Egypt": "Cairo",
    "Cuba": "Havana",
}
HELDOUT = [ask(f"What is the capital of {land}?", city) for land, city in CAPITALS.items()]

# Of each skill the two shortest questions: the whole suite takes a minute.
FEW = [
    case
    for skill in SKILLS
    for case in sorted((c for c in suite() if c.skill == skill), key=lambda c: len(c.shown))[:2]
]


def test_the_suite_asks_every_skill_in_both_languages() -> None:
    for skill in SKILLS:
        assert {case.language for case in suite() if case.skill == skill} == {"en", "ko"}
    assert len({case.shown for case in suite() if case.skill == "general"}) >= 24


@pytest.mark.model
def test_an_adapter_of_noise_is_refused_with_what_it_broke(smollm2: Path, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "peft", smollm2, scale=0.1, layers=30)
    export_adapter(folder, smollm2, tmp_path / "noise.gguf")
    model = ChatLlama(model=str(smollm2), context=2560, temperature=0.0)
    told: list[Sequence[object]] = []
    verdict = gate(
        model,
        str(tmp_path / "noise.gguf"),
        HELDOUT,
        cases=FEW,
        tell=lambda *said: told.append(said),
    )
    assert not verdict.passed
    by_skill = {each.skill: each for each in verdict.comparisons}
    assert list(by_skill) == [LEARNT, *SKILLS]
    assert "did not rise" in (by_skill[LEARNT].reason or "")
    assert by_skill[LEARNT].paired.mean_a > by_skill[LEARNT].paired.mean_b
    assert any(one.skill == LEARNT and "capital" in one.question for one in verdict.broken)
    assert verdict.broken[0].base - verdict.broken[0].adapter >= 0.5
    assert verdict.scores["passed"] is False
    assert told[-1][1] == told[-1][2]


@pytest.mark.model
def test_an_adapter_that_does_nothing_has_not_risen(smollm2: Path, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "peft", smollm2, scale=0.0)
    export_adapter(folder, smollm2, tmp_path / "still.gguf")
    model = ChatLlama(model=str(smollm2), context=2560, temperature=0.0)
    # Read in other pieces, a prompt has other last digits: of two questions that is a lot.
    verdict = gate(model, str(tmp_path / "still.gguf"), HELDOUT, cases=FEW, allowed=0.2)
    assert [each.skill for each in verdict.comparisons if each.reason] == [LEARNT]
    assert verdict.broken == []


@pytest.mark.model
def test_too_little_tells_nothing(smollm2: Path) -> None:
    with pytest.raises(TuningError, match="4 examples are held out; at least 5"):
        gate(ChatLlama(model=str(smollm2)), "x", HELDOUT[:4])


class Wooden:
    """Knows with the adapter, and without it, the answers to the questions that it is given.

    Args:
        base: to how many of the questions it says the answer by itself.
        adapter: to how many with the adapter.
    """

    def __init__(self, base: Sequence[str], adapter: Sequence[str]) -> None:
        self._known = {False: base, True: adapter}

    def invoke(self, messages: Sequence[BaseMessage], **options: object) -> AIMessage:
        asked = messages[-1].text
        return AIMessage("yes!" if asked in self._known[bool(options["adapters"])] else "…")


def judged(count: int, base: int, adapter: int, cases: Sequence[Case] = ()) -> Verdict:
    """Let a gate judge where so many of the questions are answered, first those that both are."""
    asked = [f"Question {place}?" for place in range(count)]
    model = Wooden(asked[:base], asked[:adapter])
    fair = [case("general", 1, 1), *(case(skill, 1, 1) for skill in SKILLS[1:])]
    heldout = [ask(one, "yes!") for one in asked]
    return gate(model, "bot", heldout, cases=[*fair, *cases])  # type: ignore[arg-type]


def case(skill: Skill, base: float, adapter: float, shown: str = "?") -> Case:
    return Case(skill, "en", shown, lambda _, adapters: adapter if adapters else base)


@pytest.mark.parametrize(
    ("count", "base", "adapter", "passed"),
    [
        (5, 0, 5, True),
        (5, 0, 4, False),  # the bootstrap alone is sure of it; of four coins one in 16 is so even
        (10, 0, 4, False),
        (10, 0, 5, True),
        (10, 5, 5, False),
        (100, 40, 44, False),
        (100, 40, 46, True),
        (10, 6, 2, False),
    ],
)
def test_how_much_must_rise(count: int, base: int, adapter: int, passed: bool) -> None:
    verdict = judged(count, base, adapter)
    assert verdict.passed is passed
    assert verdict.scores[LEARNT]["p"] <= 1
    if adapter > base and not passed:
        assert f"{adapter - base} of {count} rose" in str(verdict.comparisons[0].reason)


def test_a_skill_that_falls_a_little_everywhere_names_its_worst() -> None:
    fallen = [case("guard", 0.9, 0.9 - place / 20, f"Guard {place}?") for place in range(1, 7)]
    verdict = judged(10, 0, 10, fallen)
    (guard,) = [each for each in verdict.comparisons if each.reason]
    assert guard.skill == "guard"
    assert [one.question for one in verdict.broken] == ["Guard 6?", "Guard 5?", "Guard 4?"]


def test_an_adapter_that_makes_no_numbers_passes_nothing() -> None:
    verdict = judged(10, 0, 10, [case("guard", 0.9, float("nan"), "Guard?")])
    assert [each.skill for each in verdict.comparisons if each.reason] == ["guard"]
    assert [one.question for one in verdict.broken] == ["Guard?"]
    both = judged(10, 0, 10, [case("guard", float("nan"), float("nan"))])
    assert "not finite" in str(next(each.reason for each in both.comparisons if each.reason))


def test_what_broke_is_told_of_one_that_passes_too() -> None:
    steady = [case("general", 0.9, 1.0, f"Steady {place}?") for place in range(20)]
    verdict = judged(10, 0, 10, [*steady, case("general", 1.0, 0.0, "Broken?")])
    assert verdict.passed
    assert [one.question for one in verdict.broken] == ["Broken?"]


def test_what_was_learnt_is_not_asked(tmp_path: Path) -> None:
    data, shelf = DataShelf(tmp_path / "data"), AdapterShelf(tmp_path / "adapters")
    (tmp_path / "x.gguf").touch()
    parts = {"first": HELDOUT[:2], "second": HELDOUT[2:3]}
    for name, learnt in parts.items():
        data.store(name, Selection(list(learnt)))
    for name, parent in (("bot-1", None), ("bot-2", "bot-1"), ("bot-3", "bot-0")):
        card = AdapterCard(
            name, "0" * 64, "SmolLM2", "2026-11-27T00:00:00+00:00", parent=parent,
            data={"bot-1": "first", "bot-2": "second", "bot-3": "gone"}[name],
        )  # fmt: skip
        shelf.add(tmp_path / "x.gguf", card)
    learnt, gone = learnt_by("bot-2", shelf, data)
    assert gone == []
    assert not_learnt(HELDOUT, learnt) == HELDOUT[3:]
    assert not_learnt([ask("what is the capital of  Japan", "Kyoto")], learnt) == []
    assert learnt_by("bot-3", shelf, data) == ([], ["gone", "bot-0"])
