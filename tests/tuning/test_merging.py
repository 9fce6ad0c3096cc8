"""A merged model says what base and adapter say together, of floats and of quantised bases."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGUFWriter

from groundling.errors import TuningError
from groundling.models.calls import Adapter, EngineSettings
from groundling.models.context import Context, Span
from groundling.models.gguf import read_gguf
from groundling.models.quantising import quantise
from groundling.tuning.merging import check_whole, merge
from tests.models.make_gguf import make_adapter

pytestmark = pytest.mark.model
WEIGHTS = [f"blk.{n}.{kind}.weight" for n in range(6) for kind in ("attn_q", "attn_v", "ffn_up")]
TEXT = "Annual leave is taken within the year. What is left of it lapses on the last of March."


def said(model: Path, *adapters: Path) -> npt.NDArray[np.float64]:
    """Return the log-probabilities of each next token of a text."""
    context = Context(model, EngineSettings(context=256, parallel=1))
    try:
        tokens = context.vocabulary.tokenize(TEXT)[:24]
        applied = context.resolve([Adapter(file) for file in adapters])
        (row,) = context.decode([Span(0, 0, tokens, "all")], applied)
        return np.array([context.log_probabilities(row + n) for n in range(1, len(tokens))])
    finally:
        context.close()


def divergence(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    return float((np.exp(wanted) * (wanted - found)).sum(axis=1).mean())


def wide(name: str, shape: tuple[int, int]) -> tuple[int, int]:
    """Give the feed-forward matrices twice the rank of the others."""
    if "ffn_up" not in name:
        return shape
    return (8, shape[1]) if name.endswith("lora_a") else (shape[0], 8)


@pytest.mark.parametrize(
    ("change", "shapes"),
    [
        (lambda _: None, lambda _, shape: shape),
        (lambda w: w.add_float32("adapter.lora.alpha", 8.0), wide),
        (lambda w: w.add_float32("adapter.lora.alpha", 0.0), wide),
    ],
    ids=["one rank", "two ranks", "no alpha"],
)
def test_base_and_adapter_are_the_merged_model(
    change: Callable[[GGUFWriter], None],
    shapes: Callable[[str, tuple[int, int]], tuple[int, int]],
    smollm2: Path,
    tmp_path: Path,
) -> None:
    base = tmp_path / "base.gguf"
    quantise(smollm2, base, "F16")
    adapter = make_adapter(
        tmp_path / "a.gguf", read_gguf(base), WEIGHTS, size=0.06, change=change, shapes=shapes
    )
    merge(base, adapter, tmp_path / "merged.gguf")
    together, merged = said(base, adapter), said(tmp_path / "merged.gguf")
    assert divergence(together, said(base)) > 0.01  # the adapter does something
    assert divergence(together, merged) < 1e-4


def test_a_quantised_base_is_merged_as_what_it_says(smollm2: Path, tmp_path: Path) -> None:
    base, floats = tmp_path / "base.gguf", tmp_path / "floats.gguf"
    quantise(smollm2, base, "Q4_K_M")
    quantise(base, floats, "F16")
    adapter = make_adapter(tmp_path / "a.gguf", read_gguf(base), WEIGHTS, size=0.1)
    merge(base, adapter, tmp_path / "merged.gguf")
    merged = said(tmp_path / "merged.gguf")
    assert divergence(said(floats, adapter), merged) < 1e-4
    # Products with quantised weights round their inputs to 8 bits, those with floats do not.
    together = said(base, adapter)
    assert divergence(together, merged) < divergence(together, said(base)) / 4
    assert [each.name for each in tmp_path.glob(".*")] == []


def test_a_merged_model_is_quantised_in_one_go(smollm2: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a.gguf", read_gguf(smollm2), WEIGHTS, size=0.1)
    gone = tmp_path / f".small.gguf.f16.{2**22 + 1}"  # of a process that was killed
    gone.touch()
    size = merge(smollm2, adapter, tmp_path / "small.gguf", "Q8_0")
    assert size == (tmp_path / "small.gguf").stat().st_size
    together, small = said(smollm2, adapter), said(tmp_path / "small.gguf")
    assert divergence(together, small) < divergence(together, said(smollm2)) / 3
    assert not gone.exists()


def test_a_base_in_several_files_is_refused(smollm2: Path) -> None:
    header = read_gguf(smollm2)
    with pytest.raises(TuningError, match="a model in 3 files"):
        check_whole(replace(header, metadata=header.metadata | {"split.count": 3}))
