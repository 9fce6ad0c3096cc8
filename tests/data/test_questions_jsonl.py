"""`data/handbook-questions.jsonl` says what `data/questions.toml` says."""

from __future__ import annotations

import json

from tests.data.make_questions_jsonl import DATASET, dataset
from tests.data.sample import QUESTIONS, names, spans

LINES = [json.loads(line) for line in DATASET.read_text("utf-8").splitlines()]


class TestDataset:
    """`data/handbook-questions.jsonl` says what `data/questions.toml` says."""

    def test_it_is_up_to_date(self) -> None:
        """Else: uv run python -m tests.data.make_questions_jsonl."""
        assert DATASET.read_bytes().decode("utf-8") == dataset()

    def test_it_has_every_question_in_the_same_order(self) -> None:
        assert [line["metadata"]["id"] for line in LINES] == names(QUESTIONS)
        assert [line["inputs"]["question"] for line in LINES] == [
            question["question"] for question in QUESTIONS
        ]

    def test_offsets_cut_out_the_quotes(self, texts: dict[str, str]) -> None:
        places = [span for line in LINES for span in line["outputs"]["spans"]]
        assert len(places) == sum(len(spans(question)) for question in QUESTIONS)
        for place in places:
            assert texts[place["document"]][place["start"] : place["end"]] == place["quote"]

    def test_only_what_no_document_tells_is_to_be_refused(self) -> None:
        for line in LINES:
            outputs = line["outputs"]
            assert outputs["refuse"] is (line["metadata"]["kind"] == "unanswerable")
            assert outputs["refuse"] is not bool(outputs["spans"] and outputs["accept"])
            assert set(outputs) == {"answer", "accept", "reject", "spans", "refuse"}
            assert ("tool" in line["metadata"]) is (line["metadata"]["kind"] == "tool")
