"""A call while it is being served: what it has to read next, and what it does with the outcome.

A task holds tokens that must be in the context. What is missing there is read a piece at a
time, whoever else is being served in the same forward pass; where the last of them was read
there are scores, and the task draws a token from them or weighs its options by them. A task
that lost its place in the context only has more to read again.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from groundling.models.adapters import NO_ADAPTERS
from groundling.models.calls import (
    Adapter,
    Choice,
    Chunk,
    FinishReason,
    Job,
    Priority,
    Request,
    Sink,
    TokenProbability,
    Usage,
    Weights,
)
from groundling.models.drafting import Drafter
from groundling.models.prefix import Sequence as CacheSequence
from groundling.models.sampler import Sampler, token_logprobs
from groundling.models.stream import TextStream

if TYPE_CHECKING:
    from groundling.models.context import Context

Outputs = Literal["none", "last", "all"]


class Piece(NamedTuple):
    """Tokens to read next, and at which of them scores are wanted."""

    tokens: npt.NDArray[np.int32]
    outputs: Outputs


class Task(ABC):
    """One call, or a part of one.

    Args:
        tokens: what must be in the context.
        job: how its caller cancels it.
        priority: see `calls.Priority`.
        wanted: adapters of its weights; tasks with different ones share no forward pass.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        job: Job,
        priority: Priority,
        wanted: tuple[Adapter, ...],
    ) -> None:
        self.tokens: npt.NDArray[np.int32] = np.asarray(tokens, np.int32)
        self.job = job
        self.priority = priority
        self.wanted = wanted
        self.adapters = NO_ADAPTERS  # what was wanted, once it is loaded
        self.tag = 0  # who goes first among equals; the scheduler's
        self.sequence: CacheSequence | None = None
        self.cached: int | None = None
        self.submitted = time.perf_counter()
        self.started: float | None = None
        self.unsound = 0  # passes whose outcome were no numbers; the engine's
        self.done = False

    @property
    def shareable(self) -> int | None:
        """How much of it may come from other calls at most; None: all but the last token."""
        return None

    @property
    def missing(self) -> int:
        """Tokens that are not in the context yet."""
        return len(self.tokens) - (self.sequence.length if self.sequence else 0)

    @property
    def writing(self) -> bool:
        """Whether it goes on by a token at a time."""
        return False

    def next(self, limit: int, outputs: int, guesses: int = 0) -> Piece:
        """Return what to read now.

        Args:
            limit: tokens at most.
            outputs: outputs at most, at least one.
            guesses: tokens that may be guessed ahead, beyond the limit.
        """
        assert self.sequence is not None
        tokens = self.tokens[self.sequence.length :][:limit]
        return Piece(tokens, "last" if len(tokens) == self.missing else "none")

    def began(self, sequence: CacheSequence) -> None:
        """Note the place in the context that it was given."""
        self.sequence = sequence
        if self.started is None:
            self.started = time.perf_counter()
            self.cached = sequence.length
            self.job.begin()

    @abstractmethod
    def receive(self, context: Context, rows: range) -> int:
        """Use the scores at those outputs, which belong to the last tokens that were read.

        Returns:
            How many tokens of the sequence are kept.
        """

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Tell the caller that nothing more comes."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free what the task holds natively."""


