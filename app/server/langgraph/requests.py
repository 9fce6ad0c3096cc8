"""Bodies that ask for a run, and what becomes of them for `groundling.server.runs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from langchain_core.messages import convert_to_messages
from pydantic import Field, StrictInt
from starlette.requests import Request

from groundling.server.langgraph.bodies import Body, Listed, Metadata, Object
from groundling.server.langgraph.wishes import free, wishes_of
from groundling.server.person import person_of
from groundling.server.problems import Problem
from groundling.server.runs.request import RunRequest
from groundling.server.services import services

Mode = Literal[
    "values", "updates", "custom", "messages", "messages-tuple", "debug", "tasks", "checkpoints",
    "events",
]  # fmt: skip
_LONGEST_REASON = 300
_LONGEST_WAIT = 7 * 24 * 3600  # seconds before a run begins


class Send(Body):
    """A node, and what it is given."""

    node: str
    input: Any = None


class Command(Body):
    """What LangGraph's `Command` has."""

    update: Object | list[Any] | None = None
    resume: Any = None
    goto: str | Send | list[str | Send] | None = None

    def told(self) -> dict[str, Any] | None:
        """Return what was said; None where nothing was."""
        said: dict[str, Any] = {}
        if "resume" in self.model_fields_set:
            said["resume"] = self.resume
        if self.update is not None:
            said["update"] = self.update
        if self.goto:
            goto = self.goto
            said["goto"] = (
                [_plain(each) for each in goto] if isinstance(goto, list) else _plain(goto)
            )
        return said or None


class Config(Body):
    """What of LangChain's `RunnableConfig` can be sent."""

    tags: list[str] | None = None
    recursion_limit: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    configurable: Object | None = None
    metadata: Metadata = None

    def told(self) -> dict[str, Any]:
        """Return what was said, as LangChain has it."""
        return self.model_dump(exclude_none=True)


class Checkpoint(Body):
    """A state of a thread, by its ids."""

    checkpoint_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    checkpoint_ns: Annotated[str, Field(max_length=2000)] | None = None
    checkpoint_map: Object | None = None
    thread_id: str | None = None
    configurable: Checkpoint | None = None

    def told(self) -> dict[str, Any] | None:
        """Return the ids; None where no state is named: the latest is meant.

        They may also be where LangChain's configuration has them.
        """
        if self.configurable is not None:
            return self.configurable.told()
        if self.checkpoint_id is None and not self.checkpoint_ns:
            return None
        return {"checkpoint_id": self.checkpoint_id, "checkpoint_ns": self.checkpoint_ns or ""}


class RunBody(Body):
    """What is sent to begin a run."""

    assistant_id: Annotated[str, Field(min_length=1, max_length=200)]
    input: Any = None
    command: Command | None = None
    config: Config | None = None
    context: Object | None = None
    metadata: Metadata = None
    stream_mode: Annotated[list[Mode], Listed, Field(min_length=1)] = Field(["values"])
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    interrupt_before: Annotated[list[str] | None, Listed] = None
    interrupt_after: Annotated[list[str] | None, Listed] = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None
    checkpoint_during: bool | None = None
    multitask_strategy: Literal["reject", "enqueue", "interrupt", "rollback"] = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    on_disconnect: Literal["cancel", "continue"] | None = None
    on_completion: Literal["delete", "keep"] | None = None
    after_seconds: Annotated[float, Field(ge=0, le=_LONGEST_WAIT)] = 0
    durability: Literal["sync", "async", "exit"] | None = None
    webhook: str | None = None


