"""Answer what the documents have, refuse what they do not: XQuAD (en) and KorQuAD (ko).

    uv run python -m bench.refusal EVALDATA [--questions 10] [--model ID] [--json FILE]

Half of the paragraphs are withheld from the knowledge base; the questions about them have
no answer there, though the topics stay. Each set is asked as many questions about kept
paragraphs as about withheld ones. Printed for each: answered, right and proved among the
first; refused among the second.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from groundling.evaluation.evaluators.matching import holds_any
from groundling.home import Home
from groundling.settings import load

SETS = {"xquad": "xquad/xquad.en.json", "korquad": "korquad/KorQuAD_v1.0_dev.json"}
PARAGRAPHS = 240
Case = tuple[str, list[str]]


def read(file: Path) -> Iterator[tuple[str, list[Case]]]:
    """Yield each paragraph of a SQuAD file with its questions and gold answers."""
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            cases = [
                (qa["question"], [answer["text"] for answer in qa["answers"]])
                for qa in paragraph["qas"]
            ]
            yield paragraph["context"], cases


@click.command()
@click.argument("evaldata", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--questions", default=10, help="Of each kind, for each set.")
@click.option("--model", default=None, help="Catalogue id or file; default: the configured one.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write the results here.")
def main(evaldata: Path, questions: int, model: str | None, report: Path | None) -> None:
    """Measure answering and refusing with the rag graph, end to end."""
    rows: list[dict[str, Any]] = []
    for name, place in SETS.items():
        if not (evaldata / place).is_file():
            raise click.UsageError(f"{evaldata / place} is not there; give the folder that has it.")
        rows += ask(name, evaldata / place, questions, model)
    if report:
        report.write_text(json.dumps(rows, ensure_ascii=False, indent=2), encoding="utf-8")
    click.echo(f"\n{'set':<8} {'answered':>9} {'right':>7} {'proved':>7} {'refused':>9}  seconds")
    for name in SETS:
        there = [row for row in rows if row["set"] == name and row["there"]]
        gone = [row for row in rows if row["set"] == name and not row["there"]]
        answered = [row for row in there if row["verdict"] != "refused"]
        right = sum(row["right"] for row in there)
        proved = sum(row["verdict"] == "answered" for row in answered)
        refused = sum(row["verdict"] == "refused" for row in gone)
        seconds = sum(row["seconds"] for row in there + gone) / max(1, len(there + gone))
        click.echo(
            f"{name:<8} {len(answered):>5}/{len(there)} {right:>4}/{len(there)} "
            f"{proved:>4}/{len(answered)} {refused:>6}/{len(gone)}  {seconds:.1f}"
        )


def ask(name: str, file: Path, count: int, model: str | None) -> Iterator[dict[str, Any]]:
    """Ask one set its questions."""
    paragraphs = list(read(file))[:PARAGRAPHS]
    shuffled = random.Random(7)
    shuffled.shuffle(paragraphs)
    kept, withheld = paragraphs[::2], paragraphs[1::2]
    flags = {"model": {"name": model}} if model else {}
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents"
        documents.mkdir()
        for number, (text, _) in enumerate(kept):
            (documents / f"{number}.txt").write_text(text, encoding="utf-8")
        (Path(folder) / "models").symlink_to(load().models_path.resolve())
        with Home(folder, **flags) as home:
            home.knowledge(name).add([documents])
            rag = home.graph("rag", knowledge=name)
            for there, source in ((True, kept), (False, withheld)):
                for _, cases in source[:count]:
                    question, answers = shuffled.choice(cases)
                    begun = time.perf_counter()
                    result = rag.invoke({"question": question})
                    row = {
                        "set": name,
                        "there": there,
                        "question": question,
                        "gold": answers[0],
                        "answer": result["answer"],
                        "verdict": result["verdict"],
                        "right": holds_any(result["answer"], answers),
                        "seconds": round(time.perf_counter() - begun, 1),
                    }
                    click.echo(
                        f"{name:<8} {'there' if there else 'gone':<6} {row['verdict']:<9} "
                        f"{'right' if row['right'] else '-':<6} {row['seconds']:5.1f}  "
                        f"{' '.join(row['answer'].split())[:70]}  (gold: {answers[0][:40]})"
                    )
                    yield row


if __name__ == "__main__":
    main()
