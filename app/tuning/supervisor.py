"""A training run under supervision: a process of its own, whose events are passed on.

    run = TrainingRun.prepare(folder, base, recipe, data)
    for event in run.events():
        print(event["step"], event["loss"])

The process may be killed at any moment, by the system, by a person or with this one: what it
had stored is kept, and the same run goes on from there. It reads and writes its own folder
alone; the model that answers is never touched.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout

from groundling.errors import TuningError
from groundling.models.gguf import read_gguf
from groundling.models.vocabulary_file import reader_of
from groundling.tuning.example import Example
from groundling.tuning.plan import TrainingPlan, plan
from groundling.tuning.recipe import Method, Recipe
from groundling.tuning.tokens import Tokeniser, Tokens
from groundling.tuning.training.job import HELDOUT, RESULT, TRAIN, Event, Job, write_tokens

_MODULE = "groundling.tuning.training.worker"
_KINDS: dict[Method, str] = {"sft": "chat", "dpo": "preference", "kto": "label"}
FEWEST = 8
_GRACE = 20.0  # seconds
# How torchrun says of one of its processes that a signal ended it.
_OF_SEVERAL = re.compile(r"exitcode\s*:\s*(-\d+)")


@dataclass(frozen=True)
class Material:
    """What a run would learn from.

    Args:
        train: examples as tokens.
        heldout: what the result is tried on.
        pad: the token that fills up.
        plan: what it would take.
        skipped: why examples are not learnt from.
    """

    train: list[Tokens]
    heldout: list[Tokens]
    pad: int
    plan: TrainingPlan
    skipped: list[str]


def material(
    base: Path, recipe: Recipe, train: Sequence[Example], heldout: Sequence[Example]
) -> Material:
    """Make tokens of examples, and plan; nothing is written.

    Raises:
        TuningError: too few examples are left.
        ModelFileError: the base is no GGUF.
    """
    header = read_gguf(base)
    skipped: list[str] = []
    with reader_of(base) as reader:
        tokeniser = Tokeniser(reader, recipe.context)
        learnt = _tokens(tokeniser, train, recipe.method, skipped)
        tried = _tokens(tokeniser, heldout, recipe.method, skipped)
        pad = tokeniser.end
    if len(learnt) < FEWEST:
        why = f" {len(skipped)} were passed over: {skipped[0]}" if skipped else ""
        raise TuningError(
            f"There are {len(learnt)} examples for {recipe.method}; at least {FEWEST} are "
            f"needed to learn anything but themselves.{why}",
            hint=f"{recipe.method} learns from examples of the kind {_KINDS[recipe.method]}: "
            "groundling tune data show",
        )
    every = [*learnt, *tried]
    needed = plan(
        header,
        recipe,
        longest=max(each.length for each in every),
        answer=max(each.length - len(each.prompt) for each in every),
    )
    return Material(learnt, tried, pad, needed, skipped)


class TrainingRun:
    """One run; see `prepare`.

    Args:
        folder: everything that is kept of it.
        job: what the process is told.
        plan: what it will take.
        skipped: why examples are not learnt from.
    """

    def __init__(
        self, folder: Path, job: Job, plan: TrainingPlan, skipped: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.job = job
        self.plan = plan
        self.skipped = list(skipped)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def prepare(
        cls,
        folder: Path,
        base: Path,
        recipe: Recipe,
        train: Sequence[Example],
        heldout: Sequence[Example] = (),
        *,
        start: Path | None = None,
    ) -> TrainingRun:
        """Make tokens of the examples and write the job.

        Args:
            folder: of this run; one that was begun goes on, if nothing of it has changed.
            base: the GGUF file that is trained.
            recipe: how.
            train: what is learnt; examples of another kind than the method's are passed over.
            heldout: what the result is tried on while it is trained.
            start: the PEFT folder of an adapter to go on from.

        Raises:
            TuningError: too few examples are left, or it does not fit into memory.
            ModelFileError: the base is no GGUF.
        """
        given = material(base, recipe, train, heldout)
        given.plan.check()
        job = Job(
            base=str(base.absolute()),
            recipe=recipe,
            folder=str(folder.absolute()),
            pad=given.pad,
            start=None if start is None else str(start.absolute()),
        )
        with _stored(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_tokens(folder / TRAIN, given.train)
            write_tokens(folder / HELDOUT, given.heldout)
            job.write(folder / "job.json")
        return cls(folder, job, given.plan, given.skipped)

    @property
    def result(self) -> Path:
        """The folder of what was trained; there once it is whole."""
        return self.folder / RESULT

    def events(self, command: Sequence[str] = ()) -> Iterator[Event]:
        """Run, and yield what the process tells; leaving the loop ends the process.

        Args:
            command: starts Python with its arguments, such as torchrun; default: this Python.

        Raises:
            TuningError: another process trains this run; or it failed, with its reason.
        """
        with alone(self.folder), _stored(self.folder):
            yield from self._events(command or (sys.executable, "-P"))

    def _events(self, command: Sequence[str]) -> Iterator[Event]:
        errors = self.folder / "errors.log"
        with errors.open("wb") as log, (self.folder / "events.jsonl").open("ab") as kept:
            try:
                process = self._process = subprocess.Popen(  # noqa: S603
                    [_ours(command[0]), *command[1:], "-m", _MODULE, self.folder / "job.json"],
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
            except OSError as error:
                raise TuningError(
                    f"{command[0]} cannot be started: {error.strerror or error}.",
                    hint="torchrun comes with the extra tune; its full path will do, too.",
                ) from error
            assert process.stdout is not None
            ended = False
            try:
                for line in process.stdout:
                    event = _event(line)
                    if event is None:
                        continue
                    kept.write(line)
                    kept.flush()
                    if event["event"] == "failed":
                        raise TuningError(event["reason"], hint=event.get("hint") or None)
                    ended = event["event"] == "ended"
                    yield event
                code = process.wait()
            finally:
                self.stop()
                process.stdout.close()
        if not ended:
            raise _death(code, errors)

    def stop(self) -> None:
        """End the process; what it had stored is kept."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        process.kill()
        process.wait()


