"""One loaded model with one context: forward passes over several sequences at once.

Everything here runs on one thread, the engine's: llama.cpp aborts the process when two
threads use a context, and other misuse ends it too. So each rule is kept here, in Python:
no batch longer than `n_batch`, no token that the vocabulary lacks, no logits where none were
asked for, no use after `close`, no forward pass over a file that was cut short while it was
mapped. The one exception is `abort`, which any thread may call.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from groundling.errors import ModelError, ModelFileError
from groundling.models.adapters import NO_ADAPTERS, AdapterSet, AdapterStore
from groundling.models.calls import Adapter, EngineSettings
from groundling.models.cpu import default_threads, extra_buffers_safe, read_build, read_cpu
from groundling.models.gguf import read_gguf
from groundling.models.memory import BATCH, OUTPUTS, cache_cells, clamp, plan
from groundling.models.native import import_llama, native_errors
from groundling.models.sampler import Sampler, read_logits
from groundling.models.sampling import Sampling
from groundling.models.vocabulary import Vocabulary

OnProgress = Callable[[float], None]

_ABORTED = 2  # what llama_decode returns
_MOST_SEQUENCES = 256  # LLAMA_MAX_SEQ


class Cancelled(Exception):
    """The caller does not want the rest."""


class Span(NamedTuple):
    """Tokens that one sequence reads next.

    Args:
        sequence: its number.
        start: the position of the first token.
        tokens: at least one.
        outputs: at which of them the next token's scores are wanted.
    """

    sequence: int
    start: int
    tokens: Sequence[int] | npt.NDArray[np.int32]
    outputs: Literal["none", "last", "all"]


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
        self.settings = settings
        build = read_build()
        repack = settings.repack and extra_buffers_safe(read_cpu(), build)
        self.batch = settings.batch or BATCH
        # As many are remembered as run at once; each may have an output in every pass.
        self.sequences = min(2 * settings.parallel, _MOST_SEQUENCES)
        self.outputs = max(OUTPUTS, self.sequences)
        plan(
            self.header,
            settings.context,
            cache=settings.cache,
            batch=self.batch,
            outputs=self.outputs,
            repack=repack,
            cache_type=settings.cache_type,
            flash_attention=settings.flash_attention,
        ).check()
        self.llama = import_llama()
        self._file = path.open("rb")
        self._file_bytes = os.fstat(self._file.fileno()).st_size
        self._model: Any = None
        self._context: Any = None
        self._vocabulary: Vocabulary | None = None
        self._adapters: AdapterStore | None = None
        try:
            self._model = self._load(path, settings, repack, on_progress)
            self._vocabulary = Vocabulary(self.llama, self._model)
            self._context = self._new_context(settings)
            self._adapters = AdapterStore(self.llama, self._model, self.header)
        except BaseException:
            self.close()
            raise
        self.length = min(clamp(self.header, settings.context), self.cells)
        self.divisible = not (
            self.llama.llama_model_is_recurrent(self._model)
            or self.llama.llama_model_is_hybrid(self._model)
        )
        self._memory = self.llama.llama_get_memory(self._context)
        self._batch = _Batch(self.llama, self.batch)
        self._abort = ctypes.create_string_buffer(2)
        self._install_abort()

    @property
    def cells(self) -> int:
        """The tokens that the context holds for all sequences together."""
        return int(self.llama.llama_n_ctx(self._context))

    def _install_abort(self) -> None:
        # llama.cpp asks a C function before each node of its graph whether to stop. `strlen`
        # of a buffer that is empty or not is one that needs no Python and so no GIL.
        function = ctypes.cast(ctypes.CDLL(None).strlen, self.llama.ggml_abort_callback)
        self._abort_function = function
        self.llama.llama_set_abort_callback(
            self._context, function, ctypes.cast(self._abort, ctypes.c_void_p)
        )

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
        params.n_ctx = cache_cells(self.header, settings.context, settings.cache)
        params.n_seq_max = self.sequences
        params.kv_unified = True
        params.n_batch = params.n_ubatch = self.batch
        # Bounds the buffer for logits: a vocabulary of 150,000 takes 0.6 MB an output.
        params.n_outputs_max = params.n_outputs_max_per_seq = self.outputs
        threads = settings.threads or default_threads()
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = (
            llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if settings.flash_attention
            else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        if settings.cache_type == "q8_0":
            params.type_k = params.type_v = llama.GGML_TYPE_Q8_0
        with native_errors() as errors:
            context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise ModelError(f"llama.cpp made no context of {params.n_ctx}: {_last(errors)}")
        return context

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens and their texts."""
        assert self._vocabulary is not None
        return self._vocabulary

    def decode(self, spans: Sequence[Span], adapters: AdapterSet = NO_ADAPTERS) -> list[int]:
        """Read the spans in one forward pass.

        Returns:
            For each span, the index of its first output (see `logits`), -1 where it has none.

        Raises:
            Cancelled: `abort` was called; nothing was read.
            ModelError: llama.cpp could not do it; nothing was read.
        """
        rows = self._batch.fill(spans, self.vocabulary.size)
        if self._batch.outputs > self.outputs:
            raise ValueError(f"{self._batch.outputs} outputs; at most {self.outputs}")
        if os.fstat(self._file.fileno()).st_size < self._file_bytes:
            # Reading a mapped page that the file no longer has ends the process.
            raise ModelFileError(
                f"{self.header.path} was cut short while it was in use.",
                hint="groundling model verify; then start again",
            )
        assert self._adapters is not None
        self._adapters.apply(self._context, adapters)
        code = self.llama.llama_decode(self._context, self._batch.native)
        if code != 0:
            for span in spans:
                if not self.trim(span.sequence, span.start):
                    self.trim(span.sequence, 0)
            if code == _ABORTED:
                raise Cancelled
            raise ModelError(f"llama.cpp could not read {self._batch.count} tokens (code {code}).")
        return rows

    def resolve(self, adapters: Sequence[Adapter]) -> AdapterSet:
        """Load the adapters that are not loaded.

        Raises:
            AdapterError: a file is no adapter of this model.
        """
        assert self._adapters is not None
        return self._adapters.resolve(adapters)

    def abort(self) -> None:
        """Stop the forward pass that is running, from any thread; see `resume`."""
        self._abort[0] = b"!"

    def resume(self) -> None:
        """Let forward passes run again."""
        self._abort[0] = b"\0"

    def copy(self, source: int, target: int, count: int) -> None:
        """Give the first `count` tokens of one sequence to another one, too."""
        self.llama.llama_memory_seq_cp(self._memory, source, target, 0, count)

    def trim(self, sequence: int, count: int) -> bool:
        """Forget all but the first `count` tokens; False where the model cannot do that."""
        return bool(self.llama.llama_memory_seq_rm(self._memory, sequence, count, -1))

    def wipe(self) -> None:
        """Forget all sequences, and what their cells held."""
        self.llama.llama_memory_clear(self._memory, True)

    def save(self, sequence: int, tokens: npt.NDArray[np.int32], path: Path) -> None:
        """Write what a sequence holds, and which tokens it was, to a file.

        Raises:
            OSError: it could not be written whole.
        """
        numbers = np.ascontiguousarray(tokens, np.int32)
        pointer = numbers.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        name = os.fsencode(path)
        write = self.llama.llama_state_seq_save_file
        if not write(self._context, name, sequence, pointer, len(numbers)):
            raise OSError(f"llama.cpp could not write {path}")

    def load(self, sequence: int, path: Path) -> npt.NDArray[np.int32]:
        """Fill an empty sequence from a file that `save` wrote for the same model and settings.

        Returns:
            The tokens; none where there is no room for them.
        """
        tokens = np.zeros(self.length, np.int32)
        pointer = tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        count = ctypes.c_size_t(0)
        read = self.llama.llama_state_seq_load_file
        name, found = os.fsencode(path), ctypes.byref(count)
        if not read(self._context, name, sequence, pointer, len(tokens), found):
            self.trim(sequence, 0)
            return tokens[:0]
        return tokens[: count.value]

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """View the scores of each token at an output; valid until the next forward pass."""
        return read_logits(self.llama, self._context, row, self.vocabulary.size)

    def sound(self, row: int) -> bool:
        """Tell whether an output is numbers: one that is none makes all of them none."""
        return bool(np.isfinite(self.logits(row)[0]))

    def log_probabilities(self, row: int) -> npt.NDArray[np.float64]:
        """Return the log-probability of each token at an output."""
        logits = self.logits(row)
        shifted = logits.astype(np.float64) - float(logits.max())
        result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
        return result

    def sampler(self, sampling: Sampling, prompt: Sequence[int]) -> Sampler:
        """Make a sampler over this context; close it after use."""
        return Sampler(self.llama, self.vocabulary, self._context, sampling, prompt)

    def close(self) -> None:
        """Free context and model, in this order; a second call does nothing."""
        if self._context:
            self.llama.llama_free(self._context)
        if self._vocabulary is not None:
            self._vocabulary.close()
        if self._adapters is not None:
            self._adapters.close()
        if self._model:
            self.llama.llama_model_free(self._model)
        self._context = self._model = None
        self._file.close()


