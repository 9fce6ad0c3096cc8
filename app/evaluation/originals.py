"""What of a recorded run is needed to run it again: how it was made, and what went in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from langchain_core.messages import messages_from_dict

from groundling.errors import EvaluationError
from groundling.evaluation.differences import Step
from groundling.graphs.provenance import Provenance
from groundling.graphs.registry import GRAPHS
from groundling.models.adapter_names import TOGETHER
from groundling.tracing.as_json import short_id
from groundling.tracing.run import Payload, Status, StoredRun
from groundling.tracing.store import TraceStore

_BLACKED_OUT = re.compile(r"\[[A-Z][A-Z0-9_]*\]")
_SHORTENED = re.compile(r"… <\d+ characters>$|^<(\d+ items|shortened|cycle|too deep)>$")
_CHAT_LLAMA = "groundling"  # its `_llm_type`


@dataclass(frozen=True)
class Original:
    """A recorded run that can be run again.

    Args:
        run: the graph's own run, or a model's.
        made_of: what the graph was made of; None of a single call of `ChatLlama`.
    """

    store: TraceStore
    run: StoredRun
    payload: Payload
    made_of: Provenance | None

    @cached_property
    def below(self) -> list[StoredRun]:
        """The run and all that it called, parents before their children."""
        inside = {self.run.id}
        found = []
        for each in self.store.trace(self.run.trace):
            if each.id in inside or each.parent in inside:
                inside.add(each.id)
                found.append(each)
        return found

    @cached_property
    def steps(self) -> list[Step]:
        """What each node of the graph gave, in the order in which they began."""
        payloads = self.store.payloads(self._nodes)
        return [Step(run.name, payloads[run.seq].outputs, run.error) for run in self._nodes]

    @property
    def outputs(self) -> Mapping[str, Any]:
        """What came out; of a model's call, the messages alone. Nothing, if it did not end."""
        outputs = self.payload.outputs or {}
        generations = outputs.get("generations")
        if self.run.run_type != "llm" or not isinstance(generations, list):
            return outputs
        return {"messages": [each.get("message") for batch in generations for each in batch]}

    @property
    def prompts(self) -> dict[str, str]:
        """The hashes of the prompts that it used, by their names."""
        return {
            run.prompt: run.prompt_sha256
            for run in self.below
            if run.prompt is not None and run.prompt_sha256 is not None
        }

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What a single call of a model was given beside its messages."""
        found = self.payload.extra.get("invocation_params")
        return found if isinstance(found, Mapping) else {}

    @property
    def adapter(self) -> str | None:
        """What a single call of a model answered with, as `model.adapter` names it."""
        said = [restored(each) for each in self.outputs.get("messages") or ()]
        told = getattr(said[0], "response_metadata", {}) if said else {}
        return TOGETHER.join(told.get("adapters") or ()) or None

    @cached_property
    def state(self) -> Mapping[str, Any]:
        """What went in; of a conversation, with what was said before.

        A checkpointer adds the earlier turns after the run began: they are what the first
        node was given.
        """
        if self.run.thread is not None and self._nodes:
            return self.store.payload(self._nodes[0]).inputs
        return self.payload.inputs

    def inputs(self, keys: Collection[str]) -> dict[str, Any]:
        """Return what the graph is to be given again.

        Args:
            keys: those that it takes.

        Raises:
            EvaluationError: what went in was not kept, or was no state.
        """
        given = {key: value for key, value in self.state.items() if key in keys}
        if not given:
            raise EvaluationError(
                f"Run {short_id(self.run.id)} has no inputs that {self.run.name} takes "
                f"({', '.join(keys)}).",
                hint="It went on from an interruption, or its inputs were too large to be kept. "
                "Replay the run that began it.",
            )
        if isinstance(given.get("messages"), list):
            given["messages"] = [restored(each) for each in given["messages"]]
        return given

    def marks(self, given: Any) -> list[str]:
        """Return why what is given is not what went in then."""
        texts = list(_texts(given))
        notes = []
        if self.run.redacted and any(_BLACKED_OUT.search(text) for text in texts):
            notes.append(
                "Secrets or personal data were blacked out of the inputs before they were "
                "stored: the replay reads placeholders in their place."
            )
        if any(_SHORTENED.search(text) for text in texts):
            notes.append("The inputs were shortened before they were stored.")
        return notes

    @cached_property
    def _nodes(self) -> list[StoredRun]:
        nodes = [
            each for each in self.below if each.parent == self.run.id and each.node == each.name
        ]
        return sorted(nodes, key=lambda each: (each.started, each.seq))


def original(store: TraceStore, run: StoredRun) -> Original:
    """Find what is to be run again: the graph that a run is, or is inside of.

    Raises:
        EvaluationError: it still runs, or is neither of a graph of ours nor a call of
            `ChatLlama`.
    """
    found: Original | None = None
    known = {each.id: each for each in store.trace(run.trace)}
    each: StoredRun | None = run
    while each is not None:
        known.pop(each.id, None)  # a parent below its own child is no parent
        payload = store.payload(each)
        made_of = Provenance.read(payload.metadata)
        if made_of is not None and made_of.graph.partition(":")[0] in GRAPHS:
            found = Original(store, each, payload, made_of)
        each = known.get(each.parent) if each.parent is not None else None
    if found is None:
        call = Original(store, run, store.payload(run), None)
        if run.run_type == "llm" and call.parameters.get("_type") == _CHAT_LLAMA:
            found = call
    if found is None:
        raise EvaluationError(
            f"Run {short_id(run.id)} ({run.name}) cannot be replayed: nothing is known here of "
            "how it was made.",
            hint="Runs of the graphs that `ask`, `chat`, `run` and Home.graph make can be "
            "replayed, and single calls of ChatLlama: groundling trace list --graph rag",
        )
    if found.run.status == Status.RUNNING:
        raise EvaluationError(
            f"Run {short_id(found.run.id)} is still running.", hint="Replay it when it is over."
        )
    return found


def restored(said: Any) -> Any:
    """Make a message of its stored form; anything else is returned as it is."""
    if not isinstance(said, Mapping):
        return said
    fields = said["kwargs"] if isinstance(said.get("kwargs"), Mapping) else said
    if not isinstance(fields.get("type"), str) or "content" not in fields:
        return said
    return messages_from_dict([{"type": fields["type"], "data": dict(fields)}])[0]


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            waiting += (*each.keys(), *each.values())
        elif isinstance(each, list):
            waiting += each
        elif hasattr(each, "content"):
            waiting.append(each.content)
