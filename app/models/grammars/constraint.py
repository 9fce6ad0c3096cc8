"""What a grammar allows a model to write next, token by token.

A `Constraint` follows one generation through a grammar's automaton. Compiled grammars, and
which tokens they allow where, are kept for as long as the model is loaded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from weakref import WeakKeyDictionary, proxy

import numpy as np
import numpy.typing as npt

from groundling.models.grammars.automaton import Automaton, State
from groundling.models.grammars.gbnf import Grammar
from groundling.models.vocabulary import Vocabulary

Tokens = npt.NDArray[np.int32]

# Nodes, states and stacks, some 400 bytes each: what one grammar may remember before it is
# compiled anew, and all of a model's grammars together before the oldest go.
_LARGEST = 100_000
_LARGEST_TOGETHER = 500_000
_MOST_LISTS = 64  # of allowed tokens, of all grammars; one may hold the whole vocabulary


class Constraint:
    """Follow one generation through a grammar; used on the engine's own thread.

    Args:
        vocabulary: the model's tokens.
        grammar: what the text must conform to.
        trigger: the grammar binds what comes after this text; None: everything.
    """

    def __init__(self, vocabulary: Vocabulary, grammar: Grammar, trigger: str | None) -> None:
        self._pieces = pieces_of(vocabulary)
        self._rules = self._pieces.rules(grammar)
        self._trigger = None if trigger is None else trigger.encode("utf-8", "replace")
        self._written = b""  # since the beginning, as long as the trigger did not come
        self._state = self._rules.automaton.start

    def allows(self, token: int) -> bool:
        """Tell whether a token may come next."""
        if self._trigger is not None:
            begun = self._begin(token)
            return begun is None or self._rules.automaton.walk(self._state, begun) is not None
        return self._rules.allows(self._state, token)

    def allowed(self) -> Tokens:
        """Return every token that may come next, in order."""
        if self._trigger is not None:
            every = range(self._pieces.vocabulary.size)
            return np.array([token for token in every if self.allows(token)], np.int32)
        return self._rules.allowed(self._state)

    def accept(self, token: int) -> None:
        """Take an allowed token as written."""
        piece = self._pieces.piece(token)
        if self._trigger is not None:
            begun = self._begin(token)
            if begun is None:
                whole = self._written + self._pieces.markup(token)
                self._written = whole[-len(self._trigger) + 1 :] if len(self._trigger) > 1 else b""
                return
            self._trigger, piece = None, begun
        state = self._rules.automaton.walk(self._state, piece)
        if state is not None:
            self._state = state

    def _begin(self, token: int) -> bytes | None:
        """Return what a token writes after the trigger; None: the trigger is not complete."""
        assert self._trigger is not None
        text = self._written + self._pieces.markup(token)
        at = text.find(self._trigger)
        return None if at < 0 else text[at + len(self._trigger) :]


class _Rules:
    """A compiled grammar and what it was found to allow."""

    def __init__(self, pieces: Pieces, grammar: Grammar) -> None:
        self._pieces = pieces
        self.automaton = Automaton(grammar)

    def allows(self, state: State, token: int) -> bool:
        piece = self._pieces.piece(token)
        if not piece or self._pieces.ends(token):
            return state.final and self._pieces.ends(token)
        return self.automaton.walk(state, piece) is not None

    def allowed(self, state: State) -> Tokens:
        known = self._pieces.lists
        tokens = known.pop(state, None)
        if tokens is None:
            tokens = np.array(sorted(self._search(state)), np.int32)
        known[state] = tokens
        if len(known) > _MOST_LISTS:
            known.popitem(last=False)
        return tokens

    def _search(self, state: State) -> Iterator[int]:
        """Walk the sorted pieces as the tree that they are; only what is allowed is visited."""
        if state.final:
            yield from self._pieces.vocabulary.enders
        texts, tokens = self._pieces.in_order
        todo: list[tuple[State, int, int, int]] = [(state, 0, len(texts), 0)]
        while todo:
            here, low, high, depth = todo.pop()
            while low < high and len(texts[low]) == depth:
                if depth:
                    yield tokens[low]
                low += 1
            if high - low > 256:
                prefix = texts[low][:depth] if low < high else b""
                for byte in self.automaton.first_bytes(here):
                    first = prefix + bytes((byte,))
                    start = bisect_left(texts, first, low, high)
                    end = bisect_left(texts, prefix + bytes((byte + 1,)), start, high)
                    following = self.automaton.walk(here, first[depth:])
                    if start < end and following is not None:
                        todo.append((following, start, end, depth + 1))
            else:
                for n in range(low, high):
                    if self.automaton.walk(here, texts[n][depth:]) is not None:
                        yield tokens[n]


class Pieces:
    """A vocabulary's texts, read from native code once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        # What a vocabulary is the key to must not keep it alive.
        self.vocabulary: Vocabulary = proxy(vocabulary)
        self.lists: OrderedDict[State, Tokens] = OrderedDict()
        self._texts: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self._grammars: OrderedDict[Grammar, _Rules] = OrderedDict()

    def piece(self, token: int) -> bytes:
        text = self._texts.get(token)
        if text is None:
            text = self._texts[token] = self.vocabulary.piece(token)
        return text

    def markup(self, token: int) -> bytes:
        return self.piece(token) or self.vocabulary.piece(token, markup=True)

    def ends(self, token: int) -> bool:
        found = self._ends.get(token)
        if found is None:
            found = self._ends[token] = self.vocabulary.ends(token)
        return found

    @cached_property
    def in_order(self) -> tuple[Sequence[bytes], Sequence[int]]:
        """Texts that a grammar can ask for, sorted, and their tokens."""
        texts, enders = self.vocabulary.pieces(), self.vocabulary.enders
        order = sorted(range(len(texts)), key=texts.__getitem__)
        tokens = [token for token in order if texts[token] and token not in enders]
        return [texts[token] for token in tokens], tokens

    def rules(self, grammar: Grammar) -> _Rules:
        """Return a grammar's automaton, compiled once for as long as it is used."""
        rules = self._grammars.pop(grammar, None)
        if rules is None or rules.automaton.remembered > _LARGEST:
            rules = _Rules(self, grammar)
        self._grammars[grammar] = rules
        while len(self._grammars) > 1 and self._total() > _LARGEST_TOGETHER:
            self._grammars.popitem(last=False)
        return rules

    def _total(self) -> int:
        return sum(rules.automaton.size for rules in self._grammars.values())


_known: WeakKeyDictionary[Vocabulary, Pieces] = WeakKeyDictionary()


def pieces_of(vocabulary: Vocabulary) -> Pieces:
    """Return a model's texts, which are read once."""
    found = _known.get(vocabulary)
    if found is None:
        found = _known[vocabulary] = Pieces(vocabulary)
    return found
