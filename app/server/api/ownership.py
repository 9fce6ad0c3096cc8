"""Which traces are a person's; what nobody has claimed is the local user's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

from groundling.server.person import Person
from groundling.server.problems import not_found
from groundling.server.services import Services
from groundling.tracing.query import RunFilter
from groundling.tracing.run import StoredRun
from groundling.tracing.store import TraceStore

_PART = 400  # runs looked at together


def own_traces(
    held: Services, person: Person, wanted: RunFilter, limit: int, offset: int
) -> list[StoredRun]:
    """Return root runs of a person that a filter lets through, the newest first; blocks."""
    is_local = person.id == held.people.local.id
    parts = _newest(held.traces, wanted) if is_local else _claimed(held, person, wanted)
    found: list[StoredRun] = []
    for part in parts:
        ids = [str(run.trace) for run in part]
        mine = set(held.people.owners.mine("trace", ids, person.id))
        found += [run for run in part if str(run.trace) in mine]
        if len(found) >= offset + limit:
            break
    return found[offset : offset + limit]


def own_trace(held: Services, person: Person, id: UUID) -> UUID:
    """Return the trace that a run of that id is in; blocks.

    Raises:
        Problem: 404, there is none, or it is another's.
    """
    run = held.traces.run(id)
    if run is None:
        raise not_found(f"trace {id}")
    held.people.owners.check("trace", str(run.trace), person, f"trace {id}")
    return run.trace


def _newest(store: TraceStore, wanted: RunFilter) -> Iterator[list[StoredRun]]:
    """Yield all runs, part by part; a run that begins meanwhile moves none out of sight."""
    until, last = wanted.until, set[UUID]()
    while part := store.find(replace(wanted, until=until), limit=_PART):
        fresh = [run for run in part if run.id not in last]
        yield fresh
        # The next part begins in the microsecond of this one's end: several may have begun then.
        end = part[-1].started + 1
        if len(part) < _PART or not fresh:
            return
        last = {run.id for run in part if run.started == part[-1].started}
        until = end


def _claimed(held: Services, person: Person, wanted: RunFilter) -> Iterator[list[StoredRun]]:
    """Yield what a person has claimed, part by part, the latest claims first."""
    offset = 0
    while ids := held.people.owners.owned("trace", person.id, _PART, offset):
        yield held.traces.find(replace(wanted, ids=[UUID(id) for id in ids]), limit=-1)
        offset += _PART
