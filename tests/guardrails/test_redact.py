"""Texts and JSON values without what was found in them."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.guardrails.detector import THRESHOLD, Finding, placeholder
from groundling.guardrails.personal import PersonalData
from groundling.guardrails.redact import Redactor, default_detectors, redact

DETECTORS = default_detectors()
PIECES = [
    "hong@example.com", "010-1234-5678", "900101-1234568", "password=hunter2!",
    "비밀번호는 abc123!", "https://hong:s3cr3t@example.com", "4111 1111 1111 1111", "M12345678",
    "계좌 110-123-456789", "여권", "password", ": ", "=", "'", '"', "{", "\\", " ", "\n", "가",
    "1", "０", "-", "+", "\u200b", "[EMAIL]", "token", "58.74.121.78", "@", ".", "phone ",
    "12 345 67",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


class Words:
    """Finds given words."""

    def __init__(self, **kinds: str) -> None:
        self.kinds = kinds

    def find(self, text: str) -> list[Finding]:
        return [
            Finding(kind, text.index(word), text.index(word) + len(word), 1.0)
            for kind, word in self.kinds.items()
            if word in text
        ]


def test_findings_become_their_kind_and_are_counted():
    text = "hong@example.com or kim@example.com, 010-1234-5678"
    assert redact(text, DETECTORS) == ("[EMAIL] or [EMAIL], [PHONE]", Counter(email=2, phone=1))


@pytest.mark.parametrize("filler", [" ", "가", "\u200b", "a b. "])
@pytest.mark.parametrize("secret", ["010-1234-5678", "hong@example.com", "password=s3cr3t"])
def test_what_stands_across_the_border_of_a_window_is_found(filler, secret):
    for shift in range(24):
        before = (filler * (1 << 16))[: (1 << 16) - shift - 1] + " "
        text = f"{before}{secret} {filler * 3}"
        redacted, counts = redact(text, DETECTORS)
        assert sum(counts.values()) == 1, shift
        assert redacted.startswith(before[:-1])


def test_any_detector_fits():
    assert redact("one two three", [Words(a="two"), Words(b="three")]) == (
        "one [A] [B]",
        Counter(a=1, b=1),
    )


def test_the_longest_of_overlapping_findings_names_them_all():
    assert redact("one two three", [Words(a="one two", b="two three", c="two")]) == (
        "[B]",
        Counter(b=1),
    )


def test_findings_below_the_threshold_stay():
    text = "part M12345678"
    assert redact(text, [PersonalData()]) == (text, Counter())
    assert redact(text, [PersonalData()], threshold=0.2)[0] == "part [PASSPORT]"


def test_a_text_without_findings_is_the_same_object():
    text = "An ordinary sentence of 2026, with 3 numbers: 1,234."
    assert redact(text, DETECTORS)[0] is text


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" | ".join))
def test_placeholders_are_never_found(text):
    once, counts = redact(text, DETECTORS)
    marks = [m.span() for kind in counts for m in re.finditer(re.escape(placeholder(kind)), once)]
    again = [f for one in DETECTORS for f in one.find(once) if f.score >= THRESHOLD]
    assert not [f for f in again for start, end in marks if f.start < end and start < f.end]


def test_a_placeholder_is_no_word_for_what_follows():
    text = "[PHONE] 12 345 67, [PASSWORD]: foo1, [BANK_ACCOUNT] 1234567890, [PASSPORT] M12345678"
    assert redact(text, DETECTORS)[0] is text


@given(texts)
def test_what_no_detector_found_is_kept_in_order(text):
    once, counts = redact(text, DETECTORS)
    kept = [once]
    for kind in counts:
        kept = [part for piece in kept for part in piece.split(f"[{kind.upper()}]")]
    place = 0
    for part in kept:
        if part not in ("[EMAIL]",):
            place = text.index(part, place) + len(part)
    assert bool(counts) == (once != text)


keys = st.sampled_from(
    ["phone", "password", "hong@example.com", "kim@example.com", "비밀번호", "a"]
)
values = st.recursive(
    texts | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_a_value_is_never_changed_in_place(value):
    before = copy.deepcopy(value)
    Redactor()(value)
    assert value == before


@given(values)
def test_a_redacted_value_has_the_same_shape_and_is_still_json(value):
    redactor = Redactor()
    once, counts = redactor(value)
    assert shape(once) == shape(value)
    assert json.dumps(once)
    assert (once is value) == (not counts)


def shape(value):
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value)


def test_keys_are_redacted_and_none_is_lost():
    value = {"hong@example.com": 1, "kim@example.com": 2, "[EMAIL] 2": 3, "lee@example.com": 4}
    redacted, counts = Redactor()(value)
    assert redacted == {"[EMAIL]": 1, "[EMAIL] 2": 2, "[EMAIL] 2 2": 3, "[EMAIL] 3": 4}
    assert counts == Counter(email=3)


def test_the_name_of_a_field_counts():
    value = {"user": "hong", "password": "swordfish", "args": [{"phone": "9498777106"}]}
    assert Redactor()(value)[0] == {
        "user": "hong",
        "password": "[PASSWORD]",
        "args": [{"phone": "[PHONE]"}],
    }


def test_without_the_detector_of_secrets_a_password_stays():
    value = {"password": "swordfish"}
    assert Redactor([PersonalData()])(value)[0] is value


def test_messages_of_a_trace_keep_what_is_nobodys():
    value = {
        "messages": [
            {
                "type": "human",
                "content": "연차는 며칠인가요?",
                "id": "run-550e8400-e29b-41d4-a716-446655440000",
            },
            {"type": "ai", "content": "17 days [1].", "usage": {"total_tokens": 1234567}},
        ],
        "token": "Hello",
        "ls_model_name": "qwen2.5-coder-1.5b",
        "dotted_order": "20261125T224434123456Z550e8400-e29b-41d4-a716-446655440000",
        "start_time": "2026-11-25T22:44:34.123456+00:00",
        "prompt_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    redacted, counts = Redactor()(value)
    assert redacted is value
    assert not counts


@pytest.mark.parametrize("value", [None, True, 3, 2.5, b"hong@example.com", {1, 2}])
def test_other_types_are_left_alone(value):
    assert Redactor()(value)[0] is value
    kept = Redactor()(["hong@example.com", value])[0]
    assert kept[1] is value


def test_tuples_become_lists_as_in_json():
    assert Redactor()({"a": ("hong@example.com", 1)})[0] == {"a": ["[EMAIL]", 1]}


def test_depth_is_no_limit():
    value: object = "hong@example.com"
    for _ in range(50_000):
        value = [value]
    redacted, counts = Redactor()(value)
    for _ in range(50_000):
        redacted = redacted[0]
    assert (redacted, counts) == ("[EMAIL]", Counter(email=1))
    while isinstance(value, list):  # taken apart here: Python's own way down is recursive
        value = value.pop()


def test_a_value_that_holds_itself_does_so_in_the_copy():
    value: dict[str, object] = {"to": "hong@example.com"}
    value["self"] = value
    redacted, counts = Redactor()(value)
    assert redacted["to"] == "[EMAIL]"
    assert redacted["self"] is redacted
    assert counts == Counter(email=1)


def test_what_is_shared_is_read_once():
    value: object = ["hong@example.com"]
    for _ in range(60):
        value = [value, value]
    _, counts = Redactor()(value)
    assert counts == Counter(email=1)
