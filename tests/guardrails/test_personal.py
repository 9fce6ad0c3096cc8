"""Personal data that is found, look-alikes that are not, and disguises."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.korean_documents import documents
from groundling.guardrails.detector import THRESHOLD, resolve
from groundling.guardrails.personal import PersonalData

DETECTOR = PersonalData()


def found(text):
    findings = resolve(f for f in DETECTOR.find(text) if f.score >= THRESHOLD)
    return [(f.kind, text[f.start : f.end]) for f in findings]


IDENTIFIERS = [
    ("email", "Write to {}.", "hong.gildong+work@mail-1.example.co.kr"),
    ("email", "메일은 {}으로 보내세요", "hong@example.com"),
    ("email", '{{"to": ["{}"]}}', "hong_gd@example.com"),
    ("email", "<mailto:{}>", "o'neil@example.museum"),
    ("phone", "연락처 {} 입니다", "010-1234-5678"),
    ("phone", "{}로 전화 주세요", "01012345678"),
    ("phone", "홍길동,{},서울", "010.1234.5678"),
    ("phone", "{}", "010 1234 5678"),
    ("phone", "({})", "010-1234-5678"),
    ("phone", "홍길동\\n{}\\n", "010-1234-5678"),
    ("phone", "본사 {}, 팩스", "02)123-4567"),
    ("phone", "T.{}", "02-123-4567"),
    ("phone", "본사 {}", "(02) 123-4567"),
    ("phone", "대표 {}", "070-1234-5678"),
    ("phone", "Call {} now", "+82 10-1234-5678"),
    ("phone", "Call {} now", "+821012345678"),
    ("phone", "Call {} now", "+44 20 7946 0958"),
    ("phone", "Call {} now", "+1 (212) 555-0100"),
    ("phone", "Call {} now", "+46 (0)8 928 571 38"),
    ("phone", "It is {} now", "(212) 555-0100"),
    ("phone", "It is {} now", "212-555-0100"),
    ("phone", "Fax: {} now", "001-420-335-7509x38548"),
    ("phone", "Phone: {} now", "99 668472"),
    ("phone", "tel {}", "9498777106"),
    ("phone", "전화번호: {}", "0212345678"),
    ("phone", "고객센터 전화 {}", "1588-1234"),
    ("kr_rrn", "{}", "900101-1234568"),
    ("kr_rrn", "번호 {}", "9001011234568"),
    ("kr_rrn", "주민등록번호 {}", "2108153456788"),
    ("kr_rrn", "홍길동({})", "210815-3456788"),
    ("kr_rrn", "홍길동 {}", "900101 - 1234568"),
    ("kr_frn", "외국인등록번호 {}", "900101-5234567"),
    ("kr_brn", "사업자등록번호 {}", "124-81-00998"),
    ("kr_brn", "공급자 {}", "124-81-00998"),
    ("kr_brn", "사업자 {}", "1248100998"),
    ("kr_driver", "면허 {}", "11-12-123456-12"),
    ("kr_driver", "번호 {}", "28-12-123456-12"),
    ("kr_driver", "서울 {}", "12-123456-12"),
    ("passport", "여권번호 {}", "M12345678"),
    ("passport", "여권 {}", "M123A4567"),
    ("passport", "passport no. {}", "123456789"),
    ("card", "{}", "4111 1111 1111 1111"),
    ("card", "카드 {} 12/27", "4111-1111-1111-1111"),
    ("card", "{}", "5555555555554444"),
    ("card", "{}", "378282246310005"),
    ("card", "My card {}", "630427373398"),
    ("iban", "My IBAN is {}", "GB82 WEST 1234 5698 7654 32"),
    ("iban", "from {} to other", "DE89370400440532013000"),
    ("iban", "from {} to other", "gb82west12345698765432"),
    ("us_ssn", "{}", "531-21-7351"),
    ("us_ssn", "my SSN is {}", "531217351"),
    ("ip", "from {}:443", "58.74.121.78"),
    ("ip", "|{}|", "98.85.59.159"),
    ("ip", "IP 주소 {}", "8.8.8.8"),
    ("ip", "address {} blocked", "6e40:4041:c617:e898:c11:40d2:c669:2eb4"),
    ("ip", "from {}", "2606:4700:4700::1111"),
    ("bank_account", "국민은행 {}", "123456-01-123456"),
    ("bank_account", "계좌번호: {}", "110123456789"),
    ("bank_account", "카카오뱅크 {}로 입금", "3333-01-1234567"),
    ("bank_account", "bank account {}", "1234567890"),
]


@pytest.mark.parametrize(("kind", "sentence", "value"), IDENTIFIERS)
def test_identifiers_are_found_whole(kind, sentence, value):
    assert found(sentence.format(value)) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "가격은 1,234,567원이며 부가세 별도입니다",
        "총 계약 금액 12345678901원을 계좌로 입금",
        "₩1234567890 and $4111111111111111",
        "2026-11-25 22:44:34.123456+00:00",
        "2026-11-25T22:44:34.123456Z",
        "20261125T224434123456Z3f2a",
        "전화 상담: 2026-11-25 14:30, 통화 2024/01/15 10:20:30",
        "입금 20240115103000 처리",
        "phone release 2024-01-15 and 15.01.2024",
        "1998-2001, 전화 1914-1918",
        "ISBN 978-89-12345-67-8",
        "ISBN 9788912345678, 9791186710128",
        "ISBN-10 89-123-4567-8",
        "created 1701234567890 and 1732574674123456789",
        "550e8400-e29b-41d4-a716-446655440000",
        "55084000-1234-4123-8123-123456789012",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:4111111111111111abcdefabcdefabcdef",
        "offset 123456-123789, characters 1024 2048 4096 8192",
        "주문번호 120-81-47522",
        "주문번호: 261015-4408567",
        "ORD-4111111111111111",
        "https://example.com/posts/4111111111111111",
        "binary 01010101010 and 01011010110",
        "v10.20.30.40, version 86.121.97.248",
        "see 3.1.2.4 and section 12.4.3.1",
        "10.0.19041.1 and 3.11.7 and 2.0.0rc1",
        "127.0.0.1, 192.168.0.10, 10.1.2.3, 0.0.0.0, 224.0.0.1, 203.0.113.7",
        "fe80::1 and ::1 and 2001:db8::1 and 10:30:15:20",
        "00:1a:2b:3c:4d:5e std::add::dad",
        "gpt-4o-2024-08-06, claude-3-5-sonnet-20241022, qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        "FX-1234-5678 costs 1,480 EUR",
        "0.123456789012 -1.12345679 +1.12345679 1e10 3.14159265358979",
        "+20231201 lines, +12345678",
        "icon@2x.png page@1.txt @decorator.name react@18.2.0 git@github.com:org/repo.git",
        "1234567890123 12345678901 123-45-678",
        "37.566535, 126.977969",
        "확률 0.0000001234, 1234 5678 9012",
        "제12조 제3항, 2026년 3월 15일 오후 2시 30분",
        "666-12-3456 and 900-12-3456 and 000-12-3456",
        "9913321234567",
        "M12345678 부품",
        "1/2/3/4/5/6/7/8 1-2-3-4-5-6-7-8",
    ],
)
def test_look_alikes_are_not_found(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "card 4111111111111112",
        "378282246310006",
        "부품 번호 124-81-00997",
        "사업자 124-81-00997",
        "GB82 WEST 1234 5698 7654 33",
        "DE89370400440532013001",
        "9001011234567",
    ],
)
def test_a_wrong_check_digit_makes_it_another_number(text):
    assert found(text) == []


def test_a_number_without_its_check_digit_counts_where_a_word_says_what_it_is():
    assert found("2108153456788") == []
    assert found("주민등록번호 2108153456788") == [("kr_rrn", "2108153456788")]


@pytest.mark.parametrize(
    "number", ["901301-1234567", "900132-1234567", "990229-1234567", "000000-1000000"]
)
def test_resident_numbers_have_a_possible_date(number):
    assert found(f"주민등록번호 {number}") == []


def test_a_birthday_in_the_future_is_none():
    assert found("주민등록번호 991231-3234567") == []


def test_the_checksum_is_only_a_score():
    [with_digit] = [f for f in DETECTOR.find("900101-1234568") if f.kind == "kr_rrn"]
    [without] = [f for f in DETECTOR.find("900101-1234567") if f.kind == "kr_rrn"]
    assert with_digit.score > without.score >= THRESHOLD


def test_several_in_one_text_are_all_found():
    text = "010-1234-5678,010-2222-3333/02-123-4567 a@b.kr;c@d.kr 1 010-4444-5555 2"
    assert [kind for kind, _ in found(text)] == ["phone"] * 3 + ["email"] * 2 + ["phone"]


def test_an_escaped_line_break_is_no_part_of_an_address():
    assert found(r"{\"text\": \"mail:\nhong@example.com\"}") == [("email", "hong@example.com")]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("phone", "9498777106", "phone"),
        ("계좌번호", "110123456789", "bank_account"),
        ("주민등록번호", "2108153456788", "kr_rrn"),
        ("passport_number", "123456789", "passport"),
        ("client_ip", "8.8.8.8", "ip"),
        ("account", "110-123-456789", "bank_account"),
    ],
)
def test_a_fields_name_tells_what_its_number_is(name, value, kind):
    assert found(value) == []
    findings = [f for f in DETECTOR.find_in_field(name, value) if f.score >= THRESHOLD]
    assert (kind, 0, len(value)) in {(f.kind, f.start, f.end) for f in findings}


@pytest.mark.parametrize(
    ("name", "value"), [("message", "9498777106"), ("phone", "010"), ("tel", "x" * 99)]
)
def test_other_fields_tell_nothing(name, value):
    assert list(DETECTOR.find_in_field(name, value)) == []


DISGUISED = [
    ("phone", "010-1234-5678"),
    ("kr_rrn", "900101-1234568"),
    ("email", "hong.gildong@example.com"),
    ("card", "4111 1111 1111 1111"),
    ("iban", "DE89370400440532013000"),
    ("ip", "58.74.121.78"),
]
around = st.text(st.sampled_from("가나 다.\n\u200b０１，ab“”…é①"), max_size=12)


@given(st.sampled_from(DISGUISED), st.randoms(use_true_random=False), around, around)
def test_disguised_identifiers_are_found_at_their_original_offsets(case, rng, before, after):
    kind, value = case
    disguised = disguise(value, rng)
    text = f"{before} | {disguised} | {after}"
    start = len(before) + 3
    spans = {(f.kind, f.start, f.end) for f in DETECTOR.find(text) if f.score >= THRESHOLD}
    assert (kind, start, start + len(disguised)) in spans


def disguise(value: str, rng: random.Random) -> str:
    """Make some characters full-width, and put characters without width between some."""
    wide = [chr(ord(c) + 0xFEE0) if c != " " and rng.random() < 0.4 else c for c in value]
    joiners = [rng.choice(["", "", "\u200b", "\u200d\ufeff"]) for _ in wide[1:]]
    return wide[0] + "".join(joiner + c for joiner, c in zip(joiners, wide[1:], strict=True))


@pytest.mark.parametrize("document", documents(2), ids=lambda d: d.lookalike or d.gold[0][0])
def test_the_benchmarks_documents_are_labelled_where_the_identifier_stands(document):
    for _, start, end in document.gold:
        value = document.text[start:end]
        assert value
        assert value == value.strip()
    if document.lookalike:
        assert found(document.text) == []
