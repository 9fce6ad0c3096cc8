"""Mixed calls for as long as wanted, with cancels, timeouts and crashes: what gets lost?

    uv run python -m bench.soak --minutes 30 --isolated [--model smollm2-135m] [--json FILE]

Callers on threads and on an event loop write, stream, choose, fill in forms and call tools;
some leave early, some have no patience. With `--isolated` the model runs in a child process
that is killed (SIGKILL, SIGSEGV, SIGABRT) every so often. Fails when a call does not end
exactly once, when memory, open files or threads grow, when an error comes that nobody
caused, or when an answer at temperature 0 is another one than a lone run gave and the two
likeliest tokens are not close where they part (see `bench/engines/equality.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from bench.engines.contenders import Raw
from bench.engines.equality import mixed, place
from bench.engines.figures import Table
from bench.engines.ledger import Ledger
from bench.engines.prompts import Writer
from bench.engines.trend import Trend
from groundling import settings as settings_module
from groundling.errors import EngineCrashed, GroundlingError
from groundling.models.calls import (
    Choice,
    EngineSettings,
    ModelEngine,
    Priority,
    Request,
    normalise,
)
from groundling.models.chat import ChatLlama
from groundling.models.engine import Engine
from groundling.models.files.store import ModelStore
from groundling.models.grammars.grammar import grammar_for
from groundling.models.isolation.supervised import SupervisedEngine
from groundling.models.sampling import Sampling

THREADS, TASKS = 6, 4
MOST = 32
# How much farther apart than the most that rounding was seen to move a logit the two likeliest
# may be where answers part: two of them move, and the tokens before moved as well.
ROUNDING = 1.5
PATIENCE_SECONDS = 120.0
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["rule", "guide"]}, "pages": {"enum": [1, 2, 3]}},
    "required": ["kind", "pages"],
}
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Seoul", "Oslo"]}, "days": {"enum": [1, 2, 3]}},
        "required": ["city", "days"],
    },
}
OPTIONS = ("yes", "no", "it depends")


class SoakChat(ChatLlama):
    """The chat model on an engine that is given."""

    def _engine(self, model: str) -> ModelEngine:
        return ENGINES[model]


ENGINES: dict[str, ModelEngine] = {}


@dataclass
class Expected:
    """What lone runs answered."""

    prompts: list[list[int]]
    texts: list[str]
    weights: list[list[float]]


@dataclass
class Findings:
    """What came out, counted from many threads."""

    calls: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    apart: dict[tuple[int, str], int] = field(default_factory=dict)
    compared: int = 0
    widest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str, outcome: str) -> None:
        with self.lock:
            self.calls[kind] += 1
            self.outcomes[outcome] += 1

    def object_to(self, what: str) -> None:
        with self.lock:
            self.strange[what[:160]] += 1

    def compare(self, expected: Expected, n: int, text: str, whole: bool) -> None:
        """Hold an answer, or the part of it that came, against the lone run's."""
        wanted = expected.texts[n]
        with self.lock:
            self.compared += 1
            if text != (wanted if whole else wanted[: len(text)]):
                self.apart[n, text] = self.apart.get((n, text), 0) + 1

    def weigh(self, expected: Expected, n: int, found: list[float]) -> None:
        with self.lock:
            self.compared += 1
            pairs = zip(expected.weights[n], found, strict=True)
            self.widest = max(self.widest, *(abs(one - other) for one, other in pairs))


