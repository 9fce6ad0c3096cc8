"""Replay: run a recorded trace once more, with the same inputs and seed, and see what differs.

    found = replay(home, home.traces.resolve("last"))
    found.same                # True: the outputs are the same
    found.differences[0].diff # lines, as `diff -u` writes them
    found.fork.node           # the first node that did not do the same
    found.warnings            # why it may not be the same question at all

The replay is recorded like every run, with `replay_of` in its metadata and the tag `replay`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import Any, get_type_hints

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.utils.uuid import uuid7

from groundling.errors import EvaluationError, KnowledgeError, ModelError
from groundling.evaluation.differences import (
    Difference,
    Fork,
    differences,
    error_difference,
    fork,
)
from groundling.evaluation.originals import Original, original, restored
from groundling.evaluation.remaking import changes, model_of, settings_of
from groundling.graphs.provenance import Provenance
from groundling.home import Home
from groundling.knowledge.base import exists
from groundling.tracing import attach
from groundling.tracing.as_json import run_as_json, short_id
from groundling.tracing.run import Status, StoredRun

TAG = "replay"
REPLAY_OF = "replay_of"
# Of a model's call: what its settings have under another name, or what is no setting.
_NOT_WISHES = ("_type", "model", "context", "adapters")


@dataclass(frozen=True)
class Replay:
    """A run and its replay, compared.

    Args:
        original: the run that was replayed: the graph's, whichever run of it was named.
        replayed: the new one.
        differences: of the outputs, by key.
        fork: where the two part, although the outputs may be the same; None if nowhere.
        warnings: what is not as it was, in words.
    """

    original: StoredRun
    replayed: StoredRun
    differences: list[Difference]
    fork: Fork | None
    warnings: list[str]

    @property
    def same(self) -> bool:
        """Whether the outputs are the same."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""
        return {
            "same": self.same,
            "original": run_as_json(self.original),
            "replayed": run_as_json(self.replayed),
            "differences": [asdict(each) for each in self.differences],
            "fork": asdict(self.fork) if self.fork else None,
            "warnings": self.warnings,
        }


def replay(home: Home, run: StoredRun, *, model: BaseChatModel | str | None = None) -> Replay:
    """Run a recorded trace again.

    A conversation is replayed with its earlier turns as they were, without a checkpointer:
    what is kept of it does not change.

    Args:
        home: the home folder that has the run.
        run: of a graph, or any run inside of it; or a single call of `ChatLlama`.
        model: another one than it had: its id, its file, or a LangChain chat model.

    Raises:
        EvaluationError: it cannot be replayed; the message says why.
        ModelError: its model cannot be run here.
        KnowledgeError: its knowledge base is gone.
    """
    if not home.settings.tracing.enabled:
        raise EvaluationError(
            "Recording is off: a replay is compared by what is recorded of it.",
            hint="groundling config set tracing.enabled true",
        )
    found = original(home.traces, run)
    if found.made_of is None:
        runnable, given = _call(home, found, model)
        warnings = found.marks(found.payload.inputs)
    else:
        runnable, given, warnings = _graph(home, found, found.made_of, model)
    if found.payload.outputs is None:
        warnings.append(f"There are no outputs to compare with: its status is {found.run.status}.")
    again = _run(home, runnable, given, found.run)
    after = again.outputs
    # What an earlier turn left in the conversation's state was given again by nobody.
    before = {
        key: value
        for key, value in found.outputs.items()
        if key in after or found.state.get(key) != value
    }
    differing = [
        *differences(before, after),
        *error_difference(found.run.error, again.run.error),
    ]
    parting = fork(found.steps, again.steps)
    if differing or parting:
        warnings += _rounding(found.run, again.run)
    return Replay(found.run, again.run, differing, parting, warnings)


def _graph(
    home: Home, found: Original, made_of: Provenance, model: BaseChatModel | str | None
) -> tuple[Runnable[Any, Any], Any, list[str]]:
    """Build the graph of a run again; return what it is given, and what has changed."""
    name = made_of.knowledge
    if name is not None and not exists(home.settings.knowledge_path(name)):
        raise KnowledgeError(
            f"The knowledge base {name}, which the run answered from, is gone.",
            hint=f"groundling knowledge --name {name} add FOLDER",
        )
    if model is not None:  # whether the recorded one has changed is of no interest then
        made_of = dataclasses.replace(
            made_of, model_class=None, model_file=None, adapter=None, adapter_made=None
        )
    settings = settings_of(home.settings, made_of, model if isinstance(model, str) else None)
    used = model if isinstance(model, BaseChatModel) else model_of(home, settings, made_of)
    graph = home.graph(made_of.graph, knowledge=name, model=used, settings=settings)
    given = found.inputs(list(get_type_hints(graph.builder.input_schema)))
    noted = [*found.marks(given), *changes(home, made_of, found.prompts)]
    return graph, given, noted


def _call(
    home: Home, found: Original, model: BaseChatModel | str | None
) -> tuple[Runnable[Any, Any], Any]:
    """Make the model of a single call again, with the settings of that call bound to it."""
    asked = found.parameters
    messages = found.payload.inputs.get("messages")
    if not (isinstance(messages, list) and messages and isinstance(messages[0], list)):
        raise EvaluationError(
            f"The messages of run {short_id(found.run.id)} were not kept.",
            hint="They were too large. Replay another run.",
        )
    if asked.get("adapters"):
        raise EvaluationError(
            f"Run {short_id(found.run.id)} used LoRA adapters, whose files are not recorded.",
            hint="Call the model again from the program that did.",
        )
    wishes = {
        name: value
        for name, value in asked.items()
        if value is not None and name not in _NOT_WISHES
    }
    if not isinstance(model, BaseChatModel):
        made_of = Provenance(
            graph="",
            model=asked.get("model"),
            context=asked.get("context"),
            adapter=found.adapter,
        )
        model = model_of(home, settings_of(home.settings, made_of, model), made_of)
    home.record()
    return model.bind(**wishes), [restored(said) for said in messages[0]]


def _rounding(before: StoredRun, after: StoredRun) -> list[str]:
    """Say that the same model may have rounded differently; it is the weakest explanation."""
    then, now = before.cached_tokens or 0, after.cached_tokens or 0
    if then == now or before.model != after.model:
        return []
    return [
        f"The model had read {then} tokens of the prompts before, and {now} this time. It rounds "
        "differently then: above temperature 0, and where two words are nearly as likely, that "
        "alone can choose another one."
    ]


def _run(home: Home, runnable: Runnable[Any, Any], given: Any, run: StoredRun) -> Original:
    """Run it to its end, whatever that is, and return what was recorded of it."""
    run_id = uuid7()
    config = RunnableConfig(run_id=run_id, metadata={REPLAY_OF: str(run.id)}, tags=[TAG])
    failed: Exception | None = None
    try:
        runnable.invoke(given, config)
    except Exception as error:
        if isinstance(error, ModelError) and run.status != Status.ERROR:
            raise
        failed = error  # the run has it, too; it is compared like an output
    attach.flush()
    recorded = home.traces.run(run_id)
    if recorded is None:
        raise EvaluationError(
            "The replay ran, but was not recorded.",
            hint="groundling trace stats tells what was dropped, and why.",
        ) from failed
    payload = home.traces.payload(recorded)
    return Original(home.traces, recorded, payload, Provenance.read(payload.metadata))
