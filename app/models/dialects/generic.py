"""The dialect of models whose template knows no tools: told in words, held by grammar."""

from __future__ import annotations

import json
from collections.abc import Sequence

from groundling.models.dialects.events import Tool
from groundling.models.dialects.hermes import Hermes, head

_INSTRUCTION = """\
# Tools

You can call these functions:
{tools}

To call one, answer with nothing but this:
<tool_call>
{{"name": "the function's name", "arguments": {{the arguments as JSON}}}}
</tool_call>"""


class Generic(Hermes):
    """Hermes' marks, with a description of their own for the system prompt.

    One call in an answer: a model that was not trained to call tools goes on calling the
    same one until its tokens are spent.
    """

    name = "generic"
    most = 1

    @staticmethod
    def writes(source: str) -> bool:
        return True


def describe(tools: Sequence[Tool]) -> str:
    """Tell a model in words what it can call and how."""
    lines = [
        json.dumps(
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": json.loads(tool.schema),
            },
            ensure_ascii=False,
        )
        for tool in tools
    ]
    return _INSTRUCTION.format(tools="\n".join(lines))


def write_call(name: str, arguments: object) -> str:
    """Write a call as the description asks for it."""
    return f"<tool_call>\n{head(name)}{json.dumps(arguments, ensure_ascii=False)}}}\n</tool_call>"


def write_result(text: str) -> str:
    """Write what a call brought."""
    return f"<tool_response>\n{text}\n</tool_response>"
