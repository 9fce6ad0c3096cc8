"""Samplers on real logits: each setting does what llama.cpp's of that name does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import ModelError
from groundling.models.grammars.grammar import Grammar
from groundling.models.native import import_llama
from groundling.models.sampler import (
    Sampler,
    largest_logits,
    new_chain,
    read_logits,
    token_logprobs,
)
from groundling.models.sampling import Sampling
from groundling.models.vocabulary import Vocabulary

LOOP = "one two three four. one two three four. one two three"


class Bench:
    """A model that has read a text, with logits for each of its tokens."""

    def __init__(self, path: Path, text: str) -> None:
        self.llama = import_llama()
        self._model = self.llama.llama_model_load_from_file(
            str(path).encode(), self.llama.llama_model_default_params()
        )
        params = self.llama.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = 256, 2, 2
        self.context = self.llama.llama_init_from_model(self._model, params)
        self.vocabulary = Vocabulary(self.llama, self._model)
        self.read(text)

    def read(self, text: str) -> None:
        llama = self.llama
        self.tokens = self.vocabulary.tokenize(text)
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        batch = llama.llama_batch_init(len(self.tokens), 0, 1)
        batch.n_tokens = len(self.tokens)
        for n, token in enumerate(self.tokens):
            batch.token[n], batch.pos[n], batch.logits[n] = token, n, 1
            batch.n_seq_id[n], batch.seq_id[n][0] = 1, 0
        assert llama.llama_decode(self.context, batch) == 0
        llama.llama_batch_free(batch)

    @property
    def logits(self) -> Any:
        return read_logits(self.llama, self.context, -1, self.vocabulary.size)

    def sampler(self, **settings: Any) -> Sampler:
        wish = Sampling(**settings)
        return Sampler(self.llama, self.vocabulary, self.context, wish, self.tokens)

    def draw(self, **settings: Any) -> int:
        sampler = self.sampler(**settings)
        try:
            return sampler.sample()
        finally:
            sampler.close()

    def draws(self, count: int = 40, **settings: Any) -> Counter[int]:
        return Counter(self.draw(seed=seed, **settings) for seed in range(count))

    def close(self) -> None:
        self.vocabulary.close()
        self.llama.llama_free(self.context)
        self.llama.llama_model_free(self._model)


@pytest.fixture(scope="module")
def bench(smollm2: Path) -> Iterator[Bench]:
    bench = Bench(smollm2, LOOP)
    yield bench
    bench.close()


def ranked(bench: Bench) -> list[int]:
    return [int(token) for token in np.argsort(-bench.logits)]


def shares(bench: Bench) -> Any:
    shifted = bench.logits.astype(np.float64) - bench.logits.max()
    return np.exp(shifted) / np.exp(shifted).sum()


FREE = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


@pytest.mark.model
def test_greedy_takes_the_likeliest_of_each_output(bench: Bench) -> None:
    sampler = bench.sampler()
    for index in range(len(bench.tokens)):
        logits = read_logits(bench.llama, bench.context, index, bench.vocabulary.size)
        assert sampler.sample(index) == int(np.argmax(logits))
    assert sampler.sample(-1) == sampler.sample(len(bench.tokens) - 1)
    with pytest.raises(ModelError, match="no logits"):
        sampler.sample(len(bench.tokens))
    sampler.close()
    sampler.close()


@pytest.mark.model
def test_top_k_of_one_is_greedy(bench: Bench) -> None:
    assert bench.draws(temperature=2.0, top_k=1) == {ranked(bench)[0]: 40}


@pytest.mark.model
def test_top_k_leaves_that_many(bench: Bench) -> None:
    drawn = bench.draws(200, temperature=50.0, top_k=3, top_p=1.0, min_p=0.0)
    assert set(drawn) == set(ranked(bench)[:3])


@pytest.mark.model
def test_min_p_leaves_what_is_likely_enough(bench: Bench) -> None:
    probabilities = shares(bench)
    drawn = bench.draws(100, **FREE | {"temperature": 5.0, "min_p": 0.001})
    assert len(drawn) > 1
    assert all(probabilities[token] >= 0.001 * probabilities.max() for token in drawn)


@pytest.mark.model
def test_top_p_leaves_the_likeliest_that_have_the_share(bench: Bench) -> None:
    order = ranked(bench)
    together = np.cumsum(shares(bench)[order])
    kept = int(np.searchsorted(together, 0.999)) + 1
    drawn = bench.draws(100, **FREE | {"temperature": 20.0, "top_p": 0.999})
    assert set(drawn) <= set(order[:kept])
    assert len(drawn) > 1


@pytest.mark.model
def test_top_n_sigma_leaves_the_highest_logits(bench: Bench) -> None:
    logits = bench.logits
    bound = logits.max() - 3.0 * logits.std()
    drawn = bench.draws(100, **FREE | {"temperature": 50.0, "top_n_sigma": 3.0})
    assert all(logits[token] >= bound for token in drawn)
    assert any(logits[token] < bound for token in bench.draws(100, **FREE | {"temperature": 50.0}))


@pytest.mark.model
def test_xtc_drops_all_but_the_last_likely_one(bench: Bench) -> None:
    bench.read("The colour of the wall was")
    try:
        probabilities = shares(bench)
        above = [token for token in ranked(bench) if probabilities[token] >= 0.02]
        assert len(above) > 1
        drawn = bench.draws(60, **FREE | {"xtc_probability": 1.0, "xtc_threshold": 0.02})
        assert not set(drawn) & set(above[:-1])
    finally:
        bench.read(LOOP)


@pytest.mark.model
def test_typical_p_changes_what_is_left(bench: Bench) -> None:
    wide, narrow = bench.draws(60, **FREE), bench.draws(60, **FREE | {"typical_p": 0.2})
    assert len(narrow) < len(wide)


@pytest.mark.model
@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_the_surprise_low(bench: Bench, version: int) -> None:
    bench.read("The colour of the wall was")
    try:
        free = {"temperature": 1.0, "mirostat": version}
        calm = bench.draws(30, **free, mirostat_tau=0.1)
        wild = bench.draws(30, **free, mirostat_tau=5)
        assert len(calm) < len(wild)
    finally:
        bench.read(LOOP)


@pytest.mark.model
def test_a_dynamic_temperature_varies_less_where_the_model_is_sure(bench: Bench) -> None:
    fixed = bench.draws(60, **FREE | {"temperature": 4.0})
    moving = bench.draws(60, **FREE | {"temperature": 4.0, "dynamic_range": 4.0})
    assert len(moving) < len(fixed)


@pytest.mark.model
def test_a_bias_bans_and_forces(bench: Bench) -> None:
    first, second, third = ranked(bench)[:3]
    assert bench.draw(logit_bias=((first, -math.inf),)) == second
    assert bench.draw(logit_bias=((first, -math.inf), (second, -100.0))) == third
    rare = ranked(bench)[-1]
    assert bench.draw(logit_bias=((rare, 1000.0),)) == rare
    assert bench.draws(10, temperature=1.0, logit_bias=((rare, 1000.0),)) == {rare: 10}
    with pytest.raises(ModelError, match="logit_bias names token"):
        bench.draw(logit_bias=((bench.vocabulary.size, 1.0),))


@pytest.mark.model
@pytest.mark.parametrize(
    "penalty",
    [
        {"repeat_penalty": 100.0},
        {"presence_penalty": 100.0},
        {"frequency_penalty": 100.0},
        {"dry_multiplier": 100.0, "dry_breakers": ()},
    ],
)
def test_a_penalty_breaks_a_loop(bench: Bench, penalty: dict[str, Any]) -> None:
    [four] = bench.vocabulary.tokenize(" four")
    assert bench.draw() == four
    assert bench.draw(**penalty) != four


@pytest.mark.model
def test_windows_and_breakers_bound_a_penalty(bench: Bench) -> None:
    [four] = bench.vocabulary.tokenize(" four")
    assert bench.draw(repeat_penalty=100.0, repeat_window=3) == four
    assert bench.draw(dry_multiplier=100.0, dry_breakers=(" three",)) == four


@pytest.mark.model
def test_the_same_seed_draws_the_same(bench: Bench) -> None:
    def series(seed: int) -> list[int]:
        sampler = bench.sampler(**FREE, seed=seed)
        drawn = [sampler.sample(index) for index in range(len(bench.tokens))]
        sampler.close()
        return drawn

    assert series(3) == series(3)
    assert series(3) != series(4)


@pytest.mark.model
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.8},
        {"temperature": 1.5, "top_k": 5, "repeat_penalty": 1.3},
        {"temperature": 1.0, "frequency_penalty": -1.0, "logit_bias": ((100, 8.0), (7, -3.0))},
        {"temperature": 0.0, "presence_penalty": 2.0},
        {"temperature": 1.0, "dry_multiplier": 1.0, "typical_p": 0.7},
    ],
)
def test_choosing_candidates_first_changes_nothing(bench: Bench, settings: dict[str, Any]) -> None:
    """What is drawn is what llama.cpp draws when it is given the whole vocabulary."""
    llama = bench.llama
    for seed in range(10):
        wish = Sampling(**settings, seed=seed)
        chain = new_chain(llama, bench.vocabulary, wish)
        for token in bench.tokens:
            llama.llama_sampler_accept(chain, token)
        ours = bench.sampler(**settings, seed=seed)
        for index in range(0, len(bench.tokens), 3):
            assert ours.sample(index) == llama.llama_sampler_sample(chain, bench.context, index)
        llama.llama_sampler_free(chain)
        ours.close()


@pytest.mark.model
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_grammar_leaves_what_it_allows(bench: Bench, temperature: float) -> None:
    grammar = Grammar('root ::= " five" " six"')
    sampler = bench.sampler(temperature=temperature, grammar=grammar)
    text = b""
    while not bench.vocabulary.ends(token := sampler.sample()):
        text += bench.vocabulary.piece(token)
    sampler.close()
    assert text == b" five six"


@pytest.mark.model
def test_greedy_under_a_grammar_takes_the_likeliest_allowed(bench: Bench) -> None:
    grammar = Grammar("root ::= [A-Z]+")
    pieces = {token: bench.vocabulary.piece(token) for token in ranked(bench)}
    likeliest = next(t for t, p in pieces.items() if p.isalpha() and p.isupper() and p.isascii())
    assert bench.draw(grammar=grammar) == likeliest


@pytest.mark.model
def test_every_token_of_a_vocabulary_against_a_grammar(bench: Bench) -> None:
    sampler = bench.sampler(**FREE, grammar=Grammar('root ::= [a-c가-나]+ "!"?'))
    constraint = sampler._constraint
    assert constraint is not None
    listed = constraint.allowed().tolist()
    asked = [token for token in range(bench.vocabulary.size) if constraint.allows(token)]
    assert listed == asked
    assert len(listed) > 10
    sampler.close()


@pytest.mark.model
def test_a_grammar_that_a_ban_leaves_nothing_of(bench: Bench) -> None:
    [four] = bench.vocabulary.tokenize(" four")
    banned = tuple(
        (t, -math.inf)
        for t in bench.sampler(grammar=Grammar('root ::= " four"'))._constraint.allowed().tolist()
    )  # type: ignore[union-attr]
    assert four in dict(banned)
    for temperature in (0.0, 1.0):
        with pytest.raises(ModelError, match="leave no token"):
            bench.draw(
                temperature=temperature, grammar=Grammar('root ::= " four"'), logit_bias=banned
            )


@pytest.mark.model
def test_a_grammar_that_waits_for_its_trigger(bench: Bench) -> None:
    """Free text, then the trigger, which may end within a token, then the grammar alone."""
    grammar = Grammar('root ::= "{" [a-z ]+ "}"')
    sampler = bench.sampler(grammar=grammar, grammar_trigger="<call>")
    constraint = sampler._constraint
    assert constraint is not None
    ids: Callable[[str], list[int]] = bench.vocabulary.tokenize
    for token in ids("Free { 1 text <call"):
        assert constraint.allows(token)
        constraint.accept(token)
    [wrong] = ids(">=")
    [right] = ids(">")
    assert not constraint.allows(wrong)
    assert wrong not in constraint.allowed()
    assert right in constraint.allowed()
    constraint.accept(right)
    assert not constraint.allows(ids("a")[0])
    for token in ids("{abc}"):
        assert constraint.allows(token)
        constraint.accept(token)
    end = next(t for t in range(bench.vocabulary.size) if bench.vocabulary.ends(t))
    assert constraint.allowed().tolist() == [
        t for t in range(bench.vocabulary.size) if bench.vocabulary.ends(t)
    ]
    assert constraint.allows(end)
    sampler.close()


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40), st.integers(0, 60))
def test_the_largest_logits_are_found(values: list[float], count: int) -> None:
    logits = np.array(values * 200, np.float32)
    found = largest_logits(logits, count)
    wanted = np.sort(logits)[::-1][:count]
    assert np.array_equal(np.sort(logits[found])[::-1][:count], wanted)


@pytest.mark.model
def test_log_probabilities_are_the_models_own(bench: Bench) -> None:
    probabilities = shares(bench)
    order = ranked(bench)
    own, top = token_logprobs(bench.logits, order[3], 5)
    assert own == pytest.approx(math.log(probabilities[order[3]]), abs=1e-4)
    assert [token for token, _ in top] == order[:5]
    assert [p for _, p in top] == pytest.approx(np.log(probabilities[order[:5]]), abs=1e-4)
    assert token_logprobs(bench.logits, 0, 0)[1] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": True},
        {"top_p": 1.1},
        {"top_k": -1},
        {"top_k": 1.5},
        {"min_p": -1},
        {"repeat_penalty": 0.0},
        {"seed": -1},
        {"seed": 2**32 - 1},
        {"mirostat": 3},
        {"dry_base": 0.5},
        {"dry_allowed_length": 0},
        {"dry_breakers": ("",)},
        {"dry_breakers": ("x" * 41,)},
        {"logit_bias": ((-1, 1.0),)},
        {"logit_bias": ((1, math.nan),)},
        {"logit_bias": ((1, math.inf),)},
        {"logit_bias": ((True, 1.0),)},
        {"grammar_trigger": "<call>"},
        {"grammar_trigger": "", "grammar": Grammar("root ::= [a]")},
    ],
)
def test_a_setting_out_of_bounds_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)
