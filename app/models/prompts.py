"""Prompts are files: `data/prompts/<name>.<language>.md`, named and hashed.

A file holds the messages in order, each under a heading that is its role:

    # system
    You answer from documents.

    # user
    {question}

Variables stand in braces. What never changes comes first and what changes last, so that
the model's cache of the common beginning is kept between calls.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig

from groundling.errors import GraphError

Language = Literal["en", "ko"]
ROLES = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
HEADING = re.compile(r"^# (system|user|assistant)\n", re.MULTILINE)
VARIABLE = re.compile(r"\{([A-Za-z_][\w.]*)\}")


@dataclass(frozen=True)
class Prompt:
    """A named list of messages with variables."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def messages(self, **values: str) -> list[BaseMessage]:
        """Fill in the variables; braces inside the values are left alone.

        Raises:
            GraphError: the prompt has a variable for which no value was given.
        """
        _, *parts = HEADING.split(self.text)
        return [
            ROLES[role](fill(content.strip(), values, self.name))
            for role, content in zip(parts[::2], parts[1::2], strict=True)
        ]

    @property
    def config(self) -> RunnableConfig:
        """The metadata by which a trace names this prompt."""
        return {"metadata": {"prompt": self.name, "prompt_sha256": self.sha256}}

    @property
    def quiet(self) -> RunnableConfig:
        """The same, for a call whose tokens are not part of the streamed answer."""
        return {**self.config, "tags": ["nostream"]}


def fill(template: str, values: dict[str, str], name: str) -> str:
    """Replace each `{variable}` of a template by its value, once.

    Raises:
        GraphError: a variable has no value.
    """

    def value(match: re.Match[str]) -> str:
        try:
            return values[match[1]]
        except KeyError:
            given = ", ".join(sorted(values)) or "none"
            raise GraphError(
                f"{name}: the variable {{{match[1]}}} has no value (given: {given})."
            ) from None

    return VARIABLE.sub(value, template)


@cache
def prompt(name: str, language: Language) -> Prompt:
    """Read a shipped prompt.

    Raises:
        GraphError: there is no such file.
    """
    file = resources.files("groundling.data") / "prompts" / f"{name}.{language}.md"
    try:
        return Prompt(f"{name}.{language}", file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GraphError(f"There is no prompt {name}.{language}.md.") from None


def fenced(text: str) -> str:
    """Put a text between lines of quotation marks, of which it has no longer ones itself."""
    fence = '"""'
    while fence in text:
        fence += '"'
    return f"{fence}\n{text.strip()}\n{fence}"


def language_of(text: str) -> Language:
    """Tell Korean from English by the script of its letters.

    A fifth of Hangul is enough: Korean questions are full of Latin product names.
    """
    letters = [character for character in text if character.isalpha()]
    hangul = sum("가" <= character <= "힣" or "ᄀ" <= character <= "ㆎ" for character in letters)
    return "ko" if letters and hangul * 5 >= len(letters) else "en"
