"""Drawing the next token of one generation, as `Sampling` wants it.

Without filters the likeliest token is found in the logits where they lie. Otherwise
llama.cpp's chain of filters draws among the tokens that its `top_k` can leave: finding those
first is faster than giving the chain the whole vocabulary. A grammar is asked about the one
token that was drawn, and about the next likeliest ones only where it forbids that one.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from math import isfinite
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from groundling.errors import ModelError
from groundling.models.grammars.constraint import Constraint
from groundling.models.sampling import Sampling
from groundling.models.vocabulary import Vocabulary

Logits = npt.NDArray[np.float32]

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_FIRST_LOOK = 256  # tokens that a grammar is asked about before all that it allows are listed
_MOST_CHANGED = 1024  # with more tokens under a penalty, the whole vocabulary is as fast
_MIROSTAT_1_TOKENS = 100  # from which mirostat 1 estimates the distribution, as in its paper


class Sampler:
    """Draw tokens for one generation; used on the engine's own thread.

    Args:
        llama: the binding.
        vocabulary: the model's tokens.
        context: whose logits are read.
        sampling: what is wanted.
        prompt: the tokens before the first one drawn; penalties begin with them.

    Raises:
        ModelError: a bias on a token that the model does not have.
    """

    def __init__(
        self,
        llama: ModuleType,
        vocabulary: Vocabulary,
        context: object,
        sampling: Sampling,
        prompt: Sequence[int],
    ) -> None:
        self._llama = llama
        self._context = context
        self._size = vocabulary.size
        self._wish = sampling
        _check_bias(sampling, self._size)
        window = max(
            sampling.repeat_window if sampling.penalises else 0,
            sampling.dry_window if sampling.dry else 0,
        )
        self._recent: deque[int] = deque(prompt[-window:] if window else (), maxlen=window)
        self._greedy = sampling.temperature == 0 and not window and not sampling.logit_bias
        self._chosen = self._choose_count(sampling)
        self._constraint = (
            Constraint(vocabulary, sampling.grammar, sampling.grammar_trigger)
            if sampling.grammar is not None
            else None
        )
        self._room = np.zeros(0, _CANDIDATE)
        self._chain: Any = None
        if not self._greedy:
            self._chain = new_chain(llama, vocabulary, sampling)
            for token in self._recent:
                llama.llama_sampler_accept(self._chain, token)

    def sample(self, index: int = -1) -> int:
        """Draw the next token and take it as written.

        Args:
            index: which output of the last forward pass; -1 is the last one.

        Raises:
            ModelError: the grammar allows no token at all, or there is no such output.
        """
        logits = read_logits(self._llama, self._context, index, self._size)
        token = self._draw(logits)
        if self._constraint is not None:
            if not self._constraint.allows(token):
                token = self._draw_allowed(logits, self._constraint)
            self._constraint.accept(token)
        if self._chain:
            self._llama.llama_sampler_accept(self._chain, token)
            self._recent.append(token)
        return token

    def close(self) -> None:
        """Free what is native."""
        if self._chain:
            self._llama.llama_sampler_free(self._chain)
        self._chain = None

    @staticmethod
    def _choose_count(wish: Sampling) -> int:
        """Return how many of the likeliest tokens can survive the filters; 0: all of them."""
        if wish.temperature == 0:
            return 1
        # These two look at the whole distribution before `top_k` would cut it.
        return 0 if wish.mirostat or wish.top_n_sigma else wish.top_k

    def _draw(self, logits: Logits) -> int:
        if self._greedy:
            return int(logits.argmax())
        changed = self._changed()
        if not self._chosen or len(changed) > _MOST_CHANGED:
            return self._run(np.arange(self._size, dtype=np.int32), logits)
        tokens = largest_logits(logits, self._chosen + len(changed))
        return self._run(_union(tokens, changed), logits)

    def _draw_allowed(self, logits: Logits, constraint: Constraint) -> int:
        """Draw among what the grammar allows, as if nothing else were there."""
        wanted = self._chosen + len(self._changed())
        if self._chosen and wanted < _FIRST_LOOK:
            likeliest = largest_logits(logits, _FIRST_LOOK)
            allowed = [token for token in likeliest.tolist() if constraint.allows(token)]
            if len(allowed) >= wanted:
                changed = [token for token in self._changed() if constraint.allows(token)]
                return self._run(_union(np.array(allowed, np.int32), changed), logits)
        every = constraint.allowed()
        # A token of minus infinity is one that the model itself cannot write.
        every = every[np.isfinite(logits[every])]
        if not len(every):
            raise ModelError(
                "The grammar allows no further token of this model.",
                hint="Loosen the schema: some text it asks for cannot be written.",
            )
        return self._run(every, logits)

    def _run(self, tokens: npt.NDArray[Any], logits: Logits) -> int:
        """Let the chain draw among these tokens."""
        values = logits[tokens]
        if self._greedy:
            return int(tokens[values.argmax()])
        if len(tokens) > len(self._room):
            self._room = np.zeros(len(tokens), _CANDIDATE)
        room = self._room[: len(tokens)]
        room["id"], room["logit"] = tokens, values
        candidates = self._llama.llama_token_data_array(
            data=ctypes.cast(room.ctypes.data, self._llama.llama_token_data_p),
            size=len(tokens),
            selected=-1,
            sorted=False,
        )
        self._llama.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        if 0 <= candidates.selected < candidates.size:
            chosen = candidates.data[candidates.selected]
            if isfinite(chosen.logit):
                return int(chosen.id)
        raise ModelError(
            "The sampling settings leave no token to write.",
            hint="Ban fewer tokens in logit_bias, or allow more in the grammar.",
        )

    def _changed(self) -> list[int]:
        """Return the tokens whose logits the chain changes before it filters."""
        biased = [token for token, _ in self._wish.logit_bias]
        return list({*self._recent, *biased}) if biased or self._recent else []


def new_chain(llama: ModuleType, vocabulary: Vocabulary, wish: Sampling) -> Any:
    """Make llama.cpp's chain of filters, in the order of its `common/sampling.cpp`."""
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())

    def add(name: str, *arguments: object) -> None:
        step = getattr(llama, f"llama_sampler_init_{name}")(*arguments)
        llama.llama_sampler_chain_add(chain, step)

    if wish.logit_bias:
        biases = (llama.llama_logit_bias * len(wish.logit_bias))(*wish.logit_bias)
        add("logit_bias", vocabulary.size, len(biases), biases)
    if wish.penalises:
        penalties = (wish.repeat_penalty, wish.frequency_penalty, wish.presence_penalty)
        add("penalties", vocabulary.size, wish.repeat_window, *penalties)
    if wish.dry:
        texts = [text.encode("utf-8", "replace") for text in wish.dry_breakers]
        breakers = (ctypes.c_char_p * len(texts))(*texts)
        factors = (wish.dry_multiplier, wish.dry_base)
        lengths = (wish.dry_allowed_length, wish.dry_window)
        with vocabulary.held() as vocab:
            add("dry", vocab, *factors, *lengths, breakers, len(texts))
    if wish.temperature == 0:
        add("greedy")
    elif wish.mirostat:
        add("temp", wish.temperature)
        learning = (wish.seed, wish.mirostat_tau, wish.mirostat_eta)
        if wish.mirostat == 1:
            add("mirostat", vocabulary.size, *learning, _MIROSTAT_1_TOKENS)
        else:
            add("mirostat_v2", *learning)
    else:
        add("top_n_sigma", wish.top_n_sigma)
        add("top_k", wish.top_k)
        add("typical", wish.typical_p, 1)
        add("top_p", wish.top_p, 1)
        add("min_p", wish.min_p, 1)
        add("xtc", wish.xtc_probability, wish.xtc_threshold, 1, wish.seed)
        add("temp_ext", wish.temperature, wish.dynamic_range, wish.dynamic_exponent)
        add("dist", wish.seed)
    return chain


