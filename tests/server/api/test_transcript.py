"""Conversations as texts to keep."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from groundling.server.api.transcript import Transcript, text_of

_CITED = {
    "number": 1, "source": "leave.md", "page": 3, "start": 10, "end": 40,
    "quote": "Employees have\n25 days.",
}  # fmt: skip


def message(kind: str, text: Any, id: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "content": text, "id": id, **more}


def state(*messages: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"values": {"messages": list(messages), **values}}


FIRST = (message("human", "How many days?", "1"), message("ai", "25 days [1].", "2"))
SECOND = (*FIRST, message("human", "And pay?", "3"), message("ai", "Unknown.", "4"))
STATES = [
    state(*SECOND, citations=[], verdict="refused"),
    state(*SECOND[:3], citations=[_CITED], verdict="answered"),  # in the middle of a turn
    state(*FIRST, citations=[_CITED], verdict="answered"),
]


def test_each_answer_has_its_own_citations() -> None:
    messages = Transcript("Leave", None, STATES).messages()
    assert [each["text"] for each in messages] == [
        "How many days?", "25 days [1].", "And pay?", "Unknown.",
    ]  # fmt: skip
    assert messages[1]["citations"] == [_CITED]
    assert messages[1]["verdict"] == "answered"
    assert "citations" not in messages[3]
    assert messages[3]["verdict"] == "refused"


def test_a_page_to_read_names_places_and_verdicts() -> None:
    written = Transcript("Leave", "2026-11-26T20:00:00Z", STATES).markdown()
    assert written.startswith("# Leave\n")
    assert "> [1] leave.md, page 3, characters 10–40:\n> “Employees have 25 days.”" in written
    assert written.index("25 days [1].") < written.index("leave.md") < written.index("And pay?")
    assert written.count("Verdict: ") == 2


def test_a_tool_cannot_end_its_fence() -> None:
    states = [state(message("tool", "```\n# Not a heading\n```", "1"))]
    assert "````\n```\n# Not a heading\n```\n````" in Transcript("x", None, states).markdown()


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_a_message_holds_is_a_text(content: Any) -> None:
    assert isinstance(text_of({"content": content}), str)


def test_a_thread_without_states_is_an_empty_page() -> None:
    assert Transcript("", None, []).markdown() == "# Conversation\n"
