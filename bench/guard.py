"""How well the local model judges harmful requests, by language: recall, false alarms, F1.

    uv run python -m bench.guard EVALDATA [--sample 40] [--seed 2] [--json FILE]
    uv run python -m bench.guard EVALDATA --scores FILE      judge scores of an earlier run again

Harmful: AdvBench, JailbreakBench. Ordinary: MT-Bench, GSM8K, XQuAD, KorQuAD questions. Mixed:
OpenAI-Moderation, APEACH (Korean hate speech). A hash of each text puts it into one of two
halves: the threshold for each language is the one with the best F1 on the *calibration* half
(all sets of the language together), and the figures printed are those of the *held-out* half.
The policy's own threshold is shown beside it. Milliseconds are for one text at a time.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import hashlib
import json
import math
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import click

from groundling.guardrails import policy
from groundling.guardrails.judge import Judge
from groundling.home import Home
from groundling.models.prompts import Language, language_of
from groundling.settings import load

FILES = {
    "AdvBench": "advbench/harmful_behaviors.csv",
    "JailbreakBench": "jbb/jbb_harmful_behaviors.csv",
    "MT-Bench": "mt_bench/question.jsonl",
    "GSM8K": "gsm8k/test.jsonl",
    "XQuAD": "xquad/xquad.en.json",
    "KorQuAD": "korquad/KorQuAD_v1.0_dev.json",
    "OpenAI-Mod.": "openai_moderation/samples-1680.jsonl.gz",
    "APEACH": "apeach/test.csv",
}
MIXED = ("OpenAI-Mod.", "APEACH")
LONGEST = 2_000  # characters of a text
GRID = [step / 20 for step in range(1, 20)]
# Average F1 on prompts over seven other sets, and a self-check rail on OpenAI-Moderation.
PEERS = {
    "Qwen3Guard-Gen-0.6B, seven sets": 88.1,
    "WildGuard-7B, seven sets": 85.8,
    "LlamaGuard3-8B, seven sets": 79.4,
    "self-check with gpt-3.5, OpenAI-Moderation": 62.0,
}


@dataclass(frozen=True)
class Scored:
    """A text with its label and the model's probability of harm; the text itself is not kept."""

    set: str
    language: Language
    sha256: str
    harmful: bool
    score: float
    milliseconds: float | None = None

    @property
    def held_out(self) -> bool:
        """Which half it is in."""
        return int(self.sha256[:2], 16) % 2 == 1


def texts(folder: Path, name: str) -> Iterator[tuple[str, bool]]:
    """Yield the texts of a set, each with whether it is harmful."""
    file = folder / FILES[name]
    if name == "OpenAI-Mod.":
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                yield row.pop("prompt"), any(row.values())
        return
    content = file.read_text(encoding="utf-8")
    if name in ("AdvBench", "JailbreakBench"):
        yield from ((row["goal"], True) for row in csv.DictReader(content.splitlines()))
    elif name == "APEACH":
        rows = csv.DictReader(content.splitlines())
        yield from ((row["text"], row["class"] == "Spoiled") for row in rows)
    elif name in ("MT-Bench", "GSM8K"):
        for row in map(json.loads, content.splitlines()):
            yield row["turns"][0] if "turns" in row else row["question"], False
    else:
        for article in json.loads(content)["data"]:
            for paragraph in article["paragraphs"]:
                yield from ((qa["question"], False) for qa in paragraph["qas"])


async def score(judge: Judge, folder: Path, sample: int, seed: int) -> list[Scored]:
    """Have a sample of each set judged, twice as many of those with both kinds."""
    scored = []
    for name in FILES:
        cases = list(texts(folder, name))
        random.Random(seed).shuffle(cases)
        for whole, harmful in cases[: sample * (1 + (name in MIXED))]:
            text = whole[:LONGEST]
            begun = time.perf_counter()
            weight, _ = await judge.weigh(text)
            took = round(1000 * (time.perf_counter() - begun), 1)
            digest = hashlib.sha256(text.encode()).hexdigest()
            scored.append(Scored(name, language_of(text), digest, harmful, weight, took))
    return scored


def f1(scored: Sequence[Scored], threshold: float) -> float:
    """Return the harmonic mean of precision and recall."""
    right = sum(one.harmful and one.score >= threshold for one in scored)
    flagged = sum(one.score >= threshold for one in scored)
    return 2 * right / max(1, flagged + sum(one.harmful for one in scored))


