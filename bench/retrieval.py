"""How well retrieval finds: nDCG@10 and recall@10 of ours and of what others do, side by side.

    uv run python -m bench.retrieval EVALDATA [--sets scifact,xquad,korquad] [--cache FOLDER] …

EVALDATA holds the public sets, as their publishers offer them: `scifact/` (corpus_train.csv,
claims_validation.csv), `xquad/` (xquad.en.json), `korquad/` (KorQuAD_v1.0_dev.json). Every
document goes through the whole way, file to passage; a document's rank is that of its best
passage. All ways of searching see the same questions in one run; intervals are 95 %, by
bootstrap over the questions. *Held out* is the half that no constant was chosen on.

The second table has whole articles as documents: what share of the answers stands in the
first 4,000 characters of what is found.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.retrieval_measures import Figures, Ranker, interval, measure, ndcg, recall
from bench.retrieval_peers import (
    CachedEmbedder,
    PlainVectors,
    Span,
    WhitespaceBM25,
    split_by_default,
)
from bench.retrieval_sets import (
    ARTICLES,
    QUESTIONS,
    SETS,
    Asked,
    EvaluationSet,
    articles,
    drawn,
    thin,
)
from groundling import settings as settings_module
from groundling.knowledge.base import Knowledge
from groundling.knowledge.passage import Passage
from groundling.knowledge.recipe import Recipe
from groundling.models.embeddings import Embedder, OnnxEmbedder, load_embedder
from groundling.models.files.store import ModelStore

__all__ = ["SETS", "EvaluationSet", "main", "ndcg", "recall", "thin"]

# Passages asked for, so that ten documents are among them.
PASSAGES = 40
# What a small model has room for, and how many passages that can be at most.
BUDGET, SHORTEST = 4000, 20

# From a question to what would be shown.
Shower = Callable[[str], list[Span]]


@contextmanager
def stored(
    documents: Mapping[str, tuple[str, str]], embedder: Embedder, analyser: str
) -> Iterator[Knowledge]:
    """Write documents to files, and add those to a knowledge base."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "documents"
        folder.mkdir()
        for name, (title, text) in documents.items():
            if title:
                (folder / f"{name}.md").write_text(f"# {title}\n\n{text}\n", encoding="utf-8")
            else:
                (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        recipe = Recipe(analyser=analyser)
        with Knowledge.open(Path(temporary) / "base", embedder, recipe=recipe) as knowledge:
            report = knowledge.add([folder], progress=_tell)
            print("\r\033[K", end="", file=sys.stderr)
            print(
                f"  {knowledge.analyser.name}: {report.added} documents, {report.chunks} passages,"
                f" {report.seconds:.1f} s; unchanged again {knowledge.add([folder]).seconds:.2f} s"
            )
            yield knowledge


def by(search: Callable[[str, int], list[Passage]]) -> Ranker:
    """Rank documents by their best passages."""
    return lambda question: list(
        dict.fromkeys(Path(passage.source).stem for passage in search(question, PASSAGES))
    )


def analysers(texts: Sequence[str]) -> list[str]:
    """Return the analysers to measure: kiwi only has something to say on Korean."""
    return ["plain", "kiwi"] if any(re.search("[가-힣]", text) for text in texts) else ["plain"]


def ranked(data: EvaluationSet, embedder: Embedder) -> dict[str, Figures]:
    """Measure ranking with each way of searching."""
    keys = list(data.documents)
    bm25 = WhitespaceBM25([f"{title} {text}" for title, text in data.documents.values()])
    results = {}

    def note(name: str, rank: Ranker) -> None:
        results[name] = measure(rank, data.questions)
        print(f"  {name:22}" + "".join(f"  {k} {v:6.2f}" for k, v in results[name].items()))

    note("BM25, whitespace", lambda question: [keys[i] for i in bm25.search(question, 10)])
    for analyser in analysers([text for _, text in data.documents.values()]):
        with stored(data.documents, embedder, analyser) as knowledge:
            if analyser == "plain":
                note("vectors", by(knowledge.search_dense))
            note(f"words ({analyser})", by(knowledge.search_lexical))
            note(f"both ({analyser})", by(knowledge.search))
    return results


def shown(show: Shower, questions: Sequence[Asked]) -> Figures:
    """Return the share of questions whose answer is in the first `BUDGET` characters found."""
    hits = []
    for asked in questions:
        room, hit = BUDGET, False
        for name, start, end in show(asked.question):
            end = min(end, start + room)
            room -= end - start
            hit |= name in asked.documents and (asked.start is None or start <= asked.start < end)
        hits.append(float(hit))
    low, high = interval(hits)
    value = 100 * sum(hits) / len(hits)
    return {"recall": round(value, 2), "low": round(low, 2), "high": round(high, 2)}


def budgeted(
    documents: Mapping[str, tuple[str, str]], questions: Sequence[Asked], embedder: Embedder
) -> dict[str, Figures]:
    """Measure recall at a fixed budget with our chunks and with LangChain's default ones."""
    whole = {name: f"{title}\n\n{text}".lstrip() for name, (title, text) in documents.items()}
    texts, spans = split_by_default(whole)
    bm25, vectors = WhitespaceBM25(texts), PlainVectors(texts, embedder)
    ways: dict[str, Shower] = {
        "4000/200, whitespace": lambda q: [spans[i] for i in bm25.search(q, SHORTEST)],
        "4000/200, vectors": lambda q: [spans[i] for i in vectors.search(q, SHORTEST)],
    }
    with stored(documents, embedder, "auto") as knowledge:

        def spans_of(passages: Sequence[Passage]) -> list[Span]:
            return [(Path(p.source).stem, p.start, p.end) for p in passages]

        ways["700, vectors"] = lambda q: spans_of(knowledge.search_dense(q, SHORTEST))
        ways["700, words"] = lambda q: spans_of(knowledge.search_lexical(q, SHORTEST))
        ways["700, both"] = lambda q: spans_of(knowledge.search(q, SHORTEST))
        results = {name: shown(show, questions) for name, show in ways.items()}
    for name, figures in results.items():
        print(f"  {name:22}" + "".join(f"  {k} {v:6.2f}" for k, v in figures.items()))
    return results


def budget_questions(
    name: str, evaldata: Path, data: EvaluationSet, limit: int | None
) -> tuple[Mapping[str, tuple[str, str]], list[Asked]]:
    """Return articles with answers' places where the set has such, else its documents."""
    if name not in ARTICLES:
        return data.documents, [Asked(question, gold, None) for question, gold in data.questions]
    texts, asked = articles(evaldata / ARTICLES[name])
    by_place = {f"{number}": one for number, one in enumerate(asked)}
    order = drawn([(number, {number}) for number in by_place], limit)
    return {key: ("", text) for key, text in texts.items()}, [by_place[n] for n, _ in order]


def _tell(stage: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{stage} {done}/{total}\033[K", end="", file=sys.stderr, flush=True)


def embedder_of(onnx: Path | None, cache: Path | None) -> Embedder:
    if onnx:
        embedder: Embedder = OnnxEmbedder(onnx / "model.onnx", onnx / "tokenizer.json")
    else:
        settings = settings_module.load()
        store = ModelStore(settings.models_path, settings.download)
        embedder = load_embedder(store.installed(settings.model.embedder))
    return CachedEmbedder(embedder, cache) if cache else embedder


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("evaldata", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--limit", type=int, help="questions of each set; korquad: 2000")
    parser.add_argument("--documents", type=int, help="documents of each set; the rest is left out")
    parser.add_argument("--onnx", type=Path, help="a folder with model.onnx and tokenizer.json")
    parser.add_argument("--cache", type=Path, help="keep vectors in this folder between runs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    chosen = arguments.sets.split(",")
    for name in chosen:
        if name not in SETS or not (arguments.evaldata / name).is_dir():
            sys.exit(f"{arguments.evaldata / name} is not there (sets: {', '.join(SETS)}).")
    embedder = embedder_of(arguments.onnx, arguments.cache)
    results: dict[str, dict[str, dict[str, Figures]]] = {}
    for name in chosen:
        limit = arguments.limit or QUESTIONS.get(name)
        data = thin(SETS[name](arguments.evaldata), limit, arguments.documents)
        print(f"{name}: {len(data.documents)} documents, {len(data.questions)} questions")
        results[name] = {"ranked": ranked(data, embedder)}
        documents, questions = budget_questions(name, arguments.evaldata, data, limit)
        print(
            f"{name}, {BUDGET} characters: {len(documents)} documents, {len(questions)} questions"
        )
        results[name]["budget"] = budgeted(documents, questions, embedder)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