class _Batch:
    """The arrays that llama.cpp reads a batch from, filled without a loop over tokens."""

    def __init__(self, llama: ModuleType, size: int) -> None:
        self._llama = llama
        self.count = self.outputs = 0
        self._tokens = np.zeros(size, np.int32)
        self._positions = np.zeros(size, np.int32)
        self._wanted = np.zeros(size, np.int8)
        self._sequences = np.zeros(size, np.int32)
        self._ones = np.ones(size, np.int32)
        # A list of sequences for each token: here always one, the entry beside it.
        addresses = self._sequences.ctypes.data + 4 * np.arange(size, dtype=np.uintp)
        self._lists = np.append(addresses, np.uintp(0)).astype(np.uintp)
        integers, flags = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
        self.native = llama.llama_batch(
            token=self._tokens.ctypes.data_as(integers),
            pos=self._positions.ctypes.data_as(integers),
            n_seq_id=self._ones.ctypes.data_as(integers),
            seq_id=self._lists.ctypes.data_as(ctypes.POINTER(integers)),
            logits=self._wanted.ctypes.data_as(flags),
        )

    def fill(self, spans: Sequence[Span], vocabulary: int) -> list[int]:
        at = 0
        rows = []
        size = len(self._tokens)
        for span in spans:
            end = at + len(span.tokens)
            if end > size or at == end:
                raise ValueError(f"a batch of {end} tokens; at most {size}")
            self._tokens[at:end] = span.tokens
            self._positions[at:end] = np.arange(span.start, span.start + end - at)
            self._sequences[at:end] = span.sequence
            self._wanted[at:end] = span.outputs == "all"
            if span.outputs == "last":
                self._wanted[end - 1] = 1
            rows.append({"none": -1, "last": end - 1, "all": at}[span.outputs])
            at = end
        tokens = self._tokens[:at]
        if not at or tokens.min() < 0 or tokens.max() >= vocabulary:
            raise ValueError("a token that is not in the vocabulary")
        self.count = self.native.n_tokens = at
        self.outputs = int(self._wanted[:at].sum())
        return rows


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
