"""Calls written as Python: `[get_weather(city="Seoul")]`, `print(add(1, b=2))`.

Only constants are read as arguments, and nothing is run. A call in Python is whole or
nothing: it is read when its end has come.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence

from groundling.models.dialects.events import Emitter, Tool
from groundling.models.dialects.reading import Region, Step


class PythonCalls(Region):
    """Python calls up to a closing mark, or up to the end of a list.

    Args:
        emitter: takes the calls.
        tools: name arguments that are given by position.
        closings: marks that end the region; none: the bracket that closes the list does.
        begun: what was read of the region already.
    """

    def __init__(
        self,
        emitter: Emitter,
        tools: Sequence[Tool],
        closings: Sequence[str] = (),
        begun: str = "",
    ) -> None:
        self._emitter = emitter
        self._positions = {tool.name: tool.arguments for tool in tools}
        self._closings = closings
        self._code = begun
        self._depth = sum({"[": 1, "(": 1}.get(char, 0) for char in begun)
        self._quote = ""
        self._escaped = False

    def push(self, char: str) -> Step:
        self._code += char
        for closing in self._closings:
            if self._code.endswith(closing):
                self._code = self._code[: -len(closing)]
                self._emit()
                return "end"
        if not self._closings and self._closes(char):
            self._emit()
            return "end"
        return "in"

    def _closes(self, char: str) -> bool:
        if self._quote:
            if char == self._quote and not self._escaped:
                self._quote = ""
            self._escaped = char == "\\" and not self._escaped
        elif char in "'\"":
            self._quote = char
        elif char in "([{":
            self._depth += 1
        elif char in ")]}":
            self._depth -= 1
        return self._depth == 0

    def finish(self) -> None:
        self._emit()

    def _emit(self) -> None:
        code = self._code.strip()
        try:
            calls = [_read(call, self._positions) for call in _calls(ast.parse(code))]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self._emitter.wrong(code, f"The call is no Python that names its arguments: {error}")
            return
        if not calls:
            self._emitter.wrong(code, "There is no call in this Python.")
        for name, arguments in calls:
            index = self._emitter.start(name)
            self._emitter.arguments(index, arguments)
            self._emitter.end(index)


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.Expr):
            yield from _of(statement.value)


def _of(node: ast.expr) -> Iterator[ast.Call]:
    if isinstance(node, ast.List | ast.Tuple):
        for item in node.elts:
            yield from _of(item)
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            for item in node.args:
                yield from _of(item)
        else:
            yield node


def _read(call: ast.Call, positions: dict[str, tuple[str, ...]]) -> tuple[str, str]:
    name = ast.unparse(call.func)
    arguments = {}
    names = positions.get(name, ())
    if len(call.args) > len(names):
        raise ValueError(f"{name} is given more arguments than it has")
    for key, value in zip(names, call.args, strict=False):
        arguments[key] = _constant(value)
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError(f"{name} is given arguments by **")
        arguments[keyword.arg] = _constant(keyword.value)
    try:
        return name, json.dumps(arguments, ensure_ascii=False)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error


def _constant(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)} is no constant") from None
