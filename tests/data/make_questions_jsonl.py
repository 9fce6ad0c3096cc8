"""Make the evaluation dataset of the sample handbook from its questions.

    uv run python -m tests.data.make_questions_jsonl

writes `data/handbook-questions.jsonl`, one object a line:

    {"inputs": {"question": …},
     "outputs": {"answer": …, "accept": […], "reject": […],
                 "spans": [{"document": …, "quote": …, "start": N, "end": N}],
                 "refuse": true where the documents do not tell it},
     "metadata": {"id": …, "language": …, "kind": …, "tool": … where one is needed}}

`start` and `end` are character offsets into the text that the loaders read from the
document. How an answer is judged stands at the head of `data/questions.toml`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from bench.questions import DATA, Span, questions, spans
from groundling.knowledge.loaders.document import LoadedDocument
from groundling.knowledge.loaders.registry import load

DATASET = DATA / "handbook-questions.jsonl"


@cache
def document(name: str) -> LoadedDocument:
    """Read a document of the handbook."""
    return load(DATA / "handbook" / name)


def located(span: Span, question: str) -> dict[str, str | int]:
    """Return a span with its offsets.

    Raises:
        ValueError: the quote does not stand in the document exactly once.
    """
    text = document(span.document).text
    if (count := text.count(span.quote)) != 1:
        raise ValueError(f"{question}: its quote stands {count} times in {span.document}.")
    start = text.index(span.quote)
    return {**span._asdict(), "start": start, "end": start + len(span.quote)}


def example(question: dict[str, Any]) -> dict[str, Any]:
    """Return a question as a line of the dataset."""
    tool = {"tool": question["tool"]} if "tool" in question else {}
    return {
        "inputs": {"question": question["question"]},
        "outputs": {
            "answer": question["answer"],
            "accept": question.get("accept", []),
            "reject": question.get("reject", []),
            "spans": [located(span, question["id"]) for span in spans(question)],
            "refuse": question["kind"] == "unanswerable",
        },
        "metadata": {key: question[key] for key in ("id", "language", "kind")} | tool,
    }


def dataset() -> str:
    """Return the text of the dataset file."""
    lines = (json.dumps(example(question), ensure_ascii=False) for question in questions())
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    DATASET.write_text(dataset(), encoding="utf-8", newline="\n")
    print(f"{DATASET}: {len(questions())} questions")
