"""What stands below an answer for clients that show text alone: places, doubts, notices.

    Employees have 25 days of leave. [1]

    ---
    [1] handbook.pdf, page 3, characters 120–158: “Employees have 25 days of leave a year.”
    ⚠ No passage carries this answer; treat it as unchecked.
    ℹ An e-mail address was hidden.

Such a client sends the text back with the next question. `without` takes the footnotes off
again, so that no model reads them as something that was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from groundling.models.prompts import Language

_RULE = "\n\n---\n"
_FOOT = re.compile(r"\n\n---\n(?:(?:\[\d+\]|⚠|ℹ) [^\n]*(?:\n|\Z))+\Z")
_LONGEST_QUOTE = 160
_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "page": ", page {}",
        "span": ", characters {}–{}",
        "unproved": "No passage carries this answer; treat it as unchecked.",
        "approval": "A person has to allow what comes next; nothing of it was done:",
        "how": "A conversation here cannot wait for that. Ask again on Groundling's page or "
        "in a thread of its LangGraph API, where each call can be approved.",
    },
    "ko": {
        "page": ", {}쪽",
        "span": ", {}–{}번째 글자",
        "unproved": "이 답을 뒷받침하는 문서 구절이 없습니다. 확인되지 않은 답으로 보십시오.",
        "approval": "다음 작업은 사람의 허락이 필요하며, 아직 아무것도 실행되지 않았습니다:",
        "how": "여기의 대화는 그것을 기다릴 수 없습니다. Groundling 페이지나 LangGraph API의 "
        "스레드에서 다시 질문하면 호출마다 승인할 수 있습니다.",
    },
}


def footnotes(values: Mapping[str, Any], language: Language) -> str:
    """Write what is to be known of an answer below it; empty where there is nothing.

    Args:
        values: what the graph gave.
        language: of the question.
    """
    lines = [*_places(values.get("citations") or (), language)]
    if values.get("verdict") == "unproved":
        lines.append(f"⚠ {_WORDS[language]['unproved']}")
    lines += [f"ℹ {_line(notice)}" for notice in values.get("notices") or ()]
    return _RULE + "\n".join(lines) if lines else ""


def _places(citations: Sequence[Mapping[str, Any]], language: Language) -> Iterator[str]:
    words = _WORDS[language]
    for citation in citations:
        page = words["page"].format(citation["page"]) if citation.get("page") else ""
        span = words["span"].format(citation["start"], citation["end"])
        quote = _line(citation["quote"])
        if len(quote) > _LONGEST_QUOTE:
            quote = f"{quote[: _LONGEST_QUOTE - 1]}…"
        yield f"[{citation['number']}] {_line(citation['source'])}{page}{span}: “{quote}”"


def _line(text: Any) -> str:
    return " ".join(str(text).split())


def without(text: str) -> str:
    """Take the footnotes off an answer that a client sends back."""
    return _FOOT.sub("", text)


def waiting(interrupts: Sequence[Mapping[str, Any]], language: Language) -> str:
    """Say what a run waits for: the question itself, or the calls that need approval."""
    texts = []
    for one in interrupts:
        value = one.get("value")
        match value:
            case {"type": "question", "question": question}:
                texts.append(str(question))
            case {"type": "approval", "calls": calls}:
                words = _WORDS[language]
                shown = [f"- {_call(call)}" for call in calls]
                texts.append("\n".join([words["approval"], *shown, "", words["how"]]))
            case _:
                texts.append(_line(value))
    return "\n\n".join(texts)


def _call(call: Mapping[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in (call.get("args") or {}).items())
    return f"{call.get('name')}({arguments})"
