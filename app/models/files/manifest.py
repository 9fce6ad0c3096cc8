"""What is installed: a model's files, pinned to the hashes that came."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from groundling.errors import ModelNotFound
from groundling.models.files.catalogue import ID_PATTERN, Format, ModelEntry, ModelFile, Role
from groundling.models.files.sources import HubFile, LocalFile, Source, WebFile, WheelMember

_ROLE_WORDS: dict[Role, str] = {
    "reranker": r"rerank",
    "guard": r"guard",
    "embedding": r"embed|minilm|(^|[-_])(e5|bge|gte)[-_]",
}


class StoredFile(BaseModel):
    """What a manifest says of one file."""

    sha256: str
    size: int
    source: str


class Manifest(BaseModel):
    """What `installed/<id>.json` holds."""

    entry: ModelEntry
    files: dict[str, StoredFile]


@dataclass(frozen=True)
class InstalledModel:
    """A model whose files are on this machine, by their names in the entry."""

    entry: ModelEntry
    paths: dict[str, Path]

    @property
    def path(self) -> Path:
        """The file with the weights."""
        return self.paths[self.entry.main_file.name]

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.paths.values())


def entry_of(source: Source, id: str | None = None, role: Role | None = None) -> ModelEntry:
    """Make an entry for a source that no catalogue names.

    Args:
        source: where its one file comes from.
        id: default: the file's name in lower case, without its suffix.
        role: default: guessed from the file's name; chat where nothing tells.

    Raises:
        ModelNotFound: the id has characters that a file name should not have.
    """
    if isinstance(source, LocalFile):
        # An entry outlives the folder that the command was given in.
        source = LocalFile(source.path.absolute())
    name = _file_name(source)
    stem, dot, suffix = name.rpartition(".")
    stem = stem if dot else name
    form: Format = "onnx" if suffix.lower() == "onnx" else "gguf"
    chosen = id or re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", stem.lower())).strip("-._")
    if not re.fullmatch(ID_PATTERN, chosen):
        raise ModelNotFound(
            f"{chosen!r} cannot be the id of a model.",
            hint="Name it with letters, digits, dots and dashes: --id my-model",
        )
    return ModelEntry(
        id=chosen,
        role=role or _guess_role(chosen),
        title=stem,
        licence="not stated: see its source",
        format=form,
        files=(ModelFile(name=name, sources=(str(source),)),),
    )


def with_header(entry: ModelEntry, path: Path) -> ModelEntry:
    """Complete an entry with what its GGUF file says of itself: the trained context.

    Raises:
        ModelFileError: the file is not a whole GGUF.
    """
    if entry.format != "gguf":
        return entry
    from groundling.models.gguf import read_gguf

    header = read_gguf(path)
    facts = {
        "context": header.context_length or None,
        "dimension": header.embedding_length if entry.role == "embedding" else None,
    }
    return entry.model_copy(update=facts)


def _file_name(source: Source) -> str:
    if isinstance(source, LocalFile):
        return source.path.name
    if isinstance(source, HubFile):
        return PurePosixPath(source.path).name
    if isinstance(source, WebFile):
        return PurePosixPath(unquote(urlsplit(source.url).path)).name or "model.gguf"
    if isinstance(source, WheelMember):
        return PurePosixPath(source.member).name
    return re.sub(r"[-_]?(part|chunk|shard)?[-_]?\{.*", "", source.text) + ".gguf"


def _guess_role(name: str) -> Role:
    return next((role for role, words in _ROLE_WORDS.items() if re.search(words, name)), "chat")
