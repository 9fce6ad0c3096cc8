"""Guessing ahead from the text itself: what it gains, and that it changes nothing."""

from __future__ import annotations

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from bench.engines.contenders import Ours, Timing
from bench.engines.figures import Table, median
from bench.engines.prompts import Writer, fresh
from bench.engines.stage import PLAIN, SHIPPED, Stage, close_all, turns

FREE = (
    "Write a story about a lighthouse keeper and a storm.",
    "Explain to a child why the sky is blue.",
    "Describe a town that has no streets.",
)


def extractive(writer: Writer, n: int) -> list[BaseMessage]:
    """Return a prompt whose answer stands in it."""
    text = writer.text(250, 120 * n)
    return [
        SystemMessage(f"{fresh()} You answer with the words of the text alone."),
        HumanMessage(f"{text}\n\nRepeat the text above word for word."),
    ]


def free(writer: Writer, n: int) -> list[BaseMessage]:
    """Return a prompt whose answer stands nowhere."""
    return [SystemMessage(f"{fresh()} You write well."), HumanMessage(FREE[n % len(FREE)])]


def measure(stage: Stage) -> list[Table]:
    """Write the same answers with guessing and without."""
    stage.tell("speculation: loading")
    sides = {
        0: Ours("none", stage.path, PLAIN),
        SHIPPED.speculate: Ours(f"{SHIPPED.speculate} tokens ahead", stage.path, SHIPPED),
    }
    writer = Writer(sides[0].engine)
    most = max(64, stage.tokens)
    table = Table(
        f"Guessing ahead, {stage.name}: {most} tokens, medians of {stage.rounds}",
        ["", "none (tok/s)", "ahead (tok/s)", "ratio", "guesses taken", "same text"],
    )
    try:
        for name, make in (("extractive answer", extractive), ("free text", free)):
            prompts = [writer.tokens(make(writer, n)) for n in range(stage.rounds)]
            timings: dict[int, list[Timing]] = {side: [] for side in sides}
            for side in turns(list(sides), stage.rounds):
                stage.tell(f"speculation: {name}, {sides[side].name}")
                prompt = prompts[len(timings[side])]
                timings[side].append(sides[side].ask(prompt, most))
            without, ahead = timings[0], timings[SHIPPED.speculate]
            slow, fast = (median([one.decode for one in side]) for side in (without, ahead))
            drafted = sum(one.drafted for one in ahead)
            same = sum(a.text == b.text for a, b in zip(without, ahead, strict=True))
            taken = f"{sum(one.accepted for one in ahead)}/{drafted}"
            table.add(name, slow, fast, fast / slow, taken, f"{same}/{stage.rounds}")
    finally:
        close_all(list(sides.values()))
    return [table]
