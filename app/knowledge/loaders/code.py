"""Source code: the text unchanged, with its definitions as headings.

A chunk then begins where a function or a class does, together with the comment or decorator
right above it, and bears its name. Python is parsed; for other languages a regular expression
finds what stands at the start of a line (see `definitions`). Headings are a help for search:
one that is missed costs nothing but a less fitting cut.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from groundling.knowledge.loaders.definitions import FAMILIES, definition
from groundling.knowledge.loaders.document import Heading, LoadedDocument, one_line, storable
from groundling.knowledge.loaders.text import decode

# Python's parser needs about 50 bytes of memory for each character.
_LONGEST_PARSED = 2_000_000
_LONGEST_LINE = 300  # what a definition stands in; minified files have far longer ones
# How a comment, an attribute or a decorator begins, or goes on.
_ABOVE = ("//", "/*", "*", "#", "--", "@", ";;", "%", "[<")
_LANGUAGES = {
    "bash": ".bash .sh",
    "c": ".c .h",
    "c++": ".cc .cpp .cxx .hpp",
    "clojure": ".clj",
    "c#": ".cs",
    "elixir": ".ex .exs",
    "haskell": ".hs",
    "javascript": ".js .jsx .mjs",
    "julia": ".jl",
    "kotlin": ".kt .kts",
    "objective-c": ".m",
    "ocaml": ".ml",
    "perl": ".pl",
    "powershell": ".ps1",
    "python": ".py .pyi",
    "ruby": ".rb",
    "rust": ".rs",
    "terraform": ".tf",
    "typescript": ".ts .tsx",
    "yaml": ".yaml .yml",
}
_LANGUAGE_OF = {
    suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes.split()
}


def load_code(path: Path) -> LoadedDocument:
    """Read a file of source code; its format is the language, its title the file's name.

    Functions and classes are headings of level 1, methods of level 2.
    """
    text = storable(decode(path))
    suffix = path.suffix.lower()
    language = _LANGUAGE_OF.get(suffix, suffix.lstrip("."))
    lines = text.split("\n")
    found = _python(text) if language == "python" else None
    if found is None:
        found = list(_by_lines(lines, language))
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    headings = tuple(
        Heading(starts[line], level, title) for line, level, title in _with_comments(found, lines)
    )
    return LoadedDocument(text, path.name, language, headings=headings)


def _python(text: str) -> list[tuple[int, int, str]] | None:
    """Return the line, the level and the name of each definition; None if it does not parse."""
    if len(text) > _LONGEST_PARSED:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of escapes that are none
            return list(_in_body(ast.parse(text), 1))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _in_body(node: ast.AST, level: int) -> Iterator[tuple[int, int, str]]:
    """Walk through statements, also those of `if` and `try`, but not into functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([child.lineno, *(mark.lineno for mark in child.decorator_list)])
            yield first - 1, level, child.name
            if isinstance(child, ast.ClassDef):
                yield from _in_body(child, level + 1)
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _in_body(child, level)


def _by_lines(lines: list[str], language: str) -> Iterator[tuple[int, int, str]]:
    """Yield definitions as `_python` does; one that is indented more lies within the one above."""
    family = FAMILIES.get(language, ())
    within: list[int] = []
    for number, line in enumerate(lines):
        if not (name := definition(line[:_LONGEST_LINE], family)):
            continue
        indent = len(line) - len(line.lstrip())
        while within and within[-1] >= indent:
            within.pop()
        within.append(indent)
        yield number, min(6, len(within)), name


def _with_comments(
    found: list[tuple[int, int, str]], lines: list[str]
) -> Iterator[tuple[int, int, str]]:
    """Move each definition up to the comments right above it."""
    after = -1
    for line, level, title in found:
        if line <= after:  # two definitions in one line
            continue
        first = line
        while first - 1 > after and lines[first - 1].lstrip().startswith(_ABOVE):
            first -= 1
        yield first, level, one_line(title)
        after = line
