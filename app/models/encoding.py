"""One loaded encoder with one context: texts to tokens, tokens to pooled vectors.

Everything here runs on one thread, the encoder's worker. llama.cpp ends the process when a
batch is longer than its context was made for, when a position has no embedding, or when a
file without a vocabulary is asked to split a text: so each of these is kept out here.
"""

from __future__ import annotations

import ctypes
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from groundling.errors import ModelError, ModelFileError, ModelTooBig
from groundling.models.cpu import default_threads
from groundling.models.gguf import GgufHeader
from groundling.models.memory import available_memory
from groundling.models.native import import_llama, native_errors
from groundling.models.vocabulary import Vocabulary

Pooling = Literal["mean", "cls", "last", "rank"]
Vectors = npt.NDArray[np.float32]
# A text, or a question and a text that are read together.
Item = str | tuple[str, str]

# Sequences in one forward pass.
MOST_SEQUENCES = 64
_DEFAULT_TOKENS = 512
# No tokenizer makes tokens of more characters on average; what is beyond need not be split.
_CHARACTERS_PER_TOKEN = 100
_POOLINGS: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
_HEADS = ("cls.weight", "cls.output.weight")
# Library, vocabulary and the buffers that do not grow with the batch.
_FIXED = 40 << 20


@dataclass(frozen=True)
class EncoderSettings:
    """How an encoder is run.

    Args:
        max_tokens: where texts are cut, their special tokens included; default: 512, or what
            the model was trained for where that is less. The buffers grow with it.
        pooling: how one vector is made of a text's; default: what the file's header says.
        batch: tokens read in one forward pass, of all texts together.
        threads: default: the physical cores.
        gpu_layers: layers on the GPU where there is one; -1 places all.
    """

    max_tokens: int | None = None
    pooling: Pooling | None = None
    batch: int = 512
    threads: int | None = None
    gpu_layers: int = -1


def longest_text(header: GgufHeader, settings: EncoderSettings) -> int:
    """Return after how many tokens a text is cut."""
    most = settings.max_tokens or _DEFAULT_TOKENS
    # A position beyond the trained ones has no embedding: llama.cpp aborts.
    return min(most, header.context_length) if header.context_length else most


def pooling_of(header: GgufHeader, settings: EncoderSettings) -> Pooling:
    """Return how one vector is made of a text's.

    Raises:
        ModelFileError: nobody says how, so that this is no encoder; or it is to score pairs
            of texts and has no head for that.
    """
    said = header.metadata.get(f"{header.architecture}.pooling_type")
    pooling = settings.pooling or (_POOLINGS.get(said) if isinstance(said, int) else None)
    if pooling is None:
        raise ModelFileError(
            f"{header.path} ({header.architecture}) is no embedding model: its header names no "
            "pooling.",
            hint="groundling model list shows embedding models; name the pooling where you "
            "know it is one.",
        )
    if pooling == "rank" and not any(name in header.tensors for name in _HEADS):
        raise ModelFileError(
            f"{header.path} has no head that scores a pair of texts.",
            hint="groundling model list shows rerankers",
        )
    return pooling


def dimension_of(header: GgufHeader, pooling: Pooling) -> int:
    """Return how many numbers a vector of that model has.

    Where a head follows the pooling, its rows count; some files also name a width of their
    own for what comes out.
    """
    if pooling == "rank":
        head = header.tensors.get("cls.output.weight")
        return head.shape[1] if head and len(head.shape) > 1 else 1
    wider = header.metadata.get(f"{header.architecture}.embedding_length_out")
    return wider if isinstance(wider, int) and wider > 0 else header.embedding_length


def check_encoder_fits(header: GgufHeader, settings: EncoderSettings) -> None:
    """Refuse an encoder that does not fit into what is free now, beside what is loaded.

    Weights; which tokens of a batch see which, as floats of both sizes; and the activations
    of one layer. A decoder also keeps keys and values, and llama.cpp computes, and keeps
    twice, what it would write after each token of the batch.

    Raises:
        ModelTooBig: with the arithmetic.
    """
    tokens = max(settings.batch, longest_text(header, settings))
    width = header.embedding_length
    mask = tokens * tokens * (4 + 2)
    activations = tokens * 24 * width * 4
    needed = header.tensor_bytes + mask + activations + _FIXED
    if header.metadata.get(f"{header.architecture}.attention.causal") is not False:
        values = sum(header.head_count_kv) * (header.key_length + header.value_length)
        needed += tokens * (values * 2 + 2 * header.vocabulary * 4)
    free = available_memory()
    if needed > free:
        raise ModelTooBig(
            f"The encoder {header.name} does not fit into memory: weights "
            f"{header.tensor_bytes / 1e9:.2f} GB + buffers for {tokens:,} tokens "
            f"{(needed - header.tensor_bytes) / 1e9:.2f} GB = {needed / 1e9:.2f} GB; "
            f"free: {free / 1e9:.2f} GB.",
            hint="Close other programs, or take a smaller embedder: groundling model list",
        )


