"""Grammars: what they keep, what they refuse, and that a model obeys them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import random
from calendar import isleap
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import jsonschema
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from groundling.errors import ModelError
from groundling.models.calls import EngineSettings, ModelEngine, Request
from groundling.models.engines import engine_for
from groundling.models.grammars.automaton import Automaton
from groundling.models.grammars.digits import Bound, integers, numbers
from groundling.models.grammars.grammar import Grammar, any_json, choice_grammar, grammar_for
from groundling.models.grammars.parts import write
from groundling.models.native import import_llama
from groundling.models.sampling import Sampling
from groundling.models.vocabulary import Vocabulary


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


def accepts(automaton: Automaton, text: str) -> bool:
    state = automaton.walk(automaton.start, text.encode("utf-8", "replace"))
    return state is not None and state.final


def any_text(automaton: Automaton, rng: random.Random, length: int = 300) -> str:
    """Write any text that the grammar allows; it ends soon after it may."""
    state, text = automaton.start, bytearray()
    while True:
        following = automaton.first_bytes(state)
        if state.final and (not following or rng.random() < 0.3 or len(text) > length):
            return text.decode()
        ends = [byte for byte in following if byte in b'"]}0']
        if len(text) > length and ends and rng.random() < 0.8:
            following = ends
        text.append(rng.choice(following))
        after = automaton.walk(state, text[-1:])
        assert after is not None
        state = after


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
        'root ::= "\\uD800"',
        "root ::= [\\U00110000]",
        "root ::= <think>",
        "root ::= root [a]",
        "root ::= a\na ::= [x]? b\nb ::= a",
        'root ::= "" root',
        "root ::= [a]{3,2}",
        "root ::= [a]{500000}",
        "root ::= [a]{99999999999}",
        "root ::= (([a]{1000}){1000}){1000}",
        "root ::= " + "(" * 500 + "[a]" + ")" * 500,
        "root ::= " + '"a" ' * 300_000,
    ],
)
def test_what_is_no_grammar_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="refused"):
        Grammar(text)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ('root ::= "(" root ")" | [a-z] [^\\x00-\\x1F"]{0,3}', ["a", "((zA가))"], ["(a", "a\n"]),
        ("root ::= ([a]*)* # a comment\n", ["", "aaa"], ["b"]),
        ("root ::= a*\n\na ::= [b]?\n", ["", "bb"], ["a"]),
        ('root ::= (\n  "a" |\n  b\n)\r\nb::="b" | ', ["a", "b", ""], ["ab"]),
        ("root ::= [가-힣-]{2,}", ["한글", "-나-"], ["한", "ab"]),
        ("root ::= .", ["\n", "𝄞"], ["", "ab"]),
        ('root ::= [\\]\\\\"^]', ["]", "\\", '"', "^"], ["a"]),
        ("root ::= [^^]", ["a"], ["^"]),
        ('root ::= "a"{2,3}', ["aa", "aaa"], ["a"]),
        ("root ::= [a]{0} [b]", ["b"], ["ab"]),
    ],
)
def test_a_grammar_allows_what_it_says(text: str, good: list[str], bad: list[str]) -> None:
    automaton = Automaton(Grammar(text))
    assert [one for one in good if not accepts(automaton, one)] == []
    assert [one for one in bad if accepts(automaton, one)] == []


@given(st.text('root ::=()|[]*+?{}"a\\\n ', max_size=60))
def test_any_text_is_a_grammar_or_refused(text: str) -> None:
    with contextlib.suppress(ModelError):
        assert "root" in Grammar(text).text


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "a" root "b" | "a" root "c" | "a"',
        'root ::= "a" root root "b" | "a" root root "c" | "a"',
    ],
)
def test_a_grammar_of_too_many_readings_is_an_error(text: str) -> None:
    automaton = Automaton(Grammar(text))
    with pytest.raises(ModelError, match="too many ways"):
        automaton.walk(automaton.start, b"a" * 100)


def test_deep_nesting_needs_no_deep_stack() -> None:
    automaton = Automaton(any_json_array())
    assert accepts(automaton, "[" * 5_000 + "]" * 5_000)


def any_json_array() -> Grammar:
    return grammar_for({"type": "array"})


@pytest.fixture(scope="module")
def bare(smollm2: Path) -> Iterator[tuple[Any, Vocabulary]]:
    llama = import_llama()
    params = llama.llama_model_default_params()
    params.vocab_only = True
    model = llama.llama_model_load_from_file(str(smollm2).encode(), params)
    vocabulary = Vocabulary(llama, model)
    yield llama, vocabulary
    vocabulary.close()
    llama.llama_model_free(model)


@pytest.mark.model
@given(
    st.text('()|[]*+?{2}"ab-', max_size=20),
    st.lists(st.text("ab-", min_size=1, max_size=3), max_size=3),
)
@settings(max_examples=100)
def test_llama_cpp_reads_a_grammar_in_the_same_way(
    bare: tuple[Any, Vocabulary], body: str, words: list[str]
) -> None:
    try:
        grammar = Grammar("root ::= " + body)
    except ModelError:
        return
    llama, vocabulary = bare
    tokens = [token for word in words for token in vocabulary.tokenize(word)]
    with vocabulary.held() as vocab:
        native = llama.llama_sampler_init_grammar(vocab, grammar.text.encode(), b"root")
    assume(native)  # it refuses repetitions of what may be empty
    automaton = Automaton(grammar)
    state = automaton.start
    try:
        for token in tokens:
            following = automaton.walk(state, vocabulary.piece(token))
            assert native_allows(llama, native, token) == (following is not None)
            if following is None:
                break
            llama.llama_sampler_accept(native, token)
            state = following
        assert native_allows(llama, native, 0) == state.final
    finally:
        llama.llama_sampler_free(native)


def native_allows(llama: Any, grammar: Any, token: int) -> bool:
    one = np.array(
        [(token, 1.0, 0.0)], [("id", np.int32), ("logit", np.float32), ("p", np.float32)]
    )
    candidates = llama.llama_token_data_array(
        data=ctypes.cast(one.ctypes.data, llama.llama_token_data_p), size=1, selected=-1
    )
    llama.llama_sampler_apply(grammar, ctypes.byref(candidates))
    return bool(np.isfinite(one["logit"][0]))


@pytest.mark.model
@pytest.mark.parametrize("seed", range(2))
def test_what_a_model_writes_keeps_to_the_schema(engine: ModelEngine, seed: int) -> None:
    grammar = grammar_for(Person.model_json_schema())
    prompt = engine.vocabulary.tokenize("A person as JSON: ")
    sampling = Sampling(temperature=1.5, seed=seed, grammar=grammar, repeat_penalty=1.1)
    chunks = list(engine.generate(Request(prompt, sampling, max_tokens=300)))
    text = "".join(chunk.text for chunk in chunks)
    if chunks[-1].finish_reason == "stop":
        Person.model_validate_json(text)
    assert '"이름"' in text


@pytest.mark.model
@given(st.data())
@settings(max_examples=8)
def test_whatever_the_schema_a_model_obeys_it(engine: ModelEngine, data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    try:
        grammar = grammar_for(schema)
    except ModelError:
        return
    sampling = Sampling(temperature=1.5, seed=data.draw(st.integers(0, 99)), grammar=grammar)
    chunks = list(engine.generate(Request([5, 6], sampling, max_tokens=60)))
    if chunks[-1].finish_reason == "stop":
        validate("".join(chunk.text for chunk in chunks), schema)


@pytest.mark.model
def test_a_grammar_that_no_token_satisfies_is_an_error(engine: ModelEngine) -> None:
    # The model's vocabulary has no token for this character.
    grammar = Grammar("root ::= [\\x06]")
    with pytest.raises(ModelError, match="allows no further token"):
        list(engine.generate(Request([5, 6], Sampling(grammar=grammar))))
    assert list(engine.generate(Request([5, 6], max_tokens=2)))


@pytest.mark.model
def test_one_of_ten_thousand_options(engine: ModelEngine) -> None:
    options = [f"{n * 7919 % 10_007} 번" for n in range(10_000)]
    grammar = choice_grammar(options)
    prompt = engine.vocabulary.tokenize("A number: ")
    chunks = engine.generate(Request(prompt, Sampling(grammar=grammar)))
    assert "".join(chunk.text for chunk in chunks) in options


def validate(text: str, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


def _bounds(low: float, length: float, opened: bool, kind: str) -> dict[str, Any]:
    first = "exclusiveMinimum" if opened else "minimum"
    return {"type": kind, first: low, "maximum": low + length}


def _lengths(kind: str, pair: list[int], **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        f"min{more.pop('of')}": min(pair),
        f"max{more.pop('to')}": max(pair),
    } | more


PAIRS = st.lists(st.integers(0, 4), min_size=2, max_size=2)
NAMES = st.sampled_from(["a", "ab", "b", 'q"', "이름", "", "n\n"])
LEAVES = st.one_of(
    st.sampled_from(
        [
            {},
            {"type": "string"},
            {"type": "integer"},
            {"type": "boolean"},
            {"type": ["number", "null"]},
            {"type": ["string", "integer"], "maxLength": 2, "minimum": 5},
            {"enum": ["가", 'q"\\', 1, None, True, 1.5, {"a": [1]}]},
            {"const": {"a": ["\n"]}},
            {"type": "string", "format": "date"},
            {"type": "string", "pattern": "^[가-힣]{1,3}$"},
            {"type": "string", "pattern": "a[^b]\\d"},
            {"type": "string", "pattern": '^("|\\\\|\\n)+$'},
            {"type": "integer", "multipleOf": 12},
        ]
    ),
    PAIRS.map(lambda pair: _lengths("string", pair, of="Length", to="Length")),
    st.builds(
        _bounds, st.integers(-300, 300), st.integers(1, 500), st.booleans(), st.just("integer")
    ),
    st.builds(
        _bounds,
        st.integers(-300, 300).map(lambda n: n / 8),
        st.integers(1, 500).map(lambda n: n / 8),
        st.booleans(),
        st.just("number"),
    ),
)


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(
            lambda pair, items, heads: _lengths(
                "array", pair, of="Items", to="Items", items=items, prefixItems=heads
            ),
            PAIRS,
            st.one_of(inner, st.booleans()),
            st.lists(inner, max_size=3),
        ),
        st.builds(
            lambda properties, count, more: (
                {
                    "type": "object",
                    "properties": properties,
                    "required": sorted(properties)[:count],
                }
                | ({} if more is None else {"additionalProperties": more})
            ),
            st.dictionaries(NAMES, inner, max_size=4),
            st.integers(0, 3),
            st.one_of(st.none(), st.booleans(), inner),
        ),
        st.builds(
            lambda values, most: {
                "type": "object",
                "additionalProperties": values,
                "maxProperties": most,
            },
            inner,
            st.integers(0, 3),
        ),
        some.map(lambda options: {"anyOf": options}),
        some.map(lambda options: {"allOf": options}),
        st.builds(lambda beside, options: {**beside, "anyOf": options}, inner, some),
    )


SCHEMAS = st.recursive(LEAVES.filter(bool), _branches, max_leaves=6)


@given(SCHEMAS, st.randoms(use_true_random=False))
@settings(max_examples=120)
def test_all_that_a_grammar_allows_satisfies_its_schema(
    schema: dict[str, Any], rng: random.Random
) -> None:
    before = json.dumps(schema)
    try:
        automaton = Automaton(grammar_for(schema))
    except ModelError:
        return
    for _ in range(3):
        validate(any_text(automaton, rng), schema)
    assert json.dumps(schema) == before


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


@given(VALUES)
def test_any_value_may_be_written_as_json_dumps_does(value: object) -> None:
    text = json.dumps({"a": value}, ensure_ascii=False).replace("\x7f", "\\u007f")
    assume(text.isprintable())
    assert accepts(Automaton(any_json()), text)
    assert accepts(
        Automaton(grammar_for({"const": {"a": value}})),
        json.dumps({"a": value}, ensure_ascii=False),
    )


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]},
            ['{"a": 1, "b": null}', '{"b":[]}'],
            ["{}", '{"a": 1}', '{"b": 1, "a": 1}', '{"b": 1, "c": 1}', '{"b": 1,}'],
        ),
        (
            {"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "boolean"}},
            ["{}", '{"a": null, "ab": true, "": false}', '{"b": true}'],
            ['{"a": true}', '{"\\u0061": true}', '{"b": null}'],
        ),
        ({"type": "object", "required": ["x"]}, ['{"x": 1}'], ["{}"]),
        ({"type": "array", "minItems": 2}, ["[1, 2]"], ["[1]"]),
        (
            {"prefixItems": [{"type": "null"}, {"const": 1}], "items": {"const": 2}},
            ["[]", "[null]", "[null, 1]", "[null, 1, 2, 2]"],
            ["[1]", "[null, 2]", "[null, 1, 1]"],
        ),
        ({"type": "integer", "minimum": 0}, ["0", "12345"], ["-1", "01"]),
        ({"type": "integer", "minimum": -5, "maximum": 10**6}, ["-5", "1000000"], ["-6"]),
        ({"type": "number", "exclusiveMinimum": 0}, ["0.1", "7"], ["0", "0.0", "-1"]),
        ({"type": "integer", "multipleOf": 5}, ["0", "15", "-20"], ["16", "05"]),
        ({"type": "string", "pattern": "^\\d{3}$"}, ['"123"'], ['"12"', '"a123"', "123"]),
        ({"type": "string", "pattern": "b"}, ['"abc"', '"b"'], ['"ac"']),
        ({"type": "string", "format": "date"}, ['"2026-11-30"'], ['"2026-11-31"', '"2026-1-1"']),
        ({"type": "string", "nullable": True}, ['"a"', "null"], ["1"]),
        (
            {"allOf": [{"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
                       {"properties": {"b": {"const": 2}}, "required": ["b"]}]},
            ['{"a": 1, "b": 2}'],
            ['{"a": 1}', '{"b": 2}'],
        ),
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b"]}],
             "properties": {"a": {"const": 1}, "b": {"const": 2}}},
            ['{"a": 1}', '{"b": 2}', '{"a": 1, "b": 2}'],
            ["{}"],
        ),
        (
            {"$defs": {"n": {"type": "integer"}}, "allOf": [{"$ref": "#/$defs/n"}], "minimum": 3},
            ["3"],
            ["2", "3.5"],
        ),
        ({"enum": [1, "a", None], "type": ["string", "null"]}, ['"a"', "null"], ["1"]),
    ],
)  # fmt: skip
def test_a_schema_allows_what_it_says(
    schema: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    automaton = Automaton(grammar_for(schema))
    assert [one for one in good if not accepts(automaton, one)] == []
    assert [one for one in bad if accepts(automaton, one)] == []


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({}, "allows anything"),
        ({"not": {"type": "string"}}, "'not'"),
        ({"type": "object", "patternProperties": {"a": {}}}, "patternProperties"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "pattern": "(?=a)"}, "lookahead"),
        ({"type": "string", "pattern": "a", "maxLength": 3}, "beside a pattern"),
        ({"type": "string", "maxLength": 50_000}, "maxLength"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 10**6}, "items"),
        ({"type": "number", "multipleOf": 0.1}, "multipleOf"),
        ({"enum": list(range(20_001))}, "20,001 options"),
        ({"enum": []}, "without options"),
        ({"type": "string", "enum": [1]}, "without options"),
        ({"$ref": "#/$defs/none"}, "not in it"),
        ({"$ref": "https://example.org/schema"}, "outside"),
        ({"$ref": "#"}, "left"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "left"),
        ({"allOf": [{"$ref": "#"}], "type": "object"}, "itself alone"),
        ({"allOf": [{"type": "object"}, {"type": "string"}]}, "contradicts itself"),
        ({"properties": {"a": False}, "required": ["a"]}, "allows nothing"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "No number"),
        ({"type": "colour"}, "colour"),
        ({"properties": 3}, "properties"),
        ({"type": "array", "minItems": -1}, "minItems"),
        ({"minimum": float("nan")}, "not JSON"),
    ],
)
def test_what_no_grammar_keeps_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        grammar_for(schema)


def test_a_validated_schema_may_be_wider() -> None:
    narrow = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    wide = {"type": "array", "items": {"type": "integer"}}
    assert grammar_for(narrow, validated=True).text == grammar_for(wide).text


def test_deep_and_recursive_schemas() -> None:
    tree = {
        "$defs": {"노드": {"type": "object", "properties": {"노드": {"$ref": "#/$defs/노드"}}}},
        "$ref": "#/$defs/노드",
    }
    automaton = Automaton(grammar_for(tree))
    assert accepts(automaton, '{"노드": {"노드": {}}}')
    assert not accepts(automaton, '{"노드": 1}')
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
    automaton = Automaton(grammar_for(schema))
    assert accepts(automaton, '{"kind": "outer", "other": "inner"}')
    assert not accepts(automaton, '{"kind": "inner"}')


def test_any_json_object() -> None:
    assert any_json() is any_json()
    assert not accepts(Automaton(any_json()), "[]")


@given(st.dates(date(1000, 1, 1)), st.integers(1000, 9999))
def test_dates_are_those_of_the_calendar(day: date, year: int) -> None:
    automaton = Automaton(grammar_for({"type": "string", "format": "date"}))
    assert accepts(automaton, f'"{day.isoformat()}"')
    assert accepts(automaton, f'"{year}-02-29"') == isleap(year)
    assert not accepts(automaton, f'"{year}-04-31"')


@given(
    st.one_of(st.none(), st.integers(-2000, 2000)),
    st.one_of(st.none(), st.integers(-2000, 2000)),
    st.lists(st.integers(-3000, 3000)),
)
def test_integers_within_bounds(low: int | None, high: int | None, values: list[int]) -> None:
    part = integers(low, high)
    if part is None:
        assert low is not None and high is not None and high < low  # noqa: PT018
        return
    automaton = Automaton(Grammar(write({"root": part})))
    near = [bound + n for bound in (low, high) if bound is not None for n in (-1, 0, 1)]
    for value in values + near:
        within = (low is None or value >= low) and (high is None or value <= high)
        assert accepts(automaton, str(value)) == within
    assert not accepts(automaton, "01")


DECIMALS = st.builds(
    lambda n, places: Decimal(n).scaleb(-places), st.integers(-3000, 3000), st.integers(0, 3)
)


@given(
    st.one_of(st.none(), st.builds(Bound, DECIMALS, st.booleans())),
    st.one_of(st.none(), st.builds(Bound, DECIMALS, st.booleans())),
    st.lists(DECIMALS),
)
def test_numbers_within_bounds(
    low: Bound | None, high: Bound | None, values: list[Decimal]
) -> None:
    def within(value: Decimal) -> bool:
        above = low is None or value > low.value or (value == low.value and not low.open)
        below = high is None or value < high.value or (value == high.value and not high.open)
        return above and below

    part = numbers(low, high)
    bounds = [bound.value for bound in (low, high) if bound is not None]
    near = [bound + Decimal(n).scaleb(-5) for bound in bounds for n in (-1, 0, 1)]
    if part is None:
        assert not any(map(within, values + near))
        return
    automaton = Automaton(Grammar(write({"root": part})))
    for value in values + near:
        assert accepts(automaton, f"{value:f}") == within(value)