async def run_request(
    request: Request, body: RunBody, thread: str | None, *, background: bool = False
) -> RunRequest:
    """Make of a body what the runs take: with its assistant's settings under its own.

    Args:
        request: who asks.
        body: what they ask.
        thread: where it happens; None: nowhere that is kept.
        background: nobody listens.

    Raises:
        Problem: 404, there is no such assistant or knowledge base; 422, it asks for something
            that cannot be done.
    """
    held, person = services(request), person_of(request)
    _refuse(body, thread)
    assistant = await held.runs.assistants.get(body.assistant_id, person)
    own = body.config.told() if body.config else {}
    config = _merged(assistant["config"] or {}, own)
    context = {**(assistant["context"] or {}), **(body.context or {})}
    configurable = config.pop("configurable", {})
    metadata = {
        **(assistant["metadata"] or {}),
        **config.pop("metadata", {}),
        "graph_id": assistant["graph_id"],
        "assistant_id": assistant["assistant_id"],
        **(body.metadata or {}),
    }
    checkpoint = body.checkpoint.told() if body.checkpoint else None
    if checkpoint is None and body.checkpoint_id:
        checkpoint = {"checkpoint_id": body.checkpoint_id, "checkpoint_ns": ""}
    durability = body.durability
    if durability is None and body.checkpoint_during is not None:
        durability = "async" if body.checkpoint_during else "exit"
    return RunRequest(
        person=person,
        graph=assistant["graph_id"],
        input=body.input,
        command=body.command.told() if body.command else None,
        assistant_id=assistant["assistant_id"],
        thread_id=thread,
        config={**config, "configurable": free(configurable)},
        context=free(context),
        metadata=metadata,
        wishes=await wishes_of(held, person, configurable, context),
        stream_mode=tuple(dict.fromkeys(body.stream_mode)),
        subgraphs=body.stream_subgraphs,
        interrupt_before=_nodes(body.interrupt_before),
        interrupt_after=_nodes(body.interrupt_after),
        checkpoint=checkpoint,
        multitask=body.multitask_strategy,
        if_not_exists=body.if_not_exists,
        # Going back a step, as chat pages do to have an answer again, wants the steps kept.
        durability=durability or ("async" if thread is not None else "exit"),
        on_disconnect=body.on_disconnect or ("continue" if body.stream_resumable else "cancel"),
        resumable=body.stream_resumable,
        background=background,
        after_seconds=body.after_seconds,
        origin="langgraph",
    )


def _refuse(body: RunBody, thread: str | None) -> None:
    if body.webhook is not None:
        raise Problem(
            422,
            "webhook: nothing is sent from this machine.",
            hint="Join the run, or ask for its status.",
            param="webhook",
        )
    check_messages(body.input, "input.messages")
    if body.command is not None:
        check_messages(body.command.update, "command.update.messages")
    if thread is not None:
        return
    resumes = body.command is not None and "resume" in body.command.model_fields_set
    for name, given in (
        ("checkpoint", body.checkpoint or body.checkpoint_id),
        ("command", resumes),
    ):
        if given:
            raise Problem(422, f"{name}: there is no thread whose state it could mean.", param=name)


def check_messages(values: Any, name: str) -> None:
    """Refuse messages that LangChain cannot read: in a thread's state nobody could read on.

    Raises:
        Problem: 422; it tells what is wrong with them.
    """
    given = values.get("messages") if isinstance(values, Mapping) else None
    if given is None:
        return
    try:
        convert_to_messages(given if isinstance(given, list) else [given])
    except Exception as error:  # whatever its converters come upon
        reason = str(error).partition("\n")[0][:_LONGEST_REASON]
        raise Problem(422, f"{name}: {reason}", param=name) from None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {**below, **above}
    for name in ("configurable", "metadata"):
        merged[name] = {**(below.get(name) or {}), **(above.get(name) or {})}
    if below.get("tags") or above.get("tags"):
        merged["tags"] = [*(below.get("tags") or []), *(above.get("tags") or [])]
    return merged


def _nodes(names: list[str] | None) -> tuple[str, ...] | Literal["*"]:
    if not names:
        return ()
    return "*" if names == ["*"] else tuple(names)


def _plain(goto: str | Send) -> str | dict[str, Any]:
    return goto if isinstance(goto, str) else {"node": goto.node, "input": goto.input}
