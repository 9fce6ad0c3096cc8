"""From files to stored documents: what is new, what changed, what cannot be read.

Each document is one transaction, so an interruption loses at most the one at work; the next
`add` passes over what is done. Vectors come in a second step, batch by batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from groundling.errors import DocumentError
from groundling.knowledge.files import Found
from groundling.knowledge.loaders import registry
from groundling.knowledge.loaders.document import LoadedDocument
from groundling.knowledge.loaders.registry import Community
from groundling.knowledge.preparation import Place, Preparation, Progress
from groundling.knowledge.store import Store


@dataclass
class SyncReport:
    """What an `add` did.

    `skipped` holds (path, reason); `ignored` counts files of other kinds; `bytes` is the
    size of what was read.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    removed: int = 0
    ignored: int = 0
    chunks: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Sync:
    """Brings the stored documents up to date with files, and counts it in a report.

    Args:
        store: where they are stored; the caller holds the right to write.
        preparation: how documents are cut and analysed.
        community: LangChain's loaders to use, by suffix.
        tell: told how many files are done.
    """

    def __init__(
        self,
        store: Store,
        preparation: Preparation,
        tell: Progress,
        community: Community | None = None,
    ) -> None:
        self.store = store
        self.preparation = preparation
        self.community = community
        self.tell = tell
        self.report = SyncReport()
        self._files = store.files()
        self._sources = store.sources()

    def run(self, files: Sequence[Found]) -> SyncReport:
        """Read what is new or changed; a file that cannot be read keeps what was stored."""
        for done, file in enumerate(files):
            self.tell("reading", done, len(files))
            try:
                self._file(file)
            except DocumentError as error:
                reason = f"{error} {error.hint}" if error.hint else str(error)
                self.report.skipped.append((str(file.path), reason))
            except OSError as error:
                self.report.skipped.append((str(file.path), error.strerror or str(error)))
        self.tell("reading", len(files), len(files))
        return self.report

    def _file(self, file: Found) -> None:
        path = str(file.path)
        size = file.path.stat().st_size
        registry.check_size(file.path, size)
        with file.path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        # Another file may bear the name already: then the full path names this one.
        source = path if self._sources.get(file.source, path) != path else file.source
        if self._files.get(path) == (sha256, self.preparation.name):
            self.report.unchanged += 1
            if source not in self._sources:
                self._rename(path, source)
            return
        self.report.bytes += size
        if registry.holds_several(file.path):
            self._several(file.path, source, sha256)
        else:
            document = registry.load(file.path, self.community)
            self._store(document, Place(path, path, source), sha256, known=path in self._files)
        self._sources[source] = path

    def _several(self, path: Path, source: str, sha256: str) -> None:
        """Store the documents of one file, those that it no longer has removed."""
        file = str(path)
        before = self.store.in_file(file)
        seen = set()
        for member in registry.members(path):
            key = f"{file}!/{member.name}"
            if member.document is None:
                self.report.skipped.append((key, member.reason))
                continue
            seen.add(key)
            digest = _digest(member.document)
            if before.get(key, ("",))[1:] == (digest, self.preparation.name):
                self.report.unchanged += 1
                continue
            place = Place(key, file, f"{source}!/{member.name}")
            self._store(member.document, place, digest, known=key in before, whole_file=False)
        gone = [before[key][0] for key in before.keys() - seen]
        with self.store.connection.transaction():
            self.store.delete_documents(gone)
            self.store.finish_file(file, sha256, self.preparation.name)
        self.report.removed += len(gone)

    def _store(
        self,
        document: LoadedDocument,
        place: Place,
        sha256: str,
        *,
        known: bool,
        whole_file: bool = True,
    ) -> None:
        rows = self.preparation.document(document, place, sha256)
        self.store.replace_document(*rows, whole_file=whole_file)
        self.report.updated += known
        self.report.added += not known

    def _rename(self, path: str, source: str) -> None:
        for key, (document_id, _, _) in self.store.in_file(path).items():
            self.store.rename(document_id, source + key.removeprefix(path))
        self._sources[source] = path


def _digest(document: LoadedDocument) -> str:
    return hashlib.sha256(f"{document.title}\n{document.text}".encode()).hexdigest()
