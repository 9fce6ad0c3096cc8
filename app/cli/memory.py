"""`groundling memory`: see, put right and forget what is known of a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.memory.memories import Memories
    from groundling.memory.memory import Memory

Decorated = Callable[..., Any]


@click.group(cls=Group)
def memory() -> None:
    """See, put right and forget what is remembered of you.

    Facts come from your own words in conversations, and from `add`. NUMBER is as `list`
    shows it. Nothing of this leaves the machine.
    """


def _user(command: Decorated) -> Decorated:
    return click.option("--user", metavar="NAME", help="Whose; default: memory.user.")(command)


@memory.command("list")
@_user
@click.option("--kind", metavar="KIND", help="Only of this kind, such as home or food.")
@click.option("--all", "all_", is_flag=True, help="Those that no longer hold, too.")
@pass_shell
def list_(shell: Shell, user: str | None, kind: str | None, all_: bool) -> None:
    """List what is remembered, the newest first."""
    with _opened(shell) as memories:
        facts = memories.list(_name(shell, user), kind=kind, superseded=all_)
    if not facts and not shell.json:
        shell.status('Nothing is remembered.\nNext:  groundling memory add "lives in Busan"')
        return
    shell.out([one.as_json() for one in facts], [_line(one) for one in facts])


@memory.command()
@click.argument("number", type=click.IntRange(1))
@_user
@pass_shell
def show(shell: Shell, number: int, user: str | None) -> None:
    """Show a fact: when it was said, how often it was used, what it took the place of."""
    with _opened(shell) as memories:
        fact = memories.get(_name(shell, user), number)
        before = memories.history(fact.user, number)
    used = f"{fact.uses} times, last {fact.used_at}" if fact.uses else "never"
    lines = [
        _line(fact),
        f"of {fact.user}, remembered {fact.created_at}, from {fact.source or 'somewhere'}",
        f"recalled {used}",
    ]
    if fact.superseded_by is not None:
        lines.append(f"no longer holds: {fact.superseded_by} took its place")
    lines += [f"before: {_line(one)}" for one in before]
    shell.out({**fact.as_json(), "history": [one.as_json() for one in before]}, lines)


@memory.command()
@click.argument("text")
@click.option("--kind", metavar="KIND", default="fact", show_default=True, help="What about.")
@click.option("--supersedes", type=click.IntRange(1), metavar="NUMBER", help="What it replaces.")
@_user
@pass_shell
def add(shell: Shell, text: str, kind: str, supersedes: int | None, user: str | None) -> None:
    """Remember TEXT."""
    with _opened(shell) as memories:
        fact = memories.remember(
            _name(shell, user), text, kind=kind, source="command line", supersedes=supersedes
        )
    shell.out(fact.as_json(), [f"Remembered: {_line(fact)}"])


@memory.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("text")
@click.option("--kind", metavar="KIND", help="What it is about; default: as it was.")
@_user
@pass_shell
def edit(shell: Shell, number: int, text: str, kind: str | None, user: str | None) -> None:
    """Put a fact right; its old words are gone."""
    with _opened(shell) as memories:
        fact = memories.edit(_name(shell, user), number, text, kind=kind)
    shell.out(fact.as_json(), [f"Now: {_line(fact)}"])


@memory.command()
@click.argument("numbers", type=click.IntRange(1), nargs=-1, metavar="NUMBER…")
@click.option("--all", "all_", is_flag=True, help="Everything that is known of the person.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_user
@pass_shell
def forget(shell: Shell, numbers: tuple[int, ...], all_: bool, yes: bool, user: str | None) -> None:
    """Forget facts with what they took the place of; nothing of them stays in the file."""
    if bool(numbers) == all_:
        raise click.UsageError("Give the numbers of facts, or --all.")
    name = _name(shell, user)
    with _opened(shell) as memories:
        facts = memories.list(name) if all_ else [memories.get(name, n) for n in numbers]
        if facts and not yes and sys.stdin.isatty():
            for one in facts:
                shell.status(_line(one))
            click.confirm("Forget this?", abort=True, err=True)
        gone = (
            memories.forget_all(name)
            if all_
            else sum(memories.forget(name, number) for number in dict.fromkeys(numbers))
        )
    shell.out({"forgotten": gone}, [f"Forgotten: {gone} fact{'s' * (gone != 1)}."])


@memory.command()
@click.argument("query")
@click.option("-k", type=click.IntRange(1, 100), default=5, show_default=True, help="How many.")
@_user
@pass_shell
def search(shell: Shell, query: str, k: int, user: str | None) -> None:
    """Show what would be recalled with a question, best first."""
    with _opened(shell, searches=True) as memories:
        facts = memories.recall(_name(shell, user), query, k, count=False)
    if not facts and not shell.json:
        shell.status("Nothing that is remembered fits.\nNext:  groundling memory list")
        return
    shell.out([one.as_json() for one in facts], [f"{one.score:.2f}  {_line(one)}" for one in facts])


@memory.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option("--all", "all_", is_flag=True, help="Of every user, not of one.")
@_user
@pass_shell
def export(shell: Shell, file: Path, all_: bool, user: str | None) -> None:
    """Write the facts as JSON lines, with those that no longer hold; FILE may be -."""
    from groundling.memory.files import export_facts, write

    with _opened(shell) as memories:
        users = sorted(memories.users()) if all_ else [_name(shell, user)]
        facts = [fact for one in users for fact in export_facts(memories, one)]
    if str(file) == "-":
        for fact in facts:
            click.echo(json.dumps(fact, ensure_ascii=False))
        return
    write(file, facts)
    count = len(facts)
    shell.out(
        {"file": str(file), "facts": count}, [f"{count:,} fact{'s' * (count != 1)} in {file}."]
    )


@memory.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_user
@pass_shell
def import_(shell: Shell, file: Path, user: str | None) -> None:
    """Remember the facts of FILE, as `export` writes it; those already known stay as they are.

    With --user all are that person's, else each is whose the file says.
    """
    from groundling.memory.files import import_facts, read

    with _opened(shell) as memories:
        new = import_facts(memories, read(file), user, default=_name(shell, None))
    shell.out({"file": str(file), "new": new}, [f"{new:,} new fact{'s' * (new != 1)}."])


def _name(shell: Shell, user: str | None) -> str:
    return user if user is not None else shell.settings.memory.user


@contextmanager
def _opened(shell: Shell, *, searches: bool = False) -> Iterator[Memories]:
    from groundling.memory.memories import Memories

    settings = shell.settings
    embedder = None
    if searches:
        from groundling.errors import ModelNotFound
        from groundling.models.configured import embedding_model

        try:
            embedder = embedding_model(settings)
        except ModelNotFound:
            shell.warn("Without an embedding model, facts are found by words and topics alone.")
    with Memories.open(settings.memories_path, embedder, most=settings.memory.most) as memories:
        yield memories


def _line(fact: Memory) -> str:
    return f"{fact.id:>4}  {fact.kind:<10}  {fact.text}"
