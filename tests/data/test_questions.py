"""The sample questions keep every promise of the head of `data/questions.toml`."""

from __future__ import annotations

import json
import re
from collections import Counter
from hashlib import sha256

import pytest

from groundling.evaluation.evaluators.matching import holds
from groundling.knowledge.citations import sentences
from tests.data.make_questions_jsonl import document
from tests.data.sample import (
    ANSWERABLE,
    CORE,
    DOCUMENTS,
    QUESTIONS,
    TOLD,
    TOOL,
    UNANSWERABLE,
    hangul_share,
    holding,
    names,
    quotes,
    spans,
)
from tests.data.workings import figures, numbers

# What an accepted string says in other words than the quote, read and agreed by a person.
SAME_AS = {
    "60 minutes": "one hour",
    "one-hour": "one hour",
    "over a year": "more than a year",
    "over one year": "more than a year",
    "longer than a year": "more than a year",
    "longer than one year": "more than a year",
    "more than one year": "more than a year",
    "more than 1 year": "more than a year",
    "exceeds a year": "more than a year",
    "exceeds one year": "more than a year",
    "exceeding a year": "more than a year",
    "exceeding one year": "more than a year",
    "count as approved": "counts as approved",
    "counted as approved": "counts as approved",
    "considered approved": "counts as approved",
    "considered as approved": "counts as approved",
    "deemed approved": "counts as approved",
    "treated as approved": "counts as approved",
    "taken as approved": "counts as approved",
    "regarded as approved": "counts as approved",
    "automatically approved": "counts as approved",
    "approved automatically": "counts as approved",
    "cancellation fee": "cancellation charges",
    "cancellation cost": "cancellation charges",
    "charges for cancel": "cancellation charges",
    "fees for cancel": "cancellation charges",
    "original packaging": "original packing",
    "two-week": "two weeks",
    "14 days": "two weeks",
    "April and October": "4월과 10월",
    "April and in October": "4월과 10월",
    "April and one in October": "4월과 10월",
    "October and April": "4월과 10월",
    "April & October": "4월과 10월",
    "삼분의 일": "3분의 1",
    "이전 규정": "종전의 규정",
    "이전의 규정": "종전의 규정",
    "기존 규정": "종전의 규정",
    "예전 규정": "종전의 규정",
    "개정 전": "종전의 규정",
    "7시 반": "07:30",
    "1시 반": "13:30",
    "1시 30분": "13:30",
    "지하층 1층": "지하 1층",
    "빨간색": "빨간 꼬리표",
    "빨강": "빨간 꼬리표",
    "붉은": "빨간 꼬리표",
    "특수 검진": "특수 건강 검진",
    "특수 건강 진단": "특수 건강 검진",
    "55프로": "55%",
}


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


class TestTheWholeSet:
    def test_ids_are_unique_and_name_the_language(self) -> None:
        assert len(set(names(QUESTIONS))) == len(QUESTIONS)
        assert all(q["id"].startswith(f"{q['language']}-") for q in QUESTIONS)

    def test_half_is_english_and_half_korean(self) -> None:
        assert len(QUESTIONS) == 130
        assert Counter(q["language"] for q in QUESTIONS) == {"en": 65, "ko": 65}
        assert Counter(q["language"] for q in TOOL) == {"en": 11, "ko": 11}

    def test_the_core_set_is_the_one_that_was_measured(self) -> None:
        assert Counter(q["language"] for q in CORE) == {"en": 10, "ko": 10}
        assert Counter(q["kind"] for q in CORE) == {
            "number": 8,
            "fact": 4,
            "table": 3,
            "crosslingual": 2,
            "unanswerable": 3,
        }
        text = json.dumps(CORE, ensure_ascii=False, sort_keys=True)
        assert sha256(text.encode()).hexdigest().startswith("d685850ba9f135dc"), (
            "measured tables name them"
        )

    def test_every_kind_and_tool_is_asked_about(self) -> None:
        assert Counter(q["kind"] for q in QUESTIONS) == {
            "number": 40,
            "fact": 25,
            "tool": 22,
            "crosslingual": 19,
            "unanswerable": 13,
            "table": 11,
        }
        assert Counter(q["tool"] for q in TOOL) == {"calculator": 9, "dates": 8, "units": 5}

    def test_questions_are_not_asked_twice_or_copied(self, texts: dict[str, str]) -> None:
        asked = [re.sub(r"\W", "", q["question"]).casefold() for q in QUESTIONS]
        assert len(set(asked)) == len(asked)
        for name, text in texts.items():
            flat = re.sub(r"\W", "", text).casefold()
            assert [q for q in asked if q in flat] == [], name

    def test_fields_are_those_of_the_kind(self) -> None:
        common = {"id", "language", "kind", "question", "answer"}
        for question in QUESTIONS:
            place = {"quotes"} if "quotes" in question else {"document", "quote"}
            expected = {
                "tool": common | {"tool", "accept", "working"} | place,
                "unanswerable": common | {"absent"},
            }.get(question["kind"], common | {"accept", "document", "quote"})
            optional = {"reject", "slips"} if question["kind"] == "tool" else {"reject"}
            assert expected <= set(question) <= expected | optional, question["id"]


# Sections whose statements stand in another document as well, or answer nothing.
UNASKED = {
    ("new-staff-guide.md", "## 자주 쓰는 이름"),
    ("purchasing-procedure.txt", "1. 적용 범위"),
    ("purchasing-procedure.txt", "11. 문의와 개정"),
    ("shift-work.md", "**제1조(목적)**"),
}
SECTIONS = {
    "meeting-rooms.txt": r"^(?:[^\n]+[?])$",
    "product-specifications.pdf": r"^\d [A-Z][a-z ]+$",
    "purchasing-procedure.txt": r"^\d+\. [^\n]+$",
    "shift-work.md": r"^\*\*제\d+조\([^)]+\)\*\*",
}