def read_logits(llama: ModuleType, context: object, index: int, size: int) -> Logits:
    """View one output's logits; valid until the next forward pass.

    Raises:
        ModelError: the last forward pass made no output there.
    """
    pointer = llama.llama_get_logits_ith(context, index)
    if not pointer:
        raise ModelError(f"llama.cpp has no logits for output {index}.")
    return np.ctypeslib.as_array(pointer, (size,))


def token_logprobs(logits: Logits, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
    """Return what the model itself thought, before any filter.

    Args:
        logits: of one output, one for each token of the vocabulary.
        token: the one that was drawn.
        top: how many of the likeliest to name.

    Returns:
        The token's log-probability, and the likeliest tokens with theirs, best first.
    """
    largest = logits.max()
    total = float(largest) + float(np.log(np.exp(logits - largest).sum(dtype=np.float64)))
    found = largest_logits(logits, top)
    best = found[np.lexsort((found, -logits[found]))][:top]
    return float(logits[token]) - total, [(int(n), float(logits[n]) - total) for n in best]


_GROUPS = 2048  # columns that a vocabulary is folded into to find its largest logits


def largest_logits(logits: Logits, count: int) -> npt.NDArray[np.intp]:
    """Return the tokens of at least the `count` largest logits, by token; ties are kept.

    Each column's largest logit is one of `count` large ones, so the `count`-th largest of
    those bounds the rest from below: 33 µs for 152,000 tokens, where sorting by parts takes
    217.
    """
    if count <= 0:
        return np.empty(0, np.intp)
    if count >= len(logits):
        return np.arange(len(logits))
    rows = len(logits) // _GROUPS
    if count >= _GROUPS // 2 or rows < 2:
        bound = np.partition(logits, len(logits) - count)[len(logits) - count]
    else:
        columns = logits[: rows * _GROUPS].reshape(rows, _GROUPS).max(axis=0)
        bound = np.partition(columns, _GROUPS - count)[_GROUPS - count]
    return np.flatnonzero(logits >= bound)


def _union(tokens: npt.NDArray[Any], more: Sequence[int]) -> npt.NDArray[Any]:
    return np.union1d(tokens, np.array(more, np.intp)) if len(more) else tokens


def _check_bias(wish: Sampling, size: int) -> None:
    wrong = next((token for token, _ in wish.logit_bias if token >= size), None)
    if wrong is not None:
        raise ModelError(
            f"logit_bias names token {wrong}; the model has {size:,} tokens.",
            hint="Tokenize the text with this model's own vocabulary.",
        )
