"""Smaller files of a model are made, and held against the larger one."""

from pathlib import Path

import numpy as np
import pytest

from groundling.errors import ModelError, ModelFileError
from groundling.models.comparing import compare
from groundling.models.gguf import read_gguf
from groundling.models.quantising import quantise
from groundling.models.recommending import picture, recommend
from groundling.settings import load

pytestmark = pytest.mark.model
TEXT = (Path(__file__).parents[2] / "data/handbook/leave-policy.md").read_text()


def test_a_smaller_type_is_further_away(smollm2: Path, tmp_path: Path) -> None:
    for kind in ("Q8_0", "Q2_K"):
        size = quantise(smollm2, tmp_path / f"{kind}.gguf", kind)
        assert size == (tmp_path / f"{kind}.gguf").stat().st_size
    files = [("eight", tmp_path / "Q8_0.gguf"), ("two", tmp_path / "Q2_K.gguf")]
    first, eight, two = rows = compare(smollm2, files, TEXT, most=96)
    assert first.tokens == eight.tokens == two.tokens == 96
    assert first.divergence.mean == 0
    assert eight.divergence.high < two.divergence.low
    assert first.perplexity.mean < two.perplexity.mean
    assert two.agreement < eight.agreement <= 1
    found = recommend([(smollm2, first), (files[0][1], eight), (files[1][1], two)], load())
    assert found.name == "reference"
    drawn = picture(rows)
    assert drawn.count("<circle") == 3
    assert "eight" in drawn


def test_importance_changes_what_is_written(smollm2: Path, tmp_path: Path) -> None:
    header = read_gguf(smollm2)
    matrix = {
        name: np.linspace(0.01, 10, tensor.shape[0]).astype(np.float32)
        for name, tensor in header.tensors.items()
        if len(tensor.shape) == 2 and "embd" not in name
    }
    quantise(smollm2, tmp_path / "plain.gguf", "IQ4_NL")
    quantise(smollm2, tmp_path / "weighed.gguf", "IQ4_NL", importance=matrix)
    plain, weighed = ((tmp_path / f"{n}.gguf").read_bytes() for n in ("plain", "weighed"))
    assert plain != weighed
    assert set(read_gguf(tmp_path / "weighed.gguf").tensors) == set(header.tensors)


def test_wrong_wishes(smollm2: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no type Q9"):
        quantise(smollm2, tmp_path / "x.gguf", "Q9")
    with pytest.raises(ModelError, match="importance matrix"):
        quantise(smollm2, tmp_path / "x.gguf", "IQ1_S")
    with pytest.raises(ModelError, match="which is only read"):
        quantise(smollm2, smollm2, "Q8_0")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(smollm2.read_bytes()[:200_000])
    with pytest.raises(ModelFileError):
        quantise(broken, tmp_path / "x.gguf", "Q8_0")
    with pytest.raises(ModelError, match="64 are the least"):
        compare(smollm2, [], "short", most=96)
    assert [each.name for each in tmp_path.iterdir()] == ["broken.gguf"]
