"""The sample handbook and its questions hold together: every promise of their headers."""

from __future__ import annotations

import re
import runpy
import tomllib
import unicodedata
from collections import Counter
from pathlib import Path
from typing import TypedDict, cast

import pytest

from bench.questions import holds
from groundling.knowledge.loaders.registry import load

DATA = Path(__file__).parents[2] / "data"
HANDBOOK = DATA / "handbook"
DOCUMENTS = sorted(path.name for path in HANDBOOK.iterdir())


class Question(TypedDict, total=False):
    id: str
    language: str
    kind: str
    question: str
    answer: str
    accept: list[str]
    reject: list[str]
    document: str
    quote: str
    absent: list[str]


QUESTIONS = cast(
    "list[Question]", tomllib.loads((DATA / "questions.toml").read_text("utf-8"))["question"]
)
ANSWERABLE = [question for question in QUESTIONS if question["kind"] != "unanswerable"]
UNANSWERABLE = [question for question in QUESTIONS if question["kind"] == "unanswerable"]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """What the loaders read from each document."""
    return {name: load(HANDBOOK / name).text for name in DOCUMENTS}


def names(questions: list[Question]) -> list[str]:
    return [question["id"] for question in questions]


WORDS = {
    "four": 4,
    "six": 6,
    "eight": 8,
    "nine": 9,
    "twelve": 12,
    "fourteen": 14,
    "fifty": 50,
    "seventy-five": 75,
}
KOREAN_WORDS = {"네 달": 4, "넉 달": 4}


def numbers(text: str) -> set[float]:
    """Read the numbers of a short text: 66,000; 6만6천; seventy-five; 넉 달; 07:50."""
    text = text.casefold()
    found = {float(n) for phrase, n in KOREAN_WORDS.items() if phrase in text}
    found |= {float(WORDS[w]) for w in re.findall(r"[a-z]+(?:-[a-z]+)?", text) if w in WORDS}
    text = text.replace(",", "").replace(" thousand", "000")
    for myriads, thousands, rest in re.findall(r"(\d+)\s*만\s*(?:(\d+)천)?\s*(\d+)?", text):
        found.add(int(myriads) * 10_000 + int(thousands or 0) * 1_000 + int(rest or 0))
    return found | {float(n) for n in re.findall(r"\d+(?:\.\d+)?", re.sub(r"\d+\s*만.*", "", text))}


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("It takes **75 minutes**.", "75 Minutes", True),
        ("숙박비는 95,000 원입니다", "95000원", True),
        ("175 minutes", "75 minutes", False),
        ("1.12 %", "12 %", False),
        ("KRW 660,000", "66,000", False),
        ("660001원", "66,000", False),
        ("14개월", "4개월", False),
    ],
)
def test_the_judging_rule_does_not_cut_numbers(text: str, wanted: str, expected: bool) -> None:
    assert holds(text, wanted) is expected


def test_counts_are_as_promised() -> None:
    assert len(set(names(QUESTIONS))) == len(QUESTIONS) == 20
    assert Counter(q["language"] for q in QUESTIONS) == {"en": 10, "ko": 10}
    assert Counter(q["language"] for q in UNANSWERABLE) == {"en": 2, "ko": 1}
    assert Counter(q["kind"] for q in QUESTIONS) == {
        "number": 8,
        "fact": 4,
        "table": 3,
        "crosslingual": 2,
        "unanswerable": 3,
    }


def test_every_document_is_asked_about_and_exists() -> None:
    assert sorted({question["document"] for question in ANSWERABLE}) == DOCUMENTS


