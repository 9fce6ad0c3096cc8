"""What is known of people, from one conversation to the next, in one SQLite file.

    with Memories.open(path, embedder) as memories:
        memories.remember("ada", "lives in Busan", kind="home")
        memories.recall("ada", "Where do I live?")

Each person sees their own facts alone. A fact that another took the place of stays as that
one's history and is never recalled. What is forgotten is gone from the file, its history
with it: deleted cells are zeroed, the file is written anew and the log emptied. A process
that is killed in between has that done by the next one to open the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

from groundling.database import NewerLayout, connect, migrate, transaction
from groundling.errors import MemoriesError, UnknownMemory
from groundling.memory.memory import Memory, check_kind, check_user, clean, plain
from groundling.memory.migrations import MIGRATIONS
from groundling.memory.recall import fact_terms
from groundling.memory.searching import Searcher, Similar
from groundling.models.embedder import Embedder

MOST = 2000
Listed = list[Memory]  # inside the class `list` is the method
_FIELDS = "id, user, text, kind, source, created_at, changed_at, used_at, uses, superseded_by"
_SCRUB = "scrub"


def utc_now() -> str:
    """Return the time in UTC, ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Memories:
    """The facts of all users in one file; safe for threads and processes. See `open`."""

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        embedder: Embedder | None,
        most: int,
        now: Callable[[], str],
    ) -> None:
        self._db = db
        self._path = path
        self._most = most
        self._now = now
        self._lock = RLock()
        self._searcher = Searcher(db, embedder)

    @classmethod
    def open(
        cls,
        path: Path,
        embedder: Embedder | None = None,
        *,
        most: int = MOST,
        now: Callable[[], str] = utc_now,
    ) -> Memories:
        """Open the file, which is made where there is none.

        Args:
            path: the file.
            embedder: finds facts by meaning; without one they are found by words and topics.
            most: facts kept of each person; of more, the least used go, the oldest first.
            now: tells the time.

        Raises:
            MemoriesError: the file is damaged, newer than this program, or cannot be opened.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            db = connect(path)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        memories = cls(db, path, embedder, most, now)
        try:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA temp_store = MEMORY")  # no copy of a fact in a temporary file
            migrate(db, MIGRATIONS)
            with memories._using():
                if db.execute("SELECT 1 FROM chores WHERE name = ?", (_SCRUB,)).fetchone():
                    memories._scrub()
        except (sqlite3.Error, NewerLayout) as error:
            db.close()
            raise _unusable(path, error) from error
        except BaseException:
            db.close()
            raise
        return memories

    def remember(
        self,
        user: str,
        text: str,
        *,
        kind: str = "fact",
        source: str | None = None,
        supersedes: int | None = None,
    ) -> Memory:
        """Keep a fact; one that is kept already, but for case and punctuation, is returned.

        Args:
            user: whom it is about.
            text: the fact, at most 500 characters; it becomes one line.
            kind: one of `groundling.memory.topics.KINDS`.
            source: where it was said.
            supersedes: the fact that no longer holds; it becomes this one's history.

        Raises:
            MemoriesError: the text is empty or too long, or there is no such kind.
            UnknownMemory: what it supersedes is not this user's.
        """
        user, text, kind = check_user(user), clean(text), check_kind(kind)
        with self._writing():
            if supersedes is not None:
                self._get(user, supersedes)
            held = self._held(user, text)
            if held is None:
                terms = " ".join(fact_terms(text, kind))
                row = (user, text, plain(text), terms, kind, source, self._now(), self._now())
                inserted = self._db.execute(
                    "INSERT INTO memories (user, text, plain, terms, kind, source, created_at,"
                    " changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
                assert inserted.lastrowid is not None
                held = inserted.lastrowid
            if supersedes is not None and supersedes != held:
                self._db.execute(
                    "UPDATE memories SET superseded_by = ?, changed_at = ? WHERE id = ?",
                    (held, self._now(), supersedes),
                )
            self._bound(user, held)
            return self._get(user, held)

    def recall(self, user: str, query: str, k: int = 5, *, count: bool = True) -> list[Memory]:
        """Return the facts that fit a question, best first.

        Args:
            user: whose facts.
            query: what is asked, in any language.
            k: at most so many.
            count: whether this is a use of them, which lets them be kept for longer.
        """
        user = check_user(user)
        with self._using():
            found = self._searcher.search(user, query, k)
            if found and count:
                now = self._now()
                with transaction(self._db):
                    self._db.executemany(
                        "UPDATE memories SET uses = uses + 1, used_at = ? WHERE id = ?",
                        [(now, number) for number, _ in found],
                    )
            rows = {one.id: one for one in self._rows("user = ?", user)} if found else {}
            # One that another process forgot meanwhile is not there any more.
            return [replace(rows[n], score=score) for n, score in found if n in rows]

    def similar(self, user: str, text: str, kind: str = "fact", k: int = 3) -> list[Similar]:
        """Return facts that may say the same as this one, or what it takes the place of."""
        with self._using():
            return self._searcher.similar(check_user(user), text, kind, k)

    def get(self, user: str, number: int) -> Memory:
        """Return one fact.

        Raises:
            UnknownMemory: this user has none of that number.
        """
        with self._using():
            return self._get(check_user(user), number)

    def list(self, user: str, *, kind: str | None = None, superseded: bool = False) -> Listed:
        """Return a person's facts, the newest first.

        Args:
            user: whose.
            kind: only of this kind.
            superseded: those that no longer hold, too.
        """
        user = check_user(user)
        with self._using():
            where = "user = ?" + ("" if superseded else " AND superseded_by IS NULL")
            if kind is None:
                return self._rows(where, user)
            return self._rows(where + " AND kind = ?", user, check_kind(kind))

    def history(self, user: str, number: int) -> Listed:
        """Return what a fact took the place of, the latest first.

        Raises:
            UnknownMemory: this user has none of that number.
        """
        with self._using():
            self._get(check_user(user), number)
            return self._rows(f"id IN ({_HISTORY}) AND id <> ?", number, number)

    def users(self) -> dict[str, int]:
        """Map each person of whom something is known to the number of facts that hold."""
        with self._using():
            return dict(
                self._db.execute(
                    "SELECT user, SUM(superseded_by IS NULL) FROM memories GROUP BY user"
                ).fetchall()
            )

    def edit(self, user: str, number: int, text: str, *, kind: str | None = None) -> Memory:
        """Put a fact right. Its old words are gone; they were wrong, not history.

        Raises:
            MemoriesError: the text is empty or too long, or another fact says the same.
            UnknownMemory: this user has none of that number.
        """
        user, text = check_user(user), clean(text)
        with self._writing():
            old = self._get(user, number)
            kind = check_kind(kind or old.kind)
            other = self._held(user, text)
            if other not in (None, number) and old.superseded_by is None:
                raise MemoriesError(
                    f"Memory {other} says that already; {number} is as it was.",
                    hint=f"groundling memory forget {number}",
                )
            self._db.execute(
                "UPDATE memories SET text = ?, plain = ?, terms = ?, kind = ?, changed_at = ?"
                " WHERE id = ?",
                (text, plain(text), " ".join(fact_terms(text, kind)), kind, self._now(), number),
            )
            self._db.execute("DELETE FROM vectors WHERE memory_id = ?", (number,))
            self._owe()
            new = self._get(user, number)
        self._settle()
        return new

    def forget(self, user: str, number: int) -> int:
        """Forget a fact with its history, so that no byte of them is in the files.

        Returns:
            How many facts went: it, and those it had taken the place of.

        Raises:
            UnknownMemory: this user has none of that number.
            MemoriesError: it is forgotten, but another process keeps the log from being emptied.
        """
        user = check_user(user)
        with self._writing():
            self._get(user, number)
            gone = len(self._rows(f"id IN ({_HISTORY})", number))
            self._db.execute("DELETE FROM memories WHERE id = ?", (number,))  # and its history
            self._owe()
        self._settle()
        return gone

    def forget_all(self, user: str) -> int:
        """Forget all that is known of a person; return how many facts that were.

        Raises:
            MemoriesError: as `forget`.
        """
        user = check_user(user)
        with self._writing():
            gone = len(self._rows("user = ?", user))
            self._db.execute("DELETE FROM memories WHERE user = ?", (user,))
            self._owe()
        self._settle()
        return gone

    def check(self) -> Iterable[str]:
        """Name what is wrong with the file; nothing, where nothing is."""
        with self._using():
            said = [row[0] for row in self._db.execute("PRAGMA integrity_check")]
        return [] if said == ["ok"] else said

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Memories:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise _unusable(self._path, error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._using(), transaction(self._db):
            yield

    def _rows(self, where: str, *values: Any) -> Listed:
        query = f"SELECT {_FIELDS} FROM memories WHERE {where} ORDER BY id DESC"  # noqa: S608
        return [Memory(*row) for row in self._db.execute(query, values)]

    def _get(self, user: str, number: int) -> Memory:
        found = self._rows("user = ? AND id = ?", user, min(number, 2**63 - 1))
        if not found:
            raise UnknownMemory(
                f"{user} has no memory {number}.",
                hint=f"groundling memory list --user {user}",
            )
        return found[0]

    def _held(self, user: str, text: str) -> int | None:
        found = self._rows("user = ? AND plain = ? AND superseded_by IS NULL", user, plain(text))
        return found[0].id if found else None

    def _bound(self, user: str, new: int) -> None:
        """Let the least used facts go where there are too many; history likewise."""
        for state in ("IS NULL", "IS NOT NULL"):
            where = f"user = ? AND superseded_by {state}"
            extra = len(self._rows(where, user)) - self._most
            if extra > 0:
                self._db.execute(
                    f"DELETE FROM memories WHERE id IN (SELECT id FROM memories WHERE {where}"  # noqa: S608
                    " AND id <> ? ORDER BY uses, coalesce(used_at, created_at), id LIMIT ?)",
                    (user, new, extra),
                )

    def _owe(self) -> None:
        self._db.execute("INSERT OR IGNORE INTO chores (name) VALUES (?)", (_SCRUB,))

    def _settle(self) -> None:
        with self._using():
            self._scrub()

    def _scrub(self) -> None:
        """Write the file anew and empty its log: what was deleted is in neither.

        `secure_delete` zeroes cells that are freed, but not copies that SQLite leaves in a
        page's free room when it moves cells between pages.
        """
        self._db.execute("VACUUM")
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise MemoriesError(
                f"It is forgotten, but its bytes are in {self._path}-wal for as long as another "
                "process reads the file.",
                hint="End the other process; the next command finishes it: groundling memory list",
            )
        with transaction(self._db):
            self._db.execute("DELETE FROM chores WHERE name = ?", (_SCRUB,))


_HISTORY = """
    WITH RECURSIVE chain (id) AS (
        VALUES (?) UNION SELECT memories.id FROM memories JOIN chain ON superseded_by = chain.id
    ) SELECT id FROM chain
"""


def _unusable(path: Path, error: Exception) -> MemoriesError:
    return MemoriesError(
        f"The memories in {path} cannot be used: {error}.",
        hint=f"Nothing was changed. Is there room, and may you write there? If the file is "
        f"damaged, put it aside: mv {path} {path}.damaged",
    )
