"""Do queries that the model writes, and its reranking, find more than the question alone?

    uv run python -m bench.augmentation EVALDATA [--questions 40] [--sets xquad,korquad,scifact]

EVALDATA as in `bench.retrieval`. Every way of searching sees the same questions in one run;
nDCG@10 and recall@10 over documents, the paired difference of nDCG to the question alone
with a bootstrapped 95 % interval, and the seconds that a question takes.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bench.retrieval_measures import interval, ndcg, recall
from bench.retrieval_sets import SETS, EvaluationSet, thin
from groundling.graphs.nodes.augmenting import TECHNIQUES, Augmented
from groundling.graphs.nodes.passages import merge
from groundling.graphs.nodes.reranking import rerank
from groundling.graphs.resources import Resources
from groundling.home import Home
from groundling.knowledge.passage import Passage
from groundling.settings import load

PASSAGES = 40  # asked for, so that ten documents are among them
WAYS = ("none", *TECHNIQUES, "all", "rerank")
Row = dict[str, Any]


async def search(question: str, ways: Sequence[str], resources: Resources) -> dict[str, Row]:
    """Search one question in each way; return what each found, and its seconds."""
    documents = resources.knowledge
    state: Augmented = {"question": question}
    written: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    for name, technique in TECHNIQUES.items():
        if name in ways or "all" in ways:
            begun = time.perf_counter()
            written |= (await technique(state, resources))["augmented"]
            seconds[name] = time.perf_counter() - begun
    found: dict[str, Row] = {}
    for way in ways:
        begun = time.perf_counter()
        used = list(written) if way == "all" else [way] if way in written else []
        queries = [query for name in used for query in written[name]]
        ranked = merge(
            [documents.search(question, k=PASSAGES)],
            [documents.search(query, k=PASSAGES) for query in queries],
        )
        if way == "rerank":
            ranked = await rerank(ranked, question, resources)
        took = time.perf_counter() - begun + sum(seconds[name] for name in used)
        found[way] = {"ranked": names(ranked), "queries": queries, "seconds": round(took, 2)}
    return found


def names(ranked: Sequence[Passage]) -> list[str]:
    """Return the documents of passages, each at its best passage's place."""
    return list(dict.fromkeys(Path(passage.source).stem for passage in ranked))


def table(rows: Sequence[Row], ways: Sequence[str]) -> dict[str, Row]:
    """Average over the questions of a set."""
    figures: dict[str, Row] = {}
    for way in ways:
        gains = [row["ways"][way]["ndcg"] for row in rows]
        differences = [row["ways"][way]["ndcg"] - row["ways"]["none"]["ndcg"] for row in rows]
        low, high = interval(differences)
        figures[way] = {
            "ndcg@10": 100 * mean(gains),
            "recall@10": 100 * mean([row["ways"][way]["recall"] for row in rows]),
            "difference": 100 * mean(differences),
            "low": low,
            "high": high,
            "seconds": mean([row["ways"][way]["seconds"] for row in rows]),
        }
    return figures


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def run(
    data: EvaluationSet, ways: Sequence[str], flags: Mapping[str, Any], minutes: float
) -> list[Row]:
    """Search the questions of one set, for so many minutes at most."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents"
        documents.mkdir()
        for key, (title, text) in data.documents.items():
            content = f"# {title}\n\n{text}\n" if title else text
            (documents / f"{key}.md").write_text(content, encoding="utf-8")
        (Path(folder) / "models").symlink_to(load().models_path.resolve())
        with Home(folder, **flags) as home:
            knowledge = home.knowledge()
            knowledge.add([documents])
            resources = Resources(home.settings, model=home.model, knowledge=knowledge)
            begun = time.monotonic()
            for question, relevant in data.questions:
                if time.monotonic() - begun > 60 * minutes:
                    break
                found = asyncio.run(search(question, ways, resources))
                for each in found.values():
                    ranked = each.pop("ranked")
                    each |= {"ndcg": ndcg(ranked, relevant), "recall": recall(ranked, relevant)}
                rows.append({"question": question, "ways": found})
    return rows


@click.command()
@click.argument("evaldata", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--questions", default=40, show_default=True, help="Of each set.")
@click.option("--documents", default=1200, show_default=True, help="Of each set, at most.")
@click.option("--sets", default="xquad,korquad,scifact", show_default=True)
@click.option("--ways", default=",".join(WAYS), show_default=True)
@click.option("--reranker", default="model", show_default=True, help="model, or a catalogue id.")
@click.option("--model", default=None, help="Catalogue id or file; default: the configured one.")
@click.option("--minutes", default=60.0, show_default=True, help="Most for each set.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write the results here.")
def main(
    evaldata: Path,
    questions: int,
    documents: int,
    sets: str,
    ways: str,
    reranker: str,
    model: str | None,
    minutes: float,
    report: Path | None,
) -> None:
    """Measure query augmentation and reranking side by side."""
    chosen = list(dict.fromkeys(["none", *ways.split(",")]))
    if unknown := set(chosen) - set(WAYS):
        raise click.UsageError(f"{', '.join(unknown)}: no way; there are {', '.join(WAYS)}.")
    flags: dict[str, Any] = {"retrieval": {"rerank": reranker}, "tracing": {"enabled": False}}
    if model:
        flags["model"] = {"name": model}
    results: dict[str, Any] = {}
    for name in sets.split(","):
        data = thin(SETS[name](evaldata), questions, documents)
        rows = run(data, chosen, flags, minutes)
        figures = table(rows, chosen)
        results[name] = {"figures": figures, "questions": rows}
        click.echo(f"\n{name}: {len(data.documents)} documents, {len(rows)} questions")
        click.echo(f"{'way':<12} nDCG@10 recall@10  difference (95 %)        s a question")
        for way, row in figures.items():
            click.echo(
                f"{way:<12} {row['ndcg@10']:7.1f} {row['recall@10']:9.1f}  "
                f"{row['difference']:+6.1f} ({row['low']:+.1f} to {row['high']:+.1f})"
                f"{row['seconds']:16.1f}"
            )
        if report:
            report.write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
