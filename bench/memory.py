"""Long-term memory: what is recalled, what is learnt, what gives way, and how long it takes.

    uv run python -m bench.memory                      recall alone: no chat model is needed
    uv run python -m bench.memory --model FILE.gguf    with what it learns from 40 turns
    uv run python -m bench.memory --json results.json

*Recall@5*: 200 made facts of five users (half English, half Korean), each asked for in other
words; a hit is the right user's fact among the first five. *Learnt*: of 40 made turns, half
of which tell nothing. *Relations*: 16 pairs of facts, same, replaces or new. All data was
made by the author (`bench/memory_data.py`); intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from bench.memory_data import CHANGES, FACTS, TURNS
from groundling.memory.deduplication import keep
from groundling.memory.extraction import Fact, find_facts
from groundling.memory.memories import Memories
from groundling.models.prompts import language_of

MANY = 2000


def wilson(hits: int, count: int) -> list[float]:
    """Return the 95 % interval of a share."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    half /= 1 + z * z / count
    return [round(middle - half, 3), round(middle + half, 3)]


def share(hits: list[bool]) -> dict[str, Any]:
    """Return a share with its interval and size."""
    return {
        "share": round(sum(hits) / len(hits), 3),
        "interval": wilson(sum(hits), len(hits)),
        "n": len(hits),
    }


def recalled(folder: Path, embedder: Any) -> dict[str, Any]:
    """Measure recall@5 and the time at 2,000 facts."""
    hits: dict[str, list[bool]] = {"en": [], "ko": []}
    with Memories.open(folder / "recall.sqlite", embedder) as memories:
        for kind, fact, _, values in FACTS:
            for user, value in enumerate(values):
                memories.remember(f"user{user}", fact.format(value), kind=kind)
        for _, fact, question, values in FACTS:
            for user, value in enumerate(values):
                found = memories.recall(f"user{user}", question, 5)
                hit = fact.format(value) in [one.text for one in found]
                hits[language_of(question)].append(hit)
        for n in range(MANY // len(FACTS)):
            for kind, fact, _, values in FACTS:
                memories.remember("many", fact.format(f"{values[n % 5]} {n}"), kind=kind)
        took: list[float] = []
        memories.recall("many", "warm")
        for _, _, question, _ in FACTS:
            start = time.perf_counter()
            memories.recall("many", question, 5)
            took.append(1000 * (time.perf_counter() - start))
        count = len(memories.list("many"))
    return {
        "recall@5 en": share(hits["en"]),
        "recall@5 ko": share(hits["ko"]),
        "recall ms, median": round(statistics.median(took), 1),
        "recall ms, p95": round(sorted(took)[int(0.95 * len(took))], 1),
        "facts then": count,
    }


async def learnt(folder: Path, model: Any) -> dict[str, Any]:
    """Measure what the model learns of turns, and how it relates facts."""
    wanted, right, silent, took = [], [], [], []
    for message, words in TURNS:
        start = time.perf_counter()
        facts = await find_facts(message, model)
        took.append(time.perf_counter() - start)
        texts = [fact.text for fact in facts]
        if words:
            wanted += [any(word in text for text in texts) for word in words]
            right += [any(word in text for word in words) for text in texts]
        else:
            silent.append(not texts)
            right += [False] * len(texts)
        click.echo(f"{took[-1]:5.1f} s  {message}  {texts}", err=True)
    relations: list[bool] = []
    for n, (old, new, relation) in enumerate(CHANGES):
        with Memories.open(folder / f"change{n}.sqlite") as memories:
            memories.remember("ada", old)
            kept = await keep(memories, "ada", Fact(new, "fact"), model)
        relations.append(kept.relation == relation)
        click.echo(f"{kept.relation} (right: {relation})  {old} | {new}", err=True)
    return {
        "facts found": share(wanted),
        "facts right": share(right),
        "nothing learnt where nothing is told": share(silent),
        "relations right": share(relations),
        "replaced where it should": share(
            [ok for ok, one in zip(relations, CHANGES, strict=True) if one[2] == "replaces"]
        ),
        "seconds a turn, median": round(statistics.median(took), 2),
    }


@click.command()
@click.option("--models", type=click.Path(path_type=Path), help="Folder of models.")
@click.option("--model", type=click.Path(exists=True), help="A chat model's GGUF file.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(models: Path | None, model: str | None, file: Path | None) -> None:
    """Measure long-term memory."""
    from groundling.models.chat import ChatLlama
    from groundling.models.embeddings import load_embedder
    from groundling.models.files.store import ModelStore
    from groundling.settings import load

    settings = load()
    store = ModelStore(models or settings.models_path, settings.download)
    embedder = load_embedder(store.installed(settings.model.embedder))
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "words").mkdir()
        figures["words, topics and meaning"] = recalled(folder, embedder)
        figures["words and topics"] = recalled(folder / "words", None)
        if model is not None:
            figures["learning"] = asyncio.run(learnt(folder, ChatLlama(model=model)))
    for part, rows in figures.items():
        click.echo(f"\n{part}")
        for label, value in rows.items():
            click.echo(f"  {label:<40} {value if not isinstance(value, dict) else _shown(value)}")
    if file is not None:
        file.write_text(json.dumps(figures, indent=2, ensure_ascii=False), encoding="utf-8")


def _shown(value: dict[str, Any]) -> str:
    low, high = value["interval"]
    return f"{value['share']:.3f}  [{low:.3f}, {high:.3f}]  n={value['n']}"


if __name__ == "__main__":
    main()
