"""Grammars: what they keep, what they refuse, and that native code takes them."""

from __future__ import annotations

import contextlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from groundling.errors import ModelError
from groundling.models.calls import EngineSettings, ModelEngine, Request
from groundling.models.engines import engine_for
from groundling.models.grammar import Grammar, any_json, grammar_for
from groundling.models.sampling import Sampling


class Colour(StrEnum):
    RED = "빨강"
    QUOTED = 'say "hi"\\\n'


class Person(BaseModel):
    이름: str = Field(max_length=8)
    colour: Colour
    age: int = Field(ge=0, lt=120)
    tags: list[Literal["x", "y"]] = Field(max_length=2)
    height: float = Field(gt=0, description="metres")
    child: Person | None = None


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> ModelEngine:
    return engine_for(smollm2, EngineSettings(context=512))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root = x",
        "start ::= [a]",
        "root ::= missing",
        'root ::= "open',
        "root ::= ( [a]",
        "root ::= [a] )",
        "root ::= []",
        "root ::= *",
        'root ::= "\\q"',
        "root ::= root [a]",
        "root ::= a\na ::= [x]? b\nb ::= a",
        "root ::= ([a]*)*",
        "root ::= a*\na ::= [b]?",
        "root ::= [a]{5000}",
        "root ::= " + "(" * 500 + "[a]" + ")" * 500,
        "root ::= " + '"a" ' * 100_000,
    ],
)
def test_what_would_end_the_process_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="refused"):
        Grammar(text)


def test_right_recursion_is_fine() -> None:
    assert Grammar('root ::= "(" root ")" | [a-z] [^\\x00-\\x1F"]{0,3}').text


@given(st.text('root ::=()|[]*+?{}"a\\\n ', max_size=60))
def test_any_text_is_a_grammar_or_refused(text: str) -> None:
    with contextlib.suppress(ModelError):
        assert "root" in Grammar(text).text


@pytest.mark.model
@given(st.text('root ::=()|[]*+?{2}"a-\\\n ', max_size=40))
@settings(max_examples=300)
def test_native_code_takes_what_is_accepted(engine: ModelEngine, text: str) -> None:
    try:
        grammar = Grammar("root ::= " + text)
    except ModelError:
        return
    context = engine._context
    sampler = context.llama.llama_sampler_init_grammar(
        context.llama.llama_model_get_vocab(context._model), grammar.text.encode(), b"root"
    )
    assert sampler, f"llama.cpp refuses {grammar.text!r}"
    context.llama.llama_sampler_free(sampler)


@pytest.mark.model
@pytest.mark.parametrize("seed", range(3))
def test_what_a_model_writes_keeps_to_the_schema(engine: ModelEngine, seed: int) -> None:
    grammar = grammar_for(Person.model_json_schema(), validated=True)
    prompt = engine.vocabulary.tokenize("A person as JSON: ")
    sampling = Sampling(temperature=1.5, seed=seed, grammar=grammar, repeat_penalty=1.1)
    chunks = list(engine.generate(Request(prompt, sampling, max_tokens=300)))
    text = "".join(chunk.text for chunk in chunks)
    if chunks[-1].finish_reason == "stop":
        person = json.loads(text)
        assert 0 <= person["age"] < 120
        assert set(person) <= {"이름", "colour", "age", "tags", "height", "child"}
        assert len(person["이름"]) <= 8
    assert '"이름"' in text


@pytest.mark.model
def test_a_grammar_that_no_token_satisfies_is_an_error(engine: ModelEngine) -> None:
    # The model's vocabulary has no token for this character.
    grammar = Grammar("root ::= [\\x06]")
    with pytest.raises(ModelError, match="allows no further token"):
        list(engine.generate(Request([5, 6], Sampling(grammar=grammar))))
    assert list(engine.generate(Request([5, 6], max_tokens=2)))


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "integer"},
            {"type": "integer", "minimum": -3, "maximum": 3},
            {"type": "boolean"},
            {"type": ["number", "null"]},
            {"enum": ["가", 'q"\\', 1, None, True, 1.5]},
            {"const": {"a": ["\n"]}},
            {"type": "string", "format": "date"},
            {"type": "string", "minLength": 1, "maxLength": 3},
            {},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda items, most: {"type": "array", "items": items, "maxItems": most},
            inner,
            st.integers(1, 3),
        ),
        st.builds(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties)[:1],
            },
            st.dictionaries(st.text(max_size=5), inner, min_size=1, max_size=3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=6,
)


@given(SCHEMAS)
@settings(max_examples=100)
def test_every_ordinary_schema_becomes_a_checked_grammar(schema: dict[str, Any]) -> None:
    before = json.dumps(schema)
    assert "root ::= " in grammar_for(schema).text
    assert json.dumps(schema) == before


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"not": {"type": "string"}}, "'not'"),
        ({"type": "object", "patternProperties": {"a": {}}}, "patternProperties"),
        ({"type": "string", "pattern": "^a$"}, "pattern"),
        ({"type": "integer", "minimum": 0}, "minimum"),
        ({"type": "string", "maxLength": 5000}, "maxLength"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 10**6}, "maxItems"),
        ({"enum": list(range(1001))}, "1,001 options"),
        ({"enum": []}, "without options"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "required"),
        ({"$ref": "#/$defs/none"}, "not in it"),
        ({"$ref": "https://example.org/schema"}, "outside"),
        ({"$ref": "#"}, "left"),
        ({"allOf": [{"type": "object"}, {"type": "object"}]}, "allOf"),
        ({"properties": {"a": False}}, "allows nothing"),
        ({"type": "colour"}, "colour"),
        ({"anyOf": [{"type": "string"}], "properties": {}}, "anyOf beside"),
    ],
)
def test_what_no_grammar_keeps_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        grammar_for(schema)


def test_a_validated_schema_may_be_wider() -> None:
    schema = {"type": "integer", "minimum": 0}
    assert grammar_for(schema, validated=True).text == grammar_for({"type": "integer"}).text


def test_deep_and_recursive_schemas() -> None:
    tree = {
        "$defs": {"노드": {"type": "object", "properties": {"노드": {"$ref": "#/$defs/노드"}}}},
        "$ref": "#/$defs/노드",
    }
    assert "schema-reference-0" in grammar_for(tree).text
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(2000):
        deep = {"type": "array", "items": deep}
    with pytest.raises(ModelError):
        grammar_for(deep)


def test_a_definition_and_a_property_of_one_name_stay_apart() -> None:
    schema = {
        "$defs": {"kind": {"enum": ["inner"]}},
        "type": "object",
        "properties": {"kind": {"enum": ["outer"]}, "other": {"$ref": "#/$defs/kind"}},
    }
    text = grammar_for(schema).text
    assert "outer" in text
    assert "inner" in text


def test_any_json_object() -> None:
    assert any_json().text.splitlines()[-1]
    assert any_json() is any_json()
