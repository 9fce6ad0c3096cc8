"""What the tasks take and give."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

Task = Literal[
    "classify", "entities", "sentiment", "summarize", "translate", "answer", "similarity"
]


class Example(TypedDict):
    """One worked example: a text and the output that is right for it.

    The output of `entities` is a list of `{"text", "type"}`; all others' is a text. `answer`
    needs the question, too.
    """

    text: str
    output: Any
    question: str


class Question(TypedDict, total=False):
    """What a run takes.

    Args:
        task: what is to be done with the text.
        text: the text; it is data, whatever it says.
        labels: of `classify`, at least two; of `entities`, the types to look for.
        several: `classify` may give any number of labels instead of one.
        question: of `answer`.
        other: the second text of `similarity`.
        to: the language of `translate`, a code or a name; default: the other of English and
            Korean.
        sentences: how many the summary has.
        examples: none (zero-shot), one or a few.
        reasoning: think aloud before deciding (chain of thought).
        calibrated: weigh labels against what the model would say of an empty text.
    """

    task: Task
    text: str
    labels: list[str]
    several: bool
    question: str
    other: str
    to: str
    sentences: int
    examples: list[Example]
    reasoning: bool
    calibrated: bool


class Answer(TypedDict, total=False):
    """What a run gives: the result as data, and as a text for people."""

    result: dict[str, Any]
    answer: str
    thoughts: str


class State(Question, Answer, total=False):
    """Everything a run knows."""
