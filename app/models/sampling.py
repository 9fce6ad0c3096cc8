"""How the next token is drawn from the model's distribution.

`Sampling` is the wish; `Sampler` is llama.cpp's chain of filters that carries it out for
one generation. A grammar is asked first about the one token that was drawn, and about the
whole vocabulary only where it forbids that one: the first costs microseconds, the second
tens of milliseconds.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from groundling.errors import ModelError
from groundling.models.gbnf import Grammar

_PENALTY_WINDOW = 64  # llama.cpp's default
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


@dataclass(frozen=True)
class Sampling:
    """Sampling settings; at temperature 0 the likeliest token is always taken.

    Args:
        temperature: from 0; higher is more varied.
        top_p: keep the likeliest tokens that have this much probability together.
        top_k: keep this many of the likeliest tokens; 0 keeps all.
        min_p: drop tokens less likely than this share of the likeliest one.
        repeat_penalty: above 1, the last 64 tokens become less likely.
        seed: the same seed draws the same tokens.
        grammar: what the text must conform to.
    """

    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int = 0
    grammar: Grammar | None = None


class Sampler:
    """Draw tokens for one generation; used on the engine's own thread.

    Args:
        llama: the binding.
        model: the loaded model.
        context: whose logits are read.
        sampling: what is wanted.
        prompt: the tokens that the repetition penalty begins with.

    Raises:
        ModelError: llama.cpp does not take the grammar.
    """

    def __init__(
        self,
        llama: ModuleType,
        model: object,
        context: object,
        sampling: Sampling,
        prompt: list[int],
    ) -> None:
        self._llama = llama
        self._context = context
        vocab = llama.llama_model_get_vocab(model)
        self._size = int(llama.llama_vocab_n_tokens(vocab))
        self._grammar: Any = None
        self._chain = self._new_chain(sampling)
        if sampling.repeat_penalty != 1.0:
            for token in prompt[-_PENALTY_WINDOW:]:
                llama.llama_sampler_accept(self._chain, token)
        if sampling.grammar is not None:
            text = sampling.grammar.text.encode()
            self._grammar = llama.llama_sampler_init_grammar(vocab, text, b"root")
            if not self._grammar:
                self.close()
                raise ModelError("llama.cpp does not take this grammar.")
            self._candidates = np.zeros(self._size, _CANDIDATE)
            self._ids = np.arange(self._size, dtype=np.int32)

    def _new_chain(self, sampling: Sampling) -> Any:
        llama = self._llama
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        steps = []
        if sampling.repeat_penalty != 1.0:
            steps.append(
                llama.llama_sampler_init_penalties(
                    self._size, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
                )
            )
        if sampling.temperature == 0.0:
            steps.append(llama.llama_sampler_init_greedy())
        else:
            steps += [
                llama.llama_sampler_init_top_k(sampling.top_k),
                llama.llama_sampler_init_top_p(sampling.top_p, 1),
                llama.llama_sampler_init_min_p(sampling.min_p, 1),
                llama.llama_sampler_init_temp(sampling.temperature),
                llama.llama_sampler_init_dist(sampling.seed & 0xFFFF_FFFE),
            ]
        for step in steps:
            llama.llama_sampler_chain_add(chain, step)
        return chain

    def sample(self) -> int:
        """Draw the next token from the logits of the last forward pass.

        Raises:
            ModelError: the grammar allows no token at all.
        """
        if not self._grammar:
            return int(self._llama.llama_sampler_sample(self._chain, self._context, -1))
        token = self._draw(self._fill())
        if not self._allows(token):
            candidates = self._fill()
            self._llama.llama_sampler_apply(self._grammar, ctypes.byref(candidates))
            if not np.isfinite(self._candidates["logit"][: candidates.size]).any():
                raise ModelError(
                    "The grammar allows no further token of this model.",
                    hint="Loosen the schema: some text it asks for cannot be written.",
                )
            token = self._draw(candidates)
        # Accepting a token that the grammar forbids would end the process.
        self._llama.llama_sampler_accept(self._grammar, token)
        self._llama.llama_sampler_accept(self._chain, token)
        return token

    def _fill(self) -> Any:
        logits = read_logits(self._llama, self._context, -1, self._size)
        self._candidates["id"], self._candidates["logit"] = self._ids, logits
        self._candidates["p"] = 0.0
        return self._view(self._candidates)

    def _draw(self, candidates: Any) -> int:
        self._llama.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)

    def _allows(self, token: int) -> bool:
        one = np.array([(token, 1.0, 0.0)], _CANDIDATE)
        self._llama.llama_sampler_apply(self._grammar, ctypes.byref(self._view(one)))
        return bool(np.isfinite(one["logit"][0]))

    def _view(self, candidates: npt.NDArray[np.void]) -> Any:
        pointer = ctypes.cast(candidates.ctypes.data, self._llama.llama_token_data_p)
        return self._llama.llama_token_data_array(
            data=pointer, size=len(candidates), selected=-1, sorted=False
        )

    def close(self) -> None:
        """Free the native samplers."""
        for sampler in (self._chain, self._grammar):
            if sampler:
                self._llama.llama_sampler_free(sampler)
        self._chain = self._grammar = None


def read_logits(
    llama: ModuleType, context: object, index: int, size: int
) -> npt.NDArray[np.float32]:
    """View one output's logits; valid until the next forward pass.

    Raises:
        ModelError: the last forward pass made no output there.
    """
    pointer = llama.llama_get_logits_ith(context, index)
    if not pointer:
        raise ModelError(f"llama.cpp has no logits for output {index}.")
    return np.ctypeslib.as_array(pointer, (size,))
