"""Answer what the documents have, refuse what they do not: XQuAD (en), KorQuAD (ko), handbook.

    uv run python -m bench.refusal EVALDATA [--questions 10] [--model ID] [--json FILE]
    uv run python -m bench.refusal EVALDATA --calibrate --json FILE
    uv run python -m bench.refusal EVALDATA --calibrate --rows FILE

Half of the paragraphs are withheld from the knowledge base; the questions about them have
no answer there, though the topics stay. Each set is asked as many questions about kept
paragraphs as about withheld ones. Printed for each: answered, right and proved among the
first; refused among the second. The set `handbook` is the sample questions after the core
set, which are phrased the way staff would ask; it is asked for only by `--sets`.

With `--calibrate` every question is answered, and the signals are kept. For each language
the least confidence is chosen that separates the two kinds best on one half of the
questions, and judged on the other half. `--rows` takes the signals from an earlier run.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.questions import CORE
from bench.questions import questions as sample_questions
from groundling.evaluation.evaluators.matching import holds_any
from groundling.graphs.nodes.refusing import limits
from groundling.graphs.rag import confidence
from groundling.home import Home
from groundling.models.prompts import language_of
from groundling.settings import load

SETS = {"xquad": "xquad/xquad.en.json", "korquad": "korquad/KorQuAD_v1.0_dev.json"}
HANDBOOK = "handbook"
PARAGRAPHS = 240
SEED, SAMPLES = 7, 10_000
SIGNALS = ("coverage", "relevance", "support")
Row = dict[str, Any]
Case = tuple[str, list[str]]


@dataclass(frozen=True)
class Trial:
    """A question, whether the documents answer it, and the answers that are right."""

    question: str
    there: bool
    gold: list[str]


def read(file: Path) -> Iterator[tuple[str, list[Case]]]:
    """Yield each paragraph of a SQuAD file with its questions and gold answers."""
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            cases = [
                (qa["question"], [answer["text"] for answer in qa["answers"]])
                for qa in paragraph["qas"]
            ]
            yield paragraph["context"], cases


def withheld(file: Path, folder: Path, count: int) -> list[Trial]:
    """Write every other paragraph into a folder; return questions about both kinds by turns."""
    paragraphs = list(read(file))[:PARAGRAPHS]
    shuffled = random.Random(SEED)
    shuffled.shuffle(paragraphs)
    kept, gone = paragraphs[::2], paragraphs[1::2]
    for number, (text, _) in enumerate(kept):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    there, not_there = (
        [
            Trial(question, source is kept, gold)
            for question, gold in (shuffled.choice(cases) for _, cases in source[:count])
        ]
        for source in (kept, gone)
    )
    return [trial for pair in zip(there, not_there, strict=True) for trial in pair]


def handbook(folder: Path, count: int) -> list[Trial]:
    """Copy the sample documents; return questions that no measured table names."""
    for file in (Path(__file__).parents[1] / "data" / "handbook").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    asked = [each for each in sample_questions()[CORE:] if each["kind"] != "tool"]
    return [
        Trial(each["question"], each["kind"] != "unanswerable", each.get("accept", []))
        for each in asked[: 2 * count]
    ]


def ask(
    name: str, evaldata: Path, count: int, *, model: str | None, strict: bool, minutes: float
) -> Iterator[Row]:
    """Ask one set its questions, for so many minutes at most."""
    flags: Row = {"retrieval": {"strict": strict}, "tracing": {"enabled": False}}
    if model:
        flags["model"] = {"name": model}
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents"
        documents.mkdir()
        if name == HANDBOOK:
            trials = handbook(documents, count)
        else:
            trials = withheld(evaldata / SETS[name], documents, count)
        (Path(folder) / "models").symlink_to(load().models_path.resolve())
        with Home(folder, **flags) as home:
            home.knowledge(name).add([documents])
            rag = home.graph("rag", knowledge=name)
            end = time.monotonic() + 60 * minutes
            for trial in trials:
                if time.monotonic() > end:
                    return
                begun = time.perf_counter()
                keys = ["answer", "verdict", *SIGNALS]
                result = rag.invoke({"question": trial.question}, output_keys=keys)
                yield {
                    "set": name,
                    "language": language_of(trial.question),
                    "there": trial.there,
                    "question": trial.question,
                    "gold": (trial.gold or [""])[0],
                    **result,
                    "right": holds_any(result["answer"], trial.gold),
                    "seconds": round(time.perf_counter() - begun, 1),
                }


def told(row: Row) -> str:
    """Write a question's outcome as a line."""
    signals = " ".join(f"{row.get(name) or 0.0:.2f}" for name in SIGNALS)
    return (
        f"{row['set']:<8} {'there' if row['there'] else 'gone':<6} {row['verdict']:<9} "
        f"{'right' if row['right'] else '-':<6} {signals} {row['seconds']:5.1f}  "
        f"{' '.join(row['answer'].split())[:70]}  (gold: {row['gold'][:40]})"
    )


