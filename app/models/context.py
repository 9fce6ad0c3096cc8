"""One loaded model with one context: reading tokens, scoring them, drawing the next.

Everything here runs on one thread, the engine's: llama.cpp aborts the process when two
threads use a context, and other misuse ends it too. So each rule is kept here, in Python:
no batch longer than `n_batch`, no logits where none were asked for, no use after `close`,
no forward pass over a file that was cut short while it was mapped.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundling.errors import ContextOverflow, ModelError, ModelFileError
from groundling.models.calls import EngineSettings
from groundling.models.cpu import default_threads, extra_buffers_safe, read_build, read_cpu
from groundling.models.gguf import read_gguf
from groundling.models.memory import OUTPUTS, clamp, plan
from groundling.models.native import import_llama, native_errors
from groundling.models.sampling import Sampler, Sampling, read_logits
from groundling.models.vocabulary import Vocabulary

OnProgress = Callable[[float], None]


class Cancelled(Exception):
    """The caller does not want the rest."""


class Context:
    """A loaded model and its context.

    Args:
        path: of the GGUF file.
        settings: how to run it.
        on_progress: called with the share that is loaded; what it raises stops the load.

    Raises:
        ModelFileError: not a GGUF, cut short, of an unknown architecture.
        ModelTooBig: it does not fit into the free memory; nothing was loaded.
    """

    def __init__(
        self, path: Path, settings: EngineSettings, on_progress: OnProgress | None = None
    ) -> None:
        self.header = read_gguf(path)
        build = read_build()
        repack = settings.repack and extra_buffers_safe(read_cpu(), build)
        self.batch = settings.batch or (512 if build.gpu_offload and settings.gpu_layers else 128)
        plan(self.header, settings.context, batch=self.batch, repack=repack).check()
        self.llama = import_llama()
        self._file = path.open("rb")
        self._file_bytes = os.fstat(self._file.fileno()).st_size
        self._model: Any = None
        self._context: Any = None
        self._vocabulary: Vocabulary | None = None
        try:
            self._model = self._load(path, settings, repack, on_progress)
            self._vocabulary = Vocabulary(self.llama, self._model)
            self._context = self._new_context(settings)
        except BaseException:
            self.close()
            raise
        self.n_ctx = int(self.llama.llama_n_ctx_seq(self._context))
        self._memory = self.llama.llama_get_memory(self._context)
        self._read: list[int] = []
        self._tokens = np.zeros(self.batch, np.int32)
        self._wanted = np.zeros(self.batch, np.int8)

    def _load(
        self,
        path: Path,
        settings: EngineSettings,
        repack: bool,
        on_progress: OnProgress | None,
    ) -> Any:
        llama = self.llama
        failure: list[BaseException] = []

        def report(share: float, _: object) -> bool:
            try:
                if on_progress is not None:
                    on_progress(share)
            except BaseException as error:
                failure.append(error)
            return not failure

        callback = llama.llama_progress_callback(report)
        params = llama.llama_model_default_params()
        params.n_gpu_layers = settings.gpu_layers
        params.use_extra_bufts = repack
        params.progress_callback = callback
        with native_errors() as errors:
            model = llama.llama_model_load_from_file(os.fsencode(path), params)
        if failure:
            if model:
                llama.llama_model_free(model)
            raise failure[0]
        if not model:
            raise _explain(path, self.header.architecture, errors)
        if not llama.llama_model_has_decoder(model) or llama.llama_model_has_encoder(model):
            llama.llama_model_free(model)
            raise ModelFileError(
                f"{path} ({self.header.architecture}) writes no text by itself.",
                hint="groundling model list shows which models are for chat",
            )
        return model

    def _new_context(self, settings: EngineSettings) -> Any:
        llama = self.llama
        params = llama.llama_context_default_params()
        params.n_ctx = clamp(self.header, settings.context)
        params.n_batch = params.n_ubatch = self.batch
        # Bounds the buffer for logits: a vocabulary of 150,000 takes 0.6 MB an output.
        params.n_outputs_max = params.n_outputs_max_per_seq = min(OUTPUTS, self.batch)
        threads = settings.threads or default_threads()
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = (
            llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if settings.flash_attention
            else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        with native_errors() as errors:
            context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise ModelError(f"llama.cpp made no context of {params.n_ctx}: {_last(errors)}")
        return context

    def read(self, tokens: Sequence[int], cancelled: Callable[[], bool]) -> int:
        """Bring the cache to hold exactly these tokens, with logits for the last.

        What it already holds of them, from the start, is not read again.

        Returns:
            How many tokens were not read again.

        Raises:
            ContextOverflow: there are more than the context holds; nothing was read.
            Cancelled: `cancelled` was true between two batches; what was read stays.
        """
        if not tokens:
            raise ValueError("no tokens to read")
        if len(tokens) > self.n_ctx:
            raise ContextOverflow(len(tokens), self.n_ctx)
        kept = self._keep(min(_common(self._read, tokens), len(tokens) - 1))
        for start in range(kept, len(tokens), self.batch):
            if cancelled():
                raise Cancelled
            self._forward(tokens[start : start + self.batch], outputs="last")
        return kept

    def append(self, token: int) -> None:
        """Read one more token."""
        self._forward((token,), outputs="last")

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens and their texts."""
        assert self._vocabulary is not None
        return self._vocabulary

    @property
    def full(self) -> bool:
        """Whether no further token can be read."""
        return len(self._read) >= self.n_ctx

    def score(
        self,
        tokens: Sequence[int],
        options: Sequence[Sequence[int]],
        cancelled: Callable[[], bool],
    ) -> list[float]:
        """Return the log-probability of each option, as the continuation of the tokens.

        An option's probability is the product of those of its tokens, each after the ones
        before it; single tokens cost nothing beyond reading the prompt.

        Raises:
            ContextOverflow: prompt and longest option are longer than the context.
            ValueError: an option without tokens.
        """
        if not all(options):
            raise ValueError("an option has no tokens")
        longest = len(tokens) + max(map(len, options), default=0) - 1
        if longest > self.n_ctx:
            raise ContextOverflow(longest, self.n_ctx)
        self.read(tokens, cancelled)
        first = self._log_probabilities(-1)
        scores = []
        for option in options:
            total = float(first[option[0]])
            for start in range(0, len(option) - 1, OUTPUTS):
                piece = option[start : start + OUTPUTS][: len(option) - 1 - start]
                self._forward(piece, outputs="all")
                for n in range(len(piece)):
                    total += float(self._log_probabilities(n)[option[start + n + 1]])
                if cancelled():
                    raise Cancelled
            scores.append(total)
            if len(option) > 1 and self._keep(len(tokens)) < len(tokens):
                # A recurrent model cannot go back: it reads the prompt again.
                self.read(tokens, cancelled)
        return scores

    def sampler(self, sampling: Sampling) -> Sampler:
        """Make a sampler over this context; close it after use."""
        return Sampler(self.llama, self._model, self._context, sampling, self._read)

    def close(self) -> None:
        """Free context and model, in this order; a second call does nothing."""
        if self._context:
            self.llama.llama_free(self._context)
        if self._vocabulary is not None:
            self._vocabulary.close()
        if self._model:
            self.llama.llama_model_free(self._model)
        self._context = self._model = None
        self._file.close()

    def _keep(self, count: int) -> int:
        """Forget all but the first `count` tokens; return how many are left."""
        if count < len(self._read):
            if not self.llama.llama_memory_seq_rm(self._memory, 0, count, -1):
                self.llama.llama_memory_clear(self._memory, True)
                count = 0
            del self._read[count:]
        return len(self._read)

    def _forward(self, tokens: Sequence[int], *, outputs: str) -> None:
        count = len(tokens)
        if not 0 < count <= self.batch:
            raise ValueError(f"a batch of {count} tokens; at most {self.batch}")
        if min(tokens) < 0 or max(tokens) >= self.vocabulary.size:
            raise ValueError("a token that is not in the vocabulary")
        if os.fstat(self._file.fileno()).st_size < self._file_bytes:
            # Reading a mapped page that the file no longer has ends the process.
            raise ModelFileError(
                f"{self.header.path} was cut short while it was in use.",
                hint="groundling model verify; then start again",
            )
        self._tokens[:count] = tokens
        self._wanted[:count] = outputs == "all"
        self._wanted[count - 1] = 1
        # Without positions and sequences llama.cpp goes on where sequence 0 ends.
        batch = self.llama.llama_batch(
            n_tokens=count,
            token=self._tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            logits=self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
        code = self.llama.llama_decode(self._context, batch)
        if code != 0:
            self.llama.llama_memory_clear(self._memory, True)
            self._read.clear()
            raise ModelError(f"llama.cpp could not read {count} tokens (code {code}).")
        self._read.extend(tokens)

    def _log_probabilities(self, index: int) -> npt.NDArray[np.float64]:
        logits = read_logits(self.llama, self._context, index, self.vocabulary.size)
        shifted = logits.astype(np.float64) - float(logits.max())
        result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
        return result


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(left), len(right)))


def _explain(path: Path, architecture: str, errors: list[str]) -> ModelFileError:
    if any("unknown model architecture" in line for line in errors):
        return ModelFileError(
            f"{path} has the architecture {architecture!r}, which this llama.cpp "
            f"({read_build().version}) does not know.",
            hint="groundling model list shows models that run; a newer llama-cpp-python may too",
        )
    return ModelFileError(
        f"llama.cpp cannot load {path}: {_last(errors)}",
        hint="groundling model verify tells whether the file is whole",
    )


def _last(errors: list[str]) -> str:
    # The first line is the cause; the ones after it say that something failed.
    return errors[0].partition(": ")[2] or errors[0] if errors else "no reason given"
