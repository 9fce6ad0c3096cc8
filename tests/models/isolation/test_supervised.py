"""A supervised engine's own business: crashes, restarts, queues, and ending with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from groundling.errors import EngineBusy, EngineCrashed, ModelError, ModelFileError, ModelTooBig
from groundling.models.calls import (
    Answer,
    Choice,
    Chunk,
    EngineSettings,
    Priority,
    Request,
    TokenProbability,
    normalise,
)
from groundling.models.engine import Engine
from groundling.models.engines import close_engines, engine_for
from groundling.models.isolation import supervised
from groundling.models.isolation.supervised import SupervisedEngine
from groundling.models.vocabulary import Part

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are a POSIX matter"),
]
SETTINGS = EngineSettings(context=512, batch=64, parallel=2, queue=8)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one engine crash as often as these tests want."""
    monkeypatch.setattr(supervised, "MOST_CRASHES", 100)
    monkeypatch.setattr(supervised, "_LONGEST_PAUSE_SECONDS", 0.01)


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Iterator[SupervisedEngine]:
    opened = SupervisedEngine.open(smollm2, SETTINGS)
    yield opened
    opened.close()


def ask(engine: SupervisedEngine, text: str = "Once upon a time", **fields: object) -> Request:
    tokens = engine.vocabulary.tokenize(text)
    return Request(tokens, **{"max_tokens": 4, **fields})  # type: ignore[arg-type]


def write(engine: SupervisedEngine, request: Request | None = None) -> list[Chunk]:
    return list(engine.generate(request or ask(engine), timeout=60))


def kill(engine: SupervisedEngine, number: signal.Signals = signal.SIGKILL) -> None:
    assert engine.pid
    os.kill(engine.pid, number)


class Listener:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.heard: list[Answer] = []
        self.began, self.over = threading.Event(), threading.Event()

    def __call__(self, answer: Answer) -> None:
        self.heard.append(answer)
        self.began.set()
        if not isinstance(answer, Chunk) or answer.finish_reason:
            self.over.set()


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_it_answers_as_an_engine_in_this_process_does(
    engine: SupervisedEngine, smollm2: Path
) -> None:
    here = Engine.open(smollm2, SETTINGS)
    assert (engine.name, engine.context_length) == (here.name, here.context_length)
    assert engine.chat_template == here.chat_template
    request = ask(engine, max_tokens=24, logprobs=2, priority=Priority.BACKGROUND)
    mine, theirs = write(engine, request), list(here.generate(request))
    assert [chunk.text for chunk in mine] == [chunk.text for chunk in theirs]
    assert mine[-1].finish_reason == theirs[-1].finish_reason
    assert mine[-1].usage is not None
    assert mine[-1].usage.completion_tokens == 24
    probabilities = [one for chunk in mine for one in chunk.logprobs]
    assert len(probabilities) == 24
    assert all(isinstance(one, TokenProbability) for one in probabilities)
    assert [one.piece for chunk in theirs for one in chunk.logprobs] == [
        one.piece for one in probabilities
    ]
    options = [here.vocabulary.tokenize(word) for word in (" there", " in a faraway land")]
    choice = Choice(request.tokens, options)
    weights = [opened.choose(choice)[1].result(60).logarithms for opened in (engine, here)]
    assert normalise(weights[0]) == pytest.approx(normalise(weights[1]), abs=0.01)
    here.close()


def test_the_vocabulary_is_the_child_s(engine: SupervisedEngine, smollm2: Path) -> None:
    here = Engine.open(smollm2, SETTINGS)
    mine, theirs = engine.vocabulary, here.vocabulary
    text = "Grüße, 안녕 <|im_end|> \ud800"
    for markup in (False, True):
        assert mine.tokenize(text, markup=markup) == theirs.tokenize(text, markup=markup)
    parts = [Part("<|im_start|>user\n", markup=True), Part(text, markup=False)]
    tokens = theirs.encode(parts)
    assert mine.encode(parts) == tokens
    assert mine.text(tokens) == theirs.text(tokens)
    assert mine.text(tokens, markup=True) == theirs.text(tokens, markup=True)
    assert [mine.piece(n) for n in range(50)] == [theirs.piece(n) for n in range(50)]
    assert [mine.ends(n) for n in range(50)] == [theirs.ends(n) for n in range(50)]
    assert (mine.size, mine.bos, mine.eos) == (theirs.size, theirs.bos, theirs.eos)
    assert mine.control_texts == theirs.control_texts
    with pytest.raises(ValueError, match="no token"):
        mine.piece(10**6)
    with pytest.raises(ModelError, match="another process"):
        mine.held()
    here.close()


