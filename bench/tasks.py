"""The `tasks` graph on public sets: labels, sentiment of hate, answers, similarity.

    uv run python -m bench.tasks DATA                     everything, 100 examples of each set
    uv run python -m bench.tasks DATA --only apeach --sample 400 --json results.json

DATA is a folder with `apeach/test.csv`, `openai_moderation/samples-1680.jsonl.gz`,
`xquad/xquad.en.json` and `korquad/KorQuAD_v1.0_dev.json`; what is not there is named and
left out. Each row says how many examples were drawn, with which seed, and a 95 % bootstrap
interval. Labels are scored by balanced accuracy and by AUC, which no threshold can flatter.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from groundling.evaluation.evaluators.f1 import f1, tokens
from groundling.evaluation.paired import bootstrap
from groundling.home import Home

AT_ONCE = 8
SHOTS = 4


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    set: str
    how: str
    measure: str
    examples: int
    value: float
    low: float
    high: float
    seconds: float


Inputs = list[dict[str, Any]]
Results = list[dict[str, Any]]


def run(home: Home, inputs: Inputs) -> tuple[Results, float]:
    """Run the graph over all inputs; returns the results and seconds for one."""
    graph = home.graph("tasks")
    begun = time.perf_counter()
    results: Results = asyncio.run(graph.abatch(inputs, {"max_concurrency": AT_ONCE}))
    return results, (time.perf_counter() - begun) / len(inputs)


def two_labels(
    home: Home, name: str, texts: Sequence[tuple[str, bool]], labels: tuple[str, str], shots: Inputs
) -> Iterator[Row]:
    """Compare the ways of asking for one of two labels; the first is the positive one."""
    ways: dict[str, dict[str, Any]] = {
        "zero-shot": {},
        "zero-shot, calibrated": {"calibrated": True},
        f"{SHOTS}-shot": {"examples": shots},
        "chain of thought": {"reasoning": True},
    }
    truth = np.array([positive for _, positive in texts])
    for how, options in ways.items():
        inputs = [
            {"task": "classify", "text": text, "labels": list(labels), **options}
            for text, _ in texts
        ]
        results, seconds = run(home, inputs)
        weights = np.array([one["result"]["probabilities"][labels[0]] for one in results])
        right = (weights >= 0.5) == truth
        # Balanced: each class weighs half, as a mean of weighted hits.
        share = np.where(truth, truth.mean(), 1 - truth.mean())
        yield _row(name, how, "balanced accuracy", right / (2 * share), seconds)
        yield Row(name, how, "AUC", len(texts), auc(weights, truth), *_NOT, round(seconds, 2))


_NOT = (float("nan"), float("nan"))


def auc(scores: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the probability that a positive example is scored above a negative one."""
    above = scores[truth][:, None] - scores[~truth][None, :]
    return float(((above > 0) + (above == 0) / 2).mean())


def apeach(home: Home, folder: Path, sample: int, seed: int) -> Iterator[Row]:
    """Korean hate speech, as a choice between two labels."""
    with (folder / "apeach" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["class"] == "Spoiled") for row in csv.DictReader(file)]
    texts, rest = draw(rows, sample, seed)
    labels = ("혐오 발언", "일반 발언")
    shots = [{"text": text, "output": labels[not hate]} for text, hate in balanced(rest)]
    yield from two_labels(home, "apeach (ko)", texts, labels, shots)


def moderation(home: Home, folder: Path, sample: int, seed: int) -> Iterator[Row]:
    """English prompts, flagged or not in any of eight categories."""
    file = folder / "openai_moderation" / "samples-1680.jsonl.gz"
    rows = []
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        row = json.loads(line)
        rows.append((row.pop("prompt"), any(row.values())))
    rows = [(text, flag) for text, flag in rows if len(text) < 1500]
    texts, rest = draw(rows, sample, seed)
    labels = ("harmful", "harmless")
    short = [row for row in rest if len(row[0]) < 300]
    shots = [{"text": text, "output": labels[not flag]} for text, flag in balanced(short)]
    yield from two_labels(home, "openai moderation (en)", texts, labels, shots)


def answers(home: Home, name: str, file: Path, sample: int, seed: int) -> Iterator[Row]:
    """Questions over their paragraph; half of them over another paragraph of the set."""
    rows = []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                gold = [one["text"] for one in question["answers"]]
                rows.append((paragraph["context"], question["question"], gold))
    texts, rest = draw(rows, sample, seed)
    inputs: Inputs = [
        {"task": "answer", "text": text, "question": question} for text, question, _ in texts
    ]
    results, seconds = run(home, inputs)
    pairs = [(one["answer"], gold) for one, (_, _, gold) in zip(results, texts, strict=True)]
    best = np.array([max(f1(said, one) for one in gold) for said, gold in pairs])
    exact = np.array([float(any(same(said, one) for one in gold)) for said, gold in pairs])
    quoted = np.array([float(one["result"]["quote"] is not None) for one in results])
    yield _row(name, "zero-shot", "F1", best, seconds)
    yield _row(name, "zero-shot", "exact match", exact, seconds)
    yield _row(name, "zero-shot", "quoted", quoted, seconds)
    elsewhere: Inputs = [
        {"task": "answer", "text": other[0], "question": question}
        for (_, question, _), other in zip(texts, rest, strict=False)
    ]
    results, seconds = run(home, elsewhere)
    refused = np.array([float(one["result"]["answer"] is None) for one in results])
    yield _row(name, "another paragraph", "refused", refused, seconds)


