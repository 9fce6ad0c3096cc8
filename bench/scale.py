"""Search at 10,000, 100,000 and a million passages: milliseconds and memory.

    uv run python -m bench.scale [--sizes 10000,100000,1000000] [--queries 200] [--json FILE]

Synthetic passages of 60 terms, drawn by Zipf's law from 200,000 words, and clustered vectors
of 384 numbers. Rows are put into the tables as `add` does, and everything after that is the
real thing: each size in a process of its own, hybrid search through `Knowledge.search`, with
questions of six words and their vectors ready made (an embedder adds its own 5 to 10 ms).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from groundling.knowledge.base import Knowledge
from groundling.knowledge.rows import NewChunk, NewDocument
from groundling.models.embedder import Fingerprint, space

WORDS, TERMS, CLUSTERS, DIMENSION = 200_000, 60, 5_000, 384
CHUNKS_A_DOCUMENT = 100


class Clustered:
    """An embedder whose vectors lie in clusters; a text's number decides which."""

    fingerprint: ClassVar[Fingerprint] = {
        "model": "clustered",
        "dimension": DIMENSION,
        "languages": "en",
    }

    def __init__(self) -> None:
        draw = np.random.default_rng(1)
        self.centres = draw.standard_normal((CLUSTERS, DIMENSION), dtype=np.float32)

    def vectors(self, count: int, seed: int) -> NDArray[np.float32]:
        draw = np.random.default_rng(seed)
        noise = draw.standard_normal((count, DIMENSION), dtype=np.float32)
        mixed = 0.8 * self.centres[draw.integers(0, CLUSTERS, count)] + noise
        return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), dtype=np.float32)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        vector: list[float] = self.vectors(1, seed)[0].tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)


class Zipf:
    """Words by Zipf's law."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        weights = 1 / np.arange(1, WORDS + 1)
        self.cumulated = np.cumsum(weights / weights.sum())

    def words(self, count: int, *, skip: int = 0) -> list[str]:
        """Draw words; `skip` leaves out the most frequent, as stop words are."""
        ranks = np.searchsorted(self.cumulated, self.draw.random(count))
        return [f"w{max(rank, skip + rank % 500)}" for rank in ranks]


def fill(knowledge: Knowledge, embedder: Clustered, chunks: int) -> None:
    store, text = knowledge._store, Zipf(2)
    name = space(embedder.fingerprint)
    store.connection.put("fingerprint", json.dumps(embedder.fingerprint))
    for number in range(chunks // CHUNKS_A_DOCUMENT):
        rows = list(rows_of(text, number))
        body = "x" * CHUNKS_A_DOCUMENT * 10
        store.replace_document(document(number, body), rows)
        vectors = embedder.vectors(len(rows), 10 + number)
        store.vectors.put(name, [row.index_hash for row in rows], vectors)


def document(number: int, body: str) -> NewDocument:
    path = f"/documents/{number}.txt"
    return NewDocument(path, path, path, "", "text", 0, "0", "", "bench", 0, len(body), body)


def rows_of(text: Zipf, number: int) -> Iterator[NewChunk]:
    for place in range(CHUNKS_A_DOCUMENT):
        digest = hashlib.sha256(f"{number}/{place}".encode()).digest()
        words = text.words(TERMS)
        yield NewChunk(10 * place, 10 * place + 10, None, "", digest, digest, words)


def measure(chunks: int, queries: int) -> dict[str, Any]:
    embedder = Clustered()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "knowledge"
        begun = time.perf_counter()
        with Knowledge.open(path, embedder) as knowledge:
            fill(knowledge, embedder, chunks)
            filled = time.perf_counter() - begun
            begun = time.perf_counter()
            with knowledge._store.connection.writing():
                knowledge._dense.refresh(persist=True)
            indexed = time.perf_counter() - begun
        size = sum(file.stat().st_size for file in path.iterdir())
        # Searched by a process that only opens it.
        command = [sys.executable, "-m", "bench.scale", "--search", str(path), str(queries)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"filled": filled, "indexed": indexed, "disk_mb": size / 1e6, **found}


def search(path: Path, queries: int) -> dict[str, Any]:
    text, embedder = Zipf(3), Clustered()
    times: list[float] = []
    with Knowledge.open(path, embedder, create=False) as knowledge:
        begun = time.perf_counter()
        knowledge.search("w100 w200")
        opened = time.perf_counter() - begun
        for query in [" ".join(text.words(6, skip=50)) for _ in range(queries)]:
            begun = time.perf_counter()
            found = knowledge.search(query)
            times.append(time.perf_counter() - begun)
            assert found
        kind = knowledge.statistics().index
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    p50, p95 = np.quantile(times, [0.5, 0.95]) * 1000
    return {"kind": kind, "p50": p50, "p95": p95, "first_s": opened, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    if sys.argv[1:2] == ["--search"]:
        print(json.dumps(search(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    arguments = parser.parse_args()
    results = {}
    print(
        f"{'passages':>9} {'p50 ms':>7} {'p95 ms':>7} {'first s':>8} {'peak MB':>8} "
        f"{'disk MB':>8} {'filled s':>9} {'index s':>8}  index"
    )
    for size in map(int, arguments.sizes.split(",")):
        results[size] = row = measure(size, arguments.queries)
        print(
            f"{size:9,} {row['p50']:7.1f} {row['p95']:7.1f} {row['first_s']:8.2f} "
            f"{row['peak_mb']:8.0f} {row['disk_mb']:8.0f} {row['filled']:9.1f} "
            f"{row['indexed']:8.1f}  {row['kind']}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
