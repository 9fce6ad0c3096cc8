"""The engine on a real model: reuse, streams, cancellation, scores, and staying alive."""

from __future__ import annotations

import asyncio
import logging
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.errors import AdapterError, ContextOverflow, ModelError, ModelFileError, ModelTooBig
from groundling.models import memory
from groundling.models.calls import Adapter, Choice, Chunk, EngineSettings, Request, normalise
from groundling.models.context import Context, Span
from groundling.models.engine import Engine
from groundling.models.engines import close_engines, engine_for, shared
from groundling.models.sampling import Sampling
from groundling.models.vocabulary import Part

pytestmark = pytest.mark.model
SETTINGS = EngineSettings(context=512, batch=64)
LETTERS = st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs", "Cc", "Cn", "Co"))
STORY = "<|im_start|>user\nTell me a long story.<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Iterator[Engine]:
    opened = Engine.open(smollm2, SETTINGS)
    yield opened
    opened.close()


def ask(engine: Engine, prompt: str = STORY, **fields: object) -> Request:
    tokens = engine.vocabulary.tokenize(prompt, markup=True)
    return Request(tokens, **{"max_tokens": 12, **fields})  # type: ignore[arg-type]


def write(engine: Engine, request: Request) -> tuple[str, Chunk]:
    chunks = list(engine.generate(request))
    return "".join(chunk.text for chunk in chunks), chunks[-1]


def test_usage_counts_what_was_read_again(engine: Engine) -> None:
    request = ask(engine, STORY + "Once upon a time")
    write(engine, request)
    _, last = write(engine, request)
    assert last.usage is not None
    assert last.usage.prompt_tokens == len(request.tokens)
    assert last.usage.cached_tokens == len(request.tokens) - 1
    assert (last.usage.completion_tokens, last.finish_reason) == (12, "length")
    other = [*request.tokens[:10], *engine.vocabulary.tokenize(" something else")]
    _, last = write(engine, Request(other, max_tokens=1))
    assert last.usage is not None
    assert last.usage.cached_tokens == 10


def test_chunked_prefill_agrees_with_one_batch(smollm2: Path) -> None:
    def logits(batch: int) -> np.ndarray:
        context = Context(smollm2, EngineSettings(context=512, batch=batch))
        tokens = context.vocabulary.tokenize(STORY * 8, markup=True)
        assert len(tokens) > 64
        for start in range(0, len(tokens), batch):
            piece = tokens[start : start + batch]
            (row,) = context.decode([Span(0, start, piece, "last")])
        found = context.logits(row).copy()
        context.close()
        return found

    small, large = logits(32), logits(256)
    # The kernels differ with the batch, so the sums do in their last digits.
    assert np.corrcoef(small, large)[0, 1] > 0.999


def test_sampling_is_repeatable_by_seed_and_varies_with_it(engine: Engine) -> None:
    def draw(seed: int) -> str:
        write(engine, ask(engine))  # the same cache before each
        return write(engine, ask(engine, sampling=Sampling(temperature=1.5, seed=seed)))[0]

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(3)}) > 1


def test_repeat_penalty_changes_the_text(engine: Engine) -> None:
    prompt = "a b a b a b a b a b a b a b"
    plain, _ = write(engine, ask(engine, prompt))
    fined, _ = write(engine, ask(engine, prompt, sampling=Sampling(repeat_penalty=2.0)))
    assert plain != fined


