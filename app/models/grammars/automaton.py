"""A grammar as an automaton over bytes: which bytes may come next, and when it may end.

Each rule becomes a small automaton whose edges are ranges of UTF-8 bytes or calls of other
rules; a configuration is a place in one of them and the places to return to. The set of
configurations after some text is a `State`, made once and remembered with where each byte
leads, so that text of a kind seen before costs one look-up a byte. Nothing here runs in
native code: a grammar that llama.cpp's own parser would blow its memory or its stack on is
an error instead.

The construction: Thompson, Regular Expression Search Algorithm (1968); of ranges of code
points, https://github.com/rust-lang/regex/tree/master/regex-syntax/src/utf8.rs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundling.errors import ModelError
from groundling.models.grammars.gbnf import Grammar, parse
from groundling.models.grammars.parts import Characters, Choice, Part, Reference, Repeat, Text

_MOST_CONFIGURATIONS = 20_000
_EMPTY = 0  # the stack with nothing to return to


class State:
    """Where a text stands in a grammar.

    Args:
        places: the configurations from which a byte leads on.
        final: whether the text may end here.
    """

    __slots__ = ("final", "following", "places")

    def __init__(self, places: frozenset[tuple[int, int]], final: bool) -> None:
        self.places = places
        self.final = final
        self.following: dict[int, State | None] = {}


class Automaton:
    """A compiled grammar; used from one thread."""

    def __init__(self, grammar: Grammar) -> None:
        self._edges: list[list[tuple[int, int, int]]] = []  # lowest byte, highest, node
        self._skips: list[list[int]] = []
        self._calls: list[list[tuple[str, int]]] = []  # rule, node to return to
        self._rules: dict[str, int] = {}
        self._ends: set[int] = set()
        for name, rule in parse(grammar.text).items():
            start, end = self._node(), self._node()
            self._rules[name] = start
            self._ends.add(end)
            self._build(rule, start, end)
        self._tails = [self._is_tail(node) for node in range(len(self._edges))]
        self._stacks: list[tuple[int, int]] = [(-1, -1)]  # node to return to, stack below
        self._stack_ids: dict[tuple[int, int], int] = {}
        self._states: dict[tuple[frozenset[tuple[int, int]], bool], State] = {}
        start_state = self._close({(self._rules["root"], _EMPTY)})
        assert start_state is not None
        self.start = start_state

    @property
    def remembered(self) -> int:
        """How much was remembered while texts were walked, in states and stacks."""
        return len(self._states) + len(self._stacks)

    @property
    def size(self) -> int:
        """How large all of it is, in nodes, states and stacks."""
        return len(self._edges) + self.remembered

    def walk(self, state: State | None, text: bytes) -> State | None:
        """Return where a text leads; None: it is not allowed.

        Raises:
            ModelError: the grammar can be read in too many ways at once.
        """
        for byte in text:
            if state is None:
                return None
            following = state.following
            state = following[byte] if byte in following else self._step(state, byte)
        return state

    def first_bytes(self, state: State) -> list[int]:
        """Return the bytes that may come next."""
        found: set[int] = set()
        for node, _ in state.places:
            for low, high, _ in self._edges[node]:
                found.update(range(low, high + 1))
        return sorted(found)

    def _step(self, state: State, byte: int) -> State | None:
        reached = {
            (target, stack)
            for node, stack in state.places
            for low, high, target in self._edges[node]
            if low <= byte <= high
        }
        following = self._close(reached) if reached else None
        state.following[byte] = following
        return following

    def _close(self, reached: set[tuple[int, int]]) -> State | None:
        """Follow what needs no byte: skips, calls and returns."""
        seen = set(reached)
        todo = list(reached)
        places = []
        final = False
        while todo:
            node, stack = todo.pop()
            if self._edges[node]:
                places.append((node, stack))
            more = [(target, stack) for target in self._skips[node]]
            for rule, back in self._calls[node]:
                below = stack if self._tails[back] else self._push(back, stack)
                more.append((self._rules[rule], below))
            if node in self._ends:
                if stack == _EMPTY:
                    final = True
                else:
                    more.append(self._stacks[stack])
            for one in more:
                if one not in seen:
                    seen.add(one)
                    todo.append(one)
            if len(seen) > _MOST_CONFIGURATIONS:
                raise ModelError(
                    "The grammar can be read in too many ways at once.",
                    hint="Write it so that the next character decides which choice is meant.",
                )
        if not places and not final:
            return None
        key = (frozenset(places), final)
        return self._states.setdefault(key, State(*key))

    def _push(self, node: int, stack: int) -> int:
        key = (node, stack)
        found = self._stack_ids.get(key)
        if found is None:
            found = self._stack_ids[key] = len(self._stacks)
            self._stacks.append(key)
        return found

    def _is_tail(self, node: int) -> bool:
        """Tell whether nothing comes after a node but its rule's end."""
        for _ in range(len(self._edges)):
            if node in self._ends:
                return True
            if self._edges[node] or self._calls[node] or len(self._skips[node]) != 1:
                return False
            node = self._skips[node][0]
        return False

    def _node(self) -> int:
        self._edges.append([])
        self._skips.append([])
        self._calls.append([])
        return len(self._edges) - 1

    def _build(self, part: Part, start: int, end: int) -> None:
        """Add what leads from start to end; it adds no way back to start unless they are one."""
        if isinstance(part, Text):
            self._spell(part.text.encode(), start, end)
        elif isinstance(part, Characters):
            self._characters(part, start, end)
        elif isinstance(part, Reference):
            self._calls[start].append((part.name, end))
        elif isinstance(part, Repeat):
            self._repeat(part, start, end)
        else:
            self._choice(part, start, end)

    def _spell(self, text: bytes, start: int, end: int) -> None:
        if not text:
            self._skips[start].append(end)
        for n, byte in enumerate(text):
            target = end if n == len(text) - 1 else self._node()
            self._edges[start].append((byte, byte, target))
            start = target

    def _choice(self, part: Choice, start: int, end: int) -> None:
        # Texts share their beginnings: thousands of options cost what their letters cost.
        branches: dict[tuple[int, int], int] = {}
        for option in part.options:
            if option and all(isinstance(item, Text) for item in option):
                text = b"".join(item.text.encode() for item in option if isinstance(item, Text))
                self._branch(text, branches, start, end)
            else:
                self._sequence(option, start, end)

    def _branch(
        self, text: bytes, branches: dict[tuple[int, int], int], start: int, end: int
    ) -> None:
        node = start
        for byte in text:
            key = (node, byte)
            if key not in branches:
                branches[key] = self._node()
                self._edges[node].append((byte, byte, branches[key]))
            node = branches[key]
        if end not in self._skips[node]:
            self._skips[node].append(end)

    def _sequence(self, items: Sequence[Part], start: int, end: int) -> None:
        if not items:
            self._skips[start].append(end)
        for n, item in enumerate(items):
            target = end if n == len(items) - 1 else self._node()
            self._build(item, start, target)
            start = target

    def _repeat(self, part: Repeat, start: int, end: int) -> None:
        node = start
        for _ in range(part.low):
            following = self._node()
            self._build(part.part, node, following)
            node = following
        if part.high is None:
            loop = self._node()
            self._skips[node].append(loop)
            self._build(part.part, loop, loop)
            node = loop
        else:
            for _ in range(part.high - part.low):
                self._skips[node].append(end)
                following = self._node()
                self._build(part.part, node, following)
                node = following
        self._skips[node].append(end)

    def _characters(self, part: Characters, start: int, end: int) -> None:
        rest: dict[tuple[tuple[int, int], ...], int] = {(): end}
        for low, high in part.ranges:
            for sequence in _utf8(low, high):
                for n in range(len(sequence) - 1, 0, -1):
                    tail = sequence[n:]
                    if tail not in rest:
                        rest[tail] = self._node()
                        self._edges[rest[tail]].append((*sequence[n], rest[sequence[n + 1 :]]))
                self._edges[start].append((*sequence[0], rest[sequence[1:]]))


def _utf8(low: int, high: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Write a range of code points as sequences of byte ranges; surrogates have none."""
    todo = [(low, high)]
    while todo:
        low, high = todo.pop()
        for edge in (0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF):
            if low <= edge < high:
                todo += [(edge + 1, high), (low, edge)]
                break
        else:
            if 0xD800 <= low <= 0xDFFF:
                continue
            split = _split(low, high)
            if split is None:
                first, last = chr(low).encode(), chr(high).encode()
                yield tuple(zip(first, last, strict=True))
            else:
                todo += [(split + 1, high), (low, split)]


def _split(low: int, high: int) -> int | None:
    """Return where to cut a range so that each of its bytes varies on its own."""
    for bits in (6, 12, 18):
        mask = (1 << bits) - 1
        if low >> bits != high >> bits:
            if low & mask:
                return low | mask
            if high & mask != mask:
                return (high & ~mask) - 1
    return None
