"""What a choice costs against reading, and what a grammar costs against writing freely."""

from __future__ import annotations

import time

from langchain_core.messages import HumanMessage, SystemMessage

from bench.engines.contenders import Ours, time_request
from bench.engines.figures import Table, median
from bench.engines.prompts import Writer, fresh
from bench.engines.stage import PLAIN, Stage, turns
from groundling.models.calls import Choice, Request
from groundling.models.grammars.grammar import grammar_for
from groundling.models.sampling import Sampling

KNOWN, NEW = 400, 100
NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
OPTIONS = {
    "2 options of one token": ["yes", "no"],
    "4 options of several tokens": [
        "the annual leave policy", "the rules for meeting rooms",
        "the calibration of balances", "the security of passwords",
    ],
    "20 options of several tokens": [f"paragraph {word} of the document" for word in NUMBERS],
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "kind": {"enum": ["rule", "guide", "notice"]},
        "points": {"type": "array", "items": {"type": "string"}, "minItems": 8},
    },
    "required": ["title", "kind", "points"],
}


def measure(stage: Stage) -> list[Table]:
    """Measure choices and grammars."""
    stage.tell("choose: loading")
    ours = Ours("groundling", stage.path, PLAIN)
    try:
        return [choices(stage, ours), grammars(stage, ours)]
    finally:
        ours.close()


def choices(stage: Stage, ours: Ours) -> Table:
    """Compare weighing options with reading as many new tokens.

    Both come after a beginning that was read before, as in a graph. The new tokens of a
    choice are the rest of the prompt and all of each option but its last token.
    """
    writer = Writer(ours.engine)
    rounds = max(5, stage.rounds)
    table = Table(
        f"Choosing, {stage.name}: after {KNOWN} known tokens, medians of {rounds}",
        ["", "new tokens", "choose (s)", "reading as many (s)", "ratio (goal ≤ 1.2)"],
    )
    known = writer.text(KNOWN)
    ours.ask(writer.tokens([SystemMessage(known), HumanMessage("?")]), 1)
    for name, texts in OPTIONS.items():
        stage.tell(f"choose: {name}")
        options = [writer.words(text) for text in texts]
        extra = sum(len(option) - 1 for option in options)
        weighed: list[float] = []
        read: list[float] = []  # seconds for each token
        new = 0
        for what in turns(["choose", "read"], rounds):
            length = NEW + (extra if what == "read" else 0)
            question = f"{fresh()} {writer.text(length - 12, 31 * (len(weighed) + len(read)))}"
            tokens = writer.tokens([SystemMessage(known), HumanMessage(question)])
            begun = time.perf_counter()
            if what == "choose":
                usage = ours.engine.choose(Choice(tokens, options))[1].result().usage
                weighed.append(time.perf_counter() - begun)
                new = len(tokens) - usage.cached_tokens + extra
            else:
                timing = time_request(ours.engine, Request(tokens, max_tokens=1))
                read.append(timing.wall / (timing.prompt - timing.cached))
        as_many = new * median(read)
        table.add(name, new, median(weighed), as_many, median(weighed) / as_many)
    return table


def grammars(stage: Stage, ours: Ours) -> Table:
    """Compare writing with a JSON Schema's grammar with writing freely."""
    writer = Writer(ours.engine)
    grammar = grammar_for(SCHEMA)
    most = max(48, stage.tokens)
    table = Table(
        f"Grammar, {stage.name}: {most} tokens, medians of {stage.rounds}",
        ["", "first token (s)", "a token (ms)", "÷ free"],
    )
    figures: dict[str, list[tuple[float, float]]] = {"free": [], "JSON Schema": []}
    for what in turns(list(figures), stage.rounds):
        stage.tell(f"grammar: {what}")
        messages = writer.long(200, "Sum the text up as JSON with a title, a kind and ten points.")
        sampling = Sampling(grammar=grammar if what != "free" else None)
        timing = time_request(
            ours.engine, Request(writer.tokens(messages), sampling=sampling, max_tokens=most)
        )
        figures[what].append((timing.first, 1000 / timing.decode))
    free = median([each for _, each in figures["free"]])
    for what, rows in figures.items():
        each = median([each for _, each in rows])
        table.add(what, median([first for first, _ in rows]), each, each / free)
    each = median([each for _, each in figures["JSON Schema"]])
    table.notes.append(f"The grammar costs {each - free:+.2f} ms a token.")
    return table
