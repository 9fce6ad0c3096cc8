"""`groundling user`: who may use the server, and with which keys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell
from groundling.errors import SettingsError

if TYPE_CHECKING:
    from groundling.server.people.keys import Key
    from groundling.server.people.people import People
    from groundling.server.people.users import User

Decorated = Callable[..., Any]
_ROLES = click.Choice(["reader", "member", "admin"])
_days = click.option(
    "--days",
    type=click.FloatRange(0, 3650, min_open=True),
    help="How long the key is taken; default: until it is revoked.",
)
_label = click.option("--label", metavar="TEXT", default="", help="What the key is for.")


@click.group(cls=Group)
def user() -> None:
    """Say who may use the server, and with which keys.

    Without users the server serves this machine alone, and everybody on it is an admin. With
    one, every request needs a key. Changes hold at once, also while the server runs. A user
    who is called as memory.user says owns what the command line makes.
    """


@user.command()
@click.argument("name")
@click.option("--role", type=_ROLES, default="member", show_default=True, help="What they may do.")
@click.option("--again", is_flag=True, help="A removed user, with what they left.")
@click.option("--no-key", is_flag=True, help="Make no key yet.")
@_label
@_days
@pass_shell
def add(
    shell: Shell, name: str, role: str, again: bool, no_key: bool, label: str, days: float | None
) -> None:
    """Add a user and print a key for them, which is shown this once.

    A reader asks, and has conversations and memories. A member also has documents and
    assistants. An admin also has users, all traces and the audit log. The first user has to
    be an admin.
    """
    from groundling.server.people.keys import check
    from groundling.server.person import Role

    check(label, days)
    with _people(shell) as people:
        people.users.add(name, Role(role), again=again)
        _log(people, "user.add", name, role=role)
        key, text = (None, None) if no_key else _new_key(people, name, label, days)
        added = people.users.get(name)
    data = added.as_json()
    if key is not None:
        data["key"] = {**key.as_json(), "secret": text}
    shell.out(data, [text] if text else [])
    if not shell.json:
        shell.status(f"{name} is {_a(role)}." + (" Their key is shown this once." if text else ""))


@user.command("list")
@pass_shell
def list_(shell: Shell) -> None:
    """List the users."""
    with _people(shell) as people:
        users = people.users.list()
    shell.out([one.as_json() for one in users], [_line(one) for one in users])
    if not users and not shell.json:
        shell.status(
            "There are no users: the server serves this machine alone.\n"
            "Next:  groundling user add NAME --role admin"
        )


@user.command()
@click.argument("name")
@click.argument("role", type=_ROLES)
@pass_shell
def role(shell: Shell, name: str, role: str) -> None:
    """Give a user another role."""
    from groundling.server.person import Role

    with _people(shell) as people:
        changed = people.users.change(name, role=Role(role))
        _log(people, "user.change", name, role=role)
    shell.out(changed.as_json(), [f"{name} is {_a(role)}."])


@user.command()
@click.argument("name")
@pass_shell
def disable(shell: Shell, name: str) -> None:
    """Let a user in no more until `enable`; their keys stay, their sessions end."""
    _switch(shell, name, disabled=True)


@user.command()
@click.argument("name")
@pass_shell
def enable(shell: Shell, name: str) -> None:
    """Let a disabled user in again."""
    _switch(shell, name, disabled=False)


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_shell
def remove(shell: Shell, name: str, yes: bool) -> None:
    """Remove a user; their keys and sessions end at once.

    What is theirs stays until an admin purges it: on the page, or with
    DELETE /api/users/NAME?purge=true. After the last user, the server serves this machine
    alone, and everybody on it is an admin.
    """
    with _people(shell) as people:
        people.users.get(name)
        last = len(people.users.list()) == 1
        if last and not yes and not sys.stdin.isatty():
            raise SettingsError(
                f"{name} is the only user; without one, everybody on this machine is an admin.",
                hint=f"If that is meant: groundling user remove {name} --yes",
            )
        if last and not yes:
            click.confirm(
                f"{name} is the only user. Serve this machine alone, without keys?",
                abort=True,
                err=True,
            )
        people.users.remove(name)
        _log(people, "user.remove", name)
        knowledge = people.owners.count("knowledge", name)
        traces = people.owners.count("trace", name)
    left = {"knowledge": knowledge, "traces": traces}
    shell.out({"id": name, "remains": left}, [f"Removed: {name}."])
    if any(left.values()) and not shell.json:
        shell.status(
            f"Of theirs there are {knowledge} knowledge bases and {traces:,} traces.\n"
            f"Next:  DELETE /api/users/{name}?purge=true, or the page, deletes it all"
        )


@user.command()
@click.option("--person", metavar="NAME", help="Only what they did.")
@click.option("--action", metavar="ACTION", help="Only this, such as key.add; user. takes all.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True,
    help="How many.",
)  # fmt: skip
@pass_shell
def log(shell: Shell, person: str | None, action: str | None, limit: int) -> None:
    """Show who changed what, the newest first."""
    with _people(shell) as people:
        entries = people.log.read(person, action, limit=limit)
    shell.out(
        [dict(vars(entry)) for entry in entries],
        [f"{e.time}  {e.person or '-':<12}  {e.action:<18}  {e.what}" for e in entries],
    )


@user.group()
def key() -> None:
    """Make, list and revoke the keys of users. A key is shown once and kept as a digest."""


@key.command("add")
@click.argument("name")
@_label
@_days
@pass_shell
def add_key(shell: Shell, name: str, label: str, days: float | None) -> None:
    """Make a key for a user and print it, this once."""
    with _people(shell) as people:
        made, text = _new_key(people, name, label, days)
    shell.out({**made.as_json(), "secret": text}, [text])
    if not shell.json:
        shell.status(f"The key {made.id} of {name} is shown this once.")


@key.command("list")
@click.argument("name")
@pass_shell
def list_keys(shell: Shell, name: str) -> None:
    """List a user's keys, without their secrets."""
    with _people(shell) as people:
        people.users.get(name)
        keys = people.keys.list(name)
    shell.out([one.as_json() for one in keys], [_key_line(one) for one in keys])


