"""The ways to run a model that are compared: each reads tokens and streams an answer.

    Ours          groundling's engine
    Raw           llama.cpp's C interface in a loop: the floor that Python can reach
    Stock         llama-cpp-python's `Llama`, as it comes, one caller at a time
    Community     langchain-community's `ChatLlamaCpp`, as it comes, one caller at a time
    Server        llama.cpp's C++ server in a child process, over HTTP, with slots

All in one process share one native library and so one build. `Stock` and `Community` keep
their own defaults (repacked weights, batches of 512) with the same number of threads; `Raw`
takes the engine's settings. All answer at temperature 0.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from langchain_core.messages import BaseMessage

from groundling.models.calls import EngineSettings, ModelEngine, Request, Usage
from groundling.models.cpu import default_threads
from groundling.models.engine import Engine
from groundling.models.native import import_llama
from groundling.models.vocabulary import Vocabulary


@dataclass
class Timing:
    """One answer: when each piece came, in seconds of one clock, and what it cost.

    Args:
        started: when it was asked.
        arrivals: when each piece of text came.
        prompt: tokens of the prompt.
        cached: those that were not read again.
        written: tokens of the answer.
        text: the answer.
        drafted: tokens guessed ahead.
        accepted: those of them that were right.
    """

    started: float
    arrivals: list[float] = field(default_factory=list)
    prompt: int = 0
    cached: int = 0
    written: int = 0
    text: str = ""
    drafted: int = 0
    accepted: int = 0

    @property
    def first(self) -> float:
        """Seconds until the first piece."""
        return self.arrivals[0] - self.started

    @property
    def wall(self) -> float:
        return self.arrivals[-1] - self.started

    @property
    def prefill(self) -> float:
        """Prompt tokens read per second, up to the first piece."""
        return (self.prompt - self.cached) / self.first

    @property
    def decode(self) -> float:
        """Tokens per second after the first piece."""
        seconds = self.arrivals[-1] - self.arrivals[0]
        return (self.written - 1) / seconds if seconds > 0 else float("nan")

    @property
    def gaps(self) -> list[float]:
        """Seconds between pieces."""
        return list(np.diff(self.arrivals))


class Contender(Protocol):
    """Something that answers; `ask` may be called from several threads at once."""

    name: str

    def ask(self, tokens: Sequence[int], most: int) -> Timing: ...
    def close(self) -> None: ...


class Ours:
    """Groundling's engine."""

    def __init__(self, name: str, path: Path, settings: EngineSettings) -> None:
        self.name = name
        self.engine: ModelEngine = Engine.open(path, settings)

    def ask(self, tokens: Sequence[int], most: int) -> Timing:
        return time_request(self.engine, Request(tokens, max_tokens=most))

    def close(self) -> None:
        self.engine.close()


def time_request(engine: ModelEngine, request: Request) -> Timing:
    """Run a request and note when its pieces come."""
    timing = Timing(time.perf_counter())
    pieces: list[str] = []
    usage: Usage | None = None
    for chunk in engine.generate(request):
        if chunk.text:
            pieces.append(chunk.text)
            timing.arrivals.append(time.perf_counter())
        usage = chunk.usage or usage
    assert usage is not None, "the last chunk says what the call cost"
    if not timing.arrivals:  # an answer of control tokens alone
        timing.arrivals.append(time.perf_counter())
    timing.prompt, timing.cached = usage.prompt_tokens, usage.cached_tokens
    timing.written, timing.text = usage.completion_tokens, "".join(pieces)
    timing.drafted, timing.accepted = usage.drafted_tokens, usage.accepted_tokens
    return timing


