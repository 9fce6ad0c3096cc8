"""BFCL's comparison of calls: what counts as right, and what as which mistake."""

from __future__ import annotations

from typing import Any

import pytest

from bench.engines.calls import conforms, mistake, schema, tool

FUNCTION: dict[str, Any] = {
    "name": "geo.area",
    "description": "Area.",
    "parameters": {
        "type": "dict",
        "properties": {
            "base": {"type": "integer"},
            "height": {"type": "float"},
            "unit": {"type": "string", "enum": ["cm", "sq. m"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "point": {"type": "tuple", "items": {"type": "float"}},
            "options": {"type": "dict", "properties": {"round": {"type": "boolean"}}},
            "rows": {"type": "array", "items": {"type": "dict"}},
        },
        "required": ["base", "height"],
    },
}
TRUTH: dict[str, list[Any]] = {
    "base": [10],
    "height": [5.0, 5.5],
    "unit": ["sq. m", ""],
    "tags": [["red car", "blue"], ""],
    "point": [[1.0, 2.0], ""],
    "options": [{"round": [True, ""], "mode": ["up"]}, ""],
    "rows": [[{"a": [1]}, {"b": ["x"]}], ""],
}


def judge(name: str = "geo_area", **arguments: Any) -> str:
    call = {"name": name, "args": {"base": 10, "height": 5, **arguments}}
    return mistake(FUNCTION, [call], TRUTH).partition(":")[0]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"height": 5.5},
        {"unit": "SQ.M"},
        {"tags": ["Red-Car", "BLUE"]},
        {"point": [1.0, 2.0]},
        {"options": {"mode": "UP"}},
        {"options": {"mode": "up", "round": True}},
        {"rows": [{"a": 1}, {"b": "X"}]},
    ],
)
def test_right(arguments: dict[str, Any]) -> None:
    assert judge(**arguments) == ""


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"base": 10.0}, "type"),  # no float for an integer
        ({"base": True}, "type"),
        ({"base": 11}, "value"),
        ({"height": "5"}, "type"),
        ({"unit": "cm"}, "value"),
        ({"colour": "red"}, "unexpected"),
        ({"tags": ["blue", "red car"]}, "value"),  # in this order
        ({"tags": [1]}, "type"),
        ({"point": [1, 2]}, "type"),  # integers count as floats at the top only
        ({"options": {"round": True}}, "value"),  # `mode` is wanted
        ({"options": {"mode": "up", "more": 1}}, "value"),
        ({"rows": [{"a": 1}]}, "value"),
    ],
)
def test_mistakes(arguments: dict[str, Any], kind: str) -> None:
    assert judge(**arguments) == kind


def test_the_function_and_the_number_of_calls() -> None:
    assert judge("geo.area") == ""
    assert judge("area") == "function"
    assert mistake(FUNCTION, [], TRUTH) == "count: 0 calls"
    call = {"name": "geo.area", "args": {"base": 10}}
    assert mistake(FUNCTION, [call], TRUTH) == "missing: height"
    wanted = {**TRUTH, "unit": ["cm"]}
    call = {"name": "geo.area", "args": {"base": 10, "height": 5}}
    assert mistake(FUNCTION, [call], wanted) == "missing: unit"


def test_a_variable_may_stand_for_a_value() -> None:
    call = {"name": "geo.area", "args": {"base": "width", "height": 5}}
    assert mistake(FUNCTION, [call], {**TRUTH, "base": ["width"]}) == ""
    assert mistake(FUNCTION, [call], {**TRUTH, "base": ["length"]}) == "value: base='width'"


def test_schema() -> None:
    made = tool(FUNCTION)["function"]
    assert made["name"] == "geo_area"
    properties = made["parameters"]["properties"]
    assert [properties[name]["type"] for name in ("height", "point", "options")] == [
        "number",
        "array",
        "object",
    ]
    assert schema({"type": "any", "optional": True}) == {"type": "string"}
    assert conforms(FUNCTION, {"name": "geo_area", "args": {"base": 1, "height": 2.5}})
    assert not conforms(FUNCTION, {"name": "geo_area", "args": {"base": 1}})
    assert not conforms(FUNCTION, {"name": "geo_area", "args": {"base": 1, "height": 2, "x": 3}})
    assert not conforms(FUNCTION, {"name": "other", "args": {"base": 1, "height": 2}})
