"""Who is served next: which calls have a place in the context, and what each reads in a pass.

A forward pass either takes a token of every call that is writing, or a piece of prompts;
the two kinds take turns, so that a long prompt silences nobody for longer than a moment.
(In one pass they would cost more than in two: attention over several sequences is computed
for all rows of a tile.) Prompts are read in the order of priority and then of a tag that
adds their length to the work done when they came, so that a short one passes a long one but
none waits for ever (weighted fair queueing; Demers, Keshav & Shenker 1989). A prompt whose
beginning another call is just reading waits for that, because it then has it for nothing.

Knows tokens and places, nothing native: the engine carries its plans out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from groundling.models.adapters import NO_ADAPTERS, AdapterSet
from groundling.models.calls import Priority
from groundling.models.prefix import PrefixCache, common
from groundling.models.tasks import Piece, Task

# What two prompts must have in common beyond what is known for the later one to wait.
_WORTH_WAITING = 16
# Of the calls that wait, how many are looked at in one pass.
_LOOK_AHEAD = 64
# Bounds of how much longer texts wait for the more prompts that wait, too.
_LEAST_CROWD, _MOST_CROWD = 0.5, 3.0
# Passes that one set of adapters has in a row while others wait.
_TURN = 4
# Guesses go no further: from 8 rows on llama.cpp's CPU backend takes other kernels for
# k-quants, whose last digits would make a guessed text another one than a text not guessed.
_ROWS = 7


class Pass(NamedTuple):
    """One forward pass: which task reads what, all with the same adapters.

    `prompts` counts the tokens that are not of texts which are being written.
    """

    adapters: AdapterSet
    pieces: list[tuple[Task, Piece]]
    prompts: int


class Scheduler:
    """The order of one engine's calls.

    Args:
        cache: the books of its context.
        batch: tokens in one forward pass.
        outputs: outputs in one forward pass.
        parallel: calls that have a place at once; decisions may have as many more.
        guesses: tokens guessed ahead for one call.
    """

    def __init__(
        self, cache: PrefixCache, *, batch: int, outputs: int, parallel: int, guesses: int
    ) -> None:
        self._cache = cache
        self._batch = batch
        self._outputs = outputs
        self._parallel = parallel
        self._guesses = guesses
        self._work = 0
        self._since = 0  # tokens of prompts since the last pass of half-written texts
        self._clock = self._passes = 0
        self._group = NO_ADAPTERS
        self._served: dict[AdapterSet, int] = {}
        self.waiting: list[Task] = []
        self.active: list[Task] = []

    def add(self, task: Task) -> None:
        """Let a task wait for its place."""
        task.tag = self._work + len(task.tokens)
        self.waiting.append(task)
        self.waiting.sort(key=_order)

    def tasks(self) -> Iterator[Task]:
        """Return every task, those with a place first."""
        yield from self.active
        yield from self.waiting

    def remove(self, task: Task) -> None:
        """Take a task that ended away; what it has read is remembered."""
        if task in self.active:
            self.active.remove(task)
        else:
            self.waiting.remove(task)
        if task.sequence is not None:
            self._cache.release(task.sequence)
            task.sequence = None

    def plan(self, patience: int, most: int) -> Pass | None:
        """Give places to tasks that wait and say what to read; None where nothing is to do.

        Args:
            patience: tokens of prompts that half-written texts wait for between two tokens.
            most: tokens of prompts in one pass, which a call that comes now has to wait for.
        """
        self._admit()
        if not self.active:
            return None
        adapters = self._next_group()
        group = [task for task in self.active if task.adapters == adapters]
        writing = [task for task in group if task.writing]
        reading = sorted((task for task in group if not task.writing), key=_order)
        left = most
        if writing:
            # The more wait for their first token, the longer the others wait for their next.
            crowd = min(max(len(reading) / len(writing), _LEAST_CROWD), _MOST_CROWD)
            left = int(patience * crowd) - self._since
        if writing and (not reading or left <= 0):
            self._since = 0
            return Pass(adapters, self._write(writing), 0)
        pieces = self._read(reading, min(self._batch, most, left))
        count = sum(len(piece.tokens) for _, piece in pieces)
        self._since += count
        self._work += count
        return Pass(adapters, pieces, count)

    def preempt(self) -> bool:
        """Take the place of the task that came last away; it will read again what it lost.

        Returns:
            False where only one task is left: there is room for any one.
        """
        if len(self.active) < 2:
            return False
        last = max(self.active, key=_order)
        self.remove(last)
        self.waiting.append(last)
        self.waiting.sort(key=_order)
        return True

    def restart(self) -> None:
        """Forget all that was read; every task reads again what it lost."""
        for task in list(self.active):
            self.remove(task)
            self.waiting.append(task)
        self.waiting.sort(key=_order)
        self._cache.clear()

    def _admit(self) -> None:
        wanted = sum(task.missing for task in self.active)
        for task in self.waiting[:_LOOK_AHEAD]:
            most = self._parallel * (1 + (task.priority is Priority.DECISION))
            if len(self.active) >= most:
                break
            if self._is_being_read(task):
                continue
            sequence = self._cache.begin(task.tokens, task.adapters, task.shareable)
            if sequence is None:
                break
            missing = len(task.tokens) - sequence.length
            if not self._cache.room(wanted + missing + 1) and self.active:
                self._cache.release(sequence)
                break
            wanted += missing
            task.began(sequence)
            self.waiting.remove(task)
            self.active.append(task)

    def _is_being_read(self, task: Task) -> bool:
        """Tell whether a task that is reading will soon know more of this one's beginning."""
        known = -1
        for other in self.active:
            if not other.sequence or other.missing < 2 or other.adapters != task.adapters:
                continue
            in_common = common(other.tokens, task.tokens)
            if task.shareable is not None:
                in_common = min(in_common, task.shareable)
            if in_common <= other.sequence.length + _WORTH_WAITING:
                continue
            if known < 0:
                known = self._cache.shared(task.tokens, task.adapters, task.shareable)
            if in_common > known + _WORTH_WAITING:
                return True
        return False

    def _next_group(self) -> AdapterSet:
        """Serve adapters in turns of some passes: another set of weights costs some to apply."""
        groups = {task.adapters for task in self.active}
        self._passes += 1
        if self._group not in groups or self._passes >= _TURN:
            others = groups - {self._group} or groups
            self._group = min(others, key=lambda group: self._served.get(group, 0))
            self._passes = 0
        self._clock += 1
        self._served = {group: self._served.get(group, 0) for group in groups}
        self._served[self._group] = self._clock
        return self._group

    def _write(self, tasks: list[Task]) -> list[tuple[Task, Piece]]:
        pieces: list[tuple[Task, Piece]] = []
        rows = min(self._batch, self._outputs)
        guesses = max(0, min(rows, _ROWS) - len(tasks))
        for n, task in enumerate(tasks[:rows]):
            piece = task.next(1, rows, min(self._guesses, guesses // (len(tasks) - n)))
            guesses -= len(piece.tokens) - 1
            pieces.append((task, piece))
        return pieces

    def _read(self, tasks: list[Task], tokens: int) -> list[tuple[Task, Piece]]:
        pieces: list[tuple[Task, Piece]] = []
        outputs = self._outputs
        for task in tasks:
            if not tokens or not outputs:
                break
            piece = task.next(tokens, outputs)
            tokens -= len(piece.tokens)
            outputs -= {"none": 0, "last": 1, "all": len(piece.tokens)}[piece.outputs]
            pieces.append((task, piece))
        return pieces


def _order(task: Task) -> tuple[int, int]:
    return task.priority, task.tag