def sections(name: str) -> list[tuple[str, int, int]]:
    """Return the sections of a document: how each begins, its start and its end."""
    read = document(name)
    if pattern := SECTIONS.get(name):
        starts = [match.start() for match in re.finditer(pattern, read.text, re.MULTILINE)]
    else:
        starts = [heading.start for heading in read.headings if heading.level == 2]
    heads = [read.text[start:].split("\n", 1)[0] for start in starts]
    return list(zip(heads, starts, [*starts[1:], len(read.text)], strict=True))


@pytest.mark.parametrize("name", DOCUMENTS)
class TestSpread:
    def starts(self, name: str) -> list[int]:
        return [
            document(name).text.index(span.quote)
            for question in ANSWERABLE
            for span in spans(question)
            if span.document == name
        ]

    def test_every_section_is_asked_about(self, name: str) -> None:
        found = sections(name)
        assert len(found) >= 4
        for head, start, end in found:
            if not any(name == there and head.startswith(known) for there, known in UNASKED):
                assert any(start <= place < end for place in self.starts(name)), head

    def test_every_page_and_table_is_asked_about(self, name: str) -> None:
        read = document(name)
        ends = [*read.pages[1:], len(read.text)]
        stretches = [(table.start, table.end) for table in read.tables]
        stretches += zip(read.pages, ends, strict=False)
        for start, end in stretches:
            assert any(start <= place < end for place in self.starts(name))


class TestAnswerable:
    def test_each_quote_stands_once_and_in_its_document_only(self, texts: dict[str, str]) -> None:
        for question in ANSWERABLE:
            for span in spans(question):
                counts = {name: text.count(span.quote) for name, text in texts.items()}
                found = {name: count for name, count in counts.items() if count}
                assert found == {span.document: 1}, question["id"]

    def test_a_citation_can_hold_the_quote(self, texts: dict[str, str]) -> None:
        """Citations are one sentence or two neighbours."""
        stretches = {name: list(sentences(text)) for name, text in texts.items()}
        for question in ANSWERABLE:
            for span in spans(question):
                start = texts[span.document].index(span.quote)
                end = start + len(span.quote)
                parts = [s for s in stretches[span.document] if s.end > start and s.start < end]
                assert 1 <= len(parts) <= 2, question["id"]
                assert parts[0].start <= start, question["id"]
                assert end <= parts[-1].end, question["id"]

    def test_gold_answers_are_judged_right(self) -> None:
        for question in ANSWERABLE:
            answer, reject = question["answer"], question.get("reject", [])
            assert any(holds(answer, wanted) for wanted in question["accept"]), question["id"]
            assert not any(holds(answer, wrong) for wrong in reject), question["id"]

    def test_no_accepted_string_is_rejected(self) -> None:
        for question in ANSWERABLE:
            for wanted in question["accept"]:
                found = [wrong for wrong in question.get("reject", []) if holds(wanted, wrong)]
                assert found == [], question["id"]

    def test_questions_do_not_give_the_answer_away(self) -> None:
        for question in ANSWERABLE:
            asked = question["question"]
            assert not any(holds(asked, wanted) for wanted in question["accept"]), question["id"]

    def test_whoever_repeats_the_quote_is_not_rejected(self) -> None:
        """Holds since the core set, of which two questions cut a sentence in two."""
        for question in ANSWERABLE:
            if question in CORE:
                continue
            rejected = question.get("reject", [])
            assert not any(holds(quotes(question), wrong) for wrong in rejected), question["id"]


class TestTold:
    def test_accepted_strings_follow_from_the_quote(self) -> None:
        for question in TOLD:
            quote = quotes(question)
            assert any(holds(quote, wanted) for wanted in question["accept"]), question["id"]
            for wanted in question["accept"]:
                same = numbers(wanted) and numbers(wanted) <= figures(quote)
                assert same or holds(quote, SAME_AS.get(wanted, wanted)), (question["id"], wanted)

    def test_no_other_words_are_listed_than_are_accepted(self) -> None:
        assert set(SAME_AS) <= {wanted for question in TOLD for wanted in question["accept"]}

    def test_no_other_document_tells_it(self, texts: dict[str, str]) -> None:
        for question in TOLD:
            others = {name: text for name, text in texts.items() if name != question["document"]}
            assert holding(others, question["accept"]) == [], question["id"]

    def test_near_misses_are_in_the_document(self, texts: dict[str, str]) -> None:
        """A rejected string is one that a wrong row or sentence would have given."""
        for question in TOLD:
            text = texts[question["document"]]
            for wrong in question.get("reject", []):
                near = numbers(wrong) and numbers(wrong) <= numbers(text)
                assert near or holds(text, wrong), (question["id"], wrong)

    def test_crosslingual_means_the_other_language(self, texts: dict[str, str]) -> None:
        for question in TOLD:
            written = "ko" if hangul_share(texts[question["document"]]) > 0.3 else "en"
            other = written != question["language"]
            assert other is (question["kind"] == "crosslingual"), question["id"]

    def test_table_questions_rest_on_a_row(self) -> None:
        assert all(" | " in question["quote"] for question in TOLD if question["kind"] == "table")


def test_words_of_unanswerable_questions_are_absent(texts: dict[str, str]) -> None:
    for question in UNANSWERABLE:
        assert question["absent"]
        for name, text in texts.items():
            found = [word for word in question["absent"] if word.casefold() in text.casefold()]
            assert found == [], (question["id"], name)