class Writing(Task):
    """A `Request`: read the prompt, then draw token after token.

    Args:
        request: the call.
        sink: hears the chunks.
        job: how it is cancelled.
        length: the context's, in tokens.
        speculate: tokens guessed ahead at most.
    """

    def __init__(
        self, request: Request, sink: Sink, job: Job, *, length: int, speculate: int
    ) -> None:
        super().__init__(request.tokens, job, request.priority, request.adapters)
        self.request = request
        self._sink = sink
        self._length = length
        self._text = TextStream(request.stop)
        self._sampler: Sampler | None = None
        self._drafter = Drafter((), 0)
        self._speculate = speculate
        self._drafted: list[int] = []
        self._count = self._guessed = self._accepted = 0
        self._prompt_read = self.submitted
        self._prompt = len(request.tokens)

    @property
    def writing(self) -> bool:
        return self._sampler is not None and self.missing == 1

    def next(self, limit: int, outputs: int, guesses: int = 0) -> Piece:
        self._drafted = []
        if self.writing and guesses:
            left = self.request.max_tokens - self._count - 1
            room = self._length - len(self.tokens)
            self._drafted = self._drafter.guess(max(0, min(guesses, outputs - 1, left, room)))
        if not self._drafted:
            return super().next(limit, outputs)
        return Piece(np.append(self.tokens[-1:], np.asarray(self._drafted, np.int32)), "all")

    def receive(self, context: Context, rows: range) -> int:
        if self._sampler is None:
            self._prompt_read = time.perf_counter()
            self._sampler = context.sampler(self.request.sampling, self.request.tokens)
            self._drafter = Drafter(self.request.tokens, self._speculate)
        read = len(self.tokens)
        written: list[int] = []
        shown: list[str] = []
        probabilities: list[TokenProbability] = []
        reason: FinishReason | None = None
        for row, guess in zip(rows, [*self._drafted, None], strict=True):
            token = self._sampler.sample(row)
            if context.vocabulary.ends(token):
                reason = "stop"
                break
            written.append(token)
            if self.request.logprobs is not None:
                probabilities.append(self._probability(context, row, token))
            shown.append(
                self._text.push(context.vocabulary.piece(token, markup=self.request.markup))
            )
            if self._text.stopped:
                reason = "stop"
                break
            if self._count + len(written) >= self.request.max_tokens:
                reason = "length"
                break
            if token != guess:
                break
        right = max(0, min(len(written) - 1, len(self._drafted)))
        self._learn(written, right)
        if reason is None and len(self.tokens) > self._length:
            reason = self._make_room()
            if reason is None:
                read, right = min(self.request.keep, self._length // 2), 0
        self._tell("".join(shown), tuple(probabilities), reason)
        return read + right

    def _learn(self, written: list[int], right: int) -> None:
        if self._drafted:
            self._drafter.learn(len(self._drafted), right)
            self._guessed += len(self._drafted)
            self._accepted += right
        self._drafter.extend(written)
        self._count += len(written)
        self.tokens = np.append(self.tokens, np.asarray(written, np.int32))

    def fail(self, error: BaseException) -> None:
        self._sink(error)

    def close(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None

    def _make_room(self) -> FinishReason | None:
        """Forget the older half at the context's end, where the call wants that."""
        keep = min(self.request.keep, self._length // 2)
        rest = (self._length - keep) // 2
        if self.request.overflow == "stop" or rest < 1:
            return "length"
        self.tokens = np.concatenate([self.tokens[:keep], self.tokens[-rest:]])
        return None

    def _tell(
        self, text: str, probabilities: tuple[TokenProbability, ...], reason: FinishReason | None
    ) -> None:
        if reason is None:
            if text or probabilities:
                self._sink(Chunk(text, logprobs=probabilities))
            return
        self.done = True
        self._sink(Chunk(text + self._text.finish(), reason, self._usage(), probabilities))

    def _usage(self) -> Usage:
        assert self.started is not None
        return Usage(
            prompt_tokens=self._prompt,
            cached_tokens=self.cached or 0,
            completion_tokens=self._count,
            prefill_seconds=self._prompt_read - self.started,
            decode_seconds=time.perf_counter() - self._prompt_read,
            queued_seconds=self.started - self.submitted,
            drafted_tokens=self._guessed,
            accepted_tokens=self._accepted,
        )

    def _probability(self, context: Context, row: int, token: int) -> TokenProbability:
        assert self.request.logprobs is not None
        own, likeliest = token_logprobs(context.logits(row), token, self.request.logprobs)
        piece = context.vocabulary.piece
        return TokenProbability(
            piece(token, markup=True),
            own,
            tuple((piece(other, markup=True), value) for other, value in likeliest),
        )


class Weighing(Task):
    """A `Choice`: read the prompt, then the options of several tokens, each as a branch.

    Args:
        choice: the call.
        sink: hears the weights.
        job: how it is cancelled.
        spawn: takes the branches, which are served like calls of their own.
    """

    def __init__(self, choice: Choice, sink: Sink, job: Job, spawn: Callable[[Task], None]) -> None:
        super().__init__(choice.tokens, job, choice.priority, choice.adapters)
        self._choice = choice
        self._sink = sink
        self._spawn = spawn
        self._scores: list[float] = []
        self._left = 0
        self._read = 0

    def receive(self, context: Context, rows: range) -> int:
        first = context.log_probabilities(rows[-1])
        self._scores = [float(first[option[0]]) for option in self._choice.options]
        self._prompt_read = time.perf_counter()
        longer = [n for n, option in enumerate(self._choice.options) if len(option) > 1]
        self._left = len(longer)
        for n in longer:
            self._read += len(self._choice.options[n]) - 1
            self._spawn(Branch(self, n, self._choice))
        self._finish()
        return len(self.tokens)

    def add(self, option: int, score: float) -> None:
        """Take in the rest of an option's log-probability."""
        self._scores[option] += score
        self._left -= 1
        self._finish()

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self.done = True
            self._sink(error)

    def _finish(self) -> None:
        if self._left or self.done:
            return
        self.done = True
        assert self.started is not None
        now = time.perf_counter()
        self._sink(
            Weights(
                tuple(self._scores),
                Usage(
                    prompt_tokens=len(self.tokens),
                    cached_tokens=self.cached or 0,
                    completion_tokens=self._read,
                    prefill_seconds=self._prompt_read - self.started,
                    decode_seconds=now - self._prompt_read,
                    queued_seconds=self.started - self.submitted,
                ),
            )
        )


class Branch(Task):
    """One option of a choice: its tokens after the prompt, each scored after those before."""

    def __init__(self, parent: Weighing, option: int, choice: Choice) -> None:
        tokens = [*choice.tokens, *choice.options[option][:-1]]
        super().__init__(tokens, parent.job, choice.priority, choice.adapters)
        self.adapters = parent.adapters
        self._parent = parent
        self._option = option
        self._prompt = len(choice.tokens)
        self._following = choice.options[option][1:]
        self._score = 0.0
        self._scored = 0

    @property
    def shareable(self) -> int:
        return self._prompt  # of what comes after it every score is wanted

    def next(self, limit: int, outputs: int, guesses: int = 0) -> Piece:
        assert self.sequence is not None
        at = self.sequence.length
        if at < self._prompt:
            return Piece(self.tokens[at : min(self._prompt, at + limit)], "none")
        return Piece(self.tokens[at : at + min(limit, outputs)], "all")

    def receive(self, context: Context, rows: range) -> int:
        assert self.sequence is not None
        first = self.sequence.length - len(rows) - self._prompt
        for n, row in enumerate(rows, first):
            if n == self._scored:  # what is read again was scored before
                self._score += float(context.log_probabilities(row)[self._following[n]])
                self._scored += 1
        if not self.missing:
            self.done = True
            self._parent.add(self._option, self._score)
        return self.sequence.length

    def fail(self, error: BaseException) -> None:
        self.done = True
        self._parent.fail(error)
