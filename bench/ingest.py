"""How fast documents go in, beside LangChain's own pipeline, and how little a change costs.

    uv run --group bench python -m bench.ingest EVALDATA [--kilobytes 1500] [--json FILE]
                                  [--torch-python PYTHON --torch-model FOLDER]

The same text files go through both, each in a process of its own:

- LangChain: `RecursiveCharacterTextSplitter` + community FAISS, with the same embedder. With
  its default of 4,000 characters the embedder, which reads 256 tokens, sees a fifth of the
  text; so it is also run with passages as long as ours (700, overlapping by 100). With a Python
  that has torch, its usual embedder (`HuggingFaceEmbeddings`, the same model) runs, too.
- Groundling: files to stored text, words, vectors and a FAISS index, all committed.

Then: the same folder again, unchanged; one of 10,000 documents removed. Text is XQuAD's (in
English); peak memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from groundling.knowledge.base import Knowledge
from groundling.models.configured import embedding_model
from groundling.models.embedder import Embedder, Fingerprint
from groundling.settings import load

DOCUMENTS = 10_000
REMOVED = 20


def embedder() -> Embedder:
    return embedding_model(load())


def write_documents(evaldata: Path, folder: Path, kilobytes: int) -> int:
    """Write articles as text files, again with other names until there are enough bytes."""
    data = json.loads((evaldata / "xquad" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    articles = ["\n\n".join(p["context"] for p in article["paragraphs"]) for article in data]
    size = number = 0
    while size < 1000 * kilobytes:
        # The first line tells the copies apart: nothing is found embedded already.
        copy, which = divmod(number, len(articles))
        lines = articles[which].split("\n\n")
        text = "\n\n".join(f"{line} ({copy + 1})" if copy else line for line in lines)
        size += (folder / f"{number}.txt").write_text(text, encoding="utf-8")
        number += 1
    return size


def langchain(folder: Path, embeddings: Any, characters: int, overlap: int) -> dict[str, float]:
    """Run LangChain's pipeline as its tutorials do."""
    import warnings

    warnings.simplefilter("ignore")
    from langchain_community.vectorstores import FAISS
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    embeddings.embed_query("warm")
    begun = time.perf_counter()
    documents = [
        Document(file.read_text(encoding="utf-8"), metadata={"source": str(file)})
        for file in sorted(folder.iterdir())
    ]
    splitter = RecursiveCharacterTextSplitter(chunk_size=characters, chunk_overlap=overlap)
    chunks = splitter.split_documents(documents)
    with tempfile.TemporaryDirectory() as target:
        FAISS.from_documents(chunks, embeddings).save_local(target)
    return finished(begun, len(chunks))


def ours(folder: Path) -> dict[str, float]:
    used = embedder()
    used.embed_query("warm")
    with tempfile.TemporaryDirectory() as target:
        begun = time.perf_counter()
        with Knowledge.open(Path(target), used) as knowledge:
            report = knowledge.add([folder])
            result = finished(begun, report.chunks)
            begun = time.perf_counter()
            assert not knowledge.add([folder]).added
            result["again"] = time.perf_counter() - begun
    return result


def finished(begun: float, chunks: int) -> dict[str, float]:
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"seconds": seconds, "chunks": chunks, "peak_mb": peak}


class Hashes:
    """Vectors out of a hash: what is timed beside it is not the model."""

    fingerprint: ClassVar[Fingerprint] = {"model": "hashes", "dimension": 384, "languages": "en"}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        import numpy as np

        made = [np.random.default_rng(hash(text) % 2**32).standard_normal(384) for text in texts]
        return [(vector / np.linalg.norm(vector)).tolist() for vector in made]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)


def removal() -> dict[str, float]:
    """Time removing one of many documents, with the index in memory and after it a search."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "documents"
        folder.mkdir()
        for number in range(DOCUMENTS):
            (folder / f"{number}.txt").write_text(f"Note {number}: valve {number * 7} is shut.")
        with Knowledge.open(Path(temporary) / "knowledge", Hashes()) as knowledge:
            knowledge.add([folder])
            knowledge.search("valve 70")
            times, searches = [], []
            for number in range(0, DOCUMENTS, DOCUMENTS // REMOVED):
                begun = time.perf_counter()
                knowledge.remove(f"documents/{number}.txt")
                times.append(time.perf_counter() - begun)
                begun = time.perf_counter()
                knowledge.search("valve 70")
                searches.append(time.perf_counter() - begun)
            assert knowledge.check() == []
    return {
        "median_ms": 1000 * statistics.median(times),
        "most_ms": 1000 * max(times),
        "next_search_ms": 1000 * statistics.median(searches),
    }


def child(*arguments: str, python: str = sys.executable) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [python, "-m", "bench.ingest", "--side", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def side(name: str, folder: Path, model: str) -> dict[str, float]:
    if name == "groundling":
        return ours(folder)
    characters, overlap = (4000, 200) if name.endswith("4000") else (700, 100)
    if name.startswith("torch"):
        from langchain_huggingface import HuggingFaceEmbeddings

        return langchain(folder, HuggingFaceEmbeddings(model_name=model), characters, overlap)
    return langchain(folder, embedder(), characters, overlap)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("evaldata", type=Path)
    parser.add_argument("--kilobytes", type=int, default=1500)
    parser.add_argument("--torch-python", help="a Python with langchain-huggingface and torch")
    parser.add_argument("--torch-model", default="", help="a folder with all-MiniLM-L6-v2")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    if sys.argv[1:2] == ["--side"]:
        print(json.dumps(side(sys.argv[2], Path(sys.argv[3]), *sys.argv[4:5] or [""])))
        return
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        size = write_documents(arguments.evaldata, folder, arguments.kilobytes)
        print(f"{size / 1e6:.2f} MB of text, {len(list(folder.iterdir()))} files")
        sides = dict.fromkeys(("langchain 4000", "langchain 700", "groundling"), sys.executable)
        if arguments.torch_python:
            sides = {"torch 700": arguments.torch_python, **sides}
        for name, python in sides.items():
            results[name] = child(name, str(folder), arguments.torch_model, python=python)
    mine = results["groundling"]
    print(f"{'':16} {'seconds':>8} {'kB/s':>7} {'passages':>9} {'peak MB':>8} {'ours =':>7}")
    for name, row in results.items():
        print(
            f"{name:16} {row['seconds']:8.1f} {size / 1000 / row['seconds']:7.1f} "
            f"{row['chunks']:9.0f} {row['peak_mb']:8.0f} {row['seconds'] / mine['seconds']:6.2f}×"
        )
    ratio = mine["seconds"] / mine["again"]
    print(f"unchanged again: {1000 * mine['again']:.0f} ms, {ratio:.0f}× as fast as the first time")
    results["removal"] = removed = removal()
    print(
        f"one of {DOCUMENTS:,} documents removed: {removed['median_ms']:.1f} ms "
        f"(at most {removed['most_ms']:.1f}); the next search {removed['next_search_ms']:.1f} ms"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
