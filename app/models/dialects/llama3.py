"""Llama 3.x: `{"name": …, "parameters": {…}}`, bare or after `<|python_tag|>`.

Several calls stand one after the other with `;` between them. Llama 3.2's small models also
write `[get_weather(city="Seoul")]`. The format:
https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from groundling.models.dialects.base import Dialect
from groundling.models.dialects.composing import Frame
from groundling.models.dialects.parsing import Opener
from groundling.models.dialects.reading import JsonCalls


def _head(name: str) -> str:
    return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "parameters": '


class Llama3(Dialect):
    """Bare JSON; found by the tools' names."""

    name = "llama3"
    pythonic = True

    @staticmethod
    def writes(source: str) -> bool:
        return "<|start_header_id|>" in source and (
            "<|python_tag|>" in source or "parameters" in source
        )

    @property
    def marks(self) -> Mapping[str, Opener]:
        return {"<|python_tag|>": lambda emitter, _: JsonCalls(emitter, (), "[,];")}

    @property
    def frame(self) -> Frame:
        return _FRAME


_FRAME = Frame(opening="", before="", head=_head, tail="}", between="; ", after="")
