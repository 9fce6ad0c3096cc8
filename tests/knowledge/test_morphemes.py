"""Korean morphemes beside bigrams, by the real kiwi."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.knowledge.analyser import Analyser, analyse, get

pytest.importorskip("kiwipiepy", reason="the extra ko is not installed")


@pytest.fixture(scope="module")
def kiwi() -> Analyser:
    return get("kiwi")


def test_auto_takes_it_and_its_name_is_its_own(kiwi: Analyser) -> None:
    assert get("auto").name == kiwi.name == "kiwi/1"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("연차는", ["연차", "차는", "연차/n"]),
        ("LG전자가 쓴다", ["lg", "전자", "자가", "전자/n", "쓴다", "쓰/v"]),
        ("👍👍 大韓民國 연차", ["大韓", "韓民", "民國", "연차", "연차/n"]),
        ("1,000원", ["1000", "원", "원/n"]),
        ("The leaves of the trees", ["leav", "tree"]),
        ("", []),
    ],
)
def test_terms(kiwi: Analyser, text: str, terms: list[str]) -> None:
    assert kiwi.terms(text) == terms


def test_forms_of_a_verb_share_a_term(kiwi: Analyser) -> None:
    forms = [set(kiwi.terms(text)) for text in ("걸었다", "길을 걷는 사람", "걸어서 갔다")]
    assert "걷/v" in set.intersection(*forms)


def test_korean_is_the_same_decomposed(kiwi: Analyser) -> None:
    text = "연차는 며칠인가요"
    assert kiwi.terms(unicodedata.normalize("NFD", text)) == kiwi.terms(text)


def test_content_words_hold_bigrams_and_morphemes(kiwi: Analyser) -> None:
    assert kiwi.content_words("지명수배는 언제인가요?") == [
        ("지명", "명수", "수배", "지명/n", "수배/n")
    ]
    assert kiwi.content_words("무엇을 어떻게 하나요") == []
    assert kiwi.content_words("How many days of leave?") == [("day",), ("leav",)]


@given(st.text(alphabet=st.one_of(st.sampled_from("연차는걸었다 \n.1aB👍漢"), st.characters())))
@settings(deadline=None)
def test_without_the_morphemes_it_is_the_plain_one(text: str) -> None:
    # The plain analyser never joins Hangul with a slash.
    terms = get("kiwi").terms(text)
    assert [term for term in terms if not _is_morpheme(term)] == analyse(text)
    assert not any(character.isspace() for term in terms for character in term)


def test_many_texts_are_analysed_as_one_by_one(kiwi: Analyser) -> None:
    texts = [f"{number}번 문서는 연차를 다룬다" for number in range(150)] + ["", "leaves"] * 5
    assert list(kiwi.batch(iter(texts))) == [kiwi.terms(text) for text in texts]


def test_threads_do_not_disturb_each_other(kiwi: Analyser) -> None:
    texts = [f"{letter}사람이 길을 걸었다" for letter in "가나다라마바사아자차"] * 10
    alone = [kiwi.terms(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(kiwi.terms, texts)) == alone


def _is_morpheme(term: str) -> bool:
    form, slash, tag = term.rpartition("/")
    return slash == "/" and tag in set("nvxm") and any("가" <= c <= "힣" for c in form)
