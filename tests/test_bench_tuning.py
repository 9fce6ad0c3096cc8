"""What the tuning benchmark asks, and how it counts; no model is trained here."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench.tuning import main
from bench.tuning_facts import HABIT, Language, facts, habits
from bench.tuning_pubmedqa import OPTIONS, Abstracts, as_example, macro_f1, questions
from groundling.tuning.marking import right
from groundling.tuning.selection import select

LANGUAGES: list[Language] = ["en", "ko"]
said = st.sampled_from(OPTIONS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_fifty_facts_are_asked_in_five_ways_one_of_them_held_out(language: Language) -> None:
    train, held = facts(language)
    assert (len(train), len(held)) == (200, 50)
    asked = [each.question for each in (*train, *held)]
    assert len(set(asked)) == 250
    assert all(each.group in each.question for each in (*train, *held))
    assert len({(each.group, each.answer) for each in train}) == 50


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_is_right_for_its_own_question_alone(language: Language) -> None:
    _, held = facts(language)
    assert all(right(each, each.answer) == 1.0 for each in held)
    # Of the same kind of fact: the next name's answer is wrong.
    kinds = [held[kind::5] for kind in range(5)]
    assert not any(right(one, other.answer) for kind in kinds for one, other in pairwise(kind))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_fact_is_a_duplicate_or_an_injection_to_the_cleaning(language: Language) -> None:
    train, _ = facts(language)
    chosen = select(train, heldout=0)
    assert [drop.reason for drop in chosen.drops] == []
    assert not chosen.redacted


@given(st.integers(1, 50))
def test_fewer_facts_are_the_first_of_all(count: int) -> None:
    train, held = facts("en", count)
    assert (len(train), len(held)) == (4 * count, count)
    assert held == facts("en")[1][:count]


def test_a_habit_is_all_that_two_answers_differ_in() -> None:
    train, held = habits()
    assert (len(train), len(held)) == (30, 10)
    assert all(each.rejected == HABIT + each.answer for each in (*train, *held))
    assert not {each.question for each in train} & {each.question for each in held}


@given(st.lists(said, min_size=1, max_size=40))
def test_macro_f1_of_the_truth_is_one(wanted: list[str]) -> None:
    assert macro_f1(wanted, wanted) == 1.0


@given(st.lists(st.tuples(said, said), min_size=1, max_size=40))
def test_macro_f1_lies_between_nothing_and_one(pairs: list[tuple[str, str]]) -> None:
    wanted, got = (list(side) for side in zip(*pairs, strict=True))
    assert 0.0 <= macro_f1(wanted, got) <= 1.0


def test_macro_f1_does_not_reward_the_commonest_answer() -> None:
    assert macro_f1(["yes", "yes", "yes", "no"], ["yes"] * 4) == pytest.approx(3 / 7)


def test_every_tenth_question_is_asked_and_never_learnt(tmp_path: Path) -> None:
    rows = {str(number): {"QUESTION": f"{number}?"} for number in range(100, 125)}
    (tmp_path / "pqal_train_500.json").write_text(json.dumps(rows), encoding="utf-8")
    train, asked = questions(tmp_path)
    assert [row["QUESTION"] for row in asked] == ["100?", "110?", "120?"]
    assert len(train) == 22
    assert not [row for row in asked if row in train]


def test_passages_come_from_all_abstracts(tmp_path: Path) -> None:
    said = {"7": "Aspirin thins the blood.", "8": "Garlic keeps vampires away.", "9": "Tea wakes."}
    rows = [
        {"number": number, "QUESTION": f"{text[:-1]}?", "CONTEXTS": [text, "n = 3."],
         "final_decision": "yes"}
        for number, text in said.items()
    ]  # fmt: skip
    abstracts = Abstracts(tmp_path, rows, None)
    text, own = abstracts.found(rows[1])
    assert own
    assert "vampires" in text
    lost = {**rows[1], "QUESTION": "Does aspirin thin blood?"}
    text, own = abstracts.found(lost)
    assert not own
    assert as_example(lost, text).question.startswith("Aspirin thins the blood.")
    assert as_example(lost).question.startswith("Does aspirin")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--parts", "facts,luck"], "luck"),
        (["--parts", "pubmedqa"], "--pubmedqa FOLDER"),
        (["--facts", "51"], "51"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_runs(
    arguments: list[str], told: str
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