def _ours(program: str) -> str:
    """Return a program of this Python's own environment, where it has it: its torchrun, not
    that of another one, which the path may name first or alone.
    """
    beside = Path(sys.executable).parent / program
    return str(beside) if Path(program).name == program and beside.is_file() else program


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from a run's folder; within one process it may be held twice.

    Raises:
        TuningError: another process trains this run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TuningError(
            f"Another process trains {folder.name} at this moment.",
            hint="Wait for it, or give this one another name.",
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _stored(folder: Path) -> Iterator[None]:
    """Say what to do where a run's own files cannot be written; the run's folder stays."""
    try:
        yield
    except OSError as error:
        raise TuningError(
            f"The training cannot write into {folder}: {error.strerror or error}; "
            "what was whole is kept.",
            hint="Free the disk if it is full, and run the same command: it goes on from there.",
        ) from error


def _tokens(
    tokeniser: Tokeniser, examples: Sequence[Example], method: Method, skipped: list[str]
) -> list[Tokens]:
    found: list[Tokens] = []
    for example in examples:
        if example.kind != _KINDS[method]:
            skipped.append(f"it is of the kind {example.kind}, not {_KINDS[method]}")
            continue
        try:
            found.append(tokeniser(example))
        except TuningError as error:
            skipped.append(str(error))
    return found


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return cast("Event", event) if isinstance(event, dict) and "event" in event else None


def _death(code: int, errors: Path) -> TuningError:
    """Say how a process ended that said nothing."""
    text = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if code > 0 and (of_several := next(filter(None, map(_OF_SEVERAL.search, text)), None)):
        code = int(of_several[1])
    missing = next((line for line in reversed(text) if "ModuleNotFoundError" in line), None)
    if missing is not None and code > 0:
        return TuningError(
            f"The extra tune is not installed: {missing.rpartition(':')[2].strip()}",
            hint='pip install "groundling[tune]"; docs/tuning.md says how torch stays small.',
        )
    if code == -signal.SIGKILL:
        reason = (
            "The training was killed, perhaps by the system for its memory; "
            "the last whole checkpoint is kept."
        )
    elif code < 0:
        reason = f"The training ended with signal {-code}; the last whole checkpoint is kept."
    else:
        reason = f"The training ended with code {code}: {text[-1] if text else 'it said nothing'}"
    return TuningError(
        reason,
        hint=f"The same command goes on from there; {errors} has what the libraries said.",
    )
