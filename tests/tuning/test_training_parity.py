"""What was trained in torch says the same through llama.cpp, as an adapter and as a whole model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundling.models.quantising import quantise
from groundling.tuning.export import export_adapter
from groundling.tuning.recipe import Recipe
from groundling.tuning.rewriting import write_weights
from tests.tuning.tiny import VOCABULARY, apart, llama_says, tiny_model

torch = pytest.importorskip("torch", reason="the extra tune is not installed")
pytestmark = [pytest.mark.tune, pytest.mark.filterwarnings("ignore")]
RECIPE = Recipe(rank=6, ranks="rising", alpha=12.0)


def torch_says(model: Any, rows: list[list[int]]) -> Any:
    with torch.no_grad():
        said = [model(input_ids=torch.tensor([row])).logits[0, 1:].double() for row in rows]
    return torch.cat(said).log_softmax(-1).numpy()


def rows(most: int) -> list[list[int]]:
    """Return tokens of a text that makes sense to nobody: places that differ."""
    return np.random.default_rng(1).integers(100, most, (4, 96)).tolist()


def disturbed(model: Any, scale: float) -> None:
    """Give every trained number another value, so that nothing is zero by chance."""
    torch.manual_seed(0)
    with torch.no_grad():
        for each in model.parameters():
            if each.requires_grad:
                each.add_(torch.randn_like(each) * scale)


@pytest.mark.parametrize(
    ("architecture", "kind", "furthest", "behind"),
    [
        ("llama", "F16", 1e-4, 0.03),
        ("llama", "Q4_1", 0.05, 0.5),
        ("qwen2", "F16", 1e-4, 0.03),
        ("qwen3", "F16", 1e-4, 0.03),
    ],
)
def test_an_adapter_of_rising_ranks(
    smollm2: Path, tmp_path: Path, architecture: str, kind: str, furthest: float, behind: float
) -> None:
    from groundling.tuning.training.lora import adapted
    from groundling.tuning.training.weights import load

    base = tiny_model(tmp_path / "tiny.gguf", smollm2, architecture)
    if kind != "F16":
        quantise(base, tmp_path / "small.gguf", kind, threads=1)
        base = tmp_path / "small.gguf"
    model = adapted(load(base, RECIPE, tmp_path), RECIPE, None).eval()
    disturbed(model, 0.1)
    model.save_pretrained(tmp_path / "peft")
    header = export_adapter(tmp_path / "peft", base, tmp_path / "a.gguf")
    # From a third of 6 to 10: the narrower ones are filled up with zeros.
    assert {each.shape[1] for name, each in header.tensors.items() if name.endswith("_a")} == {10}
    given = rows(VOCABULARY)
    wanted = torch_says(model, given)
    divergence, most = apart(wanted, llama_says(base, given, tmp_path / "a.gguf"))
    print(f"{architecture} {kind}: divergence {divergence:.2e}, behind {most:.3f}")
    assert divergence < furthest
    assert most < behind
    bare, _ = apart(wanted, llama_says(base, given))
    assert bare > 100 * divergence  # it is the adapter that was compared


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [("llama", "float32"), ("llama", "bfloat16"), ("qwen2", "float32"), ("qwen3", "float32")],
)
def test_a_whole_model(smollm2: Path, tmp_path: Path, architecture: str, dtype: str) -> None:
    from groundling.tuning.training.weights import load

    base = tiny_model(tmp_path / "tiny.gguf", smollm2, architecture)
    before = base.read_bytes()
    model = load(base, Recipe(weights="full"), tmp_path).eval()
    disturbed(model, 0.02)
    model.to(getattr(torch, dtype)).save_pretrained(tmp_path / "result")
    model.float()  # what was stored, without the rounding of sums
    header = write_weights(tmp_path / "result", base, tmp_path / "new.gguf", "mine")
    assert header.name == "mine"
    assert header.chat_template
    given = rows(VOCABULARY)
    wanted = torch_says(model, given)
    divergence, most = apart(wanted, llama_says(tmp_path / "new.gguf", given))
    print(f"{architecture}: divergence {divergence:.2e}, behind {most:.3f}")
    assert divergence < 1e-4
    assert most < 0.03
    assert base.read_bytes() == before
    assert sorted(each.name for each in tmp_path.glob("*.gguf*")) == ["new.gguf", "tiny.gguf"]


@pytest.mark.model
def test_an_adapter_of_a_real_model(smollm2: Path, tmp_path: Path) -> None:
    from groundling.tuning.training.lora import adapted
    from groundling.tuning.training.weights import load

    base = tmp_path / "f16.gguf"
    quantise(smollm2, base, "F16", threads=1)
    model = adapted(load(base, RECIPE, tmp_path), RECIPE, None).eval()
    disturbed(model, 0.02)
    model.save_pretrained(tmp_path / "peft")
    export_adapter(tmp_path / "peft", base, tmp_path / "a.gguf")
    given = rows(40_000)
    divergence, most = apart(torch_says(model, given), llama_says(base, given, tmp_path / "a.gguf"))
    print(f"SmolLM2 F16: divergence {divergence:.2e}, behind {most:.3f}")
    assert divergence < 1e-3
    assert most < 0.05