@dataclass
class Soak:
    """One run: the engine, what is expected of it, and what is found."""

    engine: ModelEngine
    expected: Expected
    found: Findings
    options: list[list[int]]
    until: float
    chat: ChatLlama

    def worker(self, seed: int) -> None:
        """Make calls until the time is over."""
        draw = random.Random(seed)
        kinds: dict[str, Callable[[random.Random], str]] = {
            "stream": self.stream,
            "choose": self.choose,
            "extract": self.extract,
            "tools": self.tools,
        }
        while time.monotonic() < self.until:
            kind = draw.choices(list(kinds), [5, 3, 2, 2])[0]
            self.found.count(kind, self._guard(kind, partial(kinds[kind], draw)))

    async def task(self, seed: int) -> None:
        """Make calls on the event loop until the time is over; some are cancelled there."""
        draw = random.Random(seed)
        while time.monotonic() < self.until:
            n = draw.randrange(len(self.expected.prompts))
            writing = asyncio.create_task(self._write(n))
            try:
                if draw.random() < 0.25:
                    await asyncio.sleep(draw.random())
                    writing.cancel()
                outcome = await writing
            except asyncio.CancelledError:
                outcome = "left"
            except GroundlingError as error:
                outcome = self._judge("async", error)
            self.found.count("async", outcome)

    async def _write(self, n: int) -> str:
        text = ""
        request = Request(self.expected.prompts[n], max_tokens=MOST)
        async for chunk in self.engine.agenerate(request, PATIENCE_SECONDS):
            text += chunk.text
        self.found.compare(self.expected, n, text, whole=True)
        return "finished"

    def stream(self, draw: random.Random) -> str:
        """Read an answer to its end, or leave early, or have too little patience."""
        n = draw.randrange(len(self.expected.prompts))
        leave = draw.randrange(MOST) if draw.random() < 0.2 else None
        patience = draw.uniform(0.01, 1.0) if draw.random() < 0.1 else PATIENCE_SECONDS
        text, whole = "", False
        priority = draw.choice(list(Priority))
        request = Request(self.expected.prompts[n], max_tokens=MOST, priority=priority)
        try:
            for count, chunk in enumerate(self.engine.generate(request, patience)):
                text += chunk.text
                whole = chunk.finish_reason is not None
                if leave is not None and count >= leave:
                    break
        except GroundlingError as error:
            if patience == PATIENCE_SECONDS or "within" not in str(error):
                raise
            return "timed out"
        finally:
            self.found.compare(self.expected, n, text, whole)
        return "finished" if whole else "left"

    def choose(self, draw: random.Random) -> str:
        """Weigh options, or cancel that."""
        n = draw.randrange(len(self.expected.prompts))
        job, future = self.engine.choose(Choice(self.expected.prompts[n], self.options))
        if draw.random() < 0.1:
            job.cancel()
            try:
                future.result(PATIENCE_SECONDS)
            except GroundlingError as error:
                return self._judge("choose", error, cancelled=True)
            return "finished"
        weights = future.result(PATIENCE_SECONDS).logarithms
        self.found.weigh(self.expected, n, normalise(weights))
        return "finished"

    def extract(self, draw: random.Random) -> str:
        """Fill in a form, hot; it must be one of those that the schema allows."""
        sampling = Sampling(
            temperature=1.5, seed=draw.randrange(2**31), grammar=grammar_for(SCHEMA)
        )
        n = draw.randrange(len(self.expected.prompts))
        request = Request(self.expected.prompts[n], sampling=sampling, max_tokens=96)
        chunks = list(self.engine.generate(request, PATIENCE_SECONDS))
        text = "".join(chunk.text for chunk in chunks)
        if chunks[-1].finish_reason == "stop" and not _fits(text, SCHEMA):
            self.found.object_to(f"extract: {text!r}")
        return "finished"

    def tools(self, draw: random.Random) -> str:
        """Have a tool called."""
        bound = self.chat.bind_tools([WEATHER], tool_choice="required", parallel_tool_calls=False)
        city = draw.choice(["Seoul", "Oslo"])
        reply: Any = bound.invoke(f"What is the weather in {city} ({draw.randrange(50)})?")
        calls = reply.tool_calls
        right = len(calls) == 1 and _fits(json.dumps(calls[0]["args"]), WEATHER["parameters"])
        if not right:
            self.found.object_to(f"tools: {calls} {reply.text!r} {reply.invalid_tool_calls}")
        return "finished"

    def _guard(self, kind: str, call: Callable[[], str]) -> str:
        try:
            return call()
        except GroundlingError as error:
            return self._judge(kind, error)
        except Exception as error:
            self.found.object_to(f"{kind}: {type(error).__name__}: {error}")
            return "error"

    def _judge(self, kind: str, error: GroundlingError, cancelled: bool = False) -> str:
        if isinstance(error, EngineCrashed) and isinstance(self.engine, SupervisedEngine):
            return "crashed"
        if cancelled and "cancelled" in str(error):
            return "left"
        self.found.object_to(f"{kind}: {type(error).__name__}: {error}")
        return "error"


def _fits(text: str, schema: Any) -> bool:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    try:
        return bool(Draft202012Validator(schema).is_valid(json.loads(text)))
    except json.JSONDecodeError:
        return False


def expect(engine: ModelEngine, prompts: list[list[int]], options: list[list[int]]) -> Expected:
    """Answer every prompt, one after the other."""
    texts, weights = [], []
    for prompt in prompts:
        chunks = engine.generate(Request(prompt, max_tokens=MOST))
        texts.append("".join(chunk.text for chunk in chunks))
        found = engine.choose(Choice(prompt, options))[1].result().logarithms
        weights.append(normalise(found))
    return Expected(prompts, texts, weights)


