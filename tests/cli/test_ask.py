import json
from pathlib import Path

import pytest

from groundling.cli import main, prepare
from groundling.home import Home
from tests.scripted import ScriptedChat

LEAVE = "Full-time employees receive 17 days of paid leave a year."
TRAVEL = "국내 출장의 숙박비는 1박에 95,000원까지 지급합니다."


class Counting(ScriptedChat):
    """Counts a hundred tokens for each line, so that few passages fit."""

    def get_num_tokens(self, text: str) -> int:
        return 100 * len(text.splitlines())

    def get_num_tokens_from_messages(self, messages, tools=None) -> int:
        return 100


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    (folder / "travel.md").write_text(TRAVEL, encoding="utf-8")
    return folder


@pytest.fixture
def ask(model, documents, monkeypatch, capsys):
    """Run `groundling ask` with a scripted model, by words alone."""

    class Ready(Home):
        embedder = None

        def __init__(self, **flags) -> None:
            super().__init__(**flags)
            self.model = model

    monkeypatch.setattr(prepare, "open_home", lambda shell, documents: Ready(**shell.flags))

    def call(*arguments: str):
        with pytest.raises(SystemExit) as stop:
            main(["ask", "--docs", str(documents), *arguments])
        out = capsys.readouterr()
        assert stop.value.code == 0, out.err
        return out.out, out.err

    return call


def test_a_refusal_shows_what_comes_closest(ask, model):
    model.enqueue_choice({"yes": 0.1, "no": 0.9})
    out, err = ask("How many days of paid leave do interns receive?")
    answer, _, below = out.partition("\n\n")
    assert answer == "Not in these documents."
    assert below.startswith(
        "Closest to it in the documents:\n- documents/leave.md, characters 0–57\n"
    )
    assert LEAVE in below
    assert "did not fit" not in err


def test_a_korean_refusal_is_korean(ask, model):
    model.enqueue_choice({"yes": 0.1, "no": 0.9})
    out, _ = ask("해외 출장의 숙박비는 얼마입니까?")
    assert out.startswith("이 문서들에는 없는 내용입니다.\n\n문서에서 가장 가까운 대목:\n")
    assert TRAVEL in out


def test_what_did_not_fit_is_said_on_stderr(ask, model, home):
    home.mkdir()
    (home / "config.toml").write_text("[retrieval]\nbudget_tokens = 250\n", encoding="utf-8")
    model.enqueue_choice("yes", "yes")
    model.enqueue("국내 출장의 숙박비는 1박에 95,000원까지입니다.")
    out, err = ask("국내 출장의 숙박비, 그리고 paid leave?")
    assert "1 of 2 passages found did not fit the context." in err
    assert "did not fit" not in out
    assert "[1]" in out
    assert "가장 가까운" not in out


def test_json_tells_all_of_it(ask, model):
    model.enqueue_choice({"yes": 0.1, "no": 0.9})
    out, _ = ask("How many days of paid leave do interns receive?", "--json")
    result = json.loads(out)
    assert result["verdict"] == "refused"
    assert result["closest"][0]["quote"] == LEAVE
    assert [(each["shown"], each["used"]) for each in result["retrieved"]] == [(True, False)]
    assert result["removed_citations"] == 0
