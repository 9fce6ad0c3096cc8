"""Examples as the tokens that a model learns from, and which of them it is to learn.

The prompt's tokens are those that the engine gives the model when it answers: the same
template, the same cut between text and markup. What is learnt is the answer and the token
that ends it, and nothing else (a loss mask over the prompt).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from groundling.errors import TuningError
from groundling.models.vocabulary_file import Reader
from groundling.tuning.example import Example, Turn

_KINDS: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}
_PROBE = "§probe§"


@dataclass(frozen=True)
class Tokens:
    """One example.

    Args:
        prompt: what the model is given.
        answer: what it is to write, with the token that ends it.
        rejected: of a preference, what it is not to write.
        good: of a label, whether the answer is wanted.
    """

    prompt: list[int]
    answer: list[int]
    rejected: list[int] | None = None
    good: bool | None = None

    @property
    def length(self) -> int:
        """The tokens of the longest text that is read at once."""
        return len(self.prompt) + max(len(self.answer), len(self.rejected or ()))


class Tokeniser:
    """Makes tokens of examples.

    Args:
        reader: the model's vocabulary and template.
        longest: tokens that an example may have.
    """

    def __init__(self, reader: Reader, longest: int) -> None:
        self._reader = reader
        self._longest = longest

    def __call__(self, example: Example) -> Tokens:
        """Make tokens of an example.

        Raises:
            TuningError: it is longer than the context that is trained with.
        """
        made = Tokens(
            prompt=self.prompt(example.prompt),
            answer=self.answer(example.answer),
            rejected=None if example.rejected is None else self.answer(example.rejected),
            good=example.good,
        )
        if made.length > self._longest:
            raise TuningError(
                f"{example.question[:60]!r} has {made.length:,} tokens with its answer; "
                f"{self._longest:,} are trained with.",
                hint="context in the recipe raises it, where memory allows",
            )
        return made

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        """Return what the engine gives the model for a conversation."""
        messages = [_KINDS[turn.role](turn.text) for turn in turns]
        parts = self._reader.template.render(messages, reasoning=False)
        return self._reader.vocabulary.encode(parts)

    def answer(self, text: str) -> list[int]:
        """Return the tokens of an answer, the one that ends it among them."""
        return [*self._reader.vocabulary.tokenize(text), self.end]

    @cached_property
    def end(self) -> int:
        """The token that ends an answer, as the template writes it.

        Raises:
            TuningError: the model has none.
        """
        vocabulary, template = self._reader.vocabulary, self._reader.template
        told = template.render([HumanMessage("?"), AIMessage(_PROBE)], generate=False)
        written = "".join(part.text for part in told).rpartition(_PROBE)[2]
        for token in vocabulary.tokenize(written, markup=True):
            if token in vocabulary.enders:
                return token
        if vocabulary.eos:
            return vocabulary.tokenize(vocabulary.eos, markup=True)[0]
        raise TuningError("The model has no token that ends an answer, so none can be learnt.")
