"""From filters to SQL conditions on the runs of the store.

Conditions on feedback that stand in one `and` are about the same piece of feedback, and those
on metadata about the same entry, as in
`and(eq(feedback_key, "correctness"), eq(feedback_score, 0))`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from groundling.server.langsmith.fields import (
    COMPARED,
    GROUPS,
    TEXTS,
    Sql,
    column,
    compared,
    escaped,
    exists,
    joined,
)
from groundling.server.langsmith.filters import Argument, Call, FilterError, Name, Value
from groundling.tracing.query import matching
from groundling.tracing.run import Status

FAILED = (Status.ERROR, Status.CANCELLED, Status.LOST)
_STATUS: dict[str, tuple[Status, ...]] = {
    "pending": (Status.RUNNING,),
    "error": FAILED,
    **{status.value: (status,) for status in Status if status is not Status.ERROR},
}


def condition(node: Argument, table: str = "runs") -> Sql:
    """Return the SQL condition that a filter stands for, on a row of `runs`.

    Args:
        node: the filter.
        table: what the row is called in the query.

    Raises:
        FilterError: a function or a field is unknown, or a value does not fit its field.
    """
    if not isinstance(node, Call):
        raise FilterError(f"{_shown(node)} is no condition; write a comparison such as eq(…).")
    function = node.function.lower()
    if function in ("and", "or"):
        return _combined(function, node.arguments, table)
    if function == "not":
        (inner,) = _given(node, 1)
        sql, values = condition(inner, table)
        return f"({sql}) IS NOT TRUE", values
    if function == "search" and len(node.arguments) == 1:
        return _search_all(node.arguments[0], table)
    made = _FUNCTIONS.get(function)
    if made is None:
        known = ", ".join(("and", "or", "not", *_FUNCTIONS))
        raise FilterError(f"There is no function {node.function}; there are {known}.")
    field, value = _given(node, 2)
    if not isinstance(field, Name):
        raise FilterError(f"{node.function} compares a field, not {_shown(field)}.")
    if isinstance(value, Call | Name):
        raise FilterError(f"{_shown(value)} is no value; texts stand in quotes.")
    return made(function, field.text.lower(), value, table)


def _combined(function: str, arguments: Sequence[Argument], table: str) -> Sql:
    if not arguments:
        raise FilterError(f"{function}() needs conditions.")
    parts: list[Sql] = []
    if function == "and":
        grouped, arguments = _grouped(arguments)
        parts = [exists(group, tests, table) for group, tests in grouped]
    parts += [condition(each, table) for each in arguments]
    return joined(function.upper(), parts)


def _grouped(
    arguments: Sequence[Argument],
) -> tuple[list[tuple[str, list[Sql]]], list[Argument]]:
    """Put comparisons with fields of one piece of feedback, or of metadata, together.

    A second key begins a second piece.
    """
    groups: list[tuple[str, list[Sql]]] = []
    latest: dict[str, tuple[list[Sql], bool]] = {}
    others: list[Argument] = []
    for each in arguments:
        found = _member(each)
        if found is None:
            others.append(each)
            continue
        group, field, sql = found
        tests, keyed = latest.get(group, ([], False))
        if not tests or (field == "key" and keyed):
            tests, keyed = [], False
            groups.append((group, tests))
        tests.append(sql)
        latest[group] = (tests, keyed or field == "key")
    return groups, others


def _member(node: Argument) -> tuple[str, str, Sql] | None:
    """Take apart a comparison with such a field; one with what a run has not stands alone."""
    if not isinstance(node, Call) or len(node.arguments) != 2:
        return None
    function = node.function.lower()
    field, value = node.arguments
    if not isinstance(field, Name) or isinstance(value, Call | Name):
        return None
    group, _, name = field.text.lower().partition("_")
    member = GROUPS.get(group, {}).get(name)
    if member is None or function not in (*COMPARED, "in", "like", "search"):
        return None
    if function == "neq" and name == "key":
        return None
    return group, name, compared(function, member, value, field.text)


def _compare(function: str, field: str, value: Value | tuple[Value, ...], table: str) -> Sql:
    """Compare a field with a value."""
    group, _, name = field.partition("_")
    if name in GROUPS.get(group, {}):
        member = GROUPS[group][name]
        if function == "neq" and name == "key":
            sql, values = exists(group, [compared("eq", member, value, field)], table)
            return f"NOT {sql}", values
        return exists(group, [compared(function, member, value, field)], table)
    if field in ("tag", "tags"):
        return _tags(function, value, table)
    if function == "in":
        if not isinstance(value, tuple):
            raise FilterError(f"in compares {field} with a list: in({field}, [1, 2]).")
        parts = [_compare("eq", field, each, table) for each in value]
        return joined("OR", parts) if parts else ("0", [])
    if isinstance(value, tuple):
        raise FilterError(f"{function} compares {field} with one value; in compares with a list.")
    if field == "status":
        return _status(function, value, table)
    if field == "error":
        return _error(function, value, table)
    if field == "is_root":
        return _is_root(function, value, table)
    name, converted = column(field, value, table)
    return compared(function, name, converted, field)


def _has(_: str, field: str, value: Value | tuple[Value, ...], table: str) -> Sql:
    """Test for a tag, or for entries of the metadata that are given as JSON."""
    if field in ("tag", "tags"):
        return _tags("eq", value, table)
    if field != "metadata":
        raise FilterError(f"has looks into tags and metadata, not into {field}.")
    try:
        wanted = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        wanted = None
    if not isinstance(wanted, dict) or not wanted:
        raise FilterError("""has(metadata, …) wants JSON: has(metadata, '{"user": "42"}').""")
    columns = GROUPS["metadata"]
    parts = []
    for key, each in wanted.items():
        found = json.dumps(each, separators=(",", ":")) if isinstance(each, dict | list) else each
        tests = [
            compared("eq", columns["key"], key, field),
            compared("eq", columns["value"], found, field),
        ]
        parts.append(exists("metadata", tests, table))
    return joined("AND", parts)


def _has_key(_: str, field: str, value: Value | tuple[Value, ...], table: str) -> Sql:
    """Test for an entry of the metadata, whatever its value."""
    group = {"metadata": "metadata", "inputs": "input", "outputs": "output"}.get(field)
    if group is None:
        raise FilterError(f"exists looks into metadata, inputs and outputs, not into {field}.")
    return exists(group, [compared("eq", GROUPS[group]["key"], value, field)], table)


def _search(function: str, field: str, value: Value | tuple[Value, ...], table: str) -> Sql:
    """Look for a text in one field."""
    if field in ("inputs", "outputs"):
        if not isinstance(value, str):
            raise FilterError(f"{function} looks for a text in {field}.")
        inner = json.dumps(value, ensure_ascii=False)[1:-1]
        pattern = inner if function == "like" else f"%{escaped(inner)}%"
        return (
            f"EXISTS (SELECT 1 FROM payloads WHERE payloads.seq = {table}.seq "  # noqa: S608
            f"AND unpacked(payloads.{field}) LIKE ? ESCAPE '\\')",
            [pattern],
        )
    if field == "metadata":
        return exists(
            "metadata", [compared(function, GROUPS["metadata"]["value"], value, field)], table
        )
    if field == "error":
        return compared(function, f"{table}.error", value, field)
    if field in TEXTS or field.partition("_")[0] in GROUPS or field in ("tag", "tags"):
        return _compare(function, field, value, table)
    raise FilterError(f"{function} looks for a text, and {field} is none.")


def _search_all(value: Argument, table: str) -> Sql:
    """Look for words in what went in and came out."""
    if not isinstance(value, str):
        raise FilterError("search looks for a text.")
    sql, values = matching(value)
    return sql.replace("runs.seq", f"{table}.seq", 1), list(values)


def _tags(function: str, value: Value | tuple[Value, ...], table: str) -> Sql:
    negated = function == "neq"
    test, values = compared("eq" if negated else function, "value", value, "tags")
    sql = f"EXISTS (SELECT 1 FROM json_each({table}.tags) WHERE {test})"  # noqa: S608
    return (f"NOT {sql}" if negated else sql), values


def _status(function: str, value: Value, table: str) -> Sql:
    known = _STATUS.get(str(value).lower())
    if function not in ("eq", "neq") or known is None:
        raise FilterError(f"A status is equal or not to one of {', '.join(_STATUS)}.")
    marks = ", ".join("?" * len(known))
    negated = "NOT " if function == "neq" else ""
    return f"{table}.status {negated}IN ({marks})", [str(each) for each in known]


def _error(function: str, value: Value, table: str) -> Sql:
    """Test whether there is an error, or what it says."""
    if value is None or isinstance(value, bool):
        if function not in ("eq", "neq"):
            raise FilterError("error can only be equal to null or not.")
        wanted = (function == "neq") if value is None else (value is (function == "eq"))
        return _status("eq" if wanted else "neq", "error", table)
    return compared(function, f"{table}.error", value, "error")


def _is_root(function: str, value: Value, table: str) -> Sql:
    if function not in ("eq", "neq") or not isinstance(value, bool):
        raise FilterError("is_root is equal to true or false.")
    root = value is (function == "eq")
    return f"{table}.parent IS {'' if root else 'NOT '}NULL", []


def _given(node: Call, count: int) -> tuple[Argument, ...]:
    if len(node.arguments) != count:
        raise FilterError(
            f"{node.function} takes {count} things in its brackets, not {len(node.arguments)}."
        )
    return node.arguments


def _shown(node: Argument) -> str:
    if isinstance(node, Call):
        return f"{node.function}(…)"
    return node.text if isinstance(node, Name) else json.dumps(node, ensure_ascii=False)[:60]


_FUNCTIONS: dict[str, Callable[[str, str, Any, str], Sql]] = {
    **dict.fromkeys((*COMPARED, "in"), _compare),
    "has": _has,
    "exists": _has_key,
    "search": _search,
    "like": _search,
}