class EncoderContext:
    """A loaded encoder and its context.

    Args:
        header: of the GGUF file.
        settings: how to run it.

    Raises:
        ModelFileError: llama.cpp cannot load the file.
        ModelTooBig: it does not fit into the free memory; nothing was loaded.
    """

    def __init__(self, header: GgufHeader, settings: EncoderSettings) -> None:
        self.header = header
        self.pooling = pooling_of(header, settings)
        self.max_tokens = longest_text(header, settings)
        self.batch = max(settings.batch, self.max_tokens)
        check_encoder_fits(header, settings)
        self._llama = import_llama()
        self._model: Any = None
        self._context: Any = None
        self._vocabulary: Vocabulary | None = None
        self._file = header.path.open("rb")
        self._file_bytes = os.fstat(self._file.fileno()).st_size
        try:
            self._model = self._load(settings)
            self._vocabulary = self._open_vocabulary()
            self._context = self._new_context(settings)
            self._special()
        except BaseException:
            self.close()
            raise

    def _load(self, settings: EncoderSettings) -> Any:
        params = self._llama.llama_model_default_params()
        params.n_gpu_layers = settings.gpu_layers
        # Repacked weights crash some machines, and encoders are read in large batches anyway.
        params.use_extra_bufts = False
        with native_errors() as errors:
            model = self._llama.llama_model_load_from_file(os.fsencode(self.header.path), params)
        if not model:
            raise self._cannot(errors)
        return model

    def _open_vocabulary(self) -> Vocabulary:
        llama = self._llama
        vocab = llama.llama_model_get_vocab(self._model)
        if llama.llama_vocab_type(vocab) == llama.LLAMA_VOCAB_TYPE_NONE:
            raise ModelFileError(f"{self.header.path} carries no vocabulary to split texts with.")
        return Vocabulary(llama, self._model)

    def _new_context(self, settings: EncoderSettings) -> Any:
        llama = self._llama
        params = llama.llama_context_default_params()
        params.embeddings = True
        params.n_ctx = params.n_batch = params.n_ubatch = self.batch
        params.n_seq_max = MOST_SEQUENCES
        params.kv_unified = True
        params.pooling_type = next(n for n, name in _POOLINGS.items() if name == self.pooling)
        params.n_threads = params.n_threads_batch = settings.threads or default_threads()
        # Texts that share a pass would otherwise be multiplied with each other and masked:
        # without flash attention a pass of 512 tokens is slower than four of 128.
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_AUTO
        with native_errors() as errors:
            context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise self._cannot(errors)
        self._run = llama.llama_decode
        if llama.llama_model_has_encoder(self._model):
            self._run = llama.llama_encode
        size = llama.llama_model_n_embd_out
        if self.pooling == "rank":
            size = llama.llama_model_n_cls_out
        self.dimension = dimension_of(self.header, self.pooling)
        if self.dimension != size(self._model):
            llama.llama_free(context)
            raise ModelFileError(
                f"{self.header.path} says that its vectors have {self.dimension} numbers; "
                f"they have {size(self._model)}."
            )
        return context

    def _special(self) -> None:
        """Look up what stands around a text, and between a question and a text."""
        llama, words = self._llama, self._words
        vocab = llama.llama_model_get_vocab(self._model)
        word_pieces = llama.llama_vocab_type(vocab) == llama.LLAMA_VOCAB_TYPE_WPM
        if word_pieces and min(llama.llama_vocab_bos(vocab), llama.llama_vocab_sep(vocab)) < 0:
            raise ModelFileError(
                f"{self.header.path} does not say which tokens stand around a text."
            )
        around = words.tokenize("", begin=True)
        starts = bool(around) and around[0] == llama.llama_vocab_bos(vocab)
        self._before, self._after = around[: int(starts)], around[int(starts) :]
        self._between = list(self._after)
        if llama.llama_vocab_get_add_sep(vocab) and not word_pieces:
            # RoBERTa's pair: <s> question </s></s> text </s>; BERT's has one [SEP] there.
            self._between.append(int(llama.llama_vocab_sep(vocab)))
        said = self.header.metadata.get
        lowers = said("tokenizer.ggml.normalizer.lowercase", True)
        strips = said("tokenizer.ggml.normalizer.strip_accents", lowers)
        self._decomposes = word_pieces and bool(strips)
        ends = (llama.llama_vocab_eos(vocab), llama.llama_vocab_sep(vocab), 0)
        self._nothing = next(int(token) for token in ends if token >= 0)

    def tokens(self, item: Item) -> list[int]:
        """Split a text, or a pair, and cut it; what closes it is kept.

        Of a pair the text is cut, and the question where it takes more than half.
        """
        if isinstance(item, tuple):
            return self._pair(*item)
        room = max(0, self.max_tokens - len(self._before) - len(self._after))
        found = [*self._before, *self._split(item)[:room], *self._after]
        return found[: self.max_tokens] or [self._nothing]

    def _pair(self, question: str, text: str) -> list[int]:
        asked = self._split(question)[: self.max_tokens // 2]
        form = self.header.metadata.get("tokenizer.chat_template.rerank")
        if isinstance(form, str):
            before, _, rest = form.partition("{query}")
            between, _, after = rest.partition("{document}")
            parts = [self._words.tokenize(part, markup=True) for part in (before, between, after)]
        else:
            parts = [self._before, self._between, self._after]
        room = max(0, self.max_tokens - len(asked) - sum(map(len, parts)))
        found = [*parts[0], *asked, *parts[1], *self._split(text)[:room], *parts[2]]
        return found[: self.max_tokens]

    def _split(self, text: str) -> list[int]:
        text = text[: self.max_tokens * _CHARACTERS_PER_TOKEN]
        if self._decomposes:
            # llama.cpp takes accents off, but leaves Hangul whole, which BERT also takes apart.
            text = unicodedata.normalize("NFD", text)
        return self._words.tokenize(text)

    def forward(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Read token sequences in one pass; return a row for each, not scaled.

        Raises:
            ValueError: more than fit into one pass, or an empty one.
            ModelFileError: the file was cut short since, or has tokens it does not know.
            ModelError: llama.cpp could not read them.
        """
        lengths = [len(tokens) for tokens in sequences]
        count = sum(lengths)
        if not lengths or not min(lengths) or count > self.batch or len(lengths) > MOST_SEQUENCES:
            raise ValueError(f"{len(lengths)} sequences of {count} tokens in one pass")
        if os.fstat(self._file.fileno()).st_size < self._file_bytes:
            # Reading a mapped page that the file no longer has ends the process.
            raise ModelFileError(
                f"{self.header.path} was cut short while it was in use.",
                hint="groundling model verify; then start again",
            )
        tokens = np.concatenate([np.asarray(one, np.int32) for one in sequences])
        if tokens.min() < 0 or tokens.max() >= self._words.size:
            raise ModelFileError(f"{self.header.path} makes tokens that it does not know.")
        self._decode(tokens, lengths)
        rows = np.empty((len(lengths), self.dimension), np.float32)
        for n, row in enumerate(rows):
            pointer = self._llama.llama_get_embeddings_seq(self._context, n)
            if not pointer:
                raise ModelError(f"{self.header.name} gave no vector.")
            row[:] = np.ctypeslib.as_array(pointer, (self.dimension,))
        return rows

    def _decode(self, tokens: npt.NDArray[np.int32], lengths: Sequence[int]) -> None:
        llama, count = self._llama, len(tokens)
        positions = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        ones = np.ones(count, np.int32)
        wanted = np.ones(count, np.int8)
        # An array of pointers, each to its token's one sequence id.
        addresses = owners.ctypes.data + 4 * np.arange(count + 1, dtype=np.uint64)
        addresses[count] = 0
        integers = ctypes.POINTER(ctypes.c_int32)
        batch = llama.llama_batch(
            n_tokens=count,
            token=tokens.ctypes.data_as(integers),
            pos=positions.ctypes.data_as(integers),
            n_seq_id=ones.ctypes.data_as(integers),
            seq_id=addresses.ctypes.data_as(ctypes.POINTER(integers)),
            logits=wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
        memory = llama.llama_get_memory(self._context)
        if memory:
            llama.llama_memory_clear(memory, False)
        code = self._run(self._context, batch)
        if code != 0:
            raise ModelError(f"llama.cpp could not encode {count} tokens (code {code}).")

    def close(self) -> None:
        """Free context and model, in this order; a second call does nothing."""
        if self._context:
            self._llama.llama_free(self._context)
        if self._vocabulary is not None:
            self._vocabulary.close()
        if self._model:
            self._llama.llama_model_free(self._model)
        self._context = self._model = None
        self._file.close()

    @property
    def _words(self) -> Vocabulary:
        assert self._vocabulary is not None
        return self._vocabulary

    def _cannot(self, errors: list[str]) -> ModelFileError:
        reason = errors[0].partition(": ")[2] or errors[0] if errors else "no reason given"
        return ModelFileError(
            f"llama.cpp cannot load {self.header.path}: {reason}",
            hint="groundling model verify tells whether the file is whole",
        )