@pytest.mark.parametrize("question", ANSWERABLE, ids=names(ANSWERABLE))
class TestAnswerable:
    def test_quote_stands_once_in_the_document(
        self, question: Question, texts: dict[str, str]
    ) -> None:
        assert texts[question["document"]].count(question["quote"]) == 1

    def test_gold_answer_is_judged_right(self, question: Question) -> None:
        assert any(holds(question["answer"], wanted) for wanted in question["accept"])
        assert not any(holds(question["answer"], wrong) for wrong in question.get("reject", []))

    def test_accepted_strings_follow_from_the_quote(self, question: Question) -> None:
        quote = question["quote"]
        assert any(holds(quote, wanted) for wanted in question["accept"])
        for wanted in question["accept"]:
            assert holds(quote, wanted) or (numbers(wanted) and numbers(wanted) <= numbers(quote))

    def test_no_other_document_tells_it(self, question: Question, texts: dict[str, str]) -> None:
        others = {name: text for name, text in texts.items() if name != question["document"]}
        found = [(n, w) for n, text in others.items() for w in question["accept"] if holds(text, w)]
        assert found == []

    def test_near_misses_are_in_the_document(
        self, question: Question, texts: dict[str, str]
    ) -> None:
        """A rejected string is one that a wrong row or sentence would have given."""
        near = numbers(texts[question["document"]])
        for wrong in question.get("reject", []):
            assert holds(texts[question["document"]], wrong) or numbers(wrong) <= near

    def test_crosslingual_means_the_other_language(
        self, question: Question, texts: dict[str, str]
    ) -> None:
        document = "ko" if hangul_share(texts[question["document"]]) > 0.3 else "en"
        assert (document != question["language"]) is (question["kind"] == "crosslingual")


@pytest.mark.parametrize("question", UNANSWERABLE, ids=names(UNANSWERABLE))
def test_unanswerable_words_are_absent(question: Question, texts: dict[str, str]) -> None:
    assert question["absent"]
    for name, text in texts.items():
        for word in question["absent"]:
            assert word.casefold() not in text.casefold(), name


def hangul_share(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum("가" <= character <= "힣" for character in letters) / len(letters)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_have_the_promised_length_and_are_composed(
    name: str, texts: dict[str, str]
) -> None:
    assert 1_500 <= len(texts[name]) <= 5_000
    assert unicodedata.is_normalized("NFC", texts[name])


def test_formats_and_languages() -> None:
    assert {Path(name).suffix for name in DOCUMENTS} == {".md", ".txt", ".html", ".docx", ".pdf"}
    korean = [p for p in HANDBOOK.glob("*.md") if hangul_share(p.read_text("utf-8")) > 0.3]
    assert len(korean) >= 4


class TestGenerated:
    """The shipped binary files say what tests/data/make_handbook.py says."""

    MAKER = runpy.run_path(str(Path(__file__).with_name("make_handbook.py")))
    FILES = MAKER["documents"]()

    @pytest.mark.parametrize("name", list(FILES))
    def test_shipped_text_is_the_generated_text(
        self, name: str, texts: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / name).write_bytes(self.FILES[name])
        assert load(tmp_path / name).text == texts[name]

    def test_the_legacy_file_is_cp949_and_nothing_else(self, texts: dict[str, str]) -> None:
        content = (HANDBOOK / "purchasing-procedure.txt").read_bytes()
        with pytest.raises(UnicodeDecodeError):
            content.decode("utf-8")
        with pytest.raises(UnicodeDecodeError):
            content.decode("euc_kr")
        assert content.decode("cp949").count("\r\n") == content.count(b"\n") > 40
        assert "한설믜" in texts["purchasing-procedure.txt"]

    def test_pdf_table_rows_keep_their_cells_together(self, texts: dict[str, str]) -> None:
        text = texts["product-specifications.pdf"]
        for table in ("BALANCES", "THERMOMETERS", "ACCESSORIES"):
            for row in self.MAKER[table][1:]:
                assert " | ".join(row) in text

    def test_docx_table_rows_keep_their_cells_together(self, texts: dict[str, str]) -> None:
        table = next(part for part in self.MAKER["DOCX_PARTS"] if not isinstance(part, str))
        for row in table[1:]:
            assert " | ".join(row) in texts["expense-limits.docx"]


def test_html_furniture_is_not_read(texts: dict[str, str]) -> None:
    text = texts["warranty-and-returns.html"]
    assert "HT thermometers" in text
    for furniture in ("72 months", "newsletter", "border-collapse", "Cookie"):
        assert furniture not in text