def test_stop_strings_across_tokens_are_not_shown(engine: Engine) -> None:
    write(engine, ask(engine))
    full, _ = write(engine, ask(engine, max_tokens=20))
    stop = full[len(full) // 2 : len(full) // 2 + 5]
    text, last = write(engine, ask(engine, max_tokens=20, stop=[stop]))
    assert text == full.split(stop)[0]
    assert last.finish_reason == "stop"


def test_korean_streams_whole_characters(engine: Engine) -> None:
    prompt = STORY + "안녕하세요 세계, 안녕하세요 세"
    for chunk in engine.generate(ask(engine, prompt, max_tokens=16)):
        assert "\ufffd" not in chunk.text or chunk.finish_reason == "length"


def test_a_prompt_over_the_context_is_refused_with_its_count(engine: Engine) -> None:
    with pytest.raises(ContextOverflow) as error:
        write(engine, Request([5] * 513))
    assert (error.value.prompt_tokens, error.value.context_tokens) == (513, 512)
    assert write(engine, ask(engine))[1].finish_reason == "length"


def test_an_answer_ends_where_the_context_does(engine: Engine) -> None:
    tokens = (engine.vocabulary.tokenize("la " * 520))[:508]
    _, last = write(engine, Request(tokens, max_tokens=100))
    assert last.usage is not None
    assert last.finish_reason == "length"
    assert last.usage.completion_tokens <= 5


def test_leaving_the_loop_cancels_within_a_token(engine: Engine) -> None:
    first = engine.generate(ask(engine, max_tokens=400))
    next(first)
    first.close()
    _, last = write(engine, ask(engine, max_tokens=1))
    assert last.usage is not None
    # What the cancelled call wrote is still in the cache, so its length can be seen.
    assert last.usage.cached_tokens == last.usage.prompt_tokens - 1


def test_a_cancelled_job_is_told_so_and_writes_no_more(engine: Engine) -> None:
    heard: list[Chunk | BaseException] = []
    spoke, over = threading.Event(), threading.Event()

    def sink(chunk: Chunk | BaseException) -> None:
        heard.append(chunk)
        spoke.set()
        if isinstance(chunk, BaseException) or chunk.finish_reason:
            over.set()

    job = engine.submit(ask(engine, max_tokens=450), sink)
    assert spoke.wait(60)
    job.cancel()
    before = len(heard)
    assert over.wait(60)
    assert isinstance(heard[-1], ModelError)
    assert len(heard) <= before + 2


def test_a_timeout_is_an_error_and_frees_the_engine(engine: Engine) -> None:
    with pytest.raises(ModelError, match=r"within 0\.05 seconds"):
        list(engine.generate(ask(engine, max_tokens=450), timeout=0.05))
    assert write(engine, ask(engine))[1].finish_reason == "length"


def test_many_threads_share_one_engine(engine: Engine) -> None:
    prompts = [STORY.replace("story", word) for word in ("poem", "song", "letter", "list")]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda prompt: write(engine, ask(engine, prompt)), prompts * 2))
    assert all(last.usage and last.usage.completion_tokens for _, last in answers)


async def test_an_event_loop_is_not_blocked(engine: Engine) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    chunks = [chunk async for chunk in engine.agenerate(ask(engine, max_tokens=30))]
    ticking.cancel()
    assert chunks[-1].finish_reason is not None
    assert ticks > len(chunks)


def test_a_closed_event_loop_does_not_harm_the_engine(engine: Engine) -> None:
    async def begin() -> None:
        stream = engine.agenerate(ask(engine, max_tokens=100))
        await anext(stream)

    asyncio.run(begin())
    assert write(engine, ask(engine))[1].finish_reason == "length"


def test_choose_is_exact(smollm2: Path, engine: Engine) -> None:
    vocabulary = engine.vocabulary
    tokens = vocabulary.tokenize("The capital of France is", markup=True)
    words = [" Paris", " the city of light", " Rome"]
    options = [vocabulary.tokenize(word) for word in words]
    assert max(map(len, options)) > 2
    _, future = engine.choose(Choice(tokens, options))
    found = future.result().logarithms
    assert math.fsum(normalise(found)) == pytest.approx(1.0)

    # The slow way: one forward pass for each token of each option.
    context = Context(smollm2, SETTINGS)
    sums = []
    for option in options:
        total = 0.0
        for n in range(len(option)):
            context.trim(0, 0)
            (row,) = context.decode([Span(0, 0, [*tokens, *option[:n]], "last")])
            total += float(context.log_probabilities(row)[option[n]])
        sums.append(total)
    context.close()
    # Kernels for one and for many tokens differ; a wrong position would be off by whole units.
    assert found == pytest.approx(sums, abs=0.5)


