"""The engine's own settings against each other: what the defaults are taken from."""

from __future__ import annotations

from dataclasses import replace

from bench.engines.contenders import Ours
from bench.engines.figures import Table, median
from bench.engines.prompts import Writer
from bench.engines.stage import Stage, close_all, turns
from groundling.models.calls import EngineSettings
from groundling.models.cpu import default_threads, read_build

PROMPT = 384


def variants() -> dict[str, EngineSettings]:
    """Return the settings to compare; the first are the ones that the others change."""
    base = EngineSettings(context=1024, parallel=2, speculate=0)
    threads = default_threads()
    return {
        "as shipped": base,
        "repacked weights": replace(base, repack=True),
        "flash attention": replace(base, flash_attention=True),
        "flash attention, q8_0 cache": replace(base, flash_attention=True, cache_type="q8_0"),
        "flash attention, repacked": replace(base, flash_attention=True, repack=True),
        **{f"batch {size}": replace(base, batch=size) for size in (32, 64, 256, 512)},
        **({f"{threads // 2} threads": replace(base, threads=threads // 2)} if threads > 1 else {}),
    }


def measure(stage: Stage) -> list[Table]:
    """Read and write with each, all loaded side by side."""
    most = min(32, stage.tokens)
    engines: dict[str, Ours] = {}
    try:
        for name, settings in variants().items():
            stage.tell(f"variants: loading {name}")
            engines[name] = Ours(name, stage.path, settings)
        writer = Writer(engines["as shipped"].engine)
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
        for name in turns(list(engines), stage.rounds):
            stage.tell(f"variants: {name}")
            timing = engines[name].ask(writer.unread(PROMPT), most)
            figures[name].append((timing.prefill, timing.decode))
    finally:
        close_all(list(engines.values()))
    backends = ", ".join(sorted(read_build().features))
    table = Table(
        f"Settings, {stage.name} on {backends}: {PROMPT} tokens read, {most} written, "
        f"medians of {stage.rounds}",
        ["", "prefill (tok/s)", "decode (tok/s)", "prefill ÷ shipped", "decode ÷ shipped"],
    )
    base = [median([row[n] for row in figures["as shipped"]]) for n in (0, 1)]
    for name, rows in figures.items():
        prefill, decode = (median([row[n] for row in rows]) for n in (0, 1))
        table.add(name, prefill, decode, prefill / base[0], decode / base[1])
    return [table]
