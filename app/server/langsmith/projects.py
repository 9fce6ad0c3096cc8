"""Projects in the store of runs; LangSmith's interface calls them sessions.

A project with a data set is an experiment: its runs answer the examples.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from groundling.server.langsmith.fields import Sql, joined
from groundling.tracing.store import TraceStore

_COLUMNS = "id, uuid, name, description, started, ended, dataset, extra"
_DELETED = 2_000  # runs in one transaction: others want to write, too


@dataclass(frozen=True)
class Project:
    """A project.

    Args:
        number: its key in the store.
        started: microseconds since 1970.
        dataset: id of the data set whose examples its runs answer.
        extra: what its maker noted, its metadata among it.
    """

    number: int
    id: UUID
    name: str
    description: str | None
    started: int
    ended: int | None
    dataset: UUID | None
    extra: dict[str, Any]

    @property
    def metadata(self) -> dict[str, Any]:
        """Return what is said about it."""
        found = self.extra.get("metadata")
        return found if isinstance(found, dict) else {}


class Projects:
    """The projects of one store.

    Args:
        store: where they are.
    """

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    def create(
        self,
        name: str,
        *,
        id: UUID | None = None,
        description: str | None = None,
        started: int | None = None,
        dataset: UUID | None = None,
        extra: Mapping[str, Any] | None = None,
        upsert: bool = False,
    ) -> Project | None:
        """Make a project; None if there is one of that name or id, and `upsert` is not wanted."""
        new = id or uuid.uuid4()
        with self._store.writing() as db:
            known = db.execute(
                "SELECT uuid FROM projects WHERE name = ? OR uuid = ?", (name, new.bytes)
            ).fetchone()
            if known is None:
                db.execute(
                    "INSERT INTO projects (uuid, name, description, started, dataset, extra) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        new.bytes,
                        name,
                        description,
                        time.time_ns() // 1000 if started is None else started,
                        dataset.bytes if dataset else None,
                        json.dumps(dict(extra or {})),
                    ),
                )
        if known is None:
            return self.get(new)
        if not upsert:
            return None
        return self.update(
            UUID(bytes=known[0]), description=description, dataset=dataset, extra=extra
        )

    def get(self, id: UUID) -> Project | None:
        """Return the project of that id, if there is one."""
        found = self._find("uuid = ?", [id.bytes])
        return found[0] if found else None

    def find(
        self,
        *,
        ids: Sequence[UUID] = (),
        name: str | None = None,
        name_contains: str | None = None,
        datasets: Sequence[UUID] = (),
        reference_free: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Project]:
        """Return projects, the newest first."""
        parts: list[Sql] = []
        if ids:
            parts.append((f"uuid IN ({_marks(ids)})", [each.bytes for each in ids]))
        if name is not None:
            parts.append(("name = ?", [name]))
        if name_contains:
            parts.append(("instr(lower(name), lower(?))", [name_contains]))
        if datasets:
            parts.append((f"dataset IN ({_marks(datasets)})", [each.bytes for each in datasets]))
        if reference_free is not None:
            parts.append((f"dataset IS {'' if reference_free else 'NOT '}NULL", []))
        for key, value in (metadata or {}).items():
            # Compared as JSON: 1 is not "1", and an object is like another.
            sql = (
                "EXISTS (SELECT 1 FROM json_each(projects.extra, '$.metadata') AS entry "
                "WHERE entry.key = ? "
                "AND json_quote(entry.value) = json_quote(json_extract(?, '$')))"
            )
            parts.append((sql, [key, json.dumps(value)]))
        where, values = joined("AND", parts) if parts else ("1", [])
        return self._find(where, values, limit, offset)

    def update(
        self,
        id: UUID,
        *,
        name: str | None = None,
        description: str | None = None,
        ended: int | None = None,
        dataset: UUID | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Project | None:
        """Change a project; what is None stays. None if there is no such project.

        Raises:
            sqlite3.IntegrityError: another one has the name.
        """
        with self._store.writing() as db:
            db.execute(
                "UPDATE projects SET name = coalesce(?, name), "
                "description = coalesce(?, description), ended = coalesce(?, ended), "
                "dataset = coalesce(?, dataset), extra = coalesce(?, extra) WHERE uuid = ?",
                (
                    name,
                    description,
                    ended,
                    dataset.bytes if dataset else None,
                    None if extra is None else json.dumps(dict(extra)),
                    id.bytes,
                ),
            )
        return self.get(id)

    def delete(self, project: Project) -> None:
        """Delete a project with its runs and what was said of them."""
        while True:
            with self._store.writing() as db:
                rows = db.execute(
                    "SELECT seq, id FROM runs WHERE project = ? LIMIT ?",
                    (project.number, _DELETED),
                ).fetchall()
                if not rows:
                    db.execute("DELETE FROM feedback WHERE project = ?", (project.number,))
                    db.execute("DELETE FROM projects WHERE id = ?", (project.number,))
                    return
                db.executemany("DELETE FROM terms WHERE rowid = ?", [row[:1] for row in rows])
                db.executemany("DELETE FROM feedback WHERE run = ?", [row[1:] for row in rows])
                db.executemany("DELETE FROM runs WHERE seq = ?", [row[:1] for row in rows])

    def _find(
        self, where: str, values: Sequence[Any], limit: int = -1, offset: int = 0
    ) -> list[Project]:
        rows = self._store.read(
            f"SELECT {_COLUMNS} FROM projects WHERE {where} "  # noqa: S608
            "ORDER BY started DESC, id DESC LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return [_project(row) for row in rows]


def _project(row: Sequence[Any]) -> Project:
    number, id, name, description, started, ended, dataset, extra = row
    return Project(
        number=number,
        id=UUID(bytes=id),
        name=name,
        description=description,
        started=started,
        ended=ended,
        dataset=UUID(bytes=dataset) if dataset else None,
        extra=json.loads(extra),
    )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
