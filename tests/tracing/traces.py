"""Traces made by hand, in the shape that a graph with a model leaves behind."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status

NOW = 1_790_000_000_000_000
SECOND = 1_000_000


def message(kind: str, content: str, **fields: Any) -> dict[str, Any]:
    """Return a message as LangChain's tracers write it."""
    name = {"human": "HumanMessage", "ai": "AIMessage", "system": "SystemMessage"}[kind]
    path = ["langchain", "schema", "messages", name]
    kwargs = {"content": content, "type": kind, **fields}
    return {"lc": 1, "type": "constructor", "id": path, "kwargs": kwargs}


class Trace:
    """A trace that is put together run by run.

    Args:
        name: of the graph.
        started: microseconds since 1970.
    """

    def __init__(
        self,
        name: str = "rag",
        started: int = NOW,
        *,
        question: str = "How many days of leave?",
        thread: str | None = None,
        run_type: str = "chain",
        **fields: Any,
    ) -> None:
        self.id = uuid4()
        self.started = started
        root = Patch(id=self.id, trace=self.id, name=name, run_type=run_type, started=started)
        root.inputs = encode({"question": question})
        root.extra = encode({"metadata": {"thread_id": thread} if thread else {}})
        for field, value in fields.items():
            setattr(root, field, value)
        self.patches = [root]

    def run(
        self,
        name: str,
        *,
        parent: UUID | None = None,
        at: float = 0.0,
        lasts: float | None = 0.1,
        node: str | None = None,
        inputs: Any = None,
        outputs: Any = None,
        metadata: dict[str, Any] | None = None,
        **fields: Any,
    ) -> UUID:
        """Add a run; `at` and `lasts` in seconds, a run that does not end lasts None."""
        noted = {**(metadata or {}), **({"langgraph_node": node} if node else {})}
        patch = Patch(
            id=uuid4(),
            trace=self.id,
            parent=parent or self.id,
            name=name,
            run_type=fields.pop("run_type", "chain"),
            started=self.started + int(at * SECOND),
            duration=None if lasts is None else round(lasts * SECOND),
            inputs=encode(inputs or {}),
            outputs=encode(outputs) if outputs is not None else None,
            extra=encode({"metadata": noted}),
            **fields,
        )
        self.patches.append(patch)
        return patch.id

    def node(self, name: str, *, at: float = 0.0, lasts: float | None = 0.1, **fields: Any) -> UUID:
        """Add a node of a graph as LangGraph does: its run, and the runnable inside it."""
        outer = self.run(name, at=at, lasts=lasts, node=name, tags=["graph:step:1"], **fields)
        return self.run(
            name, parent=outer, at=at, lasts=lasts, node=name, tags=["seq:step:1"], **fields
        )

    def model(
        self,
        parent: UUID,
        *,
        at: float = 0.0,
        lasts: float = 0.1,
        node: str | None = None,
        tokens: tuple[int, int, int] = (40, 8, 30),
        first: float | None = 0.04,
        answer: str = "You have 17 days.",
        asked: str = "How many days of leave?",
    ) -> UUID:
        """Add a call of a chat model; `tokens` are those in, out, and from the cache."""
        return self.run(
            "ChatLlama",
            parent=parent,
            at=at,
            lasts=lasts,
            node=node,
            run_type="llm",
            inputs={"messages": [[message("system", "Answer."), message("human", asked)]]},
            outputs={"generations": [[{"text": answer, "message": message("ai", answer)}]]},
            metadata={"prompt": "answer.en", "prompt_sha256": "ab" * 32, "ls_model_name": "tiny"},
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cached_tokens=tokens[2],
            first_token=None if first is None else round(first * SECOND),
        )

    def end(
        self,
        lasts: float = 1.0,
        *,
        outputs: Any = None,
        error: str | None = None,
        status: Status | None = None,
        **fields: Any,
    ) -> list[Patch]:
        """End the root; return all patches."""
        root = self.patches[0]
        root.duration = round(lasts * SECOND)
        root.outputs = encode(outputs) if outputs is not None else None
        root.error, root.status = error, status
        for name, value in fields.items():
            setattr(root, name, value)
        return self.patches


def rag(started: int = NOW, *, answer: str = "You have 17 days.", **fields: Any) -> Trace:
    """Return a trace of `rag` that retrieved, weighed, and answered; not ended yet."""
    trace = Trace("rag", started, **fields)
    trace.node("retrieve", at=0.0, lasts=0.05, outputs={"passages": [29, 31], "coverage": 0.9})
    judge = trace.node("judge", at=0.05, lasts=0.2, outputs={"relevance": 0.9})
    trace.run(
        "choose",
        parent=judge,
        at=0.05,
        lasts=0.19,
        node="judge",
        outputs={"output": [{"yes": 0.9, "no": 0.1}]},
        input_tokens=60,
        output_tokens=1,
        cached_tokens=20,
    )
    answering = trace.node("answer", at=0.3, lasts=0.6, outputs={"answer": answer})
    trace.model(answering, at=0.31, lasts=0.5, node="answer", first=0.1, answer=answer)
    return trace
