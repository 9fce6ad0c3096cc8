"""From the parts of a request, in whatever order they come, to patches of runs.

A run is spread over parts (`post.<id>`, `post.<id>.inputs`, `attachment.<id>.<name>`), and what
it began with and ended with are different ones, `post` and `patch`. A part that is wrong costs
what it holds and no more: it is remembered as a fault, and all the others are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from groundling.server.langsmith.errors import BadPart
from groundling.server.langsmith.feedback import feedback_of
from groundling.server.langsmith.multipart import Part
from groundling.server.langsmith.service import Limits
from groundling.server.langsmith.wire import (
    identity,
    mapping,
    moment,
    optional,
    payload,
    read_json,
    words,
    written,
)
from groundling.tracing.feedback import Feedback
from groundling.tracing.run import Patch

_PAYLOADS = ("inputs", "outputs", "events", "extra", "serialized")
_LONGEST_ERROR = 100_000  # characters
_TAGS = 1_000


class Assembly:
    """Gathers the runs and the feedback of one request.

    Args:
        limits: of attachments.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._posts: dict[UUID, Patch] = {}
        self._patches: dict[UUID, Patch] = {}
        self._attached: dict[UUID, dict[str, tuple[str, bytes]]] = {}
        self._broken: set[tuple[str, UUID]] = set()
        self.feedback: list[Feedback] = []
        self.faults: dict[str, str] = {}

    def part(self, part: Part) -> None:
        """Take over one part of a multipart request."""
        try:
            self._part(part)
        except BadPart as error:
            self.fault(part.name or "a part without a name", str(error))

    def run(self, operation: str, fields: Mapping[str, Any], id: UUID | None = None) -> None:
        """Take over a run that came as one JSON object."""
        name = f"{operation}.{fields.get('id') if id is None else id}"
        try:
            run_id = identity(fields.get("id")) if id is None else id
            self._main(operation, run_id, fields)
        except BadPart as error:
            self.fault(name, str(error))

    def fault(self, part: str, reason: str) -> None:
        """Remember that a part is left out."""
        self.faults[part[:200]] = reason

    def patches(self) -> list[Patch]:
        """Return what became known of the runs; attachments, which are large, apart."""
        found: list[Patch] = []
        for run_id in dict.fromkeys((*self._posts, *self._patches)):
            post, patch = self._posts.get(run_id), self._patches.get(run_id)
            if ("post", run_id) in self._broken:
                continue
            if ("patch", run_id) in self._broken:
                patch = None
            merged = post or patch
            if merged is None:
                continue
            if post is not None and patch is not None:
                merged.merge(patch)
            _first_token(merged)
            found.append(merged)
        lost = {run_id for _, run_id in self._broken} - {patch.id for patch in found}
        for run_id, attached in self._attached.items():
            if run_id not in lost:
                found += [Patch(run_id, attachments={name: it}) for name, it in attached.items()]
        return found

    def _part(self, part: Part) -> None:
        kind, _, rest = part.name.partition(".")
        written_id, _, name = rest.partition(".")
        if kind not in ("post", "patch", "attachment", "feedback"):
            raise BadPart("no part of a run is called so")
        run_id = identity(written_id)
        if kind == "feedback":
            self.feedback.append(feedback_of(mapping(read_json(part.data), "it"), run_id))
        elif kind == "attachment":
            self._attach(run_id, name, part)
        elif name == "":
            try:
                self._main(kind, run_id, mapping(read_json(part.data), "it"))
            except BadPart:
                self._broken.add((kind, run_id))
                raise
        elif name == "error":
            self._of(kind, run_id).error = _error(read_json(part.data))
        elif name in _PAYLOADS:
            setattr(self._of(kind, run_id), name, _payload(name, part.data))
        else:
            raise BadPart(f"runs have no {name[:50]}")

    def _main(self, operation: str, run_id: UUID, fields: Mapping[str, Any]) -> None:
        made = patch_of(run_id, fields)
        known = self._of(operation, run_id)
        made.merge(known)  # parts of the run that came before this one
        known.merge(made)
        for name, found in mapping(fields.get("attachments"), "attachments").items():
            self.fault(f"attachment.{run_id}.{name}", f"{type(found).__name__}, not a part")

    def _attach(self, run_id: UUID, name: str, part: Part) -> None:
        if not name:
            raise BadPart("an attachment needs a name")
        if len(part.data) > self._limits.attachment:
            raise BadPart(f"an attachment has at most {self._limits.attachment:,} bytes")
        kind = part.mime_type or "application/octet-stream"
        self._attached.setdefault(run_id, {})[name] = (kind, part.data)

    def _of(self, operation: str, run_id: UUID) -> Patch:
        runs = self._posts if operation == "post" else self._patches
        return runs.setdefault(run_id, Patch(run_id))


def patch_of(run_id: UUID, fields: Mapping[str, Any]) -> Patch:
    """Make a patch of a run's JSON object.

    Raises:
        BadPart: an id or a time in it is none, or a payload has the wrong form.
    """
    made = Patch(
        run_id,
        trace=optional(fields.get("trace_id"), "trace_id"),
        parent=optional(fields.get("parent_run_id"), "parent_run_id"),
        dotted_order=words(fields.get("dotted_order"), 20_000),
        project=words(fields.get("session_name")) or None,
        project_id=optional(fields.get("session_id"), "session_id"),
        name=words(fields.get("name")),
        run_type=words(fields.get("run_type"), 100),
        started=moment(fields.get("start_time")),
        ended=moment(fields.get("end_time")),
        error=_error(fields.get("error")),
        tags=_tags(fields.get("tags")),
        example=optional(fields.get("reference_example_id"), "reference_example_id"),
    )
    for name in _PAYLOADS:
        if fields.get(name) is not None:
            setattr(made, name, written(_SHAPES[name](fields[name])))
    return made


def _payload(name: str, data: bytes) -> bytes | None:
    checked = payload(data)
    shape = b"[" if name == "events" else b"{"
    if checked.lstrip()[:1] == shape:
        return checked
    value = read_json(checked)
    return None if value is None else written(_SHAPES[name](value))


def _named(key: str) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, dict) else {key: value}


def _only(kind: type, what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise BadPart(f"{what}, not {type(value).__name__}")
        return value

    return check


_SHAPES: dict[str, Callable[[Any], Any]] = {
    "inputs": _named("input"),
    "outputs": _named("output"),
    "events": _only(list, "events are a list"),
    "extra": _only(dict, "extra is an object"),
    "serialized": _only(dict, "serialized is an object"),
}


def _error(value: Any) -> str | None:
    return words(value, _LONGEST_ERROR) or None


def _tags(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadPart("tags are a list")
    return [text for each in value[:_TAGS] if (text := words(each))]


def _first_token(patch: Patch) -> None:
    """Find when the first token came, in the events of a model call that was streamed."""
    if patch.events is None or patch.first_token is not None or b"new_token" not in patch.events:
        return
    started = patch.started if patch.started is not None else _began(patch.dotted_order)
    if started is None:
        return
    for event in read_json(patch.events):
        if isinstance(event, dict) and event.get("name") == "new_token":
            try:
                came = moment(event.get("time"))
            except BadPart:
                return
            if came is not None:
                patch.first_token = max(0, came - started)
            return


def _began(dotted_order: str | None) -> int | None:
    """Read a run's start out of its dotted order, `<time>Z<id>` for each run above it."""
    last = (dotted_order or "").rpartition(".")[2].partition("Z")[0]
    try:
        return moment(last[:8] + "T" + last[9:15] + "." + last[15:21]) if last else None
    except BadPart:
        return None