async def test_an_event_loop_reads_it(engine: SupervisedEngine) -> None:
    request = ask(engine, max_tokens=8)
    texts = await asyncio.gather(*[_read(engine, request) for _ in range(4)])
    assert len(set(texts)) == 1
    assert texts[0]


async def _read(engine: SupervisedEngine, request: Request) -> str:
    return "".join([chunk.text async for chunk in engine.agenerate(request, timeout=60)])


def test_leaving_the_loop_cancels_in_the_child(engine: SupervisedEngine) -> None:
    first = engine.generate(ask(engine, "A long story:", max_tokens=480))
    next(first)
    first.close()
    last = write(engine, ask(engine, "A long story:", max_tokens=1))[-1]
    assert last.usage is not None
    assert last.usage.cached_tokens == last.usage.prompt_tokens - 1


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_calls_that_had_begun_hear_how_the_child_died(
    engine: SupervisedEngine, number: signal.Signals
) -> None:
    running = engine.generate(ask(engine, max_tokens=400))
    next(running)
    kill(engine, number)
    with pytest.raises(EngineCrashed, match=rf"signal {number} \({number.name}\)") as error:
        list(running)
    assert ("memory" in str(error.value.hint)) == (number == signal.SIGKILL)
    if number == signal.SIGKILL:
        assert write(engine)[-1].finish_reason == "length"
    else:
        wait_until(lambda: engine.pid is not None)


def test_calls_that_had_not_begun_go_on_in_the_next_child(engine: SupervisedEngine) -> None:
    # Two may run; five more wait behind them.
    running = [Listener() for _ in range(2)]
    for n, sink in enumerate(running):
        engine.submit(ask(engine, f"Story {n}:", max_tokens=450), sink)
    assert all(sink.began.wait(60) for sink in running)
    waiting = [Listener() for _ in range(5)]
    for n, sink in enumerate(waiting):
        engine.submit(ask(engine, f"Poem {n}:"), sink)
    dropped = Listener()
    engine.submit(ask(engine, "Nobody wants this:"), dropped).cancel()
    before = engine.pid
    kill(engine)
    assert all(sink.over.wait(60) for sink in (*running, *waiting, dropped))
    assert all(isinstance(sink.heard[-1], EngineCrashed) for sink in running)
    for sink in waiting:
        last = sink.heard[-1]
        assert isinstance(last, Chunk)
        assert last.finish_reason == "length"
    assert isinstance(dropped.heard[-1], ModelError)
    assert engine.pid != before


def test_calls_that_come_while_there_is_no_child_wait_for_the_next(
    engine: SupervisedEngine,
) -> None:
    request = ask(engine)
    before = engine.pid
    kill(engine)
    wait_until(lambda: engine.pid != before)
    sinks = [Listener(), Listener()]
    jobs = [engine.submit(request, sink) for sink in sinks]
    jobs[0].cancel()
    jobs[0].cancel()
    assert engine.vocabulary.tokenize("a question to a child that only starts")
    assert all(sink.over.wait(60) for sink in sinks)
    assert isinstance(sinks[0].heard[-1], ModelError)
    assert len(sinks[0].heard) == 1
    assert isinstance(sinks[1].heard[-1], Chunk)


def test_ctrl_c_is_left_to_the_parent(engine: SupervisedEngine) -> None:
    before = engine.pid
    running = engine.generate(ask(engine, max_tokens=30))
    next(running)
    kill(engine, signal.SIGINT)
    assert list(running)[-1].finish_reason is not None
    assert engine.pid == before


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells whom it would end first")
def test_the_system_would_end_the_child_first(engine: SupervisedEngine) -> None:
    assert Path(f"/proc/{engine.pid}/oom_score_adj").read_text().strip() == "1000"
    assert Path("/proc/self/oom_score_adj").read_text().strip() != "1000"