def test_choose_leaves_the_prompt_in_the_cache(engine: Engine) -> None:
    tokens = engine.vocabulary.tokenize(STORY, markup=True)
    options = [engine.vocabulary.tokenize(word) for word in ("Yes, of course", "No")]
    engine.choose(Choice(tokens, options))[1].result()
    _, last = write(engine, ask(engine))
    assert last.usage is not None
    assert last.usage.cached_tokens == len(tokens) - 1


def test_choose_refuses_what_it_cannot_weigh(engine: Engine) -> None:
    with pytest.raises(ValueError, match="no tokens"):
        engine.choose(Choice([5], [[6], []]))[1].result()
    with pytest.raises(ContextOverflow):
        engine.choose(Choice([5] * 510, [[6] * 9]))[1].result()
    with pytest.raises(ValueError, match="vocabulary"):
        engine.choose(Choice([10**6], [[6], [7]]))[1].result()


def test_close_while_another_thread_decodes(smollm2: Path) -> None:
    opened = Engine.open(smollm2, SETTINGS)
    running = opened.generate(ask(opened, max_tokens=400))
    next(running)
    waiting = opened.generate(ask(opened, max_tokens=400))
    closer = threading.Thread(target=opened.close)
    closer.start()
    with pytest.raises(ModelError, match="closed"):
        list(running)
    with pytest.raises(ModelError, match="closed"):
        list(waiting)
    closer.join()
    opened.close()
    with pytest.raises(ModelError, match="closed"):
        opened.vocabulary.tokenize("text")


def test_a_batch_is_never_longer_than_the_context_was_made_for(smollm2: Path) -> None:
    context = Context(smollm2, SETTINGS)
    with pytest.raises(ValueError, match="batch of 65"):
        context.decode([Span(0, 0, [5] * 65, "last")])
    with pytest.raises(ValueError, match="vocabulary"):
        context.decode([Span(0, 0, [-1], "last")])
    with pytest.raises(ValueError, match="outputs"):
        context.decode([Span(0, 0, [5] * 64, "all")])
    context.close()
    context.close()


def test_logits_are_only_read_where_there_are_some(smollm2: Path) -> None:
    context = Context(smollm2, SETTINGS)
    context.decode([Span(0, 0, [5, 6, 7], "last")])
    with pytest.raises(ModelError, match="no logits"):
        context.logits(1)
    context.close()


