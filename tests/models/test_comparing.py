"""Files of one model are held against each other as llama.cpp's llama-perplexity does it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import DiskFull, ModelError
from groundling.models import comparing
from groundling.models.calls import EngineSettings
from groundling.models.comparing import FEWEST, WINDOW, compare, divergence, speeds, windows_of
from groundling.models.context import Context, Span
from groundling.models.quantising import quantise

HANDBOOK = Path(__file__).parents[2] / "data/handbook"
TEXT = (HANDBOOK / "leave-policy.md").read_text(encoding="utf-8")
WHOLE = WINDOW // 2 - 1  # tokens that a whole window judges


@given(st.integers(0, 6 * WINDOW), st.integers(FEWEST, 4 * WINDOW), st.booleans())
def test_windows_judge_second_halves(count: int, most: int, begins: bool) -> None:
    tokens, begin = list(range(1, count + 1)), [0] * begins
    windows = windows_of(tokens, most, begin)
    judged = [token for window in windows for token in window.tokens[window.first + 1 :]]
    assert len(judged) == sum(window.judged for window in windows) <= most
    assert len(set(judged)) == len(judged)
    if count >= WINDOW:
        assert len(judged) == min(most, count // WINDOW * WHOLE)
    for window in windows:
        assert window.first == min(count, WINDOW) // 2
        assert window.tokens[: len(begin)] == begin
        assert window.judged >= 1
        place = window.tokens[-1] - len(window.tokens)
        assert place % min(count, WINDOW) == 0
        assert window.tokens[len(begin) :] == tokens[place + len(begin) : window.tokens[-1]]


def test_all_of_a_text_is_cut_as_llama_perplexity_cuts_it() -> None:
    # n_chunk = tokens / n_ctx; of each chunk tokens n_ctx / 2 + 1 … n_ctx - 1 are predicted.
    windows = windows_of(range(1, 2000), 100_000, [0])
    assert [(w.tokens[0], w.tokens[1], w.tokens[-1], w.first) for w in windows] == [
        (0, 2, 512, 256), (0, 514, 1024, 256), (0, 1026, 1536, 256),
    ]  # fmt: skip
    assert sum(window.judged for window in windows) == 3 * 255


def test_few_tokens_are_taken_from_the_whole_text() -> None:
    windows = windows_of(range(10 * WINDOW), 2 * WHOLE)
    assert [window.tokens[0] for window in windows] == [0, 5 * WINDOW]
    short = windows_of(range(10 * WINDOW), WHOLE + 9)
    assert [window.judged for window in short] == [WHOLE, 9]


def test_divergence_is_that_of_kullback_and_leibler() -> None:
    random = np.random.default_rng(1)
    wanted, found = (
        np.log(values / values.sum())
        for values in (random.dirichlet(np.full(50_000, 0.01)) + 1e-12 for _ in range(2))
    )
    exact = float((np.exp(wanted) * (wanted - found)).sum())
    assert divergence(wanted.astype(np.float16), found) == pytest.approx(exact, rel=2e-3)
    near = wanted + random.normal(0, 0.02, wanted.shape)
    near -= np.log(np.exp(near).sum())
    exact = float((np.exp(wanted) * (wanted - near)).sum())
    assert exact < 3e-4
    assert divergence(wanted.astype(np.float16), near) == pytest.approx(exact, abs=2e-5)
    assert divergence(wanted.astype(np.float16), wanted) < 2e-6


@pytest.mark.model
def test_a_smaller_type_is_further_away(smollm2: Path, tmp_path: Path) -> None:
    for kind in ("Q8_0", "Q2_K"):
        quantise(smollm2, tmp_path / f"{kind}.gguf", kind)
    told: list[tuple[str, int, int]] = []
    files = [("eight", tmp_path / "Q8_0.gguf"), ("two", tmp_path / "Q2_K.gguf")]
    first, eight, two = compare(
        smollm2, files, TEXT, name="base", most=96, tell=lambda *each: told.append(each)
    )
    assert (first.name, first.tokens, eight.tokens, two.tokens) == ("base", 96, 96, 96)
    assert first.divergence.mean == first.drift == 0
    assert first.ratio.mean == first.agreement.mean == 1
    assert eight.divergence.high < two.divergence.low
    assert eight.drift < two.drift
    assert two.ratio.mean == pytest.approx(two.perplexity.mean / first.perplexity.mean)
    # Token by token the change is known far better than either perplexity.
    assert eight.ratio.half * eight.perplexity.mean < eight.perplexity.half / 4
    assert two.agreement.high < eight.agreement.mean <= 1
    assert two.agreement.low < two.agreement.mean < two.agreement.high
    assert all(0 < each.slowest <= each.median <= each.fastest for each in (two.read, two.written))
    assert {stage for stage, _, _ in told} == {"base", "eight", "two", "speed"}
    assert told[-1] == ("speed", 9, 9)
    assert sum(stage == "two" for stage, _, _ in told) == 96


@pytest.mark.model
def test_perplexity_is_that_of_one_plain_reading(smollm2: Path) -> None:
    """Read the window in one pass, and take the losses of its second half by hand."""
    (row,) = compare(smollm2, [], TEXT, most=120)
    context = Context(smollm2, EngineSettings(context=WINDOW, parallel=64))
    try:
        tokens = context.vocabulary.tokenize(TEXT, begin=True)[:WINDOW]
        context.decode([Span(0, 0, tokens[: WINDOW // 2], "none")])
        losses = []
        for at in range(WINDOW // 2, WINDOW // 2 + 120):
            (place,) = context.decode([Span(0, at, [tokens[at]], "last")])
            losses.append(-context.log_probabilities(place)[tokens[at + 1]])
    finally:
        context.close()
    assert row.perplexity.mean == pytest.approx(np.exp(np.mean(losses)), rel=0.03)


@pytest.mark.model
def test_speeds_are_taken_in_turns(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = comparing._opened

    def note(file: Path, threads: int | None) -> object:
        opened.append(file.name)
        return original(file, threads)

    monkeypatch.setattr(comparing, "_opened", note)
    (tmp_path / "a").symlink_to(smollm2)
    (tmp_path / "b").symlink_to(smollm2)
    found = speeds([tmp_path / "a", tmp_path / "b"], list(range(100, 120)), rounds=3)
    assert opened == ["a", "b", "b", "a", "a", "b"]
    assert len(found) == 2


@pytest.mark.model
def test_what_cannot_be_compared(
    smollm2: Path, qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("", "short", TEXT[:400]):
        with pytest.raises(ModelError, match=r"has \d+ tokens to judge by; 64 are the least"):
            compare(smollm2, [], text, most=96)
    with pytest.raises(ModelError, match="it is another model"):
        compare(smollm2, [("q", qwen)], TEXT, most=64)
    monkeypatch.setattr(comparing.shutil, "disk_usage", lambda _: type("Disk", (), {"free": 1000}))
    with pytest.raises(DiskFull, match=r"of 96 tokens takes 9\.4 MB"):
        compare(smollm2, [], TEXT, most=96)
