"""Which way of running a model is quickest on this machine: kept, looked up and applied.

`measuring.measure` finds it out; `save` keeps it in the models folder, one small file for
each model, machine and build; `as_measured` fills in what the settings leave open. A program
that uses the package never measures by itself.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundling.models.calls import EngineSettings
from groundling.models.cpu import default_threads, read_build, read_cpu
from groundling.models.gguf import read_gguf
from groundling.models.memory import available_memory, plan

FOLDER = "measured"  # in the models folder

# A typical answer from documents: of 1,000 prompt tokens the cache has 700.
_READ = 300
_WRITTEN_ALONE = 80
_WRITTEN_TOGETHER = 40
# Less is within what two measurements of one candidate differ, and not worth the memory.
_GAIN = 0.05
# With less of the processors than this, what differed was the other work.
_QUIET = 0.6


class Row(BaseModel):
    """One candidate and what was measured of it.

    Args:
        repack: whether the weights were repacked.
        threads: of forward passes.
        prefill: prompt tokens read in a second.
        decode: tokens written in a second by one call alone.
        together: tokens written in a second by eight calls that share each pass.
        memory: bytes that the model needs this way, by the plan.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repack: bool
    threads: int = Field(ge=1)
    prefill: float = Field(gt=0, allow_inf_nan=False)
    decode: float = Field(gt=0, allow_inf_nan=False)
    together: float = Field(gt=0, allow_inf_nan=False)
    memory: int = Field(gt=0)

    @property
    def answer_seconds(self) -> float:
        """The machine's time for a typical answer.

        300 prompt tokens are read, which is what is new of 1,000, and 120 written: 80 of
        them alone, and 40 in passes of eight rows, where callers or guesses share a pass.
        """
        return (
            _READ / self.prefill + _WRITTEN_ALONE / self.decode + _WRITTEN_TOGETHER / self.together
        )


class Key(BaseModel):
    """What a measurement holds for; where any of it changed, it says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    build: str
    cpu: str
    threads: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, threads: int | None = None) -> Key:
        """Describe a model file, this machine and the threads that are tried on it.

        Args:
            path: of the model file; one of the store is known by its hash.
            threads: the only count to try; default: see `thread_counts`.

        Raises:
            OSError: there is no such file.
        """
        path = path.resolve()
        file = path.stat()
        pinned = path.name.startswith("sha256-")
        return cls(
            # A path may hold bytes that are no text, which JSON does not take.
            file=path.name if pinned else f"{str(path)!a} {file.st_size} {file.st_mtime_ns}",
            build=read_build().describe(),
            cpu=read_cpu().name,
            threads=(threads,) if threads else thread_counts(),
        )

    def place(self, models_folder: Path) -> Path:
        """Return where the measurement for this key is kept."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return models_folder / FOLDER / f"{digest[:16]}.json"


class Calibration(BaseModel):
    """What was measured of a model on this machine.

    Args:
        key: what it holds for.
        rows: at least one; the first is the safe default.
        share: of the time that its threads wanted, what they got: 1 on an idle machine.
        skipped: why a candidate was not tried, for a person.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Key
    rows: tuple[Row, ...] = Field(min_length=1)
    share: float = Field(1.0, ge=0, le=1)
    skipped: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether other work left enough of the machine for the rows to be compared."""
        return self.share >= _QUIET

    @property
    def chosen(self) -> Row:
        """The row to run with: the safe default where other work was in the way."""
        return choose(self.rows) if self.quiet else self.rows[0]


def choose(rows: Sequence[Row]) -> Row:
    """Return the row with the quickest answer, or the first where that gains under 5 %."""
    best = min(rows, key=lambda row: row.answer_seconds)
    return best if best.answer_seconds < (1 - _GAIN) * rows[0].answer_seconds else rows[0]


def load_calibration(
    models_folder: Path, path: Path, threads: int | None = None
) -> Calibration | None:
    """Return what was measured of a model here; None where nothing was, or it cannot be read.

    Args:
        models_folder: of the home.
        path: of the model file.
        threads: as in `Key.of`.
    """
    if not (models_folder / FOLDER).is_dir():
        return None
    try:
        key = Key.of(path, threads)
        found = Calibration.model_validate_json(key.place(models_folder).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.key == key else None


def save(models_folder: Path, calibration: Calibration) -> Path:
    """Keep a measurement in the models folder, and return where.

    Raises:
        OSError: the folder cannot be written.
    """
    path = calibration.key.place(models_folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.new")
    beside.write_text(calibration.model_dump_json(indent=2), encoding="utf-8")
    beside.replace(path)
    return path


_decided: dict[tuple[Path, Path, int, EngineSettings, bool | None], EngineSettings] = {}
_decided_lock = threading.Lock()


def as_measured(
    models_folder: Path, path: Path, settings: EngineSettings, repack: bool | None
) -> EngineSettings:
    """Fill in what is left open with what was measured, else with the safe default.

    Decided once for a process: the same model must not be loaded a second time because it was
    measured meanwhile, or because, loaded, it has left less memory. Nothing is measured here.

    Args:
        models_folder: of the home.
        path: of the model file.
        settings: `threads` is open where it is None.
        repack: as wished; None leaves it open.
    """
    try:
        key = (models_folder, path.resolve(), path.stat().st_mtime_ns, settings, repack)
    except OSError:
        return replace(settings, repack=bool(repack))  # loading it says what is wrong
    with _decided_lock:
        if key not in _decided:
            _decided[key] = _decide(models_folder, path, settings, repack)
        return _decided[key]


def _decide(
    models_folder: Path, path: Path, settings: EngineSettings, repack: bool | None
) -> EngineSettings:
    settings = replace(settings, repack=bool(repack))
    if repack is not None and settings.threads:
        return settings
    found = load_calibration(models_folder, path, settings.threads)
    if found is None:
        return settings
    row = found.chosen
    if (
        repack is None
        and row.repack
        and needed_memory(path, settings, repack=True) <= available_memory()
    ):
        settings = replace(settings, repack=True)
    return replace(settings, threads=settings.threads or row.threads)


def thread_counts() -> tuple[int, ...]:
    """Return the thread counts worth trying, the default first.

    These are the physical cores and, where they differ, all and half of the logical ones:
    hyper-threads slow matrix products down on most CPUs, and reading weights from memory
    needs fewer cores than many a server has. A process that owns fewer cores than there are
    gets no more threads than that.
    """
    default = default_threads()
    if default < (psutil.cpu_count(logical=False) or default):
        return (default,)
    logical = psutil.cpu_count() or default
    if hasattr(os, "sched_getaffinity"):
        logical = min(logical, len(os.sched_getaffinity(0)))
    others = {logical, max(2, logical // 2)} - {default}
    return (default, *sorted(others if logical > 1 else ()))


def needed_memory(path: Path, settings: EngineSettings, *, repack: bool) -> int:
    """Return the bytes that a model takes with these settings, by the memory plan."""
    return plan(
        read_gguf(path),
        settings.context,
        cache=settings.cache,
        repack=repack,
        cache_type=settings.cache_type,
        flash_attention=settings.flash_attention,
    ).needed