def test_a_file_cut_short_in_use_is_an_error(smollm2: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.gguf"
    shutil.copyfile(smollm2, copy)
    opened = Engine.open(copy, SETTINGS)
    write(opened, ask(opened))
    os.truncate(copy, copy.stat().st_size // 2)
    with pytest.raises(ModelFileError, match="cut short while it was in use"):
        write(opened, ask(opened, STORY + " more"))
    opened.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_an_adapter_that_overflows_fails_its_own_calls_alone(
    smollm2: Path, tmp_path: Path, engine: Engine
) -> None:
    from groundling.tuning.export import export_adapter
    from tests.tuning.adapters import peft_folder

    wild = tmp_path / "wild.gguf"
    export_adapter(peft_folder(tmp_path / "wild", smollm2, scale=3.0, layers=30), smollm2, wild)
    before = write(engine, ask(engine))[0]
    answers: dict[str, Any] = {}

    def run(name: str, **fields: object) -> None:
        try:
            answers[name] = write(engine, ask(engine, max_tokens=24, **fields))[0]
        except ModelError as error:
            answers[name] = error

    with ThreadPoolExecutor(4) as pool:  # beside others, and after them
        pool.submit(run, "wild", adapters=(Adapter(wild),))
        for number in range(3):
            pool.submit(run, f"bare {number}", sampling=Sampling(temperature=0.0))
    error = answers.pop("wild")
    assert isinstance(error, AdapterError)
    assert "adapter wild.gguf the numbers" in str(error)
    assert [type(each) for each in answers.values()] == [str] * 3
    assert len(set(answers.values())) == 1
    assert write(engine, ask(engine))[0] == before
    request = ask(engine)
    paris = tuple(engine.vocabulary.tokenize("Once"))
    rome = tuple(engine.vocabulary.tokenize("The"))
    _, weights = engine.choose(Choice(request.tokens, [paris, rome]))
    assert all(math.isfinite(each) for each in weights.result(60).logarithms)


def test_a_forked_child_is_told(engine: Engine) -> None:
    write(engine, ask(engine))
    reader, writer = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        try:
            list(engine.generate(ask_again))
            writer.send("it answered")
        except ModelError as error:
            writer.send(str(error))
        os._exit(0)

    ask_again = ask(engine)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert reader.poll(30)
    assert "forked" in reader.recv()
    process.join()


def test_engines_are_shared_and_reopened(smollm2: Path, tmp_path: Path) -> None:
    one = engine_for(smollm2, SETTINGS)
    assert engine_for(smollm2, SETTINGS) is one
    assert engine_for(smollm2, EngineSettings(context=256)) is not one
    assert one in shared()
    one.close()
    again = engine_for(smollm2, SETTINGS)
    assert again is not one
    assert again in shared()
    assert one not in shared()
    link = tmp_path / "link.gguf"
    link.symlink_to(smollm2)
    assert engine_for(link, SETTINGS) is again
    close_engines()
    assert again.closed
    assert shared() == []


def test_loading_reports_and_can_be_stopped(smollm2: Path) -> None:
    shares: list[float] = []
    Engine.open(smollm2, SETTINGS, shares.append).close()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Engine.open(smollm2, SETTINGS, interrupt)


def test_a_model_too_big_is_refused_before_it_is_loaded(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 50_000_000)
    monkeypatch.setattr(Context, "_load", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(ModelTooBig, match=r"free: 0\.05 GB"):
        Engine.open(smollm2, SETTINGS)


def test_an_unknown_architecture_is_named(smollm2: Path, tmp_path: Path) -> None:
    data = smollm2.read_bytes()
    key = b"general.architecture" + (8).to_bytes(4, "little") + (5).to_bytes(8, "little")
    renamed = data.replace(key + b"llama", key + b"lxxma", 1)
    assert renamed != data
    file = tmp_path / "new.gguf"
    file.write_bytes(renamed)
    with pytest.raises(ModelFileError, match="architecture 'lxxma'"):
        Engine.open(file, SETTINGS)


def test_llama_cpp_says_nothing_on_the_terminal(
    smollm2: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from groundling.models.calls import EngineSettings\n"
        "from groundling.models.engine import Engine\n"
        "Engine.open(Path(sys.argv[1]), EngineSettings(context=256)).close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(smollm2)], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""
    with caplog.at_level(logging.INFO, logger="groundling.llama"):
        Engine.open(smollm2, SETTINGS).close()
    assert "n_ctx" in caplog.text


def test_the_process_ends_while_it_writes(smollm2: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from groundling.models.calls import EngineSettings, Request\n"
        "from groundling.models.engines import engine_for\n"
        "engine = engine_for(Path(sys.argv[1]), EngineSettings(context=256))\n"
        "next(engine.generate(Request([5, 6, 7], max_tokens=200)))\n"
        "engine.submit(Request([5, 6, 7], max_tokens=200), lambda chunk: None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(smollm2)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


# This vocabulary has no tokens for some control characters and rare bytes, and drops them.
@given(text=st.text(LETTERS, max_size=80))
@settings(max_examples=50)
def test_any_text_survives_the_vocabulary(engine: Engine, text: str) -> None:
    tokens = engine.vocabulary.tokenize(text)
    assert engine.vocabulary.text(tokens) == text
    assert not set(tokens) & _control_tokens(engine)


def test_begin_of_text_is_not_doubled(engine: Engine) -> None:
    vocabulary = engine.vocabulary
    begin = vocabulary.tokenize(vocabulary.bos, markup=True)
    tokens = vocabulary.encode([Part(vocabulary.bos + "hi", markup=True)])
    assert tokens == begin + vocabulary.tokenize("hi")


def _control_tokens(engine: Engine) -> set[int]:
    vocabulary = engine.vocabulary
    return {
        token
        for text in vocabulary.control_texts
        for token in vocabulary.tokenize(text, markup=True)
    }
