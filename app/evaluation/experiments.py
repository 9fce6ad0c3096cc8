"""Experiments as they are stored: a project of runs that answer a data set, as LangSmith has it.

What an experiment ran on is in its metadata: `dataset_version`, `target` (graph, model,
retrieval, the documents' hash, the prompts' hash), `repeat`, and the `fingerprint` of all that.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from groundling.errors import EvaluationError
from groundling.evaluation.names import as_uuid, check_name
from groundling.tracing.store import TraceStore

_UNTYPED = re.compile(r"[^\w.:/+-]+")
_COLUMNS = "uuid, name, dataset, started, ended, extra, description"


@dataclass(frozen=True)
class Experiment:
    """An experiment; times are microseconds since 1970.

    Args:
        dataset: id of the data set.
        ended: None while runs are missing.
        metadata: what it ran on.
    """

    id: UUID
    name: str
    dataset: UUID
    started: int
    ended: int | None
    metadata: Mapping[str, Any]
    description: str | None = None

    @property
    def version(self) -> str | int:
        """Which version of the data set it ran on: its name, or when."""
        named = self.metadata.get("dataset_version")
        return named if isinstance(named, str) else self.started

    @property
    def complete(self) -> bool:
        """Tell whether no run is missing; other programs do not say, and are believed."""
        return self.ended is not None or self.fingerprint is None

    @property
    def fingerprint(self) -> str | None:
        """What makes two experiments the same; None of those made elsewhere."""
        known = self.metadata.get("fingerprint")
        return known if isinstance(known, str) else None


_Experiments = list[Experiment]  # `list` is a method of the book


class ExperimentBook:
    """The experiments in a store of runs.

    Args:
        store: where the runs are.
    """

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    def create(self, name: str, dataset: UUID, metadata: Mapping[str, Any]) -> Experiment:
        """Begin an experiment.

        Raises:
            EvaluationError: the name is bad, or taken by a project.
        """
        check_name(name, "experiment")
        new = uuid.uuid4()
        with self._store.writing() as db:
            if db.execute("SELECT 1 FROM projects WHERE name = ?", (name,)).fetchone():
                raise EvaluationError(
                    f"There is a project or an experiment called {name} already.",
                    hint="Take another --name.",
                )
            db.execute(
                "INSERT INTO projects (uuid, name, started, dataset, extra) VALUES (?, ?, ?, ?, ?)",
                (
                    new.bytes,
                    name,
                    time.time_ns() // 1000,
                    dataset.bytes,
                    json.dumps({"metadata": dict(metadata)}, ensure_ascii=False),
                ),
            )
        return self.get(new)

    def note(self, experiment: Experiment, **metadata: Any) -> None:
        """Add to an experiment's metadata."""
        with self._store.writing() as db:
            row = db.execute(
                "SELECT extra FROM projects WHERE uuid = ?", (experiment.id.bytes,)
            ).fetchone()
            extra = json.loads(row[0])
            extra["metadata"] = {**(extra.get("metadata") or {}), **metadata}
            db.execute(
                "UPDATE projects SET extra = ? WHERE uuid = ?",
                (json.dumps(extra, ensure_ascii=False), experiment.id.bytes),
            )

    def end(self, experiment: Experiment) -> None:
        """Note that an experiment is complete."""
        with self._store.writing() as db:
            db.execute(
                "UPDATE projects SET ended = ? WHERE uuid = ?",
                (time.time_ns() // 1000, experiment.id.bytes),
            )

    def get(self, which: UUID | str) -> Experiment:
        """Return an experiment by its name or id, or the newest one as `last`.

        Raises:
            EvaluationError: there is none.
        """
        id = which if isinstance(which, UUID) else as_uuid(which)
        found = (
            self._find("uuid = ?", id.bytes)
            if id is not None
            else self._find("name = ?", str(which))
        )
        if not found and which == "last":
            found = self.list(limit=1)
        if not found:
            raise EvaluationError(
                f"There is no experiment {which}.", hint="groundling eval list shows them."
            )
        return found[0]

    def known(self, name: str) -> Experiment | None:
        """Return the experiment of that name, if there is one."""
        return next(iter(self._find("name = ?", name)), None)

    def unfinished(self, fingerprint: str) -> _Experiments:
        """Return those of the same making that have no end yet, the newest first."""
        return self._find(
            "ended IS NULL AND json_extract(extra, '$.metadata.fingerprint') = ?", fingerprint
        )

    def free_name(self, prefix: str) -> str:
        """Return a name that nothing has yet, and that a shell takes as it is."""
        prefix = _UNTYPED.sub("-", prefix).strip("-") or "experiment"
        taken = {row[0] for row in self._store.read("SELECT name FROM projects")}
        number = 1
        while f"{prefix}-{number}" in taken:
            number += 1
        return f"{prefix}-{number}"

    def list(self, dataset: UUID | None = None, limit: int = 100) -> _Experiments:
        """Return the experiments, the newest first."""
        if dataset is None:
            return self._find("1")[:limit]
        return self._find("dataset = ?", dataset.bytes)[:limit]

    def _find(self, where: str, *parameters: Any) -> _Experiments:
        rows = self._store.read(
            f"SELECT {_COLUMNS} FROM projects WHERE dataset IS NOT NULL AND {where} "  # noqa: S608
            "ORDER BY started DESC, id DESC",
            parameters,
        )
        return [_experiment(*row) for row in rows]


def fingerprint_of(made_of: Mapping[str, Any]) -> str:
    """Return the hash of what an experiment is made of."""
    written = json.dumps(made_of, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(written.encode()).hexdigest()


def _experiment(
    id: bytes,
    name: str,
    dataset: bytes,
    started: int,
    ended: int | None,
    extra: str,
    description: str | None,
) -> Experiment:
    metadata = (json.loads(extra) or {}).get("metadata")
    return Experiment(
        UUID(bytes=id),
        name,
        UUID(bytes=dataset),
        started,
        ended,
        metadata if isinstance(metadata, dict) else {},
        description,
    )
