"""A smoke of the default model's answers; `bench/questions.py` asks all twenty."""

from pathlib import Path

import pytest

from bench import questions
from groundling.home import Home

pytestmark = pytest.mark.quality
SMOKE = (
    "en-leave-carry-over",
    "en-settling-time",
    "ko-travel-settlement",
    "ko-urgent-purchase-form",
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, qwen, embedder_files, models_folder: Path):
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(models_folder)
    wanted = [question for question in questions.questions() if question["id"] in SMOKE]
    model = "qwen2.5-coder-1.5b"
    return {outcome.id: outcome for outcome in questions.run(model, wanted, home)}


@pytest.mark.parametrize("name", SMOKE)
def test_the_answer_is_right_and_cited(outcomes, name):
    assert outcomes[name].good, outcomes[name]


@pytest.mark.timeout(600)
def test_what_no_document_has_is_refused(qwen, embedder_files, models_folder, tmp_path):
    (tmp_path / "models").symlink_to(models_folder)
    with Home(tmp_path) as home:
        home.knowledge("handbook").add([questions.DATA / "handbook"])
        rag = home.graph("rag", knowledge="handbook")
        result = rag.invoke({"question": "Who won the football world cup in 1998?"})
    assert result["verdict"] == "refused"
