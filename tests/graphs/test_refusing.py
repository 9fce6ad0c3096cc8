import tomllib
from importlib import resources

import pytest

from bench.refusal import balanced_accuracy, calibrate
from groundling.graphs.nodes.refusing import askings, limits


@pytest.mark.parametrize("language", ["en", "ko"])
def test_each_limit_is_a_share_with_an_origin(language):
    found = limits(language)
    assert 0 < found.relevance < found.confidence < 1
    assert 0 < found.coverage < 1
    text = (resources.files("groundling.data") / "refusal.toml").read_text(encoding="utf-8")
    assert all(len(entry["origin"]) > 10 for entry in tomllib.loads(text)[language].values())


def row(there: bool, signal: float, number: int) -> dict:
    signals = dict.fromkeys(("coverage", "relevance", "support"), signal)
    return {"language": "en", "there": there, "question": f"{there} {number}", **signals}


def test_calibration_finds_the_confidence_between_the_two_kinds():
    rows = [row(True, 0.8, n) for n in range(10)] + [row(False, 0.6, n) for n in range(10)]
    result = calibrate(rows, "en")
    assert 0.6 < result["confidence"] <= 0.8
    assert result["chosen"]["balanced_accuracy"] == 1.0
    assert (result["chosen"]["low"], result["chosen"]["high"]) == (1.0, 1.0)
    assert result["chosen_on"] == result["chosen"]["questions"] == 10


def test_a_question_without_signals_counts_as_refused():
    nothing = {"language": "en", "there": False, "question": "?", "coverage": 0.0}
    assert balanced_accuracy([nothing, row(True, 0.9, 1)], 0.5, 0.2) == 1.0


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Who pays?", ["Who pays?"]),
        ("Tell me who pays.", ["Tell me who pays."]),
        (
            "My flight was cancelled. Who pays for the hotel? Thanks.",
            ["My flight was cancelled. Who pays for the hotel? Thanks.", "Who pays for the hotel?"],
        ),
        (
            "영수증을 잃어버렸어요. 대신 낼 양식이 있나요?",
            ["영수증을 잃어버렸어요. 대신 낼 양식이 있나요?", "대신 낼 양식이 있나요?"],
        ),
    ],
)
def test_what_comes_before_a_question_is_not_asked(question, parts):
    assert askings(question) == parts
