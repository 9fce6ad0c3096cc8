"""The prompts of the benchmarks, all made from the sample handbook.

A prompt that must be read from nothing begins with a number that was not used before
(`fresh`), right after the markup that every chat begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from groundling.models.calls import ModelEngine
from groundling.models.template import ChatTemplate

DATA = Path(__file__).parents[2] / "data"
_numbers = count(1)

# What comes last, so that an answer goes on for as long as it may.
GO_ON = "Count from one to two hundred in words, one number on each line, and do not stop early."
COUNTING = "\n\nFrom one to two hundred: one, two, three, four, five, six, seven, eight, nine,"
ENGLISH = ("leave-policy.md", "it-security.md", "calibration-procedure.md", "meeting-rooms.txt")
KOREAN = ("business-travel.md", "repair-service.md", "safety-rules.md", "shift-work.md")


@cache
def handbook(names: tuple[str, ...] = ENGLISH) -> str:
    """Return documents of the sample handbook, one after the other."""
    folder = DATA / "handbook"
    return "\n\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def paragraphs(names: tuple[str, ...] = ENGLISH, least: int = 120) -> list[str]:
    """Return the documents' paragraphs that have so many characters at least."""
    parts = [part.strip() for part in handbook(names).split("\n\n")]
    return [part for part in parts if len(part) >= least]


def fresh() -> str:
    """Return a line that no prompt of this process began with before."""
    return f"Number {next(_numbers):06}."


class Writer:
    """Write prompts of a wanted length for one model.

    Args:
        engine: whose vocabulary counts, and whose template frames the messages.
    """

    def __init__(self, engine: ModelEngine) -> None:
        vocabulary = engine.vocabulary
        self._vocabulary = vocabulary
        self._handbook = vocabulary.tokenize(handbook())
        self._template = ChatTemplate(
            engine.chat_template,
            bos=vocabulary.bos,
            eos=vocabulary.eos,
            control_texts=vocabulary.control_texts,
        )

    def tokens(self, messages: Sequence[BaseMessage]) -> list[int]:
        """Return the tokens of a conversation, markup included."""
        return self._vocabulary.encode(self._template.render(messages))

    def words(self, text: str) -> list[int]:
        """Return the tokens of a text alone."""
        return self._vocabulary.tokenize(text)

    def text(self, length: int, start: int = 0) -> str:
        """Return about so many tokens of the handbook, from a place on, around its end."""
        pieces = self._handbook
        start %= len(pieces)
        taken = (pieces[start:] + pieces * (length // len(pieces) + 1))[:length]
        return self._vocabulary.text(taken)

    def unread(self, length: int) -> list[int]:
        """Return so many tokens that nobody has read before, and that a count follows."""
        begin, end = self.words(f"{fresh()} "), self.words(COUNTING)
        body = self.text(max(8, length - len(begin) - len(end)), 97 * next(_numbers))
        return [*begin, *self.words(body), *end]

    def long(self, length: int, question: str = GO_ON) -> list[BaseMessage]:
        """Return messages of about so many tokens that nobody has read before, and a question."""
        frame = [SystemMessage(f"{fresh()}"), HumanMessage(question)]
        body = max(8, length - len(self.tokens(frame)) - 2)
        start = 97 * next(_numbers)
        return [frame[0], HumanMessage(f"{self.text(body, start)}\n\n{question}")]