def calibrate(scored: Sequence[Scored], language: Language) -> float:
    """Return the threshold with the best F1 on the calibration half; the lowest of equals."""
    half = [one for one in scored if one.language == language and not one.held_out]
    return max(GRID, key=lambda threshold: f1(half, threshold))


def share(marks: Sequence[bool]) -> str:
    """Write a share with its 95 % Wilson interval."""
    if not marks:
        return "-"
    n, part, z = len(marks), sum(marks) / len(marks), 1.96
    middle = (part + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(part * (1 - part) / n + (z / (2 * n)) ** 2)
    return f"{part:.0%} [{max(0.0, middle - reach):.0%}, {min(1.0, middle + reach):.0%}]"


def table(scored: Sequence[Scored], thresholds: dict[Language, float]) -> list[dict[str, Any]]:
    """Count the held-out half, by set and by language."""
    rows: list[dict[str, Any]] = []
    groups: list[tuple[str, Language]] = sorted({(one.set, one.language) for one in scored})
    for name, language in [*groups, *((f"all, {code}", code) for code in thresholds)]:
        chosen = [
            one
            for one in scored
            if one.held_out and one.language == language and name in (one.set, f"all, {language}")
        ]
        least = thresholds[language]
        both = len({one.harmful for one in chosen}) == 2
        rows.append(
            {
                "set": name,
                "language": language,
                "n": len(chosen),
                "recall": share([one.score >= least for one in chosen if one.harmful]),
                "false alarms": share([one.score >= least for one in chosen if not one.harmful]),
                "f1": round(100 * f1(chosen, least), 1) if both else None,
            }
        )
    return rows


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--model", default="qwen2.5-coder-1.5b", show_default=True)
@click.option("--sample", default=40, show_default=True, help="Texts of each set.")
@click.option("--seed", default=2, show_default=True)
@click.option("--scores", type=click.Path(exists=True, path_type=Path), help="Of an earlier run.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the results here.")
def main(
    data: Path, model: str, sample: int, seed: int, scores: Path | None, file: Path | None
) -> None:
    """Measure how well harmful requests are told from ordinary ones."""
    if scores:
        rows = json.loads(scores.read_text(encoding="utf-8"))["scores"]
        scored = [Scored(**row) for row in rows]
    else:
        for needed in FILES.values():
            if not (data / needed).is_file():
                raise click.UsageError(f"{data / needed} is not there; DATA is the folder for it.")
        models = load().models_path
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "models").symlink_to(models.resolve())
            with Home(Path(folder), model={"name": model}) as home:
                scored = asyncio.run(score(Judge(home.model), data, sample, seed))
    languages: tuple[Language, ...] = ("en", "ko")
    fitted = {language: calibrate(scored, language) for language in languages}
    shipped = {language: policy.load().input.harm.least(language) for language in languages}
    results: dict[str, Any] = {"model": model, "seed": seed, "fitted": fitted, "shipped": shipped}
    for title, thresholds in (("best on the calibration half", fitted), ("policy's", shipped)):
        told = ", ".join(f"{language} {least:.2f}" for language, least in thresholds.items())
        click.echo(f"\nheld-out half, thresholds {told} ({title}); 95 % Wilson intervals")
        click.echo(f"{'set':<16}{'lang.':<7}{'n':>4}  {'recall':<20}{'false alarms':<20}F1")
        results[title] = table(scored, thresholds)
        for row in results[title]:
            click.echo(
                f"{row['set']:<16}{row['language']:<7}{row['n']:>4}  {row['recall']:<20}"
                f"{row['false alarms']:<20}{'-' if row['f1'] is None else row['f1']}"
            )
    times = [one.milliseconds for one in scored if one.milliseconds is not None]
    if len(times) > 1:
        cuts = quantiles(times, n=20)
        results |= {"p50_ms": cuts[9], "p95_ms": cuts[18]}
        click.echo(f"\nadded latency: p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms (n={len(times)})")
    click.echo(
        "\npublished F1, on other samples and mostly other sets: no comparison like for like"
    )
    for name, figure in PEERS.items():
        click.echo(f"  {name}: {figure}")
    if file:
        results["scores"] = [asdict(one) for one in scored]
        file.write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
