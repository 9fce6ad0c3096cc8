"""Keys: what a program sends to say whose request it is.

A key is `gl_ID_SECRET`. The secret has 256 random bits, so one round of SHA-256 keeps it as
well as a slow hash would: slow hashes (scrypt, Argon2) make guessing dear where people choose
the password, and nobody guesses 256 bits. It also lets each request be checked in
microseconds. The id is no secret; lists and the audit log name a key by it.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from groundling.errors import SettingsError
from groundling.server.people.audit import iso
from groundling.server.people.file import PeopleFile
from groundling.server.person import Role

_KEY = re.compile(r"gl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODYS = bytes(32)
_LONGEST_LABEL = 100
_LONGEST_DAYS = 3650
USED_EACH = 60.0  # seconds; when a key was last used is kept to the minute


@dataclass(frozen=True)
class Key:
    """A key as lists show it; its secret is nowhere.

    Args:
        id: names it.
        user: whose it is.
        label: what it is for.
        created, expires, last_used: ISO 8601, UTC.
        expired: it is too old to be taken.
    """

    id: str
    user: str
    label: str
    created: str
    expires: str | None
    last_used: str | None
    expired: bool

    def as_json(self) -> dict[str, Any]:
        """Return what the API and `--json` show."""
        return dict(vars(self))


@dataclass(frozen=True)
class Holder:
    """Whom a key or a session speaks for.

    Args:
        user: their name.
        role: what they may do.
        key: the key's id.
        expires: when it ends; None: never.
        stale: it is a minute or more since its use was written down.
    """

    user: str
    role: Role
    key: str
    expires: float | None = None
    stale: bool = False


@dataclass(frozen=True)
class Refused:
    """Why a key or a session speaks for nobody."""

    reason: str


class Keys:
    """The keys of all users."""

    def __init__(self, file: PeopleFile, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock

    def add(self, user: str, label: str = "", days: float | None = None) -> tuple[Key, str]:
        """Make a key; the text that is returned with it is not to be had again.

        Args:
            label: what it is for.
            days: how long it is taken; None: until it is revoked.

        Raises:
            SettingsError: there is no such user, or days or label are impossible.
        """
        check(label, days)
        id, secret, now = secrets.token_hex(6), secrets.token_urlsafe(32), self._clock()
        expires = None if days is None else now + days * 86_400
        with self._file.writing() as db:
            there = db.execute(
                "SELECT 1 FROM users WHERE name = ? AND removed IS NULL", (user,)
            ).fetchone()
            if there is None:
                raise unknown_user(user)
            db.execute(
                "INSERT INTO keys (id, user, digest, label, created, expires)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (id, user, sha256(secret.encode()).digest(), label, now, expires),
            )
        key = Key(id, user, label, iso(now), None if expires is None else iso(expires), None, False)
        return key, f"gl_{id}_{secret}"

    def holder(self, text: str) -> Holder | Refused:
        """Return for whom a key speaks. Compares in constant time."""
        parts = _KEY.fullmatch(text)
        id, secret = parts.groups() if parts else ("", "")
        row = self._file.row(
            "SELECT k.digest, k.expires, k.last_used, u.name, u.role, u.disabled FROM keys k"
            " JOIN users u ON u.name = k.user WHERE k.id = ? AND u.removed IS NULL",
            id,
        )
        digest, expires, last_used, user, role, disabled = row or (_NOBODYS,) + (None,) * 5
        given = sha256(secret.encode()).digest()
        if not hmac.compare_digest(given, digest) or row is None:
            return Refused("The key is not known, or is revoked.")
        now = self._clock()
        if expires is not None and expires <= now:
            return Refused(f"The key {id} has expired on {iso(expires)}.")
        if disabled is not None:
            return Refused(f"The user {user} is disabled; an admin can enable them.")
        stale = last_used is None or last_used < now - USED_EACH
        return Holder(str(user), Role(role), id, expires, stale)

    def used(self, id: str) -> None:
        """Write down that a key was used; once a minute is enough."""
        with self._file.writing() as db:
            db.execute("UPDATE keys SET last_used = ? WHERE id = ?", (self._clock(), id))

    def list(self, user: str) -> list[Key]:
        """Return a user's keys, the newest first."""
        now = self._clock()
        rows = self._file.rows(
            "SELECT id, user, label, created, expires, last_used FROM keys WHERE user = ?"
            " ORDER BY created DESC, id",
            user,
        )
        return [
            Key(
                id, user, label, iso(created),
                None if expires is None else iso(expires),
                None if used is None else iso(used),
                expires is not None and expires <= now,
            )
            for id, user, label, created, expires, used in rows
        ]  # fmt: skip

    def revoke(self, user: str, id: str) -> None:
        """Take a key back, with the sessions that were begun with it.

        Raises:
            SettingsError: the user has no such key.
        """
        with self._file.writing() as db:
            gone = db.execute("DELETE FROM keys WHERE id = ? AND user = ?", (id, user)).rowcount
        if not gone:
            raise SettingsError(f"{user} has no key {id}.", hint=f"groundling user key list {user}")


def check(label: str, days: float | None) -> None:
    """Refuse a key that cannot be made, before a user is added for it.

    Raises:
        SettingsError: days or label are impossible.
    """
    if days is not None and not 0 < days <= _LONGEST_DAYS:
        raise SettingsError(f"A key is taken for up to {_LONGEST_DAYS} days, not {days:g}.")
    if len(label) > _LONGEST_LABEL or not label.isprintable():
        raise SettingsError(f"A label is one line of up to {_LONGEST_LABEL} characters.")


def unknown_user(name: str) -> SettingsError:
    """Say that there is no such user."""
    return SettingsError(f"There is no user {name}.", hint="groundling user list")
