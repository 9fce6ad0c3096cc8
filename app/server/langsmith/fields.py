"""Fields of LangSmith's runs: which columns of the store they are, and what they compare with."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from groundling.server.langsmith.errors import BadPart
from groundling.server.langsmith.filters import FilterError, Value, unparse
from groundling.server.langsmith.wire import identity, moment

Sql = tuple[str, list[Any]]

COMPARED = {"eq": "IS", "neq": "IS NOT", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_UNITS = {"ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6, None: 1e6}
TEXTS = {
    "name": "{a}.name",
    "run_type": "{a}.run_type",
    "thread_id": "{a}.thread",
    "model": "{a}.model",
    "ls_model_name": "{a}.model",
    "node": "{a}.node",
    "graph": "{a}.graph",
    "verdict": "{a}.verdict",
    "dotted_order": "{a}.dotted_order",
}
_NUMBERS = {
    "total_tokens": "coalesce({a}.input_tokens + {a}.output_tokens, {a}.input_tokens, "
    "{a}.output_tokens)",
    "prompt_tokens": "{a}.input_tokens",
    "input_tokens": "{a}.input_tokens",
    "completion_tokens": "{a}.output_tokens",
    "output_tokens": "{a}.output_tokens",
}
_TIMES = {"start_time": "{a}.started", "end_time": "({a}.started + {a}.duration)"}
_LENGTHS = {"latency": "{a}.duration", "first_token": "{a}.first_token"}
_IDS = {
    "id": "{a}.id",
    "run_id": "{a}.id",
    "trace_id": "{a}.trace",
    "parent_run_id": "{a}.parent",
    "reference_example_id": "{a}.example",
    "session_id": "(SELECT uuid FROM projects WHERE id = {a}.project)",
    "project_id": "(SELECT uuid FROM projects WHERE id = {a}.project)",
}
_ENTRY = "CASE entry.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE entry.value END"
_FEEDBACK_VALUE = "json_extract(feedback.value, '$')"
# Fields of what a run has several of: pieces of feedback, entries of its metadata.
GROUPS: dict[str, dict[str, str]] = {
    "feedback": {
        "key": "feedback.key",
        "score": "feedback.score",
        "value": _FEEDBACK_VALUE,
        "comment": "feedback.comment",
        "source": "json_extract(feedback.source, '$.type')",
    },
    "metadata": {"key": "entry.key", "value": _ENTRY},
    "input": {"key": "entry.key", "value": _ENTRY},
    "output": {"key": "entry.key", "value": _ENTRY},
}
_ENTRIES = {
    "metadata": ("extra", "$.metadata"),
    "input": ("inputs", "$"),
    "output": ("outputs", "$"),
}
_MIXED = frozenset({_ENTRY, _FEEDBACK_VALUE})  # numbers in some rows and texts in others
FIELDS = sorted(
    {"status", "error", "tags", "is_root", "inputs", "outputs", "metadata"}
    | {*TEXTS, *_NUMBERS, *_TIMES, *_LENGTHS, *_IDS}
    | {f"{group}_{field}" for group, fields in GROUPS.items() for field in fields}
)


def column(field: str, value: Value, table: str) -> tuple[str, Any]:
    """Return the column that a field is, and a value as that column has it.

    Raises:
        FilterError: there is no such field, or the value does not fit.
    """
    for columns, convert in _KINDS:
        if field in columns:
            try:
                converted = None if value is None else convert(value)
            except (BadPart, TypeError, ValueError, OverflowError):
                raise FilterError(f"{unparse(value)} does not fit {field}.") from None
            return columns[field].format(a=table), converted
    raise FilterError(f"Runs have no field {field}; they have {', '.join(FIELDS)}.")


def compared(function: str, column: str, value: Any, field: str) -> Sql:
    """Compare a column with a value of its own type.

    Raises:
        FilterError: the function does not go with the value.
    """
    if function == "in":
        if not isinstance(value, tuple):
            raise FilterError(f"in compares {field} with a list: in({field}, [1, 2]).")
        parts = [compared("eq", column, each, field) for each in value]
        return joined("OR", parts) if parts else ("0", [])
    if isinstance(value, tuple):
        raise FilterError(f"{function} compares {field} with one value; in compares with a list.")
    if function in ("like", "search"):
        if not isinstance(value, str):
            raise FilterError(f"{function} looks for a text in {field}.")
        pattern = value if function == "like" else f"%{escaped(value)}%"
        return f"{column} LIKE ? ESCAPE '\\'", [pattern]
    if value is None and function not in ("eq", "neq"):
        raise FilterError(f"{field} can only be equal to null or not.")
    sign = COMPARED[function]
    if column in _MIXED and isinstance(value, str):
        return f"CAST({column} AS TEXT) {sign} ?", [value]
    if column in _MIXED and value is not None and function not in ("eq", "neq"):
        return f"typeof({column}) IN ('integer', 'real') AND {column} {sign} ?", [_bound(value)]
    return f"{column} {sign} ?", [_bound(value)]


def exists(group: str, tests: Sequence[Sql], table: str) -> Sql:
    """Return the condition that a run has a piece of something which passes all tests."""
    where, values = joined("AND", tests)
    if group == "feedback":
        return (
            f"EXISTS (SELECT 1 FROM feedback WHERE feedback.run = {table}.id AND {where})",  # noqa: S608
            values,
        )
    stored, path = _ENTRIES[group]
    return (
        f"EXISTS (SELECT 1 FROM payloads, json_each(unpacked(payloads.{stored}), ?) AS entry "  # noqa: S608
        f"WHERE payloads.seq = {table}.seq AND {where})",
        [path, *values],
    )


def joined(word: str, parts: Sequence[Sql]) -> Sql:
    """Join conditions with AND or OR."""
    sql = f" {word} ".join(f"({sql})" for sql, _ in parts)
    return sql, [value for _, values in parts for value in values]


def escaped(text: str) -> str:
    """Return a pattern for LIKE that stands for a text and nothing else."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _bound(value: Any) -> Any:
    """Return a value as the database compares it; JSON's true and false are texts there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _as_number(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _as_length(value: Any) -> float:
    """Read a length of time: seconds, or a text with a unit, such as 500ms."""
    if isinstance(value, str):
        match = _LENGTH.fullmatch(value.strip())
        if match is None:
            raise ValueError
        return float(match[1]) * _UNITS[match[2]]
    return _as_number(value) * 1e6


def _as_time(value: Any) -> int | None:
    return moment(_as_text(value))


_KINDS: tuple[tuple[dict[str, str], Callable[[Any], Any]], ...] = (
    (TEXTS, _as_text),
    (_NUMBERS, _as_number),
    (_TIMES, _as_time),
    (_LENGTHS, _as_length),
    (_IDS, lambda value: identity(value).bytes),
)
