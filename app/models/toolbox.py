"""Which tools a call may make, and the grammar that keeps it to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from groundling.errors import ModelError
from groundling.models.dialects import MOST_CALLS, Dialect, Tool
from groundling.models.dialects.generic import Generic
from groundling.models.grammars.grammar import Grammar

ToolChoice = str | bool | Mapping[str, Any] | None


class _Limits(TypedDict):
    most: int
    strict: bool


@dataclass(frozen=True)
class Toolbox:
    """The tools of one call.

    Args:
        shown: as the template gets them, in OpenAI's form.
        tools: those that may be called.
        forced: whether one of them must be.
        most: calls in one answer.
        strict: arguments keep to everything in the schema, or the call is refused.
    """

    shown: tuple[Mapping[str, Any], ...]
    tools: tuple[Tool, ...]
    forced: bool
    most: int
    strict: bool

    @classmethod
    def of(
        cls,
        tools: Sequence[Mapping[str, Any]],
        choice: ToolChoice = None,
        *,
        parallel: bool = True,
        strict: bool | None = None,
    ) -> Toolbox | None:
        """Read the settings of a call; None: nothing may be called.

        Raises:
            ValueError: a choice that there is not, or of a tool that is not bound.
            ModelError: a tool's schema is no JSON.
        """
        known = tuple(Tool.of(tool) for tool in tools)
        kind = _choice(choice, [tool.name for tool in known])
        if kind == "none" or not known:
            return None
        named = [tool for tool in known if ("name", tool.name) == kind]
        wanted = bool(strict) or any(tool["function"].get("strict") for tool in tools)
        return cls(
            shown=tuple(tools),
            tools=tuple(named) or known,
            forced=bool(named) or kind == "required",
            most=MOST_CALLS if parallel else 1,
            strict=wanted,
        )

    def check(self) -> None:
        """Refuse early what a call could not keep.

        Raises:
            ModelError: a call is forced or strict, and no grammar keeps a tool's schema.
        """
        if self.forced or self.strict:
            Generic().grammar(self.tools, strict=self.strict)

    def constraint(
        self, dialect: Dialect, answer: Grammar | None = None
    ) -> tuple[Grammar | None, str | None]:
        """Return the grammar of the answer, and after which text it begins to bind.

        Args:
            dialect: how the model writes calls.
            answer: what the text must conform to where the model calls nothing.

        Raises:
            ModelError: a tool's schema has something that no grammar keeps.
        """
        limits = _Limits(most=self.most, strict=self.strict)
        if self.forced or answer is not None:
            free = None if self.forced else answer
            return dialect.grammar(self.tools, **limits, answer=free), None
        if not dialect.frame.opening:
            return None, None
        try:
            return dialect.grammar(self.tools, **limits, begun=True), dialect.frame.opening
        except ModelError:
            if self.strict:
                raise
            return None, None  # the model may call freely; its arguments are checked later


def _choice(
    choice: ToolChoice, names: Sequence[str]
) -> Literal["auto", "none", "required"] | tuple[Literal["name"], str]:
    if isinstance(choice, Mapping):
        choice = choice.get("function", choice).get("name")
        if not isinstance(choice, str):
            raise ValueError("tool_choice names no function")
        return _named(choice, names)
    if choice is None or choice is False or choice == "auto":
        return "auto"
    if choice == "none":
        return "none"
    if choice is True or choice in ("any", "required"):
        if not names:
            raise ValueError(f"tool_choice={choice!r}, but there are no tools")
        return "required"
    return _named(str(choice), names)


def _named(name: str, names: Sequence[str]) -> tuple[Literal["name"], str]:
    if name not in names:
        raise ValueError(
            f"tool_choice names {name!r}, which is not bound; bound are: {', '.join(names)}"
        )
    return "name", name
