"""Many chats at once: how much is written together, and how long each one waits."""

from __future__ import annotations

from functools import partial

from bench.engines import server
from bench.engines.contenders import Contender, Ours, Stock, Timing
from bench.engines.figures import Table, median, percentile
from bench.engines.prompts import Writer
from bench.engines.stage import SHIPPED, Stage, at_once, close_all, turns

PROMPT = 128
ONCE_FROM = 16  # so many chats are enough answers for one round


def measure(stage: Stage) -> list[Table]:
    """Let so many people ask at the same moment, for each number of them."""
    stage.tell("concurrent: loading")
    ours = Ours("groundling", stage.path, SHIPPED)
    slots, room = max(stage.chats), PROMPT + stage.reply + 64
    rival = server.start(stage.path, slots, room, stage.binary)
    lock = Stock(stage.path, SHIPPED.context)
    contenders: list[Contender] = [ours, rival, lock]
    writer = Writer(ours.engine)
    table = Table(
        f"Chats at once, {stage.name}: {PROMPT} tokens read, {stage.reply} written by each, "
        f"medians of {stage.rounds}",
        [
            "", "at once", "together (tok/s)", "÷ server", "÷ lock",
            "first token p50 (s)", "p95 (s)", "between tokens p50 (ms)", "p95 (ms)",
        ],
    )  # fmt: skip
    try:
        for count in stage.chats:
            rounds = {one.name: stage.rounds if count < ONCE_FROM else 1 for one in contenders}
            # One that serves one after the other is as fast at any count.
            rounds[lock.name] = stage.rounds if count == 1 else 1
            runs: dict[str, list[list[Timing]]] = {name: [] for name in rounds}
            for one in turns(contenders, stage.rounds):
                if len(runs[one.name]) < rounds[one.name]:
                    stage.tell(f"concurrent: {count} × {one.name}")
                    runs[one.name].append(_run(one, writer, count, stage.reply))
            _rows(table, count, runs, rival.name, lock.name)
    finally:
        close_all(contenders)
    table.notes.append(
        f"÷ server: against {rival.name} with {slots} slots. {ONCE_FROM} chats, and more than "
        "one at the lock, are measured once."
    )
    return [table]


def _run(one: Contender, writer: Writer, count: int, most: int) -> list[Timing]:
    prompts = [writer.unread(PROMPT) for _ in range(count)]
    return at_once([partial(one.ask, prompt, most) for prompt in prompts])


def together(timings: list[Timing]) -> float:
    """Return the tokens per second of all answers, from the first question to the last token."""
    begun = min(timing.started for timing in timings)
    ended = max(timing.arrivals[-1] for timing in timings)
    return sum(timing.written for timing in timings) / (ended - begun)


def _rows(
    table: Table, count: int, runs: dict[str, list[list[Timing]]], server: str, lock: str
) -> None:
    rates = {name: median([together(run) for run in those]) for name, those in runs.items()}
    for name, those in runs.items():
        firsts = [timing.first for run in those for timing in run]
        gaps = [1000 * gap for run in those for timing in run for gap in timing.gaps]
        table.add(
            name, count, rates[name], rates[name] / rates[server], rates[name] / rates[lock],
            percentile(firsts, 0.5), percentile(firsts, 0.95),
            percentile(gaps, 0.5), percentile(gaps, 0.95),
        )  # fmt: skip
