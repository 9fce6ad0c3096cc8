"""Regular expressions as grammars: the same texts as Python's `re`, and clear refusals."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import ModelError
from groundling.models.grammars.automaton import Automaton
from groundling.models.grammars.gbnf import Grammar
from groundling.models.grammars.grammar import choice_grammar, regex_grammar
from groundling.models.grammars.json_text import in_string
from groundling.models.grammars.parts import write
from groundling.models.grammars.regex import parse_regex
from tests.models.grammars.test_grammar import accepts, any_text

PATTERNS = [
    r"^\d{3}-\d{4}$",
    "[가-힣]{2,4}",
    "(foo|bar)+baz?",
    r"[^a-z\]]x",
    "a.c",
    r"\uAC00|\x41|\U0001F600",
    r"(?P<year>\d{4})-(?:0[1-9]|1[0-2])",
    "a{,3}b{2}|c{1,}",
    "x{a}",
    r'["\\]+\n\t',
    "[a-]|[]]|[-b]",
    "",
    "a||b",
    "a*?b+?c??",
    r"[\w.-]+@[\w-]+\.[a-z]{2,}",
    r"[\D\s]\W\S",
    r"^a|b$",
    r"\Aa\Z",
    r"[\b\0]\.\*\(",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_all_that_is_written_matches(pattern: str) -> None:
    automaton = Automaton(regex_grammar(pattern))
    rng = random.Random(pattern)
    for _ in range(50):
        assert re.fullmatch(pattern, any_text(automaton, rng, 30), re.ASCII)


@given(st.sampled_from(PATTERNS), st.text('ab1-xyz0c@.]"\\가힣forA{}\n\t', max_size=9))
def test_the_same_texts_match_as_in_python(pattern: str, text: str) -> None:
    found = re.fullmatch(pattern, text, re.ASCII) is not None
    assert accepts(Automaton(regex_grammar(pattern)), text) == found


PARTS = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: f"({'|'.join(some)})"),
        st.builds(lambda one, times: f"(?:{one}){times}", inner, st.sampled_from("*+?")),
        st.builds(lambda one: f"(?:{one}){{1,2}}", inner),
    ),
    max_leaves=6,
)


@given(PARTS, st.text("ab1c", max_size=6))
def test_patterns_made_at_random_match_as_in_python(pattern: str, text: str) -> None:
    found = re.fullmatch(pattern, text, re.ASCII) is not None
    assert accepts(Automaton(regex_grammar(pattern)), text) == found


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        regex_grammar(pattern)
    except ModelError as error:
        assert "pattern" in str(error) or "grammar" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "a lookahead"),
        ("(?!a)b", "a negative lookahead"),
        ("(?<=a)b", "a lookbehind"),
        ("(?<!a)b", "a negative lookbehind"),
        (r"(a)\1", "a backreference"),
        ("(?P<x>a)(?P=x)", "a backreference"),
        (r"\bword", "a word boundary"),
        (r"\p{L}", "a Unicode property"),
        ("(?i)a", "a flag"),
        ("(?>a)", "an atomic group"),
        ("a++", "a possessive repetition"),
        ("a**", "a repetition of a repetition"),
        ("*a", "a repetition of nothing"),
        ("a^b", "an anchor inside"),
        ("(^a)", "an anchor inside"),
        ("a$b", "an anchor inside"),
        ("(", "not closed"),
        (")", "a bracket too many"),
        ("[", "not closed"),
        ("[z-a]", "ends before it begins"),
        ("a{3,2}", "ends before it begins"),
        ("a{9999999}", "too long"),
        ("(a{9999}){9999}", "too large"),
        ("(" * 100 + ")" * 100, "nested too deeply"),
        (r"\u12", "not known"),
        (r"\q", r"\\q"),
        ("\\", "a backslash at the end"),
        (r"[^\s\S]", "no characters"),
    ],
)
def test_what_no_grammar_keeps_is_named(pattern: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        regex_grammar(pattern)


def test_a_choice_is_exactly_its_options() -> None:
    options = ["yes", "yes, but", '"\\\n', "아니오"]
    automaton = Automaton(choice_grammar(options))
    assert all(accepts(automaton, option) for option in options)
    assert not accepts(automaton, "yes, ")
    with pytest.raises(ModelError, match="at least one"):
        choice_grammar([])


def test_inside_of_json_a_text_is_escaped() -> None:
    part = in_string(parse_regex('["\\\\\\n]a|\\x01', anywhere=False))
    automaton = Automaton(Grammar(write({"root": part})))
    assert all(accepts(automaton, text) for text in ('\\"a', "\\\\a", "\\na", "\\u0001"))
    assert not accepts(automaton, '"a')
