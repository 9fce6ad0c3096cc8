"""Users: their names and roles, and the rules that keep a server from losing its last admin."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from groundling.errors import SettingsError
from groundling.server.people.audit import iso
from groundling.server.people.file import PeopleFile
from groundling.server.people.keys import unknown_user
from groundling.server.people.names import checked_user
from groundling.server.person import Role

_COLUMNS = (
    "u.name, u.role, u.created, u.disabled, count(k.id), max(k.last_used) FROM users u"
    " LEFT JOIN keys k ON k.user = u.name WHERE u.removed IS NULL"
)


@dataclass(frozen=True)
class User:
    """A user as lists show them.

    Args:
        id: their name.
        role: what they may do.
        created, last_used: ISO 8601, UTC; the latter is when one of their keys was last used.
        disabled: they may not do anything at present.
        keys: how many they have.
    """

    id: str
    role: Role
    created: str
    disabled: bool
    keys: int
    last_used: str | None

    def as_json(self) -> dict[str, Any]:
        """Return what the API and `--json` show."""
        return {**vars(self), "role": self.role.value}


class Users:
    """The users. What changes them is refused where it would leave them without an admin."""

    def __init__(self, file: PeopleFile, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock

    @property
    def some(self) -> bool:
        """Whether there are users; disabled ones count."""
        return self._file.row("SELECT 1 FROM users WHERE removed IS NULL LIMIT 1") is not None

    def add(self, name: str, role: Role, *, again: bool = False) -> User:
        """Add a user.

        Args:
            again: the name may be one that was removed; what remained of theirs is then this
                user's.

        Raises:
            SettingsError: the name is impossible or taken, or the first one is no admin.
        """
        checked_user(name)
        with self._file.writing() as db:
            if role is not Role.ADMIN and not _admins(db):
                raise SettingsError(
                    f"The first user has to be an admin; {name} would be a {role}.",
                    hint=f"groundling user add {name} --role admin",
                )
            row = db.execute("SELECT removed FROM users WHERE name = ?", (name,)).fetchone()
            if row is not None and row[0] is None:
                raise SettingsError(f"There is a user {name} already.", hint="groundling user list")
            if row is not None and not again:
                raise SettingsError(
                    f"There was a user {name}, and what they left would be the new one's.",
                    hint=f"Choose another name, or let them have it: groundling user add {name}"
                    " --again",
                )
            db.execute(
                "INSERT INTO users (name, role, created) VALUES (?, ?, ?) ON CONFLICT (name)"
                " DO UPDATE SET role = excluded.role, created = excluded.created,"
                " disabled = NULL, removed = NULL",
                (name, role.value, self._clock()),
            )
        return self.get(name)

    def get(self, name: str) -> User:
        """Return a user.

        Raises:
            SettingsError: there is none of that name.
        """
        row = self._file.row(f"SELECT {_COLUMNS} AND u.name = ? GROUP BY u.name", name)
        if row is None:
            raise unknown_user(name)
        return _user(row)

    def list(self) -> list[User]:
        """Return all users, by name."""
        rows = self._file.rows(f"SELECT {_COLUMNS} GROUP BY u.name ORDER BY u.name")
        return [_user(row) for row in rows]

    def change(self, name: str, *, role: Role | None = None, disabled: bool | None = None) -> User:
        """Give a user another role, or disable or enable them; it holds at once.

        Raises:
            SettingsError: there is none of that name, or they are the last admin.
        """
        with self._file.writing() as db:
            row = db.execute(
                "SELECT role, disabled FROM users WHERE name = ? AND removed IS NULL", (name,)
            ).fetchone()
            if row is None:
                raise unknown_user(name)
            off = row[1] if disabled is None else (self._clock() if disabled else None)
            db.execute(
                "UPDATE users SET role = ?, disabled = ? WHERE name = ?",
                (role.value if role else row[0], off, name),
            )
            if disabled:
                db.execute("DELETE FROM sessions WHERE user = ?", (name,))
            _keep_an_admin(db, name)
        return self.get(name)

    def remove(self, name: str, *, last: bool = True) -> None:
        """Remove a user; their keys and sessions end at once, what is theirs stays on the disk.

        Args:
            name: of the user.
            last: whether the only user may go, too: the server then serves this machine alone.

        Raises:
            SettingsError: there is none of that name, the last admin among users, or the only
                user, who may not go.
        """
        with self._file.writing() as db:
            gone = db.execute(
                "UPDATE users SET removed = ? WHERE name = ? AND removed IS NULL",
                (self._clock(), name),
            ).rowcount
            if not gone:
                raise unknown_user(name)
            db.execute("DELETE FROM sessions WHERE user = ?", (name,))
            db.execute("DELETE FROM keys WHERE user = ?", (name,))
            if db.execute("SELECT 1 FROM users WHERE removed IS NULL LIMIT 1").fetchone():
                _keep_an_admin(db, name)
            elif not last:
                raise SettingsError(
                    f"{name} is the only user; without one, everybody on this machine is an admin.",
                    hint=f"On the machine itself: groundling user remove {name} --yes",
                )

    def gone(self, name: str) -> str | None:
        """Return why someone who was let in may not be here any more; None: they may."""
        row = self._file.row("SELECT removed, disabled FROM users WHERE name = ?", name)
        if row is None or row == (None, None):
            return None
        why = "was removed." if row[0] is not None else "is disabled; an admin can enable them."
        return f"The user {name} {why}"

    def was_removed(self, name: str) -> bool:
        """Tell whether there was a user of a name, of whom something may be left."""
        return (
            self._file.row("SELECT 1 FROM users WHERE name = ? AND removed IS NOT NULL", name)
            is not None
        )

    def forget(self, name: str) -> None:
        """Free the name of a removed user: nothing of theirs is left."""
        with self._file.writing() as db:
            db.execute("DELETE FROM users WHERE name = ? AND removed IS NOT NULL", (name,))


def _admins(db: sqlite3.Connection) -> int:
    query = "SELECT count(*) FROM users WHERE role = 'admin' AND removed IS NULL"
    return int(db.execute(query + " AND disabled IS NULL").fetchone()[0])


def _keep_an_admin(db: sqlite3.Connection, name: str) -> None:
    """Undo the transaction that would leave the users without an admin."""
    if not _admins(db):
        raise SettingsError(
            f"{name} is the last admin; nobody could manage the users.",
            hint="Make another one first: groundling user role NAME admin",
        )


def _user(row: tuple[Any, ...]) -> User:
    name, role, created, disabled, keys, used = row
    last = None if used is None else iso(used)
    return User(name, Role(role), iso(created), disabled is not None, keys, last)
