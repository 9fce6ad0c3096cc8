"""What ends a process that runs llama.cpp: prevented in both modes, survived in the child."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from groundling.errors import ContextOverflow, EngineCrashed, ModelError, ModelFileError
from groundling.models.calls import Choice, EngineSettings, ModelEngine, Request
from groundling.models.engine import Engine
from groundling.models.grammars.gbnf import Grammar
from groundling.models.isolation import supervised
from groundling.models.isolation.supervised import SupervisedEngine
from groundling.models.sampling import Sampling
from tests.models.isolation.deadly import WAYS

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are a POSIX matter"),
]
SETTINGS = EngineSettings(context=512, batch=64, parallel=4)
BOTH = pytest.mark.parametrize("kind", [Engine, SupervisedEngine])


@pytest.fixture(scope="module", params=[Engine, SupervisedEngine])
def engine(request: pytest.FixtureRequest, smollm2: Path) -> Iterator[ModelEngine]:
    opened = request.param.open(smollm2, SETTINGS)
    yield opened
    opened.close()


def write(engine: ModelEngine, text: str = "Once upon a time", **fields: object) -> str:
    tokens = engine.vocabulary.tokenize(text)
    request = Request(tokens, **{"max_tokens": 4, **fields})  # type: ignore[arg-type]
    return "".join(chunk.text for chunk in engine.generate(request, timeout=60))


# Prevented: the same calls, in this process and in a child; the engine lives on in each.


def test_more_tokens_than_a_batch_holds(engine: ModelEngine) -> None:
    assert write(engine, "la " * 200)


def test_more_tokens_than_the_context_holds(engine: ModelEngine) -> None:
    with pytest.raises(ContextOverflow) as error:
        write(engine, "la " * 800)
    assert error.value.context_tokens == 512
    assert error.value.prompt_tokens > 512
    assert write(engine)


@pytest.mark.parametrize("token", [-1, 10**6, 2**40, 2**70])
def test_tokens_that_are_not_there(engine: ModelEngine, token: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        list(engine.generate(Request([5, token])))
    with pytest.raises((ValueError, OverflowError)):
        engine.choose(Choice([5], [[token]]))[1].result(60)
    assert write(engine)


def test_several_threads(engine: ModelEngine) -> None:
    with ThreadPoolExecutor(12) as pool:
        texts = list(pool.map(lambda n: write(engine, f"Story {n}:"), range(12)))
    assert all(texts)


def test_a_thousand_options(engine: ModelEngine) -> None:
    tokens = engine.vocabulary.tokenize("The capital of France is")
    _, future = engine.choose(Choice(tokens, [[n] for n in range(100, 1100)]))
    assert len(future.result(60).logarithms) == 1000


@pytest.mark.parametrize(
    "text",
    [
        'root ::= root "a" | "b"',
        'root ::= "a',
        'root ::= "a"{9999999}',
        "root ::= " + "(" * 100_000,
    ],
)
def test_grammars_that_kill(text: str) -> None:
    with pytest.raises(ModelError):
        Grammar(text)


def test_a_grammar_reaches_the_engine(engine: ModelEngine) -> None:
    sampling = Sampling(grammar=Grammar('root ::= "yes" | "no"'))
    assert write(engine, sampling=sampling) in ("yes", "no")


@BOTH
def test_closing_while_calls_run(kind: type[ModelEngine], smollm2: Path) -> None:
    opened = kind.open(smollm2, SETTINGS)  # type: ignore[attr-defined]
    tokens = opened.vocabulary.tokenize("Once upon a time")
    calls = [opened.generate(Request(tokens, max_tokens=400)) for _ in range(6)]
    next(calls[0])
    closer = threading.Thread(target=opened.close)
    closer.start()
    for call in calls:
        with pytest.raises(ModelError, match="closed"):
            list(call)
    closer.join()
    opened.close()
    with pytest.raises(ModelError, match="closed"):
        write(opened)


@BOTH
def test_a_file_that_is_cut_short_between_calls(
    kind: type[ModelEngine], smollm2: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model.gguf"
    shutil.copyfile(smollm2, copy)
    opened = kind.open(copy, SETTINGS)  # type: ignore[attr-defined]
    assert write(opened)
    os.truncate(copy, copy.stat().st_size // 2)
    with pytest.raises(ModelFileError, match="cut short while it was in use"):
        write(opened, "Something else")
    opened.close()


@BOTH
def test_files_that_are_no_models(kind: type[ModelEngine], smollm2: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(smollm2.read_bytes()[:2_000_000])
    with pytest.raises(ModelFileError, match=r"broken\.gguf") as error:
        kind.open(broken, SETTINGS)  # type: ignore[attr-defined]
    assert error.value.hint


@BOTH
def test_a_file_that_is_replaced_while_it_is_loaded(
    kind: type[ModelEngine], smollm2: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model.gguf"
    shutil.copyfile(smollm2, copy)
    opened = kind.open(copy, SETTINGS)  # type: ignore[attr-defined]
    before = write(opened)
    (tmp_path / "new").write_bytes(b"something else")
    (tmp_path / "new").replace(copy)
    assert write(opened) == before
    opened.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_is_told_and_leaves_the_engine_alone(engine: ModelEngine) -> None:
    write(engine)
    reader, writer = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        try:
            list(engine.generate(Request([5])))
            writer.send("it answered")
        except ModelError as error:
            writer.send(str(error))
        engine.close()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert reader.poll(30)
    assert "forked" in reader.recv()
    process.join()
    assert write(engine)


# Survived: what no check prevents, done for real inside of the child.


@pytest.fixture(scope="module")
def deadly(smollm2: Path) -> Iterator[SupervisedEngine]:
    patch = pytest.MonkeyPatch()
    patch.setattr(supervised, "MOST_CRASHES", 100)
    patch.setattr(supervised, "_LONGEST_PAUSE_SECONDS", 0.01)
    engine = SupervisedEngine(smollm2, SETTINGS)
    engine.command = (sys.executable, "-m", "tests.models.isolation.deadly")
    engine.start()
    yield engine
    engine.close()
    patch.undo()


SIGNALS = {
    "sample_without_logits": "SIGABRT",
    "batch_over_the_limit": "SIGABRT",
    "mapped_file_cut_short": "SIGBUS",
    "grammar_nested_too_deep": "SIGSEGV",
    "address_that_is_not_there": "SIGSEGV",
    "out_of_memory": "SIGKILL",
    "exit_of_the_whole_process": "code 3",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_kills_the_child_is_an_error(deadly: SupervisedEngine, way: str) -> None:
    before = deadly.pid
    with pytest.raises(EngineCrashed, match=f"{SIGNALS.get(way, '')}.* during this call") as error:
        write(deadly, stop=[way])
    assert error.value.hint
    assert write(deadly)
    assert deadly.pid not in (None, before)
