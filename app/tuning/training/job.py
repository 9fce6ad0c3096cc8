"""What a training process is told, and what it tells: plain JSON, on both sides of a pipe.

The process reads a job's file and writes one line of JSON for each event to its standard
output. It knows nothing of home folders; whoever started it does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from groundling.tuning.recipe import Recipe
from groundling.tuning.tokens import Tokens

TRAIN, HELDOUT = "train.tokens.jsonl", "heldout.tokens.jsonl"
RESULT = "result"  # the folder of the finished adapter, or of the finished weights
Kind = Literal["loading", "begun", "step", "look", "saved", "ended", "failed"]


class Event(TypedDict, total=False):
    """One thing that a training process tells.

    Args:
        event: what; `step` comes with every update, `look` with held-out examples.
        step, steps: updates done, and of how many.
        loss: of the last update, or of the held-out examples.
        tokens: learnt from since the beginning.
        seconds: since it began.
        memory: largest size of the process so far, in bytes.
        best: the update whose weights were kept.
        reason: why it failed.
    """

    event: Kind
    step: int
    steps: int
    loss: float
    accuracy: float
    rate: float
    tokens: int
    seconds: float
    memory: int
    reason: str
    hint: str
    trained: int
    best: int
    threads: int
    processes: int
    sharding: str


@dataclass(frozen=True)
class Job:
    """A training run.

    Args:
        base: the GGUF file, or a folder of the hub's form, whose weights are the beginning.
        recipe: how it is trained.
        folder: holds the tokens, checkpoints and the result.
        start: a folder with the PEFT adapter to go on from; None: a fresh one.
        pad: the token that fills up short examples; it is never learnt.
    """

    base: str
    recipe: Recipe
    folder: str
    pad: int
    start: str | None = None

    @classmethod
    def read(cls, file: Path) -> Job:
        """Read a job's file."""
        told = json.loads(file.read_text(encoding="utf-8"))
        return cls(**{**told, "recipe": Recipe.model_validate(told["recipe"])})

    def write(self, file: Path) -> None:
        """Write it."""
        told = {**asdict(self), "recipe": self.recipe.model_dump()}
        file.write_text(json.dumps(told, ensure_ascii=False, indent=2), encoding="utf-8")


def write_tokens(file: Path, examples: Iterable[Tokens]) -> int:
    """Write examples as tokens; return how many."""
    count = 0
    with file.open("w", encoding="utf-8") as lines:
        for example in examples:
            lines.write(json.dumps(asdict(example)) + "\n")
            count += 1
    return count


def read_tokens(file: Path) -> Iterator[Tokens]:
    """Read what `write_tokens` wrote; nothing where there is no file."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            told: dict[str, Any] = json.loads(line)
            yield Tokens(**told)
