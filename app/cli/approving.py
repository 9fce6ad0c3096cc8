"""What a run waits for: shown to the person, decided on a terminal or by options.

A run waits for approvals of calls (`{"type": "approval", "calls": […]}`) and for answers to
its questions (`{"type": "question", "question": …}`). On a terminal it is decided there and
then. Anywhere else the run stays as it is, in its thread, until it is told:

    groundling run agent --thread ID --approve all
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Shell
from groundling.errors import WaitsForPerson

if TYPE_CHECKING:
    from langgraph.types import Interrupt

ALL = "all"


async def resolve_interrupts(
    shell: Shell, interrupts: Sequence[Interrupt], *, thread: str | None = None
) -> Any:
    """Ask the person about everything that waits.

    Args:
        interrupts: `__interrupt__` of a run's result.
        thread: the run's thread, for the command that is named where nobody can be asked.

    Returns:
        The value for `Command(resume=…)`.

    Raises:
        WaitsForPerson: this is no terminal.
    """
    if shell.json or not sys.stdin.isatty():
        raise WaitsForPerson(
            f"The run waits for a person: {'; '.join(lines(interrupts))}.", hint=command(thread)
        )
    answers = {one.id: await asyncio.to_thread(_ask, shell, one.value) for one in interrupts}
    return next(iter(answers.values())) if len(answers) == 1 else answers


def resume_value(
    interrupts: Sequence[Interrupt],
    *,
    approve: Sequence[str] = (),
    reject: Sequence[str] = (),
    edit: Mapping[str, dict[str, Any]] | None = None,
    reason: str = "",
    answer: str | None = None,
) -> Any:
    """Put what was given as options into the value for `Command(resume=…)`.

    Args:
        interrupts: what the thread waits for.
        approve: ids or names of calls, or `all`.
        reject: as `approve`.
        edit: new arguments by id or name.
        reason: why, of those rejected.
        answer: to a question.

    Raises:
        click.UsageError: something that waits was not decided, or what was decided waits not.
    """
    values: dict[str, Any] = {}
    used: set[str] = set()
    for one in interrupts:
        if _kind(one.value) == "question":
            if answer is None:
                raise click.UsageError(f"Give --answer TEXT: {lines([one])[0]}")
            values[one.id] = answer
            continue
        decisions = []
        for call in one.value["calls"]:
            keys = {str(call["id"]), str(call["name"]), ALL}
            decision: dict[str, Any] = {"id": call["id"]}
            if found := keys & set(reject):
                decision |= {"action": "reject", "reason": reason}
            elif found := keys & set(edit or {}):
                decision |= {"action": "edit", "args": (edit or {})[next(iter(found))]}
            elif found := keys & set(approve):
                decision["action"] = "approve"
            else:
                raise click.UsageError(
                    f"Decide on {call['id']} too: --approve, --edit or --reject ID, or all."
                )
            used |= found
            decisions.append(decision)
        values[one.id] = {"decisions": decisions}
    unknown = {*approve, *reject, *(edit or {})} - used - {ALL}
    if unknown:
        raise click.UsageError(f"No call {', '.join(sorted(unknown))} waits in this thread.")
    return next(iter(values.values())) if len(values) == 1 else values


def pending(interrupts: Sequence[Interrupt]) -> list[Any]:
    """Return what waits, for programs."""
    return [one.value for one in interrupts]


def lines(interrupts: Sequence[Interrupt]) -> list[str]:
    """Say what waits, with the exact arguments; nothing in them can hide or turn the text."""
    said: list[str] = []
    for one in interrupts:
        if _kind(one.value) == "question":
            said.append(f"it asks: {_plain(str(one.value.get('question', '')))}")
        elif _kind(one.value) == "approval":
            said += [
                f"{call['id']}: {call['name']}({written(call['args'])}), since {call['reason']}"
                for call in one.value["calls"]
            ]
        else:
            said.append(_plain(json.dumps(one.value, ensure_ascii=False, default=str)))
    return said


def command(thread: str | None, graph: str = "agent") -> str:
    """Return the command that lets a waiting run go on."""
    return (
        f"groundling run {graph} --thread {thread or 'ID'} --approve all "
        "(or --approve CALL, --edit CALL=JSON, --reject CALL --reason TEXT, --answer TEXT)"
    )


def written(args: Mapping[str, Any]) -> str:
    """Write arguments as they are, on one line."""
    return ", ".join(
        f"{_plain(key)}={_plain(json.dumps(value, ensure_ascii=False, default=str))}"
        for key, value in args.items()
    )


def _ask(shell: Shell, value: Any) -> Any:
    if _kind(value) == "question":
        return click.prompt(_plain(str(value.get("question", ""))), err=True)
    if _kind(value) != "approval":
        return click.prompt(_plain(json.dumps(value, ensure_ascii=False, default=str)), err=True)
    if value.get("error"):
        shell.warn(str(value["error"]))
    return {"decisions": [_decide(shell, call) for call in value["calls"]]}


def _decide(shell: Shell, call: Mapping[str, Any]) -> dict[str, Any]:
    shell.status(f"\n{call['name']} ({call['risk']}) waits for you: {call['reason']}.")
    for key, value in call["args"].items():
        shell.status(f"  {_plain(key)} = {_plain(json.dumps(value, ensure_ascii=False))}")
    choice = click.prompt(
        "approve, edit or reject?",
        type=click.Choice(["approve", "edit", "reject", "a", "e", "r"]),
        show_choices=False,
        err=True,
    )[0]
    if choice == "a":
        return {"id": call["id"], "action": "approve"}
    if choice == "r":
        reason = click.prompt("Why?", default="", show_default=False, err=True)
        return {"id": call["id"], "action": "reject", "reason": reason}
    args = dict(call["args"])
    for key, value in args.items():
        text = click.prompt(
            f"  {key}", default=json.dumps(value, ensure_ascii=False), err=True, show_default=True
        )
        args[key] = _read(text)
    return {"id": call["id"], "action": "edit", "args": args}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _kind(value: Any) -> str:
    return str(value.get("type", "")) if isinstance(value, Mapping) else ""


def _plain(text: str) -> str:
    """Show what turns the direction of text, moves the cursor or cannot be seen."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)