def same(said: str, gold: str) -> bool:
    """Compare as SQuAD and KorQuAD do."""
    korean = any("가" <= letter <= "힣" for letter in gold)
    return tokens(said, korean=korean) == tokens(gold, korean=korean)


def similarity(home: Home, name: str, file: Path, sample: int, seed: int) -> Iterator[Row]:
    """Halves of one paragraph against halves of two: which measure tells them apart?"""
    halves = []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            text = paragraph["context"]
            cut = text.find(". ", len(text) // 2)
            if 0 < cut < len(text) - 80 and len(text) < 1200:
                halves.append((text[: cut + 1], text[cut + 2 :]))
    drawn, _ = draw(halves, sample, seed)
    others = drawn[1:] + drawn[:1]
    pairs = [(one, other) for one, other in drawn]
    pairs += [(one, other) for (one, _), (_, other) in zip(drawn, others, strict=True)]
    truth = np.array([True] * len(drawn) + [False] * len(drawn))
    inputs: Inputs = [{"task": "similarity", "text": a, "other": b} for a, b in pairs]
    results, seconds = run(home, inputs)
    for measure in ("judged", "vectors", "words"):
        values = [one["result"][measure] for one in results]
        if None not in values:
            value = auc(np.array(values), truth)
            yield Row(name, measure, "AUC", len(pairs), value, *_NOT, round(seconds, 2))


def draw(rows: list[Any], sample: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Draw a sample; the rest comes in a fixed random order, too."""
    shuffled = list(rows)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:sample], shuffled[sample:]


def balanced(rows: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Take examples of both classes in turn."""
    yes = [row for row in rows if row[1]][: SHOTS // 2]
    no = [row for row in rows if not row[1]][: SHOTS // 2]
    return [row for pair in zip(yes, no, strict=True) for row in pair]


def _row(name: str, how: str, measure: str, values: NDArray[Any], seconds: float) -> Row:
    values = np.asarray(values, float)
    low, high = bootstrap(values)
    return Row(name, how, measure, len(values), float(values.mean()), low, high, round(seconds, 2))


SETS = {
    "apeach": (apeach, "apeach/test.csv"),
    "moderation": (moderation, "openai_moderation/samples-1680.jsonl.gz"),
    "xquad": (
        lambda home, folder, *how: answers(
            home, "xquad (en)", folder / "xquad/xquad.en.json", *how
        ),
        "xquad/xquad.en.json",
    ),
    "korquad": (
        lambda home, folder, *how: answers(
            home, "korquad (ko)", folder / "korquad/KorQuAD_v1.0_dev.json", *how
        ),
        "korquad/KorQuAD_v1.0_dev.json",
    ),
    "similar-en": (
        lambda home, folder, *how: similarity(
            home, "xquad halves (en)", folder / "xquad/xquad.en.json", *how
        ),
        "xquad/xquad.en.json",
    ),
    "similar-ko": (
        lambda home, folder, *how: similarity(
            home, "korquad halves (ko)", folder / "korquad/KorQuAD_v1.0_dev.json", *how
        ),
        "korquad/KorQuAD_v1.0_dev.json",
    ),
}


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", multiple=True, type=click.Choice(list(SETS)))
@click.option("--sample", default=100, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--model", default="qwen2.5-coder-1.5b", show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path))
def main(
    folder: Path, only: tuple[str, ...], sample: int, seed: int, model: str, file: Path | None
) -> None:
    """Measure the classic tasks."""
    rows: list[Row] = []
    click.echo(f"model {model}, seed {seed}")
    click.echo(f"{'set':24}{'how':24}{'measure':20}{'n':>5}{'value':>8}  interval      s each")
    with Home(model={"name": model}) as home:
        for name in only or SETS:
            measure, needed = SETS[name]
            if not (folder / needed).exists():
                click.echo(f"{name}: {needed} is not in {folder}; left out")
                continue
            for row in measure(home, folder, sample, seed):
                rows.append(row)
                interval = "" if np.isnan(row.low) else f"{row.low:.2f}–{row.high:.2f}"
                click.echo(
                    f"{row.set:24}{row.how:24}{row.measure:20}{row.examples:5}"
                    f"{row.value:8.3f}  {interval:12}{row.seconds:8.2f}"
                )
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
