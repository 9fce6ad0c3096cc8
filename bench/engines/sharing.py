"""Shared beginnings: how many prompt tokens are read again although they were read before.

Each scenario runs twice on the same engine: with one beginning for all its calls, and with
another first token for each call, so that none shares anything with any other. What *could*
be shared is counted apart from the engine: the longest beginning that a prompt has in common
with anything that an earlier call of the scenario read or wrote.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from bench.engines import server
from bench.engines.contenders import Ours, Server, time_request
from bench.engines.figures import Table, common
from bench.engines.prompts import DATA, Writer, paragraphs
from bench.engines.stage import SHIPPED, Stage, at_once
from groundling.models.calls import Choice, Job, ModelEngine, Request, Sink
from groundling.models.engine import Engine

_salts = count(1000)
QUESTION = "How many days of unused annual leave can I carry over to the next year?"


@dataclass
class Reader:
    """Ask calls of a scenario, and count what they read.

    Args:
        write: answers tokens with at most so many, and returns the text and the prompt
            tokens that were not read again.
        weigh: weighs options, and returns the prompt tokens that were not read again.
        writer: makes tokens of messages.
        shared: whether the calls have a beginning in common.
    """

    write: Callable[[Sequence[int], int], tuple[str, int]]
    weigh: Callable[[Sequence[int], Sequence[Sequence[int]]], int] | None
    writer: Writer
    shared: bool
    prompt: int = 0
    shareable: int = 0
    again: int = 0
    calls: int = 0
    _salt: int = field(default_factory=lambda: next(_salts))
    _known: list[list[int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, messages: Sequence[BaseMessage], most: int) -> str:
        """Have an answer written."""
        return self.ask_tokens(self.writer.tokens(messages), most)

    def ask_tokens(self, tokens: Sequence[int], most: int) -> str:
        prompt = self._begin(tokens)
        text, cached = self.write([prompt.salt, *tokens], most)
        self._end(prompt, cached, self.writer.words(text))
        return text

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> None:
        """Have options weighed."""
        choices = [self.writer.words(option) for option in options]
        self.choose_tokens(self.writer.tokens(messages), choices)

    def choose_tokens(self, tokens: Sequence[int], options: Sequence[Sequence[int]]) -> None:
        assert self.weigh is not None
        prompt = self._begin(tokens)
        self._end(prompt, self.weigh([prompt.salt, *tokens], options), [])

    def _begin(self, tokens: Sequence[int]) -> _Prompt:
        # At the start of a call, so that of calls at the same moment the later one counts
        # what the earlier one is still reading.
        with self._lock:
            known = max((common(tokens, one) for one in self._known), default=0)
            self._known.append(list(tokens))
            salt = self._salt if self.shared else next(_salts)
            return _Prompt(list(tokens), salt, min(known, len(tokens) - 1))

    def _end(self, prompt: _Prompt, cached: int, answer: list[int]) -> None:
        with self._lock:
            self._known.append([*prompt.tokens, *answer])
            self.calls += 1
            self.prompt += len(prompt.tokens)
            self.shareable += prompt.shareable
            self.again += max(0, prompt.shareable - cached)


@dataclass
class _Prompt:
    tokens: list[int]
    salt: int
    shareable: int


Scenario = Callable[[Reader], None]


def second_turn(reader: Reader, length: int, most: int) -> None:
    """Ask about a document, and then ask again in the same conversation."""
    talk = reader.writer.long(length, "What is the first rule, in one sentence?")
    answer = reader.ask(talk, most)
    reader.ask([*talk, AIMessage(answer), HumanMessage("And the second one?")], most)


def two_prompts(reader: Reader, length: int, most: int) -> None:
    """Ask about two documents in turn, each time something else."""
    texts = [reader.writer.text(length, start) for start in (0, 1200)]
    for question in ("What is it about?", "Who has to know it?", "What does it forbid?"):
        for text in texts:
            reader.ask([SystemMessage(text), HumanMessage(question)], most)


def graded(reader: Reader, passages: int) -> None:
    """Ask of passages, one by one, whether each answers the same question."""
    rules = reader.writer.text(150, 300)
    begin = f"You judge passages by these rules.\n{rules}\nQuestion: {QUESTION}"
    for passage in (paragraphs() * 3)[:passages]:
        messages = [SystemMessage(begin), HumanMessage(f"Passage: {passage}\nRelevant?")]
        reader.choose(messages, ["yes", "no"])


def eight_people(reader: Reader, length: int, most: int) -> None:
    """Let eight people ask about the same document at the same moment."""
    text = reader.writer.text(length, 500)
    questions = [
        "What is it about?", "Who is responsible?", "What is forbidden?", "What must I bring?",
        "When does it apply?", "Whom do I call?", "How long does it take?", "What does it cost?",
    ]  # fmt: skip
    talks = [[SystemMessage(text), HumanMessage(question)] for question in questions]
    at_once([partial(reader.ask, talk, most) for talk in talks])


def replay(reader: Reader, calls: Sequence[Request | Choice]) -> None:
    """Make recorded calls again, one after the other."""
    for call in calls:
        if isinstance(call, Request):
            reader.ask_tokens(call.tokens, min(call.max_tokens, 64))
        else:
            reader.choose_tokens(call.tokens, call.options)


def measure(stage: Stage) -> list[Table]:
    """Run each scenario with sharing and without."""
    stage.tell("prefix: recording a run of the rag graph")
    recorded = record_rag(stage)
    ours = Ours("groundling", stage.path, SHIPPED)
    writer = Writer(ours.engine)
    short = min(32, stage.tokens)
    people = partial(eight_people, length=stage.document, most=short)
    scenarios: dict[str, Scenario] = {
        "second turn": partial(second_turn, length=stage.document, most=short),
        "two prompts in turn": partial(two_prompts, length=stage.document // 2, most=8),
        f"a rag run ({len(recorded)} calls)": partial(replay, calls=recorded),
        f"{stage.passages} graded passages": partial(graded, passages=stage.passages),
        "eight people, one document": people,
    }
    table = Table(
        f"Shared beginnings, {stage.name}",
        [
            "", "", "calls", "prompt tokens", "read before", "read again", "of those",
            "wall (s)", "÷ sharing off",
        ],
    )  # fmt: skip
    try:
        for name, scenario in scenarios.items():
            walls: dict[bool, float] = {}
            for shared in (False, True):
                stage.tell(f"prefix: {name}, sharing {'on' if shared else 'off'}")
                reader = Reader(*_calls(ours.engine), writer, shared)
                walls[shared] = _time(scenario, reader)
                label = "sharing" if shared else "sharing off"
                _row(table, name, label, reader, walls[shared], walls[False])
        for binary in (None, stage.binary) if stage.binary else (None,):
            rival = server.start(stage.path, 8, stage.document + short + 128, binary)
            try:
                stage.tell(f"prefix: {name}, {rival.name}")
                reader = Reader(partial(_ask_server, rival), None, writer, True)
                wall = _time(people, reader)
                _row(table, name, f"{rival.name}, 8 slots", reader, wall, walls[False])
            finally:
                rival.close()
    finally:
        ours.close()
    table.notes.append(
        "Read before: what a prompt has in common with an earlier call of the scenario. "
        "Goal: at most 5 % of it is read again."
    )
    return [table]


def _row(table: Table, name: str, label: str, reader: Reader, wall: float, off: float) -> None:
    share = reader.again / reader.shareable if reader.shareable else 0.0
    table.add(
        name, label, reader.calls, reader.prompt, reader.shareable, reader.again,
        f"{share:.1%}", wall, wall / off,
    )  # fmt: skip


def _time(scenario: Scenario, reader: Reader) -> float:
    begun = time.perf_counter()
    scenario(reader)
    return time.perf_counter() - begun


def _calls(
    engine: ModelEngine,
) -> tuple[
    Callable[[Sequence[int], int], tuple[str, int]],
    Callable[[Sequence[int], Sequence[Sequence[int]]], int],
]:
    def write(tokens: Sequence[int], most: int) -> tuple[str, int]:
        timing = time_request(engine, Request(tokens, max_tokens=most))
        return timing.text, timing.cached

    def weigh(tokens: Sequence[int], options: Sequence[Sequence[int]]) -> int:
        return engine.choose(Choice(tokens, options))[1].result().usage.cached_tokens

    return write, weigh


def _ask_server(rival: Server, tokens: Sequence[int], most: int) -> tuple[str, int]:
    timing = rival.ask(tokens, most)
    return timing.text, timing.cached


def record_rag(stage: Stage) -> list[Request | Choice]:
    """Answer a question about the handbook with the rag graph; return its model calls."""
    from groundling.home import Home
    from groundling.models.engines import close_engines
    from groundling.settings import load

    models = load().models_path
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(models.resolve())
        with Home(folder, model={"name": str(stage.path)}) as home, recording() as calls:
            home.knowledge("handbook").add([DATA / "handbook"])
            home.graph("rag", knowledge="handbook").invoke({"question": QUESTION})
        close_engines()
    return calls


@contextmanager
def recording() -> Iterator[list[Request | Choice]]:
    """Note what every engine of this process is asked."""
    calls: list[Request | Choice] = []
    submit = Engine.submit

    def note(self: Engine, request: Request | Choice, sink: Sink) -> Job:
        calls.append(request)
        return submit(self, request, sink)

    Engine.submit = note  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        Engine.submit = submit  # type: ignore[method-assign]
