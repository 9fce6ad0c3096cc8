"""Uploaded files become documents of a knowledge base; what became of each is told.

Each document is one transaction, so that whatever stops the work loses at most the one it is
at. Files that a killed server has left unread are read with the next upload.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundling.errors import KnowledgeError
from groundling.knowledge.loaders.registry import kinds, readable
from groundling.server.api.bases import Bases
from groundling.server.api.jobs import Cancelled, Job
from groundling.server.api.uploads import Upload, free_name

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge
    from groundling.knowledge.sync import SyncReport

_MEMBER = "!/"  # parts a file from a document inside it
_CANCELLED = "it was not read any more"
_UNREADABLE = f"there is no reader for such files; readable are {', '.join(kinds())}"


class Adding:
    """The work of one job; see `Jobs`.

    Args:
        bases: where the base is.
        folder: its name there.
        uploads: the files, in a hidden folder beside the documents.
    """

    def __init__(self, bases: Bases, folder: str, uploads: Sequence[Upload]) -> None:
        self._bases = bases
        self._folder = folder
        self._uploads = uploads
        self._documents = bases.documents(folder)

    def __call__(self, job: Job) -> dict[str, Any]:
        """Read the files in; return the report.

        When the server ends, files that were not read yet are left to be read with the next
        upload; when someone cancels the job, they are removed.
        """
        try:
            if job.cancelled:  # while it waited for its turn
                raise Cancelled
            with self._bases.searching(self._folder) as base:
                return self._added(base, job)
        finally:
            self.discard()
            self._bases.changed()

    def discard(self) -> None:
        """Remove what has arrived and was not given a name."""
        shutil.rmtree(self._uploads[0].path.parent, ignore_errors=True)

    def _added(self, base: Knowledge, job: Job) -> dict[str, Any]:
        before = _digests(base)
        unfit = [
            {"name": each.name, "outcome": "skipped", "reason": _UNREADABLE}
            for each in self._uploads
            if not readable(Path(each.name))
        ]
        named = self._named(base)
        left = [path for path in self._left_behind(before) if path not in named.values()]
        paths = [*named.values(), *left]
        report: SyncReport | None = None
        try:
            if paths:
                report = base.add(paths, progress=job.tell)
        except Cancelled:
            files = self._outcomes(base, named, before, {}, _CANCELLED)
            if job.cancelled:
                self._remove_unread(base, named)
            raise Cancelled(_report(base, report, [*files, *unfit])) from None
        except KnowledgeError:
            self._remove_unread(base, named)
            raise
        skipped = dict(report.skipped) if report else {}
        files = self._outcomes(base, named, before, skipped, "it holds no document")
        self._remove_unread(base, named)
        return _report(base, report, [*files, *unfit])

    def _remove_unread(self, base: Knowledge, named: Mapping[str, Path]) -> None:
        """Remove files that no document was made of."""
        after = _digests(base)
        for path in named.values():
            if not _of_file(after, str(path)):
                path.unlink(missing_ok=True)

    def _named(self, base: Knowledge) -> dict[str, Path]:
        """Move the files to their names; one that has the name of an uploaded one replaces it.

        A name that another file's document bears, of a folder that was added on the command
        line, is taken, and so is one of the same upload.
        """
        mine = f"{self._documents}/"
        foreign = {each.source for each in base.documents() if not each.path.startswith(mine)}
        named: dict[str, Path] = {}
        for upload in self._uploads:
            if not readable(Path(upload.name)):
                continue
            name = free_name(upload.name, {*foreign, *named})
            named[name] = upload.path.replace(self._documents / name)
        return named

    def _left_behind(self, known: Mapping[str, str]) -> list[Path]:
        stored = {path.partition(_MEMBER)[0] for path in known}
        return sorted(
            path
            for path in self._documents.iterdir()
            if path.is_file()
            and not path.name.startswith(".")
            and readable(path)
            and str(path) not in stored
        )

    def _outcomes(
        self,
        base: Knowledge,
        named: Mapping[str, Path],
        before: Mapping[str, str],
        skipped: Mapping[str, str],
        otherwise: str,
    ) -> list[dict[str, Any]]:
        """Tell what became of each file."""
        after = _digests(base)
        found = []
        for name, path in named.items():
            old, new = (_of_file(each, str(path)) for each in (before, after))
            reasons = [
                f"{member}: {reason}" if (member := key.partition(_MEMBER)[2]) else reason
                for key, reason in skipped.items()
                if key.partition(_MEMBER)[0] == str(path)
            ]
            if not new:
                outcome = "skipped"
            elif str(path) in skipped or (otherwise == _CANCELLED and new == old):
                outcome = "skipped"  # what was stored of an earlier upload stays
            elif not old:
                outcome = "added"
            else:
                outcome = "unchanged" if new == old else "replaced"
            reason = "; ".join(reasons) or (otherwise if outcome == "skipped" else "")
            reason = reason.replace(f"{self._documents}/", "")
            found.append({"name": name, "outcome": outcome, "reason": reason or None})
        return found


def _report(
    base: Knowledge, report: SyncReport | None, files: list[dict[str, Any]]
) -> dict[str, Any]:
    counts = dict.fromkeys(("added", "replaced", "unchanged", "skipped"), 0)
    for each in files:
        counts[each["outcome"]] += 1
    return {
        **counts,
        "passages": base.statistics().passages,
        "seconds": round(report.seconds, 3) if report else 0.0,
        "files": files,
    }


def _digests(base: Knowledge) -> dict[str, str]:
    return {each.path: each.sha256 for each in base.documents()}


def _of_file(digests: Mapping[str, str], file: str) -> dict[str, str]:
    return {
        path: digest
        for path, digest in digests.items()
        if path == file or path.startswith(file + _MEMBER)
    }
