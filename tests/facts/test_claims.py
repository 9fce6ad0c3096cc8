import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.facts.claims import find_claims
from groundling.facts.statements import is_alone, kind_of, statements
from tests.scripted import ScriptedChat


def find(answer, model=None, **given):
    return asyncio.run(find_claims(answer, model, **given))


def extraction(*claims):
    keys = ("words", "claim")
    return json.dumps({"claims": [dict(zip(keys, one, strict=True)) for one in claims]})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The warranty lasts 24 months.", "statement"),
        ("3 + 4 = 7", "statement"),
        ("How long does it last?", "question"),
        ("보증 기간이 얼마인가요?", "question"),
        ("Hello!", "phrase"),
        ("Yes.", "phrase"),
        ("Here are the steps:", "phrase"),
        ("I hope this helps!", "phrase"),
        ("안녕하세요!", "phrase"),
        ("Not in these documents.", "phrase"),
        ("이 문서들에는 없는 내용입니다.", "phrase"),
        ("I think it is the best phone.", "opinion"),
        ("제 생각에는 좋은 선택입니다.", "opinion"),
        ("Water boils when heated.", "uncertain"),
        ("Great white sharks are fish.", "uncertain"),
        ("Yes, the Seoul office opens early.", "statement"),
        ("word " * 200, "long"),
    ],
)
def test_rules_tell_what_a_sentence_is(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("The warranty lasts 24 months.", True),
        ("The company moved its office to Seoul.", True),
        ("It lasts 24 months.", False),
        ("In 1990 it was renamed.", False),
        ("Water boils when it is heated.", True),
        ("However, they are not covered.", False),
        ("This covers water damage.", False),
        ("The phone has two cameras, and the battery lasts a day.", False),
        ("보증 기간은 24개월입니다.", True),
        ("그는 1990년에 태어났다.", False),
        ("24개월입니다.", False),
        ("본사는 서울에 있고 공장은 부산에 있다.", False),
    ],
)
def test_rules_tell_what_stands_alone(text, alone):
    assert is_alone(text) is alone


def test_atomic_sentences_need_no_model():
    answer = "The warranty lasts 24 months [1]. The office is in Seoul [2]."
    found = find(answer, ScriptedChat())
    assert [one["text"] for one in found.claims] == [
        "The warranty lasts 24 months.",
        "The office is in Seoul.",
    ]
    assert answer[found.claims[0]["start"] : found.claims[0]["end"]] == (
        "The warranty lasts 24 months [1]."
    )


def test_code_headings_links_and_questions_make_no_claims():
    answer = (
        "# The 3 steps\n\nHello! Which phone?\n\n```python\nx = 3 + 4\nprint(24)\n```\n"
        "See https://example.com/24 for more.\n| --- | --- |\n"
    )
    found = find(answer)
    assert not [one for one in found.claims if "=" in one["text"] or "print" in one["text"]]
    assert not [one for one in found.claims if "steps" in one["text"]]


def test_opinions_are_told_and_not_checked():
    found = find("I think Seoul is the best city. Seoul has 25 districts.")
    assert [one["text"] for one in found.claims] == ["Seoul has 25 districts."]
    assert [one["verdict"] for one in found.others] == ["NOT_CHECKABLE"]


def test_where_rules_cannot_tell_the_model_weighs_against_an_empty_sentence():
    model = ScriptedChat()
    model.enqueue_choice({"fact": 0.2, "opinion": 0.8})  # of nothing at all
    model.enqueue_choice({"fact": 0.5, "opinion": 0.5}, {"fact": 0.1, "opinion": 0.9})
    found = find("Water boils when heated. Cats are lovely animals.", model)
    assert [one["text"] for one in found.claims] == ["Water boils when heated."]
    assert [one["text"] for one in found.others] == ["Cats are lovely animals."]


def test_pronouns_are_resolved():
    answer = "Hamlet was written by William Shakespeare. He was born in 1564 and died in 1616."
    reply = extraction(
        ("He was born in 1564", "William Shakespeare was born in 1564."),
        ("died in 1616", "William Shakespeare died in 1616."),
    )
    model = ScriptedChat([reply])
    found = find(answer, model, question="Who wrote Hamlet?")
    words = [answer[one["start"] : one["end"]] for one in found.claims]
    assert words[1:] == ["He was born in 1564", "died in 1616"]
    assert found.claims[2]["text"] == "William Shakespeare died in 1616."
    assert len(model.prompts) == 1
    assert "Who wrote Hamlet?" in model.prompts[0][-1].text


def test_words_and_figures_that_the_answer_has_not_are_dropped():
    answer = "It lasts 24 months."
    invented = extraction(
        ("The moon is made of cheese", "The moon is made of cheese."),
        ("It lasts 24 months", "The warranty lasts 36 months."),
    )
    found = find(answer, ScriptedChat([invented]))
    assert [one["text"] for one in found.claims] == [answer]


def test_a_claim_that_says_something_else_than_its_words_is_dropped():
    answer = "The office is in Seoul. It covers water damage."
    strange = extraction(("It covers water damage", "The office is in Seoul."))
    assert find(answer, ScriptedChat([strange])).claims[1]["text"] == "It covers water damage."


def test_a_sentence_whose_claims_leave_out_a_figure_stays_whole():
    answer = "He was born in 1564 and died in 1616."
    found = find(answer, ScriptedChat([extraction(("born in 1564", "X was born in 1564."))]))
    assert [one["text"] for one in found.claims] == [answer]


@pytest.mark.parametrize("reply", ["no JSON", '{"claims": 3}', RuntimeError("gone")])
def test_a_model_that_fails_leaves_the_sentences(reply):
    found = find("It lasts 24 months.", ScriptedChat([reply]))
    assert [one["text"] for one in found.claims] == ["It lasts 24 months."]


def test_korean_claims():
    answer = "보증 기간은 24개월입니다 [1]. 그는 1564년에 태어났습니다."
    reply = extraction(("그는 1564년에 태어났습니다", "셰익스피어는 1564년에 태어났습니다."))
    found = find(answer, ScriptedChat([reply]))
    assert [one["text"] for one in found.claims] == [
        "보증 기간은 24개월입니다.",
        "셰익스피어는 1564년에 태어났습니다.",
    ]


def test_several_equations_are_several_claims():
    answer = "So 3 + 4 = 7, and 7 * 2 = 15."
    words = [answer[one["start"] : one["end"]] for one in find(answer).claims]
    assert words == ["So 3 + 4 = 7", "7 * 2 = 15."]


@given(st.text(max_size=300))
def test_offsets_are_those_of_the_answer(answer):
    for statement in statements(answer):
        assert 0 <= statement.start < statement.end <= len(answer)
        words = answer[statement.start : statement.end]
        assert words.strip()
        assert statement.text
    for claim in find(answer).claims:
        assert answer[claim["start"] : claim["end"]].strip()


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "It is 3. " * 12_000, "```" * 30_000, "[1]" * 30_000]
)
def test_long_texts_are_read_in_one_pass(text):
    find(text)
