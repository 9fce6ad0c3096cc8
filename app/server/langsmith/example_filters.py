"""LangSmith's filter language on examples: what their metadata hold.

`and(not(has(metadata, '{"source": "web"}')), exists(metadata, "tenant"))`
"""

from __future__ import annotations

import json
from typing import Any

from groundling.evaluation.datasets import Example
from groundling.server.langsmith.filters import Argument, Call, FilterError, Name, unparse


def passes(example: Example, node: Argument) -> bool:
    """Tell whether an example passes a filter.

    Raises:
        FilterError: the filter makes no sense for examples.
    """
    if not isinstance(node, Call):
        raise FilterError(f"{unparse(node)} is no condition.")
    function = node.function.lower()
    if function in ("and", "or"):
        results = [passes(example, each) for each in node.arguments]
        return all(results) if function == "and" else any(results)
    if function == "not" and len(node.arguments) == 1:
        return not passes(example, node.arguments[0])
    if len(node.arguments) != 2 or not isinstance(node.arguments[0], Name):
        raise FilterError(f"{unparse(node)} makes no sense for examples.")
    field, value = node.arguments[0].text.lower(), node.arguments[1]
    if function == "exists" and field == "metadata":
        return value in example.metadata
    if function == "has" and field == "metadata":
        return _entries(value).items() <= _Comparable(example.metadata).items()
    if function == "has" and field in ("split", "splits"):
        return value in example.split
    if function in ("eq", "neq") and field == "id":
        return (str(example.id) == value) is (function == "eq")
    if function == "in" and field == "id" and isinstance(value, tuple):
        return str(example.id) in value
    raise FilterError(
        f"{unparse(node)} makes no sense for examples; they have has(metadata, …), "
        "exists(metadata, …), has(split, …), and eq, neq and in for their id."
    )


def _entries(value: Argument) -> dict[str, str]:
    try:
        wanted = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        wanted = None
    if not isinstance(wanted, dict):
        raise FilterError("""has(metadata, …) wants JSON: has(metadata, '{"user": "42"}').""")
    return _Comparable(wanted)


class _Comparable(dict[str, str]):
    """A mapping whose values are written as JSON, so that they can be compared."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__((key, json.dumps(value, sort_keys=True)) for key, value in values.items())
