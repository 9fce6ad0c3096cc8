"""The model store: what is on this machine, and how it comes here and goes.

    <models>/blobs/sha256-<hex>       a file, named by what is in it
    <models>/blobs/….partial          the part of one that has come so far
    <models>/blobs/source-….sha256    what a source gave whose hash nobody had named
    <models>/installed/<id>.json      which blobs make a model
    <models>/catalogue.toml           the user's own entries
    <models>/locks/                   one process at a time for one file

A file becomes a blob by a rename, after its sha256 was compared and it was synced to the
disk, so that a blob is never half there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from groundling.errors import (
    DownloadError,
    HashMismatch,
    ModelError,
    ModelFileError,
    ModelNotFound,
)
from groundling.models.files import sources
from groundling.models.files.catalogue import (
    Catalogue,
    ModelEntry,
    Role,
    read_user_entries,
    write_user_entries,
)
from groundling.models.files.disk import show_bytes
from groundling.models.files.download import Progress, Silent
from groundling.models.files.fetching import Fetcher, digest_of
from groundling.models.files.manifest import (
    InstalledModel,
    Manifest,
    StoredFile,
    entry_of,
    with_header,
)
from groundling.settings import DownloadSettings

__all__ = ["InstalledModel", "ModelStore"]


class ModelStore:
    """The models folder of a home.

    Args:
        root: the folder; made when something is pulled.
        download: where files may come from.
    """

    def __init__(self, root: Path, download: DownloadSettings) -> None:
        self.root = root
        self.download = download

    @property
    def catalogue(self) -> Catalogue:
        """The shipped entries and the user's own."""
        return Catalogue.load(self.root)

    def pull(
        self,
        id_or_source: str,
        progress: Progress | None = None,
        *,
        id: str | None = None,
        role: Role | None = None,
    ) -> InstalledModel:
        """Bring a model here, or what is missing of it.

        Files that are here already are hashed again, so a pull also mends.

        Args:
            id_or_source: an entry of the catalogue, or a source, which becomes an entry.
            progress: told how far it is.
            id: for a source: the name of its entry; otherwise made from the file's name.
            role: for a source: what it is for; otherwise guessed from the file's name.

        Raises:
            ModelNotFound: no such entry.
            ModelError: a source's entry would take the name of another one.
            DownloadError: it could not be fetched; what came is kept.
        """
        adds = id_or_source not in self.catalogue and sources.is_source(id_or_source)
        if adds:
            entry = entry_of(sources.parse(id_or_source), id, role)
            self._refuse_taken(entry)
        else:
            entry = self.catalogue.get(id_or_source)
        pinned = self._pinned(entry)
        files: dict[str, StoredFile] = {}
        with Fetcher(self.root, self.download, progress or Silent()) as fetcher:
            for file in entry.files:
                files[file.name] = fetcher.bring(file, file.sha256 or pinned.get(file.name))
        if adds:
            entry = with_header(entry, self._blob(files[entry.main_file.name].sha256))
        with self._alone():
            if adds:
                write_user_entries(self.root, read_user_entries(self.root) | {entry.id: entry})
            self._write(Manifest(entry=entry, files=files))
        return self.installed(entry.id)

    def pull_or_fallback(self, id: str, progress: Progress | None = None) -> InstalledModel:
        """Bring a model here, or where it cannot be had, the one its entry names instead.

        `entry.id` says which it is; the progress is told when it is the other one.
        """
        progress = progress or Silent()
        try:
            return self.pull(id, progress)
        except DownloadError as error:
            fallback = self.catalogue.get(id).fallback if id in self.catalogue else None
            if fallback is None:
                raise
            try:
                model = self.pull(fallback, progress)
            except DownloadError:
                raise error from None
            progress.note(
                f"{error}\n{model.entry.title} takes its place for now. {model.entry.note}\n"
                f"To try again: groundling model pull {id}"
            )
            return model

    def installed(self, id: str) -> InstalledModel:
        """Return a model that is on this machine.

        Raises:
            ModelNotFound: it is not; the hint is the command that brings it.
        """
        manifest = self._manifest(id)
        if manifest is None:
            entry = self.catalogue.get(id)
            about = f" ({show_bytes(entry.size)})" if entry.size else ""
            raise ModelNotFound(
                f"{id} is not on this machine{about}.", hint=f"groundling model pull {id}"
            )
        paths = {name: self._blob(file.sha256) for name, file in manifest.files.items()}
        for name, path in paths.items():
            if not path.is_file() or path.stat().st_size != manifest.files[name].size:
                raise ModelNotFound(
                    f"{name} of {id} is missing or cut short in {path.parent}.",
                    hint=f"groundling model pull {id}",
                )
        return InstalledModel(self._current_entry(manifest), paths)

    def resolve(self, name: str) -> InstalledModel:
        """Return an installed model by its id, or a local file by its path.

        Raises:
            ModelNotFound: it is not here.
            ModelFileError: the path is that of something else than a file.
        """
        if name in self.catalogue or not sources.looks_like_path(name):
            return self.installed(name)
        path = Path(name).expanduser()
        if not path.exists():
            raise ModelNotFound(
                f"There is no file {path}.", hint="groundling model list shows what is here"
            )
        if not path.is_file():
            raise ModelFileError(f"{path} is not a file.", hint="Name the .gguf file itself.")
        entry = with_header(entry_of(sources.LocalFile(path)), path)
        return InstalledModel(entry, {entry.main_file.name: path.absolute()})

    def list(self) -> Sequence[InstalledModel]:
        """Return the models on this machine, by id; incomplete ones are left out."""
        models = []
        for id in self._ids():
            try:
                models.append(self.installed(id))
            except ModelNotFound:
                continue
        return models

    def remove(self, id: str) -> int:
        """Take a model off this machine, with what had come of it, and return the bytes freed.

        Blobs that another model shares stay. An entry of the user's own goes as well.

        Raises:
            ModelNotFound: there is nothing of it here.
        """
        with self._alone():
            manifest = self._manifest(id)
            entry = manifest.entry if manifest else self.catalogue.get(id)
            hashes = {file.sha256 for file in entry.files if file.sha256}
            if manifest:
                hashes |= {file.sha256 for file in manifest.files.values()}
            self._manifest_path(id).unlink(missing_ok=True)
            entries = read_user_entries(self.root)
            if entries.pop(id, None):
                write_user_entries(self.root, entries)
            others = [self._manifest(other) for other in self._ids()]
            shared = {file.sha256 for other in others if other for file in other.files.values()}
            freed = sum(self._discard(digest) for digest in hashes - shared)
        if manifest is None and not freed:
            raise ModelNotFound(
                f"{id} is not on this machine.", hint="groundling model list shows what is"
            )
        return freed

    def verify(self, id: str) -> InstalledModel:
        """Hash every file of a model again.

        Raises:
            ModelNotFound: it is not here.
            HashMismatch: a file has changed since it came.
        """
        model = self.installed(id)
        for name, path in model.paths.items():
            expected, got = path.name.removeprefix("sha256-"), digest_of(path)
            if got != expected:
                raise HashMismatch(
                    f"{name} of {id} has changed on the disk: expected sha256 {expected}, "
                    f"got {got}.",
                    hint=f"groundling model pull {id} fetches it again",
                )
        return model

    def _refuse_taken(self, entry: ModelEntry) -> None:
        if entry.id in self.catalogue and self.catalogue.get(entry.id).files != entry.files:
            raise ModelError(
                f"There is another model called {entry.id}.",
                hint="Give this one a name of its own: groundling model pull --id NAME …",
            )

    def _pinned(self, entry: ModelEntry) -> dict[str, str]:
        """Return the hashes that came the first time, for files that the entry pins to none."""
        manifest = self._manifest(entry.id)
        if manifest is None or manifest.entry.files != entry.files:
            return {}
        return {name: file.sha256 for name, file in manifest.files.items()}

    def _current_entry(self, manifest: Manifest) -> ModelEntry:
        """Take the catalogue's words about the files that are here; it may know better now."""
        catalogue = self.catalogue
        if manifest.entry.id in catalogue:
            entry = catalogue.get(manifest.entry.id)
            if all(
                file.name in manifest.files
                and file.sha256 in (None, manifest.files[file.name].sha256)
                for file in entry.files
            ):
                return entry
        return manifest.entry

    def _ids(self) -> Sequence[str]:
        return sorted(path.stem for path in (self.root / "installed").glob("*.json"))

    def _blob(self, sha256: str) -> Path:
        return self.root / "blobs" / f"sha256-{sha256}"

    def _discard(self, sha256: str) -> int:
        freed = 0
        for path in self._blob(sha256).parent.glob(f"sha256-{sha256}*"):
            freed += path.stat().st_size
            path.unlink()
        for note in self._blob(sha256).parent.glob("source-*.sha256"):
            if note.read_text() == sha256:
                note.unlink()
        return freed

    def _manifest_path(self, id: str) -> Path:
        return self.root / "installed" / f"{id}.json"

    def _manifest(self, id: str) -> Manifest | None:
        try:
            return Manifest.model_validate_json(self._manifest_path(id).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ModelFileError(
                f"{self._manifest_path(id)} cannot be read: {error}",
                hint=f"Remove that file, then: groundling model pull {id}",
            ) from error

    def _write(self, manifest: Manifest) -> None:
        path = self._manifest_path(manifest.entry.id)
        path.parent.mkdir(exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(manifest.model_dump_json(indent=2, exclude_none=True), encoding="utf-8")
        beside.replace(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of manifests and user entries."""
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / "installed.lock"):
            yield
