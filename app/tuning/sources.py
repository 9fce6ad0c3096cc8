"""Examples from what people did on this machine: corrections, thumbs, runs.

A correction of a run becomes what should be said, and a preference over what was said. A
thumb becomes a label; where one question has good answers and bad ones, each good one is
preferred to each bad one. Runs without feedback are learnt from only if asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from groundling.errors import TuningError
from groundling.tracing.digest import asked, said
from groundling.tracing.feedback import THUMBS, Feedback, FeedbackBook
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Payload, Status, StoredRun
from groundling.tracing.store import TraceStore
from groundling.tuning.example import Example, Turn, plain

# What the model is to be asked: the person's words, or the prompt that a graph made of them.
Asked = Literal["question", "prompt"]
_ROLES = {"human": "user", "user": "user", "ai": "assistant", "AIMessageChunk": "assistant",
          "assistant": "assistant", "system": "system"}  # fmt: skip
_MOST_PAIRS = 4  # of one question
_PART = 500


def from_feedback(
    traces: TraceStore, wanted: RunFilter | None = None, asked_as: Asked = "question"
) -> list[Example]:
    """Make examples of what people said of runs, the latest first."""
    book = FeedbackBook(traces)
    made: list[Example] = []
    for run, payload in _runs(traces, wanted):
        judged = book.of_traces([run.trace]).get(run.trace, [])
        if (prompt := _prompt(traces, run, payload, asked_as)) is not None:
            made += _judged(run, prompt, said(payload.outputs), judged)
    return [*made, *_pairs(made)]


def from_traces(
    traces: TraceStore, wanted: RunFilter | None = None, asked_as: Asked = "question"
) -> list[Example]:
    """Make examples of runs that went well and of which nobody said otherwise, latest first."""
    book = FeedbackBook(traces)
    made: list[Example] = []
    for run, payload in _runs(traces, wanted):
        judged = book.of_traces([run.trace]).get(run.trace, [])
        bad = any(each.correction or (each.score or 0) < 0 for each in judged)
        if bad or run.status != Status.SUCCESS or run.verdict in ("refused", "blocked"):
            continue
        answer = said(payload.outputs)
        prompt = _prompt(traces, run, payload, asked_as)
        if prompt is not None and answer:
            made.append(Example(prompt, answer, **_of(run, "traces", run.started)))
    return made


def _runs(traces: TraceStore, wanted: RunFilter | None) -> Iterator[tuple[StoredRun, Payload]]:
    runs = traces.find(wanted or RunFilter(), limit=-1)
    for start in range(0, len(runs), _PART):
        part = runs[start : start + _PART]
        payloads = traces.payloads(part)
        yield from ((run, payloads[run.seq]) for run in part)


def _judged(
    run: StoredRun, prompt: tuple[Turn, ...], answer: str, judged: Sequence[Feedback]
) -> Iterator[Example]:
    for each in judged:
        common = _of(run, "feedback", each.modified or each.created)
        if right := _correction(each.correction):
            yield Example(prompt, right, **common)
            if answer and plain(answer) != plain(right):
                yield Example(prompt, right, rejected=answer, **common)
        elif each.key == THUMBS and each.score and answer:
            yield Example(prompt, answer, good=each.score > 0, **common)


def _pairs(made: Iterable[Example]) -> Iterator[Example]:
    """Prefer good answers to bad ones of the same question; what was said last of one holds."""
    by_prompt: dict[tuple[Turn, ...], dict[str, Example]] = defaultdict(dict)
    for example in sorted(made, key=lambda each: int(each.about["created"])):
        if example.kind == "label":
            by_prompt[example.prompt][plain(example.answer)] = example
    for judged in by_prompt.values():
        same = list(judged.values())
        pairs = [
            Example(good.prompt, good.answer, rejected=bad.answer, source="feedback",
                    group=good.group, about=good.about)
            for good in same if good.good
            for bad in same if not bad.good
        ]  # fmt: skip
        yield from pairs[:_MOST_PAIRS]


def _of(run: StoredRun, source: str, created: int) -> dict[str, Any]:
    about = {"run": str(run.id), "graph": run.graph, "created": created}
    return {"source": source, "group": run.thread or str(run.trace), "about": about}


def _correction(value: Any) -> str:
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("answer", "output", "text") if key in value), "")
    return value.strip() if isinstance(value, str) else ""


def _prompt(
    traces: TraceStore, run: StoredRun, payload: Payload, asked_as: Asked
) -> tuple[Turn, ...] | None:
    """Return the conversation up to the person's turn; None where there is none to be read."""
    turns: list[Turn] = []
    if asked_as == "prompt":
        writing = [
            each
            for each in traces.find(RunFilter(trace=run.trace, node="answer", roots=None), limit=-1)
            if each.run_type == "llm"
        ]
        if writing:
            turns = _turns(traces.payload(writing[0]).inputs)
    if not turns:
        turns = _turns(payload.outputs) or _turns(payload.inputs)
    while turns and turns[-1].role != "user":
        turns.pop()
    question = asked(payload.inputs).strip()
    if not turns and question:
        turns = [Turn("user", question)]
    try:
        return Example(tuple(turns), "…").prompt
    except TuningError:  # a conversation that models do not have: tools, two turns in a row
        return (Turn("user", question),) if question else None


def _turns(value: Any) -> list[Turn]:
    """Return the messages in inputs or outputs; none where one is of a tool."""
    messages: Any = value.get("messages") if isinstance(value, Mapping) else None
    while isinstance(messages, list) and messages and isinstance(messages[0], list):
        messages = messages[0]
    turns: list[Turn] = []
    for message in messages if isinstance(messages, list) else []:
        fields = message.get("kwargs", message) if isinstance(message, Mapping) else {}
        role = _ROLES.get(str(fields.get("type") or fields.get("role")))
        text = fields.get("content")
        if role is None or not isinstance(text, str) or fields.get("tool_calls"):
            return []
        turns.append(Turn(role, text))  # type: ignore[arg-type]
    return turns
