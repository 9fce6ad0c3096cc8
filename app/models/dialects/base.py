"""What a dialect knows: how a family of models writes tool calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from groundling.models.dialects.composing import MOST_CALLS, Frame, calls_grammar
from groundling.models.dialects.events import Tool
from groundling.models.dialects.parsing import Opener, Parser
from groundling.models.grammars.grammar import Grammar


class Dialect(ABC):
    """How a family of models writes tool calls."""

    name: ClassVar[str]
    pythonic: ClassVar[bool] = False
    most: ClassVar[int] = MOST_CALLS

    @staticmethod
    @abstractmethod
    def writes(source: str) -> bool:
        """Tell whether a model with this chat template writes this dialect."""

    @property
    @abstractmethod
    def marks(self) -> Mapping[str, Opener]:
        """The marks that open calls."""

    @property
    @abstractmethod
    def frame(self) -> Frame:
        """How a call is written where a grammar holds the model to it."""

    def __init__(self, source: str = "") -> None:
        self.source = source

    def parser(self, tools: Sequence[Tool], most: int = MOST_CALLS) -> Parser:
        """Return a parser of one answer with no more calls than that."""
        return Parser(tools, self.marks, most=min(most, self.most), pythonic=self.pythonic)

    def grammar(
        self,
        tools: Sequence[Tool],
        *,
        most: int = MOST_CALLS,
        strict: bool = False,
        begun: bool = False,
        answer: Grammar | None = None,
    ) -> Grammar:
        """Return the grammar of calls of these tools, at least one; see `calls_grammar`."""
        return calls_grammar(
            self.frame,
            tuple(tools),
            most=min(most, self.most),
            strict=strict,
            begun=begun,
            answer=answer,
        )
