"""The trace of a run, as evaluators read it: its tool calls, passages, tokens and time."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from groundling.errors import EvaluationError
from groundling.tracing.run import Payload, StoredRun
from groundling.tracing.store import TraceStore


@dataclass(frozen=True)
class ToolCall:
    """A tool that ran, and what it was given."""

    name: str
    args: Mapping[str, Any]


class Trace:
    """A run and all below it; read from the store when something is asked.

    Args:
        store: where the runs are.
        id: of the run at the root.
    """

    def __init__(self, store: TraceStore, id: UUID) -> None:
        self._store = store
        self.id = id

    @cached_property
    def root(self) -> StoredRun:
        """The run itself.

        Raises:
            EvaluationError: it was not recorded, or was removed.
        """
        found = self._store.run(self.id)
        if found is None:
            raise EvaluationError(
                f"Run {self.id} was not recorded.",
                hint="groundling trace stats tells what was dropped, and why.",
            )
        return found

    @cached_property
    def runs(self) -> list[StoredRun]:
        """All runs, parents before their children."""
        return self._store.trace(self.id)

    def payload(self, run: StoredRun) -> Payload:
        """Return what went into a run and came out of it."""
        return self._store.payload(run)

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.root.duration is None else self.root.duration / 1e6

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tools that ran, in order; not those that ran inside of another."""
        kinds = {run.id: run for run in self.runs}
        calls = []
        for run in sorted(self.runs, key=lambda run: (run.started, run.seq)):
            if run.run_type != "tool" or self._inside_tool(run, kinds):
                continue
            calls.append(ToolCall(run.name, _arguments(self.payload(run).inputs)))
        return calls

    @property
    def passage_ids(self) -> list[int]:
        """The chunks that the graph's `retrieve` node chose last, best first."""
        for run in reversed(self.runs):
            if run.name == run.node == "retrieve":
                chosen = (self.payload(run).outputs or {}).get("passages")
                if isinstance(chosen, list):
                    return [each for each in chosen if isinstance(each, int)]
        return []

    @property
    def retrieved_texts(self) -> list[str]:
        """What LangChain retrievers returned."""
        texts = []
        for run in self.runs:
            if run.run_type != "retriever":
                continue
            documents = (self.payload(run).outputs or {}).get("documents")
            for document in documents if isinstance(documents, list) else ():
                fields = document.get("kwargs", document) if isinstance(document, dict) else {}
                if isinstance(fields.get("page_content"), str):
                    texts.append(fields["page_content"])
        return texts

    @staticmethod
    def _inside_tool(run: StoredRun, runs: Mapping[UUID, StoredRun]) -> bool:
        seen = set()
        parent = run.parent
        while parent is not None and parent in runs and parent not in seen:
            seen.add(parent)
            if runs[parent].run_type == "tool":
                return True
            parent = runs[parent].parent
        return False


def _arguments(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Undo how LangChain's tracer writes a tool's input: as the text of a dictionary."""
    if set(inputs) != {"input"} or not isinstance(inputs["input"], str):
        return inputs
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(inputs["input"])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return inputs