class Raw:
    """llama.cpp's C interface with the engine's settings: read in batches, then one by one."""

    name = "raw llama-cpp-python loop"

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        llama = self._llama = import_llama()
        params = llama.llama_model_default_params()
        params.use_extra_bufts = settings.repack
        self._model = llama.llama_model_load_from_file(str(path).encode(), params)
        context = llama.llama_context_default_params()
        context.n_ctx = settings.context
        self._batch = context.n_batch = context.n_ubatch = settings.batch or 128
        context.n_threads = context.n_threads_batch = settings.threads or default_threads()
        context.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = llama.llama_init_from_model(self._model, context)
        assert self._model, f"{path} does not load"
        assert self._context, f"{path} gets no context"
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._size = int(llama.llama_vocab_n_tokens(self._vocab))

    def ask(self, tokens: Sequence[int], most: int) -> Timing:
        timing = Timing(time.perf_counter(), prompt=len(tokens))
        sampler = self._llama.llama_sampler_init_greedy()
        try:
            self._read(tokens)
            for n in range(most):
                token = self._llama.llama_sampler_sample(sampler, self._context, -1)
                timing.arrivals.append(time.perf_counter())
                timing.written += 1
                if n + 1 < most:
                    self._decode([token])
        finally:
            self._llama.llama_sampler_free(sampler)
        return timing

    def greedy(self, tokens: Sequence[int], most: int) -> Iterator[tuple[bytes, float]]:
        """Yield each likeliest token's bytes, and by how much its logit is ahead of the next."""
        self._read(tokens)
        for _ in range(most):
            logits = self._logits()
            second, first = np.argpartition(logits, -2)[-2:]
            if logits[second] > logits[first]:
                first, second = second, first
            token = int(first)
            if self._llama.llama_vocab_is_eog(self._vocab, token):
                return
            yield self._piece(token), float(logits[first] - logits[second])
            self._decode([token])

    def words(self, text: str) -> list[int]:
        """Return the tokens of a text alone."""
        return Vocabulary(self._llama, self._model).tokenize(text)

    def noise(self, tokens: Sequence[int]) -> float:
        """Return the most that a logit changes when the last 24 tokens are read one by one."""
        self._read(tokens)
        together = self._logits().copy()
        self._read(tokens[:-24])
        for token in tokens[-24:]:
            self._decode([token])
        return float(np.abs(self._logits() - together).max())

    def _logits(self) -> npt.NDArray[np.float32]:
        pointer = self._llama.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(pointer, (self._size,))

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        count = self._llama.llama_token_to_piece(self._vocab, token, buffer, 256, 0, False)
        return buffer.raw[: max(0, count)]

    def _read(self, tokens: Sequence[int]) -> None:
        memory = self._llama.llama_get_memory(self._context)
        self._llama.llama_memory_clear(memory, True)
        for start in range(0, len(tokens), self._batch):
            self._decode(tokens[start : start + self._batch])

    def _decode(self, tokens: Sequence[int]) -> None:
        array = (self._llama.llama_token * len(tokens))(*tokens)
        batch = self._llama.llama_batch_get_one(array, len(tokens))
        assert self._llama.llama_decode(self._context, batch) == 0

    def close(self) -> None:
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)


class Stock:
    """llama-cpp-python's `Llama`; a lock lets in one caller at a time."""

    name = "Llama behind a lock"

    def __init__(self, path: Path, context: int) -> None:
        import_llama()
        from llama_cpp import Llama

        threads = default_threads()
        self._lock = threading.Lock()
        self._llama = Llama(
            str(path), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def ask(self, tokens: Sequence[int], most: int) -> Timing:
        timing = Timing(time.perf_counter(), prompt=len(tokens))
        with self._lock:
            stream = self._llama.generate(list(tokens), temp=0.0, top_k=1, repeat_penalty=1.0)
            for _ in range(most):
                next(stream)
                timing.arrivals.append(time.perf_counter())
            stream.close()
        timing.written = most
        return timing

    def close(self) -> None:
        self._llama.close()


class Community:
    """langchain-community's chat model, which takes messages instead of tokens."""

    name = "ChatLlamaCpp"

    def __init__(self, path: Path, context: int) -> None:
        import warnings

        import_llama()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from langchain_community.chat_models import ChatLlamaCpp

            self._chat: Any = ChatLlamaCpp(
                model_path=str(path), n_ctx=context, n_threads=default_threads(),
                temperature=0.0, top_k=1, repeat_penalty=1.0, verbose=False,
            )  # fmt: skip

    def ask_messages(self, messages: Sequence[BaseMessage], prompt: int, most: int) -> Timing:
        """Answer messages that are so many tokens long."""
        self._chat.max_tokens = most
        timing = Timing(time.perf_counter(), prompt=prompt)
        for chunk in self._chat.stream(list(messages)):
            if chunk.content:
                timing.arrivals.append(time.perf_counter())
        timing.written = len(timing.arrivals)
        return timing

    def close(self) -> None:
        self._chat.client.close()


class Server:
    """A C++ server that `server.start` started; it answers on /completion.

    Prompts are sent as tokens, so that all contenders read the same; the end of text is
    ignored, as `Raw` and `Stock` do.
    """

    def __init__(self, name: str, port: int, end: Any) -> None:
        self.name = name
        self._port = port
        self._end = end

    def ask(self, tokens: Sequence[int], most: int) -> Timing:
        body = {
            "prompt": list(tokens), "n_predict": most, "temperature": 0.0, "stream": True,
            "ignore_eos": True, "cache_prompt": True, "samplers": ["temperature"],
        }  # fmt: skip
        timing = Timing(time.perf_counter())
        pieces: list[str] = []
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        try:
            connection.request(
                "POST", "/completion", json.dumps(body), {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            assert response.status == 200, response.read()[:500]
            while line := response.readline():
                if not line.startswith(b"data: "):
                    continue
                arrived = time.perf_counter()
                event = json.loads(line[6:])
                if event.get("content") or event.get("tokens"):
                    timing.arrivals.append(arrived)
                    pieces.append(event["content"])
                if event.get("stop"):
                    timings = event["timings"]
                    timing.prompt = len(tokens)
                    timing.cached = len(tokens) - int(timings["prompt_n"])
                    timing.written = int(timings["predicted_n"])
                    break
        finally:
            connection.close()
        timing.text = "".join(pieces)
        return timing

    def close(self) -> None:
        self._end()