def crash(engine: SupervisedEngine, until: float, seed: int, kills: Counter[str]) -> None:
    """Kill the child every 20 to 60 seconds, seldom enough that it is started anew."""
    draw = random.Random(seed)
    ways = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]
    while True:
        pause = draw.uniform(20, 60)
        if time.monotonic() + pause > until - 5:
            return
        time.sleep(pause)
        pid = engine.pid
        if pid is not None:
            way = draw.choice(ways)
            os.kill(pid, way)
            kills[way.name] += 1


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--model", default="smollm2-135m", show_default=True)
@click.option("--isolated", is_flag=True, help="In a child process, which is killed at times.")
@click.option("--prompts", "number", default=40, show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--markdown", is_flag=True, help="Print tables for a page.")
def main(
    minutes: float,
    model: str,
    isolated: bool,
    number: int,
    seed: int,
    file: Path | None,
    markdown: bool,
) -> None:
    """Run the calls, print what happened, and exit with 1 where something is wrong."""
    home = settings_module.load()
    path = ModelStore(home.models_path, home.download).resolve(model).path
    settings = EngineSettings()
    kind = SupervisedEngine if isolated else Engine
    engine: ModelEngine = kind.open(path, settings)
    ENGINES[model] = engine
    writer = Writer(engine)
    options = [writer.words(option) for option in OPTIONS]
    print(f"{number} lone answers …", file=sys.stderr, flush=True)
    expected = expect(engine, mixed(writer, number), options)
    ledger, found, kills = Ledger(engine), Findings(), Counter[str]()
    until = time.monotonic() + 60 * minutes
    chat = SoakChat(model=model, max_tokens=96, timeout=PATIENCE_SECONDS)
    soak = Soak(engine, expected, found, options, until, chat)
    trend = Trend(lambda: engine.pid if isinstance(engine, SupervisedEngine) else None)
    trend.start()
    print(f"{minutes:g} minutes of calls …", file=sys.stderr, flush=True)

    async def on_the_loop() -> None:
        await asyncio.gather(*(soak.task(seed + 100 + n) for n in range(TASKS)))

    with ThreadPoolExecutor(THREADS + 2) as pool:
        jobs = [pool.submit(soak.worker, seed + n) for n in range(THREADS)]
        jobs.append(pool.submit(lambda: asyncio.run(on_the_loop())))
        if isinstance(engine, SupervisedEngine):
            jobs.append(pool.submit(crash, engine, until, seed, kills))
    trend.stop()
    for job in jobs:
        job.result()
    ledger.settle(PATIENCE_SECONDS)
    engine.close()
    tables, wrong = report(model, minutes, ledger, found, kills, trend, path, expected)
    for table in tables:
        click.echo(table.markdown() if markdown else table.text())
    if file:
        rows = {"tables": [table.json() for table in tables], "wrong": wrong}
        file.write_text(json.dumps(rows, ensure_ascii=False, indent=2), encoding="utf-8")
    click.echo("\n" + ("\n".join(f"WRONG: {line}" for line in wrong) or "Nothing is wrong."))
    sys.exit(bool(wrong))


def report(
    model: str,
    minutes: float,
    ledger: Ledger,
    found: Findings,
    kills: Counter[str],
    trend: Trend,
    path: Path,
    expected: Expected,
) -> tuple[list[Table], list[str]]:
    """Count, and say what is wrong."""
    wrong = [f"lost: {call}" for call in ledger.lost]
    if ledger.late:
        wrong.append(f"{ledger.late} answers came after a call's end")
    wrong += [f"{what} ({count} ×)" for what, count in found.strange.items()]
    calls = Table(f"Calls of {minutes:g} minutes, {model}", ["", "number"])
    calls.add("submitted to the engine", ledger.submitted)
    for ending, count in ledger.endings.most_common():
        calls.add(f"ended: {ending}", count)
    calls.add("lost", len(ledger.lost))
    for name, count in (found.calls | found.outcomes).items():
        calls.add(f"by callers: {name}", count)
    for name, count in kills.items():
        calls.add(f"child ended by {name}", count)
    calls.notes += [f"{count} × {error}" for error, count in ledger.errors.most_common(5)]

    answers = Table(f"Answers against lone runs, {model}", ["", "number"])
    answers.add("compared", found.compared)
    answers.add("other text", sum(found.apart.values()))
    raw = Raw(path, EngineSettings())
    try:
        places = [
            (n, count, place(raw, expected.prompts[n], expected.texts[n], text, MOST))
            for (n, text), count in found.apart.items()
        ]
    finally:
        raw.close()
    rounding = max((noise for _, _, (_, _, noise, _, _) in places), default=0.0)
    margins: list[float] = []
    for n, count, (where, margin, _, alone, other) in places:
        if margin is not None and margin <= ROUNDING * rounding:
            margins.append(margin)
        else:
            wrong.append(
                f"prompt {n}: {other!r} instead of {alone!r} from token {where} on "
                f"({count} ×; margin {margin}, rounding {rounding:.2f})"
            )
    answers.add("different texts among those", len(found.apart))
    answers.add("explained by rounding", len(margins))
    answers.add("largest margin of the two likeliest logits there", max(margins, default=None))
    answers.add("most that rounding moves a logit", rounding or None)
    answers.add("largest difference of a choice's probability", found.widest)
    if found.widest > 0.1:
        wrong.append(f"a choice's probability is off by {found.widest:.2f}")

    growth = Table(f"What the processes held, {model}", ["", "median", "growth", "over (s)"])
    for name in trend.samples:
        growth.add(name, *trend.growth(name))
        if trend.leaks(name):
            wrong.append(f"{name} grew by {trend.growth(name)[1]:.1f}")
    return [calls, answers, growth], wrong


if __name__ == "__main__":
    main()
