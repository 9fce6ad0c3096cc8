"""What a dialect knows: how a family of models writes tool calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from groundling.models.dialects.composing import Frame
from groundling.models.dialects.events import Tool
from groundling.models.dialects.parsing import Opener, Parser


class Dialect(ABC):
    """How a family of models writes tool calls."""

    name: ClassVar[str]
    pythonic: ClassVar[bool] = False

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

    def parser(self, tools: Sequence[Tool], most: int | None = None) -> Parser:
        """Return a parser of one answer."""
        return Parser(tools, self.marks, most=most, pythonic=self.pythonic)
