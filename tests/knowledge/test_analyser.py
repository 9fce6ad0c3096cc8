"""Terms of words in four scripts."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import KnowledgeError
from groundling.knowledge.analyser import PLAIN, analyse, content_words, get, query_terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The leaves of the trees", ["leav", "tree"]),
        ("Don't ask who it is", ["ask"]),
        ("연차는", ["연차", "차는"]),
        ("집", ["집"]),
        ("漢字を書く", ["漢字", "字を", "を書", "書く"]),
        ("GPT-4를 쓴다", ["gpt-4", "gpt", "4", "를", "쓴다"]),
        ("foo_bar-2", ["foo_bar-2", "foo", "bar", "2"]),
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("1,000 and 2.50", ["1000", "2.50"]),
        ("2026-11-21", ["2026-11-21", "2026", "11", "21"]),
        ("C++ or C#", ["c++", "c#"]),
        ("Café ÉTÉ", ["café", "été"]),
        ("👍 … —", []),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert analyse(text) == terms


def test_korean_is_the_same_decomposed() -> None:
    # File systems of Apple store and hand out decomposed Hangul.
    assert analyse(unicodedata.normalize("NFD", "연차는 한글")) == analyse("연차는 한글")


@given(st.text())
def test_terms_are_words_without_space(text: str) -> None:
    for term in analyse(text):
        assert term
        assert not any(character.isspace() for character in term)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How many days of leave?", [("day",), ("leav",)]),
        ("연차는 며칠인가요?", [("연차",), ("며칠",)]),
        ("수당은 얼마인가요", [("수당",)]),  # begins with 수, which alone would be dropped
        ("왜곡된 이사회", [("왜곡",), ("이사", "사회")]),
        ("무엇을 어떻게 하나요", []),
    ],
)
def test_content_words(question: str, words: list[tuple[str, ...]]) -> None:
    assert content_words(question) == words


def test_question_without_content_is_searched_whole() -> None:
    assert query_terms("무엇을 하나요") == ["무엇", "엇을", "하나", "나요"]


def test_threads_do_not_disturb_each_other() -> None:
    words = [f"running{letter} quickly{letter}ing" for letter in "abcdefghij"] * 20
    alone = [analyse(word) for word in words]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(analyse, words)) == alone


def test_many_texts_are_analysed_as_one_by_one() -> None:
    texts = ["The leaves", "", "연차는 며칠", "집"]
    assert list(PLAIN.batch(iter(texts))) == [analyse(text) for text in texts]


@pytest.mark.parametrize("name", ["plain", "plain/1", "plain/0"])
def test_get_plain(name: str) -> None:
    assert get(name) is PLAIN


def test_get_an_unknown_one() -> None:
    with pytest.raises(KnowledgeError, match="no analyser mecab"):
        get("mecab")


def test_without_kiwi_auto_is_plain_and_kiwi_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get.cache_clear()
    monkeypatch.setattr("groundling.knowledge.analyser.find_spec", lambda _: None)
    try:
        assert get("auto") is PLAIN
        with pytest.raises(KnowledgeError) as raised:
            get("kiwi")
        assert "groundling[ko]" in (raised.value.hint or "")
    finally:
        get.cache_clear()
