"""What every section gets: the model, how much to measure, and where to tell its progress."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.engines.contenders import Contender
from groundling.models.calls import EngineSettings

T = TypeVar("T")

# As it is shipped, except that nothing is guessed ahead: what the others do.
PLAIN = EngineSettings(speculate=0)
SHIPPED = EngineSettings()


@dataclass(frozen=True)
class Stage:
    """One model and the sizes of a run.

    Args:
        name: of the model.
        path: of its file.
        rounds: how often each figure is measured; all contenders take turns in each.
        prompt: tokens of the long prompt.
        tokens: tokens of an answer.
        document: tokens of what several calls share.
        chats: how many at once.
        reply: tokens that each of them is answered with.
        passages: that are graded.
        prompts: for the comparison of lone and batched answers.
        binary: a `llama-server` that was compiled for this machine, besides the wheel's.
    """

    name: str
    path: Path
    rounds: int = 3
    prompt: int = 1000
    tokens: int = 64
    document: int = 1000
    chats: tuple[int, ...] = (1, 4, 8, 16)
    reply: int = 64
    passages: int = 20
    prompts: int = 100
    binary: Path | None = None

    def tell(self, what: str) -> None:
        """Say what is being measured."""
        print(f"{time.strftime('%H:%M:%S')} {self.name}: {what}", file=sys.stderr, flush=True)


def turns(contenders: Sequence[T], rounds: int) -> list[T]:
    """Return every contender once in each round, in another order each time."""
    order = random.Random(7)
    return [one for _ in range(rounds) for one in order.sample(contenders, len(contenders))]


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run calls at the same moment, each on its own thread; raise the first error."""
    results: dict[int, T] = {}
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def run(n: int, call: Callable[[], T]) -> None:
        try:
            barrier.wait()
            results[n] = call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[n] for n in range(len(calls))]


def close_all(contenders: Sequence[Contender]) -> None:
    for contender in contenders:
        contender.close()
