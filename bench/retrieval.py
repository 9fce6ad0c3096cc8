"""How well retrieval finds: nDCG@10 and recall@10 of words, vectors and both, side by side.

    uv run python -m bench.retrieval EVALDATA [--sets scifact,xquad,korquad] [--limit N] …

EVALDATA holds the public sets, as their publishers offer them: `scifact/` (corpus_train.csv,
claims_validation.csv), `xquad/` (xquad.en.json), `korquad/` (KorQuAD_v1.0_dev.json). Every
document goes through the whole way, file to passage; a document's rank is that of its best
passage.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundling import settings as settings_module
from groundling.knowledge.base import Knowledge
from groundling.knowledge.passage import Passage
from groundling.models.embeddings import Embedder, OnnxEmbedder, load_embedder
from groundling.models.files.store import ModelStore

SEED = 7
# Passages asked for, so that ten documents are among them.
PASSAGES = 40
Search = Callable[[str, int], list[Passage]]


@dataclass
class EvaluationSet:
    """Documents by id as (title, text), and questions with the ids that answer them."""

    documents: dict[str, tuple[str, str]]
    questions: list[tuple[str, set[str]]]


def scifact(folder: Path) -> EvaluationSet:
    documents = {}
    with (folder / "corpus_train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sentences = re.findall(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", row["abstract"])
            text = " ".join((a or b).strip() for a, b in sentences)
            documents[row["doc_id"]] = (row["title"], text)
    relevant: dict[str, set[str]] = {}
    with (folder / "claims_validation.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            cited = set(re.findall(r"\d+", row["cited_doc_ids"]))
            relevant.setdefault(row["claim"], set()).update(cited & documents.keys())
    return EvaluationSet(documents, list(relevant.items()))


def squad(file: Path) -> EvaluationSet:
    documents: dict[str, tuple[str, str]] = {}
    questions = []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            name = f"p{len(documents)}"
            documents[name] = ("", paragraph["context"])
            questions += [(qa["question"], {name}) for qa in paragraph["qas"]]
    return EvaluationSet(documents, questions)


SETS: dict[str, Callable[[Path], EvaluationSet]] = {
    "scifact": lambda folder: scifact(folder / "scifact"),
    "xquad": lambda folder: squad(folder / "xquad" / "xquad.en.json"),
    "korquad": lambda folder: squad(folder / "korquad" / "KorQuAD_v1.0_dev.json"),
}


def ndcg(found: Sequence[str], relevant: set[str]) -> float:
    gain = sum(1 / math.log2(i + 2) for i, name in enumerate(found[:10]) if name in relevant)
    return gain / sum(1 / math.log2(i + 2) for i in range(min(10, len(relevant))))


def recall(found: Sequence[str], relevant: set[str]) -> float:
    return len(relevant & set(found[:10])) / len(relevant)


def measure(search: Search, questions: Sequence[tuple[str, set[str]]]) -> dict[str, float]:
    gains, recalls, seconds = [], [], []
    for question, relevant in questions:
        begun = time.perf_counter()
        passages = search(question, PASSAGES)
        seconds.append(time.perf_counter() - begun)
        found = list(dict.fromkeys(Path(passage.source).stem for passage in passages))
        gains.append(ndcg(found, relevant))
        recalls.append(recall(found, relevant))
    seconds.sort()
    return {
        "ndcg@10": round(100 * sum(gains) / len(gains), 2),
        "recall@10": round(100 * sum(recalls) / len(recalls), 2),
        "p50_ms": round(1000 * seconds[len(seconds) // 2], 1),
    }


def run(name: str, data: EvaluationSet, embedder: Embedder) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as temporary:
        documents = Path(temporary) / "documents"
        documents.mkdir()
        for key, (title, text) in data.documents.items():
            if title:
                (documents / f"{key}.md").write_text(f"# {title}\n\n{text}\n", encoding="utf-8")
            else:
                (documents / f"{key}.txt").write_text(text, encoding="utf-8")
        with Knowledge.open(Path(temporary) / "knowledge", embedder) as knowledge:
            report = knowledge.add([documents], progress=_tell)
            again = knowledge.add([documents])
            searches: dict[str, Search] = {
                "lexical": knowledge.search_lexical,
                "dense": knowledge.search_dense,
                "hybrid": knowledge.search,
            }
            print("\r\033[K", end="", file=sys.stderr)
            print(
                f"{name}: {report.added} documents, {report.chunks} passages in "
                f"{report.seconds:.1f} s; unchanged again in {again.seconds:.2f} s; "
                f"{len(data.questions)} questions"
            )
            result: dict[str, object] = {"documents": report.added, "passages": report.chunks}
            for side, search in searches.items():
                figures = measure(search, data.questions)
                result[side] = figures
                print(f"  {side:8}" + "".join(f"  {k} {v:6}" for k, v in figures.items()))
    return result


def thin(data: EvaluationSet, limit: int | None, documents: int | None) -> EvaluationSet:
    """Draw questions, and keep their documents with others up to a number: an easier set."""
    draw = random.Random(SEED)
    questions = [question for question in data.questions if question[1]]
    if limit and limit < len(questions):
        questions = draw.sample(questions, limit)
    names = list(data.documents)
    if documents and documents < len(names):
        needed = set().union(*(relevant for _, relevant in questions))
        others = [name for name in names if name not in needed]
        names = [*needed, *draw.sample(others, max(0, documents - len(needed)))]
    return EvaluationSet({name: data.documents[name] for name in names}, questions)


def _tell(stage: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{stage} {done}/{total}\033[K", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("evaldata", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--limit", type=int, help="questions of each set, drawn with a fixed seed")
    parser.add_argument("--documents", type=int, help="documents of each set; the rest is left out")
    parser.add_argument("--onnx", type=Path, help="a folder with model.onnx and tokenizer.json")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    names = arguments.sets.split(",")
    for name in names:
        if name not in SETS or not (arguments.evaldata / name).is_dir():
            sys.exit(f"{arguments.evaldata / name} is not there (sets: {', '.join(SETS)}).")
    if arguments.onnx:
        files = arguments.onnx / "model.onnx", arguments.onnx / "tokenizer.json"
        embedder: Embedder = OnnxEmbedder(*files)
    else:
        settings = settings_module.load()
        store = ModelStore(settings.models_path, settings.download)
        embedder = load_embedder(store.installed(settings.model.embedder))
    results = {}
    for name in names:
        data = thin(SETS[name](arguments.evaldata), arguments.limit, arguments.documents)
        results[name] = run(name, data, embedder)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