@key.command()
@click.argument("name")
@click.argument("key_id", metavar="KEY")
@pass_shell
def revoke(shell: Shell, name: str, key_id: str) -> None:
    """Take a key back; KEY is its id, as `list` shows it. Its sessions end, too."""
    with _people(shell) as people:
        people.keys.revoke(name, key_id)
        _log(people, "key.revoke", key_id, user=name)
    shell.out({"revoked": key_id}, [f"Revoked: {key_id} of {name}."])


def _switch(shell: Shell, name: str, *, disabled: bool) -> None:
    with _people(shell) as people:
        changed = people.users.change(name, disabled=disabled)
        _log(people, "user.change", name, disabled=disabled)
    shell.out(changed.as_json(), [f"{name} is {'disabled' if disabled else 'enabled'}."])


@contextmanager
def _people(shell: Shell) -> Iterator[People]:
    from groundling.server.people.people import People

    people = People.open(shell.settings)
    try:
        yield people
    finally:
        people.close()


def _new_key(people: People, name: str, label: str, days: float | None) -> tuple[Key, str]:
    made, text = people.keys.add(name, label, days)
    _log(people, "key.add", made.id, user=name)
    return made, text


def _log(people: People, action: str, what: str, **details: Any) -> None:
    people.log.write(people.local.id, action, what, via="command line", **details)


def _a(role: str) -> str:
    return f"an {role}" if role == "admin" else f"a {role}"


def _line(one: User) -> str:
    keys = f"{one.keys} key{'s' * (one.keys != 1)}"
    seen = f"last seen {one.last_used}" if one.last_used else "not seen yet"
    state = "  disabled" if one.disabled else ""
    return f"{one.id:<16}  {one.role:<6}  {keys:<7}  {seen}{state}"


def _key_line(one: Key) -> str:
    until = f"until {one.expires}" if one.expires else "until revoked"
    used = f"last used {one.last_used}" if one.last_used else "not used yet"
    return f"{one.id}  {until}{'  expired' if one.expired else ''}  {used}  {one.label}".rstrip()
