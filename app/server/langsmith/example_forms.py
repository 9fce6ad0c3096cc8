"""Examples as they come in: as JSON objects, and as forms with a part for each field.

In a form the part `<id>` holds an example without its `<id>.inputs` and `<id>.outputs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from groundling.evaluation.datasets import ExampleChange, NewExample
from groundling.evaluation.example import DEFAULT_SPLIT
from groundling.server.langsmith.bodies import incoming
from groundling.server.langsmith.errors import BadPart
from groundling.server.langsmith.multipart import MultipartReader, Part
from groundling.server.langsmith.service import service
from groundling.server.langsmith.wire import identity, mapping, moment, optional, read_json
from groundling.tracing.store import TraceStore

_SPLIT = "dataset_split"  # how LangSmith shows the splits, among the metadata


async def read_form(request: Request) -> list[dict[str, Any]]:
    """Read the examples of a form, each with its id.

    Raises:
        HTTPException: 413, 415 or 422, the body is not what it should be.
        BadPart: a part is not; nothing of the form counts then.
    """
    held = service(request)
    forms: dict[str, dict[str, Any]] = {}

    def take(part: Part) -> None:
        example_id, _, name = part.name.partition(".")
        form = forms.setdefault(str(identity(example_id)), {})
        try:
            if name == "":
                form.update(mapping(read_json(part.data), "it"))
            elif name in ("inputs", "outputs"):
                form[name] = mapping(read_json(part.data), "it")
            elif name.startswith("attachment"):
                raise BadPart("examples here have no attachments; leave them out")
            else:
                raise BadPart("examples have no such part")
        except BadPart as error:
            raise BadPart(f"Part {part.name[:200]}: {error}. Nothing was stored.") from error

    reader = MultipartReader(request, held.limits, take)
    async with incoming(request) as body:
        await body.through(reader.feed, reader.close)
    return [{**form, "id": example_id} for example_id, form in forms.items()]


def new_example(traces: TraceStore, form: Mapping[str, Any]) -> NewExample:
    """Make an example that is to be added; of a run, if it says so.

    Raises:
        BadPart: a value in it is not what it should be, or the run is unknown.
    """
    source = optional(form.get("source_run_id"), "source_run_id")
    inputs, outputs = form.get("inputs"), form.get("outputs")
    if form.get("use_source_run_io"):
        run = traces.run(source) if source is not None else None
        if run is None:
            raise BadPart(f"There is no run {source} to take inputs and outputs from.")
        payload = traces.payload(run)
        inputs, outputs = inputs or payload.inputs, outputs or payload.outputs
    return NewExample(
        mapping(inputs, "inputs"),
        None if outputs is None else mapping(outputs, "outputs"),
        metadata_of(form),
        splits_of(form) or (DEFAULT_SPLIT,),
        source,
        optional(form.get("id"), "id"),
        moment(form.get("created_at")),
    )


def example_change(form: Mapping[str, Any]) -> ExampleChange:
    """Make a change of an example; what the form leaves out stays.

    Raises:
        BadPart: a value in it is not what it should be.
    """
    if form.get("attachments") or form.get("attachments_operations"):
        raise BadPart("Examples here have no attachments; leave them out. Nothing was stored.")
    inputs, outputs = form.get("inputs"), form.get("outputs")
    return ExampleChange(
        identity(form.get("id")),
        None if inputs is None else mapping(inputs, "inputs"),
        None if outputs is None else mapping(outputs, "outputs"),
        metadata_of(form),
        splits_of(form),
    )


def metadata_of(form: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is said about an example, without its splits, which are shown there."""
    if form.get("metadata") is None:
        return None
    found = mapping(form["metadata"], "metadata")
    return {key: value for key, value in found.items() if key != _SPLIT}


def splits_of(form: Mapping[str, Any]) -> Sequence[str] | None:
    """Return the splits that an example shall belong to; None if it does not say.

    Raises:
        BadPart: they are no names.
    """
    given = form.get("split")
    if given is None:
        return None
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise BadPart("split is a name, or a list of names")
    return listed or None
