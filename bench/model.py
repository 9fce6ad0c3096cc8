"""The engine against raw llama-cpp-python on the same file, side by side in one run.

    uv run python -m bench.model FILE.gguf [--prompt 256] [--tokens 48] [--rounds 3] [--repack]

Both read the same prompt from nothing and write the same number of tokens, in turn, with
the same context, batch and threads. llama-cpp-python always repacks weights where it can;
`--repack` lets the engine, too. Prints medians in tokens per second and their ratio, and
writes JSON with `--out`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from groundling.models.calls import EngineSettings, Request
from groundling.models.cpu import default_threads, read_build, read_cpu
from groundling.models.engine import Engine

CONTEXT, BATCH = 2048, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--prompt", type=int, default=256, help="tokens to read")
    parser.add_argument("--tokens", type=int, default=48, help="tokens to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repack", action="store_true", help="the engine repacks weights, too")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    wish = parser.parse_args()

    read_build()  # loads the library as the project does, for both sides
    import llama_cpp

    threads = default_threads()
    engine = Engine.open(
        wish.file, EngineSettings(context=CONTEXT, batch=BATCH, repack=wish.repack)
    )
    raw = llama_cpp.Llama(
        str(wish.file), n_ctx=CONTEXT, n_batch=BATCH, n_ubatch=BATCH, n_threads=threads,
        n_threads_batch=threads, use_mmap=True, verbose=False, logits_all=False,
    )  # fmt: skip
    text = "The quick brown fox jumps over the lazy dog and runs to the river. " * 200
    tokens = engine.vocabulary.tokenize(text)[: wish.prompt]
    figures: dict[str, list[tuple[float, float]]] = {"engine": [], "raw": []}
    for n in range(wish.rounds):
        # Each round begins with another token, so that neither side has it in its cache.
        prompt = [tokens[n + 1], *tokens[1:]]
        figures["engine"].append(measure_engine(engine, prompt, wish.tokens))
        figures["raw"].append(measure_raw(raw, prompt, wish.tokens))

    print(read_cpu().describe(), read_build().describe(), sep="\n")
    print(f"{wish.file.name[:40]}: {wish.prompt} tokens read, {wish.tokens} written, "
          f"{threads} threads, medians of {wish.rounds}")  # fmt: skip
    result = {}
    for column, what in enumerate(("prefill", "decode")):
        ours, theirs = (statistics.median(row[column] for row in figures[s]) for s in figures)
        result[what] = {"engine": ours, "raw": theirs, "ratio": ours / theirs}
        print(f"{what:8} engine {ours:7.1f} tok/s   raw {theirs:7.1f}   ratio {ours / theirs:.2f}")
    if wish.out:
        wish.out.write_text(json.dumps({"rounds": figures, **result}, indent=2))
    engine.close()


def measure_engine(engine: Engine, prompt: list[int], count: int) -> tuple[float, float]:
    last = list(engine.generate(Request(prompt, max_tokens=count)))[-1]
    usage = last.usage
    assert usage is not None
    assert usage.completion_tokens == count, "the model ended early; take another prompt"
    return (
        (usage.prompt_tokens - usage.cached_tokens) / usage.prefill_seconds,
        count / usage.decode_seconds,
    )


def measure_raw(raw: object, prompt: list[int], count: int) -> tuple[float, float]:
    started = time.perf_counter()
    stream = raw.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0)  # type: ignore[attr-defined]
    next(stream)
    read = time.perf_counter()
    for _ in range(count - 1):
        next(stream)
    done = time.perf_counter()
    return len(prompt) / (read - started), (count - 1) / (done - read)


if __name__ == "__main__":
    main()
