"""Hermes and Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

The format of NousResearch's Hermes function calling, which Qwen 2.5 and 3, Granite 4 and
others took over: https://github.com/NousResearch/Hermes-Function-Calling
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from groundling.models.dialects.base import Dialect
from groundling.models.dialects.composing import Frame
from groundling.models.dialects.parsing import Opener
from groundling.models.dialects.reading import JsonCalls


def head(name: str) -> str:
    """Write a call up to its arguments."""
    return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": '


class Hermes(Dialect):
    """`<tool_call>` around JSON."""

    name = "hermes"

    @staticmethod
    def writes(source: str) -> bool:
        return "<tool_call>" in source

    @property
    def marks(self) -> Mapping[str, Opener]:
        return {"<tool_call>": lambda emitter, _: JsonCalls(emitter, ("</tool_call>",))}

    @property
    def frame(self) -> Frame:
        return _FRAME


_FRAME = Frame(
    opening="<tool_call>",
    before="\n",
    head=head,
    tail="}",
    between="\n</tool_call>\n<tool_call>\n",
    after="\n</tool_call>",
)