def summary(rows: Sequence[Row]) -> str:
    """Count over the questions of a set."""
    there = [row for row in rows if row["there"]]
    gone = [row for row in rows if not row["there"]]
    answered = [row for row in there if row["verdict"] != "refused"]
    right = sum(row["right"] for row in there)
    proved = sum(row["verdict"] == "answered" for row in answered)
    refused = sum(row["verdict"] == "refused" for row in gone)
    seconds = sum(row["seconds"] for row in rows) / max(1, len(rows))
    return (
        f"{len(answered):>5}/{len(there)} {right:>4}/{len(there)} "
        f"{proved:>4}/{len(answered)} {refused:>6}/{len(gone)}  {seconds:.1f}"
    )


def balanced_accuracy(rows: Sequence[Row], least: float, relevance: float) -> float:
    """Return the mean of the shares rightly answered and rightly refused."""
    shares = []
    for kind in (True, False):
        of_kind = [row for row in rows if row["there"] is kind]
        right = sum(is_answered(row, least, relevance) is kind for row in of_kind)
        shares.append(right / len(of_kind) if of_kind else 0.5)
    return sum(shares) / 2


def is_answered(row: Row, least: float, relevance: float) -> bool:
    """Tell what strict mode does at a least confidence."""
    if any(row.get(name) is None for name in SIGNALS):  # nothing was found
        return False
    return row["relevance"] >= relevance and confidence(row) >= least  # type: ignore[arg-type]


def interval(rows: Sequence[Row], least: float, relevance: float) -> tuple[float, float]:
    """Return the bootstrapped 95 % interval of the balanced accuracy."""
    draw = random.Random(SEED)
    found = sorted(
        balanced_accuracy(draw.choices(rows, k=len(rows)), least, relevance)
        for _ in range(SAMPLES // 10)
    )
    return found[len(found) * 25 // 1000], found[len(found) * 975 // 1000]


def calibrate(rows: Sequence[Row], language: str) -> Row:
    """Choose the least confidence on one half of the questions; judge it on the other."""
    mixed = sorted(
        (row for row in rows if row["language"] == language), key=lambda r: r["question"]
    )
    random.Random(SEED).shuffle(mixed)
    # Both kinds are in both halves.
    halves = [
        [row for kind in (True, False) for row in [r for r in mixed if r["there"] is kind][side::2]]
        for side in (0, 1)
    ]
    present = limits(language)
    choices = [step / 100 for step in range(20, 100)]
    scores = [balanced_accuracy(halves[0], least, present.relevance) for least in choices]
    best = [least for least, score in zip(choices, scores, strict=True) if score == max(scores)]
    least = best[len(best) // 2]  # the middle of what does equally well
    report: Row = {"language": language, "confidence": least, "chosen_on": len(halves[0])}
    for name, value in (("chosen", least), ("present", present.confidence)):
        low, high = interval(halves[1], value, present.relevance)
        report[name] = {
            "confidence": value,
            "balanced_accuracy": balanced_accuracy(halves[1], value, present.relevance),
            "low": low,
            "high": high,
            "questions": len(halves[1]),
        }
    return report


@click.command()
@click.argument("evaldata", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--questions", default=10, help="Of each kind, for each set.")
@click.option("--sets", default=",".join(SETS), show_default=True, help="handbook is a third.")
@click.option("--model", default=None, help="Catalogue id or file; default: the configured one.")
@click.option("--calibrate", "calibrating", is_flag=True, help="Choose the least confidence.")
@click.option("--rows", type=click.Path(exists=True, path_type=Path), help="Signals of a run.")
@click.option("--minutes", default=60.0, show_default=True, help="Most for each set.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write the results here.")
def main(
    evaldata: Path,
    questions: int,
    sets: str,
    model: str | None,
    calibrating: bool,
    rows: Path | None,
    minutes: float,
    report: Path | None,
) -> None:
    """Measure answering and refusing with the rag graph, end to end."""
    names = sets.split(",")
    for name in names:
        if name != HANDBOOK and not (evaldata / SETS[name]).is_file():
            raise click.UsageError(f"{evaldata / SETS[name]} is not there; give its folder.")
    found: list[Row] = []
    if rows:
        found = json.loads(rows.read_text(encoding="utf-8"))
    else:
        for name in names:
            for row in ask(
                name, evaldata, questions, model=model, strict=not calibrating, minutes=minutes
            ):
                click.echo(told(row))
                found.append(row)
    if report:
        report.write_text(json.dumps(found, ensure_ascii=False, indent=2), encoding="utf-8")
    if not calibrating:
        click.echo(
            f"\n{'set':<8} {'answered':>9} {'right':>7} {'proved':>7} {'refused':>9}  seconds"
        )
        for name in names:
            click.echo(f"{name:<8} {summary([row for row in found if row['set'] == name])}")
        return
    click.echo("\nlanguage  confidence  balanced accuracy on the other half (95 %)")
    for language in sorted({row["language"] for row in found}):
        result = calibrate(found, language)
        for name in ("chosen", "present"):
            each = result[name]
            click.echo(
                f"{language:<9} {each['confidence']:.2f} {name:<8} {each['balanced_accuracy']:.2f} "
                f"({each['low']:.2f}–{each['high']:.2f}), {each['questions']} questions"
            )


if __name__ == "__main__":
    main()
