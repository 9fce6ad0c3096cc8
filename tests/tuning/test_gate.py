"""An adapter answers only if it learnt what it was to learn and broke nothing."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from groundling.errors import TuningError
from groundling.models.chat import ChatLlama
from groundling.tuning.example import Example, Turn
from groundling.tuning.export import export_adapter
from groundling.tuning.gate import LEARNT, gate, right
from groundling.tuning.regression import SKILLS, suite
from tests.tuning.adapters import peft_folder

pytestmark = pytest.mark.model


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


def test_an_adapter_of_noise_is_refused_with_what_it_broke(smollm2: Path, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "peft", smollm2, scale=3.0, layers=30)
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


def test_an_adapter_that_does_nothing_has_not_risen(smollm2: Path, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "peft", smollm2, scale=0.0)
    export_adapter(folder, smollm2, tmp_path / "still.gguf")
    model = ChatLlama(model=str(smollm2), context=2560, temperature=0.0)
    verdict = gate(model, str(tmp_path / "still.gguf"), HELDOUT, cases=FEW)
    assert [each.skill for each in verdict.comparisons if each.reason] == [LEARNT]
    assert verdict.broken == []


def test_too_little_tells_nothing(smollm2: Path) -> None:
    with pytest.raises(TuningError, match="4 examples are held out; at least 5"):
        gate(ChatLlama(model=str(smollm2)), "x", HELDOUT[:4])


@pytest.mark.parametrize(
    ("answer", "reply", "score"),
    [
        ("Tokyo", "The capital is Tokyo.", 1.0),
        ("6 days", "It is 16 days.", 0.0),
        ("Velda lives in Narvik.", "Velda lives in Oslo.", 0.75),
        ("15일", "연차는 15일입니다.", 1.0),
        ("no", "I do not know.", 0.0),
        ("no", "No, it does not.", 1.0),
        ("oboe", "그는 oboe를 연주합니다.", 1.0),
    ],
)
def test_how_right_a_reply_is(answer: str, reply: str, score: float) -> None:
    assert right(ask("?", answer), reply) == pytest.approx(score)


def test_accepted_answers_decide() -> None:
    example = ask("?", "Up to six days may be carried over.", about={"accept": ["6 days", "six"]})
    assert right(example, "You may keep six.") == 1.0
    assert right(example, "Up to ten days may be carried over.") == 0.0