def test_what_cannot_be_sent_is_an_error_of_that_call(engine: SupervisedEngine) -> None:
    for wrong in (
        Request([5], stop=["\ud800"]),
        Request([5, object()]),  # type: ignore[list-item]
        Request([5.5]),  # type: ignore[list-item]
        Request([5], max_tokens="many"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"."):
            write(engine, wrong)
    assert write(engine)


def test_a_full_queue_refuses(engine: SupervisedEngine) -> None:
    sinks = [Listener() for _ in range(10)]
    request = ask(engine, max_tokens=400)
    jobs = [engine.submit(request, sink) for sink in sinks]
    with pytest.raises(EngineBusy, match="10 calls"):
        engine.submit(request, Listener())
    for job in jobs:
        job.cancel()
    assert all(sink.over.wait(60) for sink in sinks)
    assert write(engine)


def test_a_sink_that_fails_harms_nobody(
    engine: SupervisedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()

    def sink(answer: Answer) -> None:
        called.set()
        raise RuntimeError("a caller's bug")

    engine.submit(ask(engine), sink)
    assert called.wait(60)
    assert write(engine)
    assert "a caller's bug" in caplog.text


def test_the_child_s_log_is_the_parent_s(
    smollm2: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    shares: list[float] = []
    with caplog.at_level(logging.INFO, logger="groundling.llama"):
        opened = SupervisedEngine.open(smollm2, SETTINGS, shares.append)
        running = opened.generate(ask(opened, max_tokens=400))
        next(running)
        kill(opened, signal.SIGSEGV)
        with pytest.raises(EngineCrashed):
            list(running)
        opened.close()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert "n_ctx" in caplog.text
    assert "Segmentation fault" in caplog.text  # where in Python it was follows
    assert capfd.readouterr() == ("", "")


def test_a_load_can_be_stopped(smollm2: Path) -> None:
    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SupervisedEngine.open(smollm2, SETTINGS, interrupt)


def test_a_model_too_big_is_refused_by_the_child_s_plan(smollm2: Path) -> None:
    huge = EngineSettings(context=512, cache=10**10)
    with pytest.raises(ModelTooBig, match="cache for 10,000") as error:
        SupervisedEngine.open(smollm2, huge)
    assert "model.cache" in str(error.value.hint)


def test_a_child_that_dies_again_and_again_is_not_started_again(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "MOST_CRASHES", 2)
    engine = SupervisedEngine(smollm2, SETTINGS)
    engine.command = (sys.executable, "-m", "tests.models.isolation.deadly")
    engine.start()
    for _ in range(2):
        with pytest.raises(EngineCrashed, match="during this call"):
            write(engine, ask(engine, stop=["exit_of_the_whole_process"]))
    wait_until(lambda: engine.closed)
    with pytest.raises(EngineCrashed, match="2 times within 60 seconds, last with code 3") as error:
        write(engine, Request([5]))
    assert "doctor" in str(error.value.hint)
    engine.close()


def test_a_call_that_dies_unbegun_in_child_after_child_is_given_up(
    smollm2: Path,
) -> None:
    engine = SupervisedEngine(smollm2, SETTINGS)
    engine.command = (sys.executable, "-m", "tests.models.isolation.deadly")
    engine.start()
    with pytest.raises(EngineCrashed):
        engine.vocabulary.tokenize("deadly question")
    assert write(engine)
    engine.close()


def test_a_child_that_cannot_start_is_an_error(smollm2: Path) -> None:
    for command, said in (
        ((sys.executable, "-c", "raise SystemExit(7)"), "with code 7 while it loaded"),
        (("/no/such/program",), "No such file"),
    ):
        engine = SupervisedEngine(smollm2, SETTINGS)
        engine.command = command
        with pytest.raises(ModelError, match=said):
            engine.start()
        assert engine.closed


def test_a_file_cut_short_in_the_middle_of_a_call(smollm2: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.gguf"
    shutil.copyfile(smollm2, copy)
    opened = SupervisedEngine.open(copy, SETTINGS)
    running = opened.generate(ask(opened, max_tokens=480))
    next(running)
    os.truncate(copy, 4096)
    # A forward pass that runs just now dies of it; between two, the cut is seen.
    with pytest.raises((EngineCrashed, ModelFileError)):
        list(running)
    if not opened.closed:
        with contextlib.suppress(ModelError):
            write(opened, Request([5]))
    with pytest.raises(ModelFileError, match="while it was in use"):
        write(opened, Request([5]))
    opened.close()


def test_engines_are_shared_for_each_mode(smollm2: Path) -> None:
    apart = engine_for(smollm2, SETTINGS, isolated=True)
    assert isinstance(apart, SupervisedEngine)
    assert engine_for(smollm2, SETTINGS, isolated=True) is apart
    assert engine_for(smollm2, SETTINGS) is not apart
    pid = apart.pid
    assert pid
    close_engines()
    assert apart.closed
    assert not psutil.pid_exists(pid)


_PARENT = """
import sys, time
from pathlib import Path
from groundling.models.calls import EngineSettings, Request
from groundling.models.isolation.supervised import SupervisedEngine
engine = SupervisedEngine.open(Path(sys.argv[1]), EngineSettings(context=512))
stream = engine.generate(Request([5, 6, 7], max_tokens=400))
next(stream)
print(engine.pid, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["time.sleep(60)", "sys.exit()"], ids=["killed", "left"])
def test_the_child_ends_with_its_parent(smollm2: Path, end: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(end=end), str(smollm2)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    if "sleep" in end:
        parent.kill()
    _, errors = parent.communicate(timeout=60)
    assert errors == ""
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(30)
    assert not child.is_running()
