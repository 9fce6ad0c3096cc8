"""Tool calls as each family of models writes them.

A dialect is chosen by the text of the model's chat template. It parses calls out of an
answer while that is being written, and it is a frame for the grammar that forces one. A
template without tools gets the generic dialect, which is described to the model in words.
"""

from __future__ import annotations

from groundling.models.dialects.base import Dialect
from groundling.models.dialects.composing import MOST_CALLS, calls_grammar
from groundling.models.dialects.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Event,
    Text,
    Tool,
    join,
)
from groundling.models.dialects.gemma import Gemma, GemmaCalls
from groundling.models.dialects.generic import Generic
from groundling.models.dialects.hermes import Hermes
from groundling.models.dialects.llama3 import Llama3
from groundling.models.dialects.mistral import Mistral
from groundling.models.dialects.parsing import Parser

__all__ = [
    "MOST_CALLS",
    "CallArguments",
    "CallEnd",
    "CallStart",
    "Dialect",
    "Event",
    "Parser",
    "Text",
    "Tool",
    "calls_grammar",
    "dialect_of",
    "join",
]

# The order matters: a mark of one dialect may be part of another's.
_DIALECTS: tuple[type[Dialect], ...] = (Mistral, GemmaCalls, Hermes, Llama3, Gemma)


def dialect_of(source: str | None) -> Dialect:
    """Return the dialect of a model with this chat template."""
    text = source or ""
    return next((kind(text) for kind in _DIALECTS if kind.writes(text)), Generic(text))
