"""Looking at a text once is enough, and never too little."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundling.guardrails.redact import Redactor
from groundling.tracing.redaction import Redaction

TEXTS = st.sampled_from(
    [
        "hunter2", "hello", "kim@example.com", "leave", "password", "token", "api_key", "id",
        "010-1234-5678", "연차", "82f37129-202e-47c4-83e9-48c1fdfdd177",
        "node_0:82f37129-202e-47c4-83e9-48c1fdfdd177", "2026-11-25T23:17:10.675269+00:00",
    ]
)  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=6))
def test_what_is_remembered_changes_nothing(values):
    redaction, plain = Redaction(), Redactor()
    for value in values * 2:
        kept, count = redaction(value)
        theirs, found = plain(value)
        assert kept == theirs
        assert count == sum(found.values())


def test_a_word_that_was_clean_is_a_secret_under_another_name():
    redaction = Redaction()
    assert redaction({"animal": "hunter2xyz"}) == ({"animal": "hunter2xyz"}, 0)
    assert redaction({"password": "hunter2xyz"})[1] == 1
    assert redaction({"animal": "hunter2xyz"})[1] == 0


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("groundling.tracing.redaction.MOST", 10_000)
    redaction = Redaction()
    for number in range(1000):
        redaction([f"text number {number}" * 5])
    assert len(redaction._clean) < 200


def test_a_secret_may_have_the_form_of_a_runs_number():
    number = "82f37129-202e-47c4-83e9-48c1fdfdd177"
    redaction = Redaction()
    assert redaction({"id": number, "api_key": number})[0] == {"id": number, "api_key": "[API_KEY]"}
    assert redaction({"password": f"lc_run--{number}"})[1] == 1
