"""Which weights matter for a text: what is measured, and what keeps it from being so."""

from importlib.util import find_spec
from pathlib import Path

import gguf
import numpy as np
import pytest

from groundling.errors import TuningError
from groundling.models.gguf import read_gguf
from groundling.models.quantising import quantise
from groundling.models.vocabulary_file import reader_of
from groundling.tuning import importance
from groundling.tuning.importance import importance_of

HANDBOOK = Path(__file__).parents[2] / "data/handbook"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Return a text of 300 to 600 tokens, Korean in an encoding of its own."""
    file = tmp_path / "text.txt"
    english = (HANDBOOK / "leave-policy.md").read_text(encoding="utf-8")[:1200]
    korean = (HANDBOOK / "shift-work.md").read_text(encoding="utf-8")[:200]
    file.write_bytes((english + korean).encode("cp949", "ignore"))
    return file


@pytest.mark.tune
@pytest.mark.skipif(find_spec("torch") is None, reason="the extra tune is not installed")
def test_the_mean_square_of_each_input(smollm2: Path, text: Path, tmp_path: Path) -> None:
    found = importance_of(smollm2, text)
    header = read_gguf(smollm2)
    wanted = {
        name: tensor.shape[0]
        for name, tensor in header.tensors.items()
        if name.startswith("blk.") and len(tensor.shape) == 2
    }
    assert {name: len(values) for name, values in found.items()} == wanted
    assert all(np.isfinite(each).all() and (each > 0).any() for each in found.values())
    # What the first layer's queries are made of can be worked out from the file itself.
    tensors = {each.name: each for each in gguf.GGUFReader(smollm2).tensors}

    def numbers(name: str) -> np.ndarray:  # type: ignore[type-arg]
        return gguf.dequantize(tensors[name].data, tensors[name].tensor_type)

    with reader_of(smollm2) as reader:
        tokens = reader.vocabulary.tokenize(text.read_bytes().decode("cp949"))
    rows = numbers("token_embd.weight")[tokens].astype(np.float64)
    epsilon = header.metadata["llama.attention.layer_norm_rms_epsilon"]
    rows /= np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + epsilon)
    rows *= numbers("blk.0.attn_norm.weight")
    np.testing.assert_allclose(
        found["blk.0.attn_q.weight"], np.square(rows).mean(axis=0), rtol=1e-3
    )
    quantise(smollm2, tmp_path / "x.gguf", "Q2_K", importance=found)


@pytest.mark.model
def test_a_base_that_does_not_fit_is_refused(
    smollm2: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "available_memory", lambda: 1_000_000_000)
    with pytest.raises(TuningError, match=r"about 1\.5 GB of memory; 1\.0 GB are free"):
        importance_of(smollm2, text)


@pytest.mark.model
@pytest.mark.skipif(find_spec("torch") is not None, reason="the extra is installed")
def test_without_the_extra(smollm2: Path, text: Path) -> None:
    with pytest.raises(TuningError, match="could not be read") as told:
        importance_of(smollm2, text)
    assert "groundling[tune]" in str(told.value.hint)
