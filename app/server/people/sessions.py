"""Sessions: what a browser has in place of a key.

The cookie holds 256 random bits, of which a digest is kept. It is HttpOnly and
SameSite=Strict, and whatever changes something must also repeat the session's CSRF token in a
header, which a page of another origin can neither read nor send.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from groundling.server.people.file import PeopleFile
from groundling.server.people.keys import Holder, Refused
from groundling.server.person import Role

COOKIE = "groundling_session"
CSRF_HEADER = "x-csrf-token"
_PER_USER = 50  # the oldest session goes when there is one more
_LONGEST = 128


@dataclass(frozen=True)
class Session:
    """An open session.

    Args:
        holder: whose it is.
        csrf: what must be repeated in `X-CSRF-Token`.
    """

    holder: Holder
    csrf: str

    def proves(self, given: str) -> bool:
        """Tell whether a header repeats the token; takes the same time for any."""
        return hmac.compare_digest(given.encode(), self.csrf.encode())


class Sessions:
    """The sessions of all browsers.

    Args:
        hours: how long one lasts from the login on, used or not.
    """

    def __init__(
        self, file: PeopleFile, hours: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._seconds = hours * 3600
        self._clock = clock

    def begin(self, holder: Holder) -> tuple[str, Session, float]:
        """Begin a session for the holder of a key; it ends with the key at the latest.

        Returns:
            The cookie's value, the session, and the seconds that it lasts.
        """
        now = self._clock()
        ends = min(now + self._seconds, holder.expires or float("inf"))
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        with self._file.writing() as db:
            db.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            db.execute(
                "DELETE FROM sessions WHERE user = ? AND digest NOT IN (SELECT digest FROM"
                " sessions WHERE user = ? ORDER BY created DESC LIMIT ?)",
                (holder.user, holder.user, _PER_USER - 1),
            )
            db.execute(
                "INSERT INTO sessions (digest, user, key, csrf, created, expires)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (_digest(token), holder.user, holder.key, csrf, now, ends),
            )
        return token, Session(holder, csrf), ends - now

    def find(self, token: str) -> Session | Refused:
        """Return the session of a cookie."""
        row = self._file.row(
            "SELECT s.csrf, s.expires, s.key, u.name, u.role, u.disabled FROM sessions s"
            " JOIN users u ON u.name = s.user WHERE s.digest = ? AND u.removed IS NULL",
            _digest(token[:_LONGEST]),
        )
        if row is None:
            return Refused("You are not logged in, or no longer.")
        csrf, expires, key, user, role, disabled = row
        if expires <= self._clock():
            return Refused("You were logged out after a while.")
        if disabled is not None:
            return Refused(f"The user {user} is disabled; an admin can enable them.")
        return Session(Holder(str(user), Role(role), str(key), expires), str(csrf))

    def end(self, token: str) -> None:
        """End a session; its cookie is worth nothing from here on."""
        with self._file.writing() as db:
            db.execute("DELETE FROM sessions WHERE digest = ?", (_digest(token[:_LONGEST]),))


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
