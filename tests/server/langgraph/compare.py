"""Two recordings of the contract, held side by side, and the differences that are meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.server.langgraph.contract import Recording

MISSING = "(nothing)"


@dataclass(frozen=True)
class Difference:
    """Where two recordings differ, and what each has there."""

    step: str
    path: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.step} {self.path}: {self.ours!r:.200} instead of {self.theirs!r:.200}"


@dataclass(frozen=True)
class Meant:
    """A difference that is meant: patterns of its step and path, and the reason.

    One that depends on how fast things go is there only `sometimes`.
    """

    step: str
    path: str
    reason: str
    sometimes: bool = False


MEANT: tuple[Meant, ...] = (
    Meant("assistants get by name", "*", "a graph's name is good wherever an id is"),
    Meant("state chosen", "*", "`select` is heeded in the address too"),
    Meant("state at unknown", "*", "a state that is not there is a 404, no empty one"),
    Meant("stream assistant unknown", ".status", "what is not there is a 404"),
    Meant("store put reserved", ".status", "a wrong value of a field is a 422"),
    Meant("wrong label", ".detail", "an error is JSON everywhere"),
    Meant("*", "*.graph", "in metadata: what it was made of, so that it can be replayed"),
    Meant("*", "*.model", "likewise"),
    Meant("*", "*.model_class", "likewise"),
    Meant("*", "*metadata.thread_id", "it is in `checkpoint`"),
    Meant("*", "*metadata.run_id", "in `kwargs`: it is the run's own id"),
    Meant("state of copy", ".metadata.checkpoint_id", "a copy keeps the metadata as they were"),
    Meant("state at id", ".checkpoint.checkpoint_ns", "a checkpoint always has all three ids"),
    Meant("threads copy", "*", "the answer shows what the copy holds"),
    Meant("threads *", "*.error", "a thread has all its fields from the beginning"),
    Meant("threads *", "*.interrupts", "likewise"),
    Meant("threads with states", ".values.*", "what nothing was written to is left out"),
    Meant("failure thread", ".values.trail", "likewise"),
    Meant("stateless *", "*.status", "it may be over by then", sometimes=True),
    Meant("stateless *", "*kwargs.durability", "of a run without a thread nothing is kept"),
    Meant("stateless *", "*kwargs.checkpoint_during", "likewise"),
    Meant("stateless *", "*metadata.graph_id", "runs without a thread say their graph, too"),
    Meant("stream events", "*metadata.checkpoint_ns", "LangChain notes it; it is the root's"),
)


def differences(ours: Recording, theirs: Recording) -> list[Difference]:
    """Return all differences, in the order of the steps."""
    return [
        Difference(step, path, mine, other)
        for step in {**theirs, **ours}
        for path, mine, other in _between(ours.get(step, MISSING), theirs.get(step, MISSING), "")
    ]


def unmeant(found: Sequence[Difference]) -> list[Difference]:
    """Return the differences for which the table has no reason."""
    return [each for each in found if not any(_fits(each, meant) for meant in MEANT)]


def unused(found: Sequence[Difference]) -> list[Meant]:
    """Return the lines of the table that no difference needs."""
    return [
        meant
        for meant in MEANT
        if not meant.sometimes and not any(_fits(each, meant) for each in found)
    ]


def _fits(difference: Difference, meant: Meant) -> bool:
    return fnmatchcase(difference.step, meant.step) and fnmatchcase(difference.path, meant.path)


def _between(mine: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        for key in {**other, **mine}:
            yield from _between(mine.get(key, MISSING), other.get(key, MISSING), f"{path}.{key}")
    elif isinstance(mine, list) and isinstance(other, list):
        if len(mine) != len(other):
            yield f"{path}.#", len(mine), len(other)
        for n, (one, two) in enumerate(zip(mine, other, strict=False)):
            yield from _between(one, two, f"{path}.{n}")
    elif mine != other or type(mine) is not type(other):
        yield path, mine, other
