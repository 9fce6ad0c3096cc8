"""Looking things up among many runs: how long lists, filters and searches take."""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.engines.figures import Table, percentile
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Patch, Status
from groundling.tracing.statistics import statistics
from groundling.tracing.store import TraceStore

RUNS_A_TRACE = 5
NODES = ("receive", "retrieve", "answer", "verify")
GRAPHS = ("rag", "ask", "agent", "chain:triage-reply")
_ENGLISH = """
    leave balance calibration invoice warranty return shift travel lodging meeting room safety
    training laptop password client printer contract holiday overtime budget order supplier
"""
_KOREAN = """
    연차 휴가 출장 숙박비 정산 교정 보증 환불 회의실 안전 교육 노트북 비밀번호 계약 초과근무
    예산 발주 거래처
"""
WORDS = [*_ENGLISH.split(), *_KOREAN.split()]
SECOND = 1_000_000
ROUNDS = 40


def traces(count: int, chance: random.Random) -> Iterator[list[Patch]]:
    """Yield the patches of so many traces, a minute apart, up to now."""
    now = time.time_ns() // 1000
    for number in range(count):
        started = now - (count - number) * 20 * SECOND
        graph = chance.choices(GRAPHS, (60, 25, 10, 5))[0]
        question = " ".join(chance.choices(WORDS, k=8)) + f" case {number}"
        answer = " ".join(chance.choices(WORDS, k=20))
        length = int(chance.lognormvariate(1.5, 0.8) * SECOND)
        failed = chance.random() < 0.02
        verdict = chance.choice(("answered", "refused"))
        root = uuid.uuid4()
        patches = [
            Patch(
                id=root, name=graph, started=started, duration=length,
                inputs=encode({"question": question}),
                outputs=encode({"answer": answer, "verdict": verdict}),
                extra=encode({"metadata": {"thread_id": f"t{number // 4}"}}),
                error=f"ModelError('case {number}')" if failed else None,
                tags=["evening"] if number % 5 == 0 else None,
            )
        ]  # fmt: skip
        for place, node in enumerate(NODES):
            metadata = {"langgraph_node": node, "ls_model_name": "qwen2.5-coder-1.5b"}
            patches.append(
                Patch(
                    id=uuid.uuid4(), trace=root, parent=root, name=node,
                    run_type="llm" if node == "answer" else "chain",
                    started=started + place * length // 5, duration=length // 5,
                    inputs=encode({"question": question}), outputs=encode({"answer": answer}),
                    extra=encode({"metadata": metadata}),
                    input_tokens=600 if node == "answer" else None,
                    output_tokens=40 if node == "answer" else None,
                    cached_tokens=500 if node == "answer" else None,
                )
            )  # fmt: skip
        yield patches


def fill(store: TraceStore, runs: int, chance: random.Random) -> list[uuid.UUID]:
    """Store that many runs, with feedback on every fiftieth trace; return the roots' ids."""
    roots: list[uuid.UUID] = []
    batch: list[Patch] = []
    given: list[Feedback] = []
    book = FeedbackBook(store)
    for number, patches in enumerate(traces(runs // RUNS_A_TRACE, chance)):
        roots.append(patches[0].id)
        batch += patches
        if number % 50 == 0:
            score = chance.choice((-1.0, 1.0))
            given.append(Feedback("thumbs", patches[0].id, patches[0].id, score=score))
        if len(batch) >= 5_000:
            store.write(batch)
            book.add(*given)
            batch, given = [], []
    store.write(batch)
    return roots


def measure(*, runs: int) -> list[Table]:
    """Fill a store and time what a person looks for."""
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "traces.sqlite"
        with TraceStore(file) as store:
            begun = time.perf_counter()
            roots = fill(store, runs, chance)
            seconds = time.perf_counter() - begun
            size = file.stat().st_size
            table = Table(
                f"Looking among {store.count(RunFilter(roots=None)):,} runs",
                ["what", "p50 ms", "p95 ms", "most ms", "found"],
                notes=[
                    f"written in {seconds:.0f} s, {runs / seconds:,.0f} runs a second; "
                    f"{size / 1e6:,.0f} MB, {size / runs:,.0f} bytes a run",
                ],
            )
            for name, look in _looks(store, roots, chance).items():
                times, found = [], 0
                for _ in range(ROUNDS):
                    at = time.perf_counter()
                    found = look()
                    times.append(1e3 * (time.perf_counter() - at))
                table.add(name, percentile(times, 0.5), percentile(times, 0.95), max(times), found)
    return [table]


def _looks(
    store: TraceStore, roots: list[uuid.UUID], chance: random.Random
) -> dict[str, Callable[[], int]]:
    now = time.time_ns() // 1000
    day = 86_400 * SECOND

    def find(**wanted: object) -> Callable[[], int]:
        return lambda: len(store.find(RunFilter(**wanted), limit=50))  # type: ignore[arg-type]

    def text(*words: str) -> int:
        return len(store.find(RunFilter(text=" ".join(words)), limit=50))

    return {
        "the newest": find(),
        "far back (offset 10,000)": lambda: len(store.find(limit=50, offset=10_000)),
        "of one graph": find(graph="agent"),
        "with errors": find(status=[Status.ERROR]),
        "errors of one graph, of one day": find(
            status=[Status.ERROR], graph="rag", since=now - 9 * day, until=now - 8 * day
        ),
        "refused": find(verdict="refused"),
        "with bad feedback": find(feedback="thumbs<0"),
        "slower than 30 s": find(slower=30.0),
        "slower than 60 s, of one graph": find(slower=60.0, graph="rag"),
        "with a tag": find(tag="evening"),
        "of one thread": lambda: len(
            store.find(RunFilter(thread=f"t{chance.randrange(len(roots) // 4)}"))
        ),
        "model calls of one node": find(roots=None, graph="rag", node="answer", run_types=["llm"]),
        "text: one rare word": lambda: text(f"{chance.randrange(len(roots))}"),
        "text: one frequent word": lambda: text(chance.choice(WORDS)),
        "text: two words": lambda: text(*chance.choices(WORDS, k=2)),
        "text: three words of one graph, with errors": lambda: len(
            store.find(
                RunFilter(
                    text=" ".join(chance.choices(WORDS, k=3)), graph="ask", status=[Status.ERROR]
                ),
                limit=50,
            )
        ),
        "text that nowhere stands": find(text="zeppelin 비행선"),
        "statistics of a day": lambda: len(statistics(store, since=now - day)),
        "statistics of a week": lambda: len(statistics(store, since=now - 7 * day)),
        "statistics of all time": lambda: len(statistics(store)),
        "one whole trace": lambda: len(store.trace(chance.choice(roots))),
        "a run by the end of its id": lambda: int(
            store.resolve(chance.choice(roots).hex[-8:]) is not None
        ),
    }
