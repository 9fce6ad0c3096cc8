"""`groundling feedback`: what people say of answers is kept, shown, exported, taken back."""

from __future__ import annotations

import io
import json
import sys
from uuid import uuid4

import pytest

from groundling.cli import main
from groundling.settings import load
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.store import TraceStore
from tests.tracing.traces import Trace, rag


def invoke(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["feedback", *arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.fixture
def store(home):
    with TraceStore(load().traces_path) as opened:
        yield opened


@pytest.fixture
def trace(store):
    made = rag(question="출장비는 얼마인가요?")
    store.write(made.end(outputs={"answer": "15만 원입니다.", "verdict": "answered"}))
    return made


def given(capsys, *arguments):
    code, out, _ = invoke(capsys, "add", *arguments, "--json")
    assert code == 0
    return json.loads(out)


class TestAdd:
    def test_thumbs_are_one_and_minus_one(self, capsys, trace):
        up, down = given(capsys, "last", "--up"), given(capsys, "last", "--down")
        assert [(each["key"], each["score"]) for each in (up, down)] == [
            ("thumbs", 1.0),
            ("thumbs", -1.0),
        ]
        assert up["run"] == up["trace"] == str(trace.id)

    def test_everything_can_be_said_at_once(self, capsys, trace, store):
        inside = trace.patches[-1].id
        said = given(
            capsys, str(inside)[-8:], "--score", "0.25", "--key", "correctness",
            "--comment", "지역이 빠졌어요", "--correction", "서울은 15만 원입니다.",
        )  # fmt: skip
        [kept] = FeedbackBook(store).find()
        assert (kept.run, kept.trace) == (inside, trace.id)
        assert (kept.key, kept.score) == ("correctness", 0.25)
        assert (kept.comment, kept.correction) == ("지역이 빠졌어요", "서울은 15만 원입니다.")
        assert said["id"] == str(kept.id)

    def test_a_correction_is_read_from_a_file_or_stdin(self, capsys, trace, tmp_path, monkeypatch):
        file = tmp_path / "answer.txt"
        file.write_text("하루 15만 원\n", encoding="utf-8")
        assert given(capsys, "last", "--correction", f"@{file}")["correction"] == "하루 15만 원"
        monkeypatch.setattr(sys, "stdin", io.StringIO("from stdin\n"))
        said = given(capsys, "last", "--down", "--correction", "-")
        assert (said["key"], said["correction"]) == ("thumbs", "from stdin")

    def test_a_key_says_what_was_judged(self, capsys, trace):
        assert given(capsys, "last", "--score", "3")["key"] == "score"
        assert given(capsys, "last", "--comment", "hm")["key"] == "note"
        assert given(capsys, "last", "--up", "--key", "tone")["key"] == "tone"

    @pytest.mark.parametrize(
        "wrong",
        [[], ["--up", "--score", "1"], ["--score", "nan"], ["--score", "much"], ["--key", "tone"]],
        ids=str,
    )
    def test_what_says_nothing_or_contradicts_itself_is_a_usage_error(self, capsys, trace, wrong):
        code, out, _ = invoke(capsys, "add", "last", *wrong)
        assert (code, out) == (2, "")

    def test_a_file_that_cannot_be_read_is_an_error(self, capsys, trace, store):
        code, _, err = invoke(capsys, "add", "last", "--down", "--correction", "@/no/such")
        assert code == 8
        assert "cannot be read" in err
        assert FeedbackBook(store).find() == []

    @pytest.mark.parametrize("run", ["last", "deadbeef"])
    def test_an_unknown_run_is_an_error(self, capsys, home, run):
        assert invoke(capsys, "add", run, "--up")[0] == 8

    def test_secrets_are_blacked_out(self, capsys, trace, store):
        given(capsys, "last", "--down", "--comment", "ask minji.kim@example.com, 010-1234-5678")
        [kept] = FeedbackBook(store).find()
        assert "minji.kim@example.com" not in kept.comment
        assert "1234" not in kept.comment
        assert kept.comment.startswith("ask ")


class TestListAndRemove:
    def test_the_newest_comes_first_and_a_run_narrows_it(self, capsys, trace, store):
        other = Trace("ask")
        store.write(other.end())
        for run, key in ((trace.id, "thumbs"), (other.id, "tone"), (trace.patches[-1].id, "style")):
            FeedbackBook(store).add(Feedback(key, run, score=1.0))
        listed = json.loads(invoke(capsys, "list", "--json")[1])
        assert [each["key"] for each in listed] == ["style", "tone", "thumbs"]
        of_trace = json.loads(invoke(capsys, "list", str(trace.id), "--json")[1])
        assert [each["key"] for each in of_trace] == ["style", "thumbs"]
        of_key = json.loads(invoke(capsys, "list", "--key", "tone", "--json")[1])
        assert [each["run"] for each in of_key] == [str(other.id)]
        assert len(json.loads(invoke(capsys, "list", "-n", "1", "--json")[1])) == 1

    def test_a_line_says_what_was_said_of_what(self, capsys, trace, store):
        gone = uuid4()
        FeedbackBook(store).add(
            Feedback("thumbs", trace.id, score=-1.0, comment="아니요", correction="18"),
            Feedback("thumbs", trace.id, score=1.0),
            Feedback("tone", gone, value="curt"),
        )
        _, out, _ = invoke(capsys, "list")
        assert f"{str(gone)[-8:]}  (gone)  tone" in out
        assert "-1  “아니요”  should be: 18" in out
        assert "+1  출장비는 얼마인가요? → 15만 원입니다." in out

    def test_there_is_a_next_step_when_nothing_was_said(self, capsys, home, store):
        code, out, err = invoke(capsys, "list")
        assert (code, out) == (0, "")
        assert "groundling feedback add last --up" in err
        assert invoke(capsys, "list", "--json")[1].strip() == "[]"

    @pytest.mark.parametrize("cut", [lambda id: id, lambda id: id[:8], lambda id: id[-8:].upper()])
    def test_it_is_taken_back_by_its_id(self, capsys, trace, store, cut):
        said = given(capsys, "last", "--up")
        given(capsys, "last", "--down")
        assert invoke(capsys, "remove", cut(said["id"]))[0] == 0
        assert [each.score for each in FeedbackBook(store).find()] == [-1.0]

    @pytest.mark.parametrize("id", ["deadbeef", "x", "12"])
    def test_what_is_not_there_cannot_be_taken_back(self, capsys, trace, id):
        code, _, err = invoke(capsys, "remove", id)
        assert code == 8
        assert "groundling feedback list" in err


class TestExport:
    def test_training_gets_question_answer_and_correction(self, capsys, trace, tmp_path, store):
        given(capsys, "last", "--down", "--correction", "12만 원입니다.")
        FeedbackBook(store).add(Feedback("tone", uuid4(), score=1.0))
        file = tmp_path / "feedback.jsonl"
        code, out, _ = invoke(capsys, "export", str(file))
        assert (code, out) == (0, f"2 pieces of feedback written to {file}.\n")
        first, second = [json.loads(line) for line in file.read_text().splitlines()]
        assert first["inputs"] == {"question": "출장비는 얼마인가요?"}
        assert first["outputs"]["answer"] == "15만 원입니다."
        assert (first["correction"], first["score"]) == ("12만 원입니다.", -1.0)
        assert (first["graph"], first["verdict"], first["model"]) == ("rag", "answered", "tiny")
        assert second["inputs"] is None  # its run is not here
        assert invoke(capsys, "export", "-")[1] == file.read_text()

    def test_a_file_that_cannot_be_written_is_an_error(self, capsys, trace, tmp_path):
        given(capsys, "last", "--up")
        code, _, err = invoke(capsys, "export", str(tmp_path / "no" / "x.jsonl"))
        assert code == 8
        assert "cannot be written" in err
