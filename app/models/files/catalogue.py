"""The catalogue: which models there are, what they are for, and where they come from.

Two files make it: `models.toml`, shipped in `groundling.data`, and the user's own
`catalogue.toml` in the models folder, which wins where both name an id. An entry's file is
right when its sha256 is right; its sources are tried in order. A file without a sha256 is
pinned to what came, in the installed manifest, the first time it is pulled.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundling.errors import ModelNotFound, SettingsError

USER_CATALOGUE = "catalogue.toml"
ID_PATTERN = r"^\w[\w.-]*$"

Role = Literal["chat", "embedding", "reranker", "guard"]
Format = Literal["gguf", "onnx"]
Pooling = Literal["mean", "cls", "last", "rank"]


class ModelFile(BaseModel):
    """One file of a model, with the sources that carry the same bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[^/\\]+$")
    size: int | None = Field(default=None, ge=0, description="exact, in bytes")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    sources: tuple[str, ...] = Field(min_length=1)


class ModelEntry(BaseModel):
    """A model: its role, its files, and what a user should know before choosing it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=ID_PATTERN)
    role: Role
    title: str
    licence: str
    context: int | None = Field(default=None, description="trained context, in tokens")
    languages: tuple[str, ...] = ()
    format: Format = "gguf"
    files: tuple[ModelFile, ...] = Field(min_length=1)
    megabytes: int | None = Field(
        default=None, description="about; for entries without exact sizes"
    )
    note: str = ""
    fallback: str | None = Field(
        default=None, description="the entry to take where this cannot be had"
    )
    dimension: int | None = Field(default=None, description="length of an embedding")
    pooling: Pooling | None = None
    normalise: bool = True
    query_prefix: str = ""
    passage_prefix: str = ""

    @property
    def main_file(self) -> ModelFile:
        """The file with the weights: the first one of the entry's format."""
        suffix = f".{self.format}"
        return next((file for file in self.files if file.name.endswith(suffix)), self.files[0])

    @property
    def size(self) -> int | None:
        """The bytes of all files: exact where they are known, else about, else None."""
        sizes = [file.size for file in self.files]
        if None not in sizes:
            return sum(size for size in sizes if size is not None)
        return None if self.megabytes is None else self.megabytes * 1_000_000


class Catalogue:
    """Entries by id, the shipped ones first."""

    def __init__(self, entries: Mapping[str, ModelEntry]) -> None:
        self._entries = dict(entries)

    @classmethod
    def load(cls, home_models_dir: Path) -> Catalogue:
        """Merge the shipped entries with the user's own.

        Raises:
            SettingsError: one of the two files cannot be read.
        """
        shipped = resources.files("groundling.data").joinpath("models.toml")
        entries = _read(shipped.read_text(encoding="utf-8"), "models.toml")
        entries.update(read_user_entries(home_models_dir))
        return cls(entries)

    def __iter__(self) -> Iterator[ModelEntry]:
        return iter(self._entries.values())

    def __contains__(self, id: str) -> bool:
        return id in self._entries

    def get(self, id: str) -> ModelEntry:
        """Return the entry of that id.

        Raises:
            ModelNotFound: there is none; the message names those that are spelled alike.
        """
        if id in self._entries:
            return self._entries[id]
        near = difflib.get_close_matches(id.lower(), self._entries, n=3, cutoff=0.5)
        guess = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ModelNotFound(
            f"The catalogue has no model {id!r}.{guess}",
            hint="groundling model list shows all of them; "
            "groundling model pull hf:owner/repo/file.gguf adds another",
        )


def read_user_entries(home_models_dir: Path) -> dict[str, ModelEntry]:
    """Read the user's own entries; none where there is no such file."""
    path = home_models_dir / USER_CATALOGUE
    try:
        return _read(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(str(path), str(error)) from error


def write_user_entries(home_models_dir: Path, entries: Mapping[str, ModelEntry]) -> None:
    """Replace the user's own entries; the file is written beside and renamed."""
    import tomli_w

    models = [
        entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        for entry in entries.values()
    ]
    path = home_models_dir / USER_CATALOGUE
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".toml.new")
    beside.write_text(tomli_w.dumps({"model": models}), encoding="utf-8")
    beside.replace(path)


def _read(text: str, where: str) -> dict[str, ModelEntry]:
    try:
        tables: Any = tomllib.loads(text).get("model", [])
        entries = [ModelEntry.model_validate(table) for table in tables]
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise _broken(where, str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise _broken(where, f"{name}: {first['msg']} (in {error.title})") from error
    return {entry.id: entry for entry in entries}


def _broken(where: str, reason: str) -> SettingsError:
    return SettingsError(
        f"The catalogue {where} cannot be read: {reason}",
        hint="Mend the file, or move it away to start from the shipped catalogue.",
    )
