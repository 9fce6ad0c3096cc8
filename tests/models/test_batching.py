"""Many calls at once on a real model: nobody waits for nobody's sake, and all answers hold."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import eq
from pathlib import Path

import pytest

from groundling.errors import AdapterError, EngineBusy, ModelError
from groundling.models.calls import (
    Adapter,
    Answer,
    Choice,
    Chunk,
    EngineSettings,
    Job,
    Priority,
    Request,
    Weights,
)
from groundling.models.engine import Engine
from groundling.models.gguf import read_gguf
from groundling.models.sampling import Sampling
from tests.models.make_gguf import make_adapter

pytestmark = pytest.mark.model
SETTINGS = EngineSettings(context=512, cache=2048, batch=64, parallel=4, queue=24)
# Passes of fewer than 64 rows take the same kernels however many rows there are.
EXACT = EngineSettings(context=512, cache=2048, batch=32, parallel=4)
OPEN, CLOSE = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
DOCUMENT = "The lighthouse of Seogwipo was built of black stone in the year 1906. " * 12


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Iterator[Engine]:
    opened = Engine.open(smollm2, SETTINGS)
    yield opened
    opened.close()


def ask(engine: Engine, text: str, **fields: object) -> Request:
    tokens = engine.vocabulary.tokenize(OPEN + text + CLOSE, markup=True)
    return Request(tokens, **{"max_tokens": 16, **fields})  # type: ignore[arg-type]


def write(engine: Engine, request: Request) -> tuple[str, Chunk]:
    chunks = list(engine.generate(request))
    return "".join(chunk.text for chunk in chunks), chunks[-1]


class Listener:
    """A sink that remembers what it heard and when it was over."""

    def __init__(self) -> None:
        self.heard: list[Answer] = []
        self.spoke, self.over = threading.Event(), threading.Event()
        self.ended = 0.0

    def __call__(self, answer: Answer) -> None:
        self.heard.append(answer)
        self.spoke.set()
        last = not isinstance(answer, Chunk) or answer.finish_reason is not None
        if last:
            self.ended = time.monotonic()
            self.over.set()

    def wait(self) -> Answer:
        assert self.over.wait(120)
        return self.heard[-1]


def submit(engine: Engine, request: Request | Choice) -> tuple[Job, Listener]:
    listener = Listener()
    return engine.submit(request, listener), listener


def test_answers_at_temperature_0_do_not_depend_on_who_else_is_served(smollm2: Path) -> None:
    engine = Engine.open(smollm2, EXACT)
    texts = [
        "Name a colour.", "Count to ten.", "안녕하세요?", "What is a cat?", "def add(a, b):",
        "Tell me about rain. " * 10, "Why?", "Write one line of a poem.",
    ]  # fmt: skip
    alone = [write(engine, ask(engine, text))[0] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: write(engine, ask(engine, text))[0], texts))
    engine.close()
    # Whose cells lie where changes the order of a sum, and with it a near tie now and then.
    assert sum(map(eq, together, alone)) >= 5


def test_people_who_ask_about_one_document_have_it_read_once(engine: Engine) -> None:
    questions = [f"{DOCUMENT}\n\nQuestion {n}: of what stone?" for n in range(6)]
    requests = [ask(engine, question, max_tokens=2) for question in questions]
    before = engine.totals.read
    heard = [submit(engine, request)[1] for request in requests]
    usages = [answer.usage for one in heard if isinstance(answer := one.wait(), Chunk)]
    read = engine.totals.read - before
    shared = len(engine.vocabulary.tokenize(DOCUMENT))
    assert len(usages) == 6
    assert sum(usage.cached_tokens for usage in usages if usage) > 4 * shared
    assert read < shared + 6 * 40


def test_prompts_that_alternate_are_read_once(engine: Engine) -> None:
    one, other = ask(engine, "Alpha. " * 40), ask(engine, "Beta. " * 40)
    for request in (one, other):
        write(engine, request)
    for request in (one, other, one, other):
        _, last = write(engine, request)
        assert last.usage is not None
        assert last.usage.cached_tokens == len(request.tokens) - 1


def test_a_second_turn_reads_what_is_new(engine: Engine) -> None:
    first = ask(engine, "Tell me of ducks.")
    text, _ = write(engine, first)
    answer = engine.vocabulary.tokenize(text)
    follow = engine.vocabulary.tokenize("<|im_end|>\n" + OPEN + "And swans?" + CLOSE, markup=True)
    _, last = write(engine, Request([*first.tokens, *answer, *follow], max_tokens=1))
    assert last.usage is not None
    # The last token that was written was never read.
    assert last.usage.cached_tokens >= len(first.tokens) + len(answer) - 1


def test_a_long_prompt_does_not_silence_a_running_stream(engine: Engine) -> None:
    running = engine.generate(ask(engine, "Tell me a long story.", max_tokens=200))
    next(running)
    passes = engine.totals.passes
    _, reading = submit(engine, ask(engine, "zebra quill " * 110, max_tokens=1))
    count = 0
    for _ in running:
        count += 1
        if reading.over.is_set():
            break
    running.close()
    reading.wait()
    # Its prompt took several passes, and each of them wrote a token of the stream, too.
    assert engine.totals.passes - passes >= 3
    assert count >= 3


def test_a_decision_goes_before_answers_that_wait(engine: Engine) -> None:
    jobs = [submit(engine, ask(engine, f"Story {n}.", max_tokens=120)) for n in range(8)]
    tokens = engine.vocabulary.tokenize(OPEN + "Is grass green?" + CLOSE, markup=True)
    options = [engine.vocabulary.tokenize(word) for word in ("yes", "no")]
    _, decision = submit(engine, Choice(tokens, options))
    assert isinstance(decision.wait(), Weights)
    waiting = [listener for _, listener in jobs if not listener.over.is_set()]
    assert len(waiting) >= 4
    for job, listener in jobs:
        job.cancel()
        listener.wait()


def test_background_work_goes_last(engine: Engine) -> None:
    jobs = [submit(engine, ask(engine, f"Tale {n}.", max_tokens=60)) for n in range(4)]
    slow = submit(engine, ask(engine, "slow", max_tokens=4, priority=Priority.BACKGROUND))[1]
    quick = submit(engine, ask(engine, "quick", max_tokens=4))[1]
    slow.wait()
    quick.wait()
    assert quick.ended < slow.ended
    for job, listener in jobs:
        job.cancel()
        listener.wait()


def test_a_full_queue_refuses_and_says_so(smollm2: Path) -> None:
    small = dataclasses.replace(SETTINGS, context=256, cache=None, parallel=1, queue=2)
    engine = Engine.open(smollm2, small)
    request = ask(engine, "Sing a song.", max_tokens=200)
    for _ in range(3):
        engine.submit(request, lambda answer: None)
    with pytest.raises(EngineBusy, match="3 calls are running or waiting"):
        submit(engine, request)
    engine.close()


def test_a_thousand_calls_at_once_all_end(smollm2: Path) -> None:
    engine = Engine.open(smollm2, dataclasses.replace(SETTINGS, parallel=16, queue=1000))
    heard = [
        submit(engine, Request([500 + n, 7], max_tokens=1, stop=["never said"]))[1]
        for n in range(1000)
    ]
    ends = [listener.wait() for listener in heard]
    engine.close()
    assert all(isinstance(end, Chunk) and end.finish_reason for end in ends)


def test_more_calls_than_the_context_holds_all_end_well(smollm2: Path) -> None:
    settings = EngineSettings(context=256, cache=320, batch=32, parallel=4)
    small = Engine.open(smollm2, settings)
    texts = [f"{word} " * 50 for word in ("red", "green", "blue", "black", "white", "pink")]
    endless = Sampling(logit_bias=((2, -math.inf),))  # <|im_end|>
    requests = [ask(small, text, max_tokens=60, sampling=endless) for text in texts]
    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(lambda request: write(small, request)[1], requests))
    small.close()
    assert [end.usage.completion_tokens for end in ends if end.usage] == [60] * 6


def test_cancelling_stops_a_prompt_that_is_being_read(engine: Engine) -> None:
    job, listener = submit(engine, ask(engine, "quartz sphinx " * 120, max_tokens=1))
    job.cancel()
    assert isinstance(listener.wait(), ModelError)
    assert write(engine, ask(engine, "Hello"))[1].finish_reason is not None


def test_one_call_that_fails_leaves_the_others_alone(engine: Engine) -> None:
    bad = Sampling(logit_bias=((10**6, 1.0),))
    _, good = submit(engine, ask(engine, "Tell me of owls.", max_tokens=20))
    _, failed = submit(engine, ask(engine, "Tell me of cats.", sampling=bad))
    assert isinstance(failed.wait(), Exception)
    last = good.wait()
    assert isinstance(last, Chunk)
    assert last.usage is not None
    assert last.usage.completion_tokens == 20


def test_twenty_candidates_share_what_they_have_in_common(engine: Engine) -> None:
    head = OPEN + "Is this a fruit? Answer yes or no. " * 8
    options = [engine.vocabulary.tokenize(word) for word in (" yes", " no, certainly not")]
    names = ["apple", "chair", "pear", "stone", "plum"] * 4
    prompts = [engine.vocabulary.tokenize(f"{head} {name} {n}" + CLOSE, markup=True)
               for n, name in enumerate(names)]  # fmt: skip
    before = engine.totals.read
    with ThreadPoolExecutor(12) as pool:
        found = list(
            pool.map(lambda tokens: engine.choose(Choice(tokens, options))[1].result(), prompts)
        )
    assert engine.totals.read - before < sum(map(len, prompts)) / 3
    alone = engine.choose(Choice(prompts[7], options))[1].result()
    assert found[7].logarithms == pytest.approx(alone.logarithms, abs=0.5)  # other kernels


def test_log_probabilities_are_of_the_tokens_that_were_written(engine: Engine) -> None:
    text, chunks = "", list(engine.generate(ask(engine, "Say hello.", logprobs=3, max_tokens=6)))
    tokens = [token for chunk in chunks for token in chunk.logprobs]
    text = "".join(chunk.text for chunk in chunks)
    assert b"".join(token.piece for token in tokens).decode() == text
    for token in tokens:
        # Greedily written: each is the likeliest.
        assert token.likeliest[0] == (token.piece, token.logprob)
        assert len(token.likeliest) == 3
        assert token.logprob <= 0.0


def test_adapters_change_their_own_call_alone(smollm2: Path, tmp_path: Path) -> None:
    engine = Engine.open(smollm2, EXACT)
    weights = [f"blk.{layer}.attn_v.weight" for layer in range(10)]
    made = make_adapter(tmp_path / "lora.gguf", read_gguf(smollm2), weights, size=0.2)
    texts = ["Tell me of rain.", "Tell me of snow."]
    plain = [ask(engine, text) for text in texts]
    adapted = [ask(engine, text, adapters=(Adapter(made, 4.0),)) for text in texts]
    alone = [write(engine, request)[0] for request in (*plain, *adapted)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda request: write(engine, request)[0], (*plain, *adapted)))
    (_, missing) = submit(engine, ask(engine, "?", adapters=(Adapter(tmp_path / "no.gguf"),)))
    assert isinstance(missing.wait(), AdapterError)
    engine.close()
    assert sum(map(eq, together, alone)) >= 3
    assert together[0] != together[2]
    assert together[1] != together[3]


def test_a_guess_changes_the_speed_alone(smollm2: Path) -> None:
    texts = []
    for guesses in (0, 8):
        engine = Engine.open(smollm2, EngineSettings(context=512, speculate=guesses))
        request = ask(engine, DOCUMENT[:400] + " Repeat this text.", max_tokens=80)
        text, last = write(engine, request)
        texts.append(text)
        assert last.usage is not None
        assert bool(last.usage.accepted_tokens) == bool(guesses)
        assert last.usage.accepted_tokens <= last.usage.drafted_tokens
        engine.close()
    assert texts[0] == texts[1]


def test_a_text_can_go_on_beyond_the_context(engine: Engine) -> None:
    endless = Sampling(logit_bias=((2, -math.inf),))  # <|im_end|>
    text = "la " * 480
    request = ask(engine, text, max_tokens=60, overflow="shift", keep=8, sampling=endless)
    assert len(request.tokens) > 480
    _, last = write(engine, request)
    assert last.usage is not None
    assert last.usage.completion_tokens == 60


def test_options_of_many_tokens_are_scored_in_pieces(engine: Engine) -> None:
    tokens = engine.vocabulary.tokenize(OPEN + "Say it." + CLOSE, markup=True)
    long = engine.vocabulary.tokenize("the quick brown fox jumps over the lazy dog " * 8)
    assert len(long) > 64
    weights = engine.choose(Choice(tokens, [long, long[:5]]))[1].result()
    assert weights.logarithms[0] < weights.logarithms[1] < 0
