"""What a process of its own costs: the same engine in this process and in a child, in turn.

    uv run python -m bench.isolation FILE.gguf [--tokens 64] [--rounds 7] [--parallel 8] [--out F]

Both hold the same file with the same settings, and take turns, so that only one works at a
time. Prints the median tokens per second of one stream and of several at once, the median
time to the first token of a prompt that is known but for its last token (nearly all of it is
overhead), of a question to the vocabulary, and of a restart after SIGKILL; each beside the
other and as a ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from groundling.models.calls import EngineSettings, ModelEngine, Request
from groundling.models.cpu import read_build, read_cpu
from groundling.models.engine import Engine
from groundling.models.isolation.supervised import SupervisedEngine

Measure = Callable[[ModelEngine, int], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tokens", type=int, default=64, help="tokens to write")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parallel", type=int, default=8, help="streams at once")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    wish = parser.parse_args()

    settings = EngineSettings(context=1024, cache=8192, speculate=0)
    here, apart = Engine.open(wish.file, settings), SupervisedEngine.open(wish.file, settings)
    prompt = here.vocabulary.tokenize("The quick brown fox jumps over the lazy dog. " * 12)

    def one_stream(engine: ModelEngine, n: int) -> float:
        count, seconds = write(engine, [n + 10, *prompt], wish.tokens)
        return (count - 1) / seconds

    def streams(engine: ModelEngine, n: int) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(wish.parallel) as pool:
            calls = [
                pool.submit(write, engine, [100 * n + k + 10, *prompt[:32]], wish.tokens)
                for k in range(wish.parallel)
            ]
            count = sum(call.result()[0] for call in calls)
        return count / (time.perf_counter() - began)

    def first_token(engine: ModelEngine, n: int) -> float:
        began = time.perf_counter()
        next(engine.generate(Request(prompt, max_tokens=1)))
        return 1000 * (time.perf_counter() - began)

    def question(engine: ModelEngine, n: int) -> float:
        began = time.perf_counter()
        engine.vocabulary.tokenize("How many days of leave do I have?")
        return 1000 * (time.perf_counter() - began)

    rows: dict[str, Measure] = {
        "one stream, tok/s": one_stream,
        f"{wish.parallel} streams, tok/s": streams,
        "first token, ms": first_token,
        "vocabulary, ms": question,
    }
    print(read_cpu().describe(), read_build().describe(), wish.file.name[:40], sep="\n")
    figures: dict[str, dict[str, float]] = {}
    for what, measure in rows.items():
        for engine in (here, apart):
            measure(engine, 0)
        pairs = [
            (measure(here, n), measure(apart, n))
            if n % 2
            else tuple(reversed((measure(apart, n), measure(here, n))))
            for n in range(1, wish.rounds + 1)
        ]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        figures[what] = {"in process": ours, "apart": theirs, "ratio": theirs / ours}
        print(f"{what:20} in process {ours:8.2f}   apart {theirs:8.2f}   ratio {theirs / ours:.3f}")
    figures["restart"] = {"seconds": restart(apart)}
    print(f"{'restart, s':20} {figures['restart']['seconds']:.2f}")
    if wish.out:
        wish.out.write_text(json.dumps(figures, indent=2))
    here.close()
    apart.close()


def write(engine: ModelEngine, tokens: list[int], most: int) -> tuple[int, float]:
    """Write; return how many tokens it were, and the seconds from the first to the last."""
    times = []
    for chunk in engine.generate(Request(tokens, max_tokens=most)):
        times.append(time.perf_counter())
        last = chunk
    assert last.usage is not None
    return last.usage.completion_tokens, times[-1] - times[0]


def restart(engine: SupervisedEngine) -> float:
    """Kill the child and return the seconds until a call that came then is answered."""
    assert engine.pid
    os.kill(engine.pid, signal.SIGKILL)
    began = time.perf_counter()
    engine.vocabulary.tokenize("a question that waits")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
