"""What a removed user leaves behind, and how it is deleted.

Each store is asked in its own way, with the removed user as the person: what they could not
have seen, this cannot delete.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.applications import Starlette

from groundling.errors import EvaluationError
from groundling.server.person import Person, Role
from groundling.server.problems import Problem

if TYPE_CHECKING:
    from groundling.server.langgraph.items import Items
    from groundling.server.services import Services

_AT_ONCE = 100


async def remains(app: Starlette, name: str) -> dict[str, int]:
    """Count what is a user's.

    Args:
        app: the application of the interfaces, with its services.
        name: of the user.
    """
    held: Services = app.state.services
    gone = Person(name, Role.READER)
    memories = await held.work(lambda: held.graphs.memories)
    return {
        "threads": await held.runs.threads.count(gone),
        "assistants": len(await _assistants(held, gone)),
        "memories": memories.users().get(name, 0) if memories is not None else 0,
        "knowledge": len(await held.work(_knowledge, held, gone)),
        "traces": await held.work(held.people.owners.count, "trace", name),
    }


async def purge(app: Starlette, name: str) -> None:
    """Delete what is a removed user's, and free their name when nothing is left.

    Raises:
        Problem: 409, the command line works under that name.
    """
    held: Services = app.state.services
    if name == held.people.local.id:
        raise Problem(
            409,
            f"{name} is who the command line works for; what is theirs stays.",
            hint="groundling threads, memory, knowledge and trace delete it.",
        )
    gone = Person(name, Role.READER)
    for run in await held.runs.ids(name):
        with suppress(Problem):  # it has ended, or is gone, meanwhile
            await held.runs.cancel(run, gone)
        with suppress(Problem):
            await held.runs.delete(run, gone)
    while threads := await held.runs.threads.search(gone, limit=_AT_ONCE):
        for thread in threads:
            await held.runs.threads.delete(thread["thread_id"], gone)
    for assistant in await _assistants(held, gone):
        await held.runs.assistants.delete(assistant, gone)
    items: Items | None = getattr(app.state, "items", None)
    if items is not None:
        await items.forget(name)
    memories = await held.work(lambda: held.graphs.memories)
    if memories is not None:
        await held.work(memories.forget_all, name)
    for folder in await held.work(_knowledge, held, gone):
        held.graphs.forget(folder)
        await asyncio.to_thread(shutil.rmtree, held.settings.knowledge_path(folder))
        await held.work(held.people.forget_knowledge, folder)
    await held.work(_forget_responses, held, name)
    await held.work(_forget_traces, held, name)
    await held.work(_forget_datasets, held, name)
    if not any((await remains(app, name)).values()):
        await held.work(held.people.users.forget, name)


async def _assistants(held: Services, gone: Person) -> list[str]:
    """Return the assistants that a user made; those of the graphs are nobody's."""
    found: list[str] = []
    while page := await held.runs.assistants.search(gone, limit=_AT_ONCE, offset=len(found)):
        found += [
            "" if one["metadata"].get("created_by") == "system" else one["assistant_id"]
            for one in page
        ]
    return [id for id in found if id]


def _knowledge(held: Services, gone: Person) -> list[str]:
    return [entry.folder for entry in held.people.knowledge_shown(gone) if entry.writable]


def _forget_responses(held: Services, name: str) -> None:
    from groundling.server.openai.response_store import opened

    with opened(held.settings) as store:
        store.forget(name)


def _forget_traces(held: Services, name: str) -> None:
    from groundling.tracing.retention import remove

    owners = held.people.owners
    while ids := owners.owned("trace", name, _AT_ONCE):
        remove(held.traces, [UUID(id) for id in ids])
        owners.release("trace", *ids)


def _forget_datasets(held: Services, name: str) -> None:
    """Delete data sets with the experiments on them and the runs of those."""
    from groundling.evaluation.experiments import ExperimentBook
    from groundling.server.langsmith.projects import Projects

    owners = held.people.owners
    for id in owners.owned("dataset", name, -1):
        dataset = UUID(id)
        projects = Projects(held.traces)
        while experiments := ExperimentBook(held.traces).list(dataset):
            for experiment in experiments:
                if (project := projects.get(experiment.id)) is not None:
                    projects.delete(project)
        with suppress(EvaluationError):  # it was deleted before
            held.datasets.delete(dataset)
        owners.release("dataset", id)
