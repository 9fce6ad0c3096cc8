"""One chat: a long prompt read from nothing, then an answer; against every other way."""

from __future__ import annotations

from bench.engines import server
from bench.engines.contenders import Community, Contender, Ours, Raw, Stock, Timing
from bench.engines.figures import Table, median
from bench.engines.memory import bandwidth, bytes_per_token
from bench.engines.prompts import Writer
from bench.engines.stage import PLAIN, SHIPPED, Stage, close_all, turns
from groundling.models.cpu import default_threads
from groundling.models.gguf import read_gguf


def measure(stage: Stage) -> list[Table]:
    """Time the first token, reading and writing."""
    stage.tell("single: loading")
    ours = Ours("groundling, not guessing", stage.path, PLAIN)
    guessing = Ours("groundling, as shipped", stage.path, SHIPPED)
    raw = Raw(stage.path, PLAIN)
    stock = Stock(stage.path, PLAIN.context)
    community = Community(stage.path, PLAIN.context)
    room = stage.prompt + stage.tokens + 64
    portable = server.start(stage.path, 1, room)
    contenders: list[Contender] = [ours, guessing, raw, stock, portable]
    if stage.binary:
        contenders.append(server.start(stage.path, 1, room, stage.binary))
    writer = Writer(ours.engine)
    names = [*(one.name for one in contenders), community.name]
    timings: dict[str, list[Timing]] = {name: [] for name in names}
    rates: list[float] = []
    try:
        for n, name in enumerate(turns(names, stage.rounds)):
            stage.tell(f"single {n + 1}/{stage.rounds * len(names)}: {name}")
            if name == community.name:
                messages = writer.long(stage.prompt)
                prompt = len(writer.tokens(messages))
                timing = community.ask_messages(messages, prompt, stage.tokens)
            else:
                one = contenders[names.index(name)]
                timing = one.ask(writer.unread(stage.prompt), stage.tokens)
            timings[name].append(timing)
            if n % len(names) == 0:
                rates.append(bandwidth(default_threads(), 1))
    finally:
        close_all(contenders)
        community.close()
    return [_table(stage, timings, max(rates), raw.name, portable.name)]


def _table(
    stage: Stage, timings: dict[str, list[Timing]], rate: float, raw: str, portable: str
) -> Table:
    table = Table(
        f"One chat, {stage.name}: {stage.prompt} tokens read, {stage.tokens} written, "
        f"{default_threads()} threads, medians of {stage.rounds}",
        [
            "", "first token (s)", "prefill (tok/s)", "decode (tok/s)",
            "prefill ÷ raw", "decode ÷ raw", "prefill ÷ portable", "decode ÷ portable",
            "of memory bandwidth",
        ],
    )  # fmt: skip
    reads = bytes_per_token(read_gguf(stage.path), stage.prompt + stage.tokens // 2)

    def middle(name: str, what: str) -> float:
        return median([getattr(timing, what) for timing in timings[name]])

    for name in timings:
        prefill, decode = middle(name, "prefill"), middle(name, "decode")
        table.add(
            name, middle(name, "first"), prefill, decode,
            prefill / middle(raw, "prefill"), decode / middle(raw, "decode"),
            prefill / middle(portable, "prefill"), decode / middle(portable, "decode"),
            f"{decode * reads / rate:.0%}",
        )  # fmt: skip
    table.notes.append(
        f"Memory reads {rate / 1e9:.1f} GB/s with {default_threads()} threads; "
        f"a token reads {reads / 1e9:.2f} GB."
    )
    short = {
        name: min(timing.written for timing in rows)
        for name, rows in timings.items()
        if min(timing.written for timing in rows) < stage.tokens
    }
    if short:
        table.notes.append(f"Answers that ended early, shortest: {short}.")
    return table
