"""PEFT's adapters become GGUF ones that llama.cpp takes; what GGUF has no form for is refused."""

from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage

from groundling.errors import AdapterError, ModelError, TuningError
from groundling.models.chat import ChatLlama
from groundling.tuning.export import export_adapter
from groundling.tuning.merging import merge
from tests.tuning.adapters import peft_folder

pytestmark = pytest.mark.model
QUESTION = [HumanMessage("Is the sky blue?")]
OPTIONS = ["yes", "no", "perhaps"]


def weigh(model: Path, *adapters: Path) -> dict[str, float]:
    chat = ChatLlama(model=str(model), context=256, temperature=0.0)
    return chat.choose(QUESTION, OPTIONS, adapters=list(adapters))


def test_an_adapter_and_the_merged_model_say_the_same(smollm2: Path, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "peft", smollm2)
    header = export_adapter(folder, smollm2, tmp_path / "a.gguf")
    assert len(header.tensors) == 2 * 7 * 2
    bare, adapted = weigh(smollm2), weigh(smollm2, tmp_path / "a.gguf")
    assert abs(bare["yes"] - adapted["yes"]) > 0.01  # it does something
    merge(smollm2, tmp_path / "a.gguf", tmp_path / "merged.gguf")
    merged = weigh(tmp_path / "merged.gguf")
    assert merged == pytest.approx(adapted, abs=0.03)


def test_ranks_that_differ_keep_their_scale(smollm2: Path, tmp_path: Path) -> None:
    # alpha goes with the rank, so that each matrix has the same scale, 2.
    even = peft_folder(tmp_path / "even", smollm2, alpha=8.0)
    rising = peft_folder(
        tmp_path / "rising",
        smollm2,
        rank=lambda layer: 4 + 2 * layer,
        config={"alpha_pattern": {r".*layers\.1\..*": 12.0}, "r": 4},
    )
    one = export_adapter(even, smollm2, tmp_path / "even.gguf")
    other = export_adapter(rising, smollm2, tmp_path / "rising.gguf")
    assert one.metadata["adapter.lora.alpha"] == 4.0
    assert other.metadata["adapter.lora.alpha"] == 6.0
    assert {each.shape[1] for name, each in other.tensors.items() if name.endswith("_a")} == {6}
    weigh(smollm2, tmp_path / "rising.gguf")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole matrices"),
        ({"bias": "all"}, "without biases"),
        ({"peft_type": "IA3"}, "no LoRA"),
    ],
)
def test_what_gguf_has_no_form_for(
    smollm2: Path, tmp_path: Path, config: dict[str, object], reason: str
) -> None:
    folder = peft_folder(tmp_path / "peft", smollm2, config=config)
    with pytest.raises(TuningError, match=reason):
        export_adapter(folder, smollm2, tmp_path / "a.gguf")
    assert not list(tmp_path.glob("*a.gguf*"))


def test_damage_and_other_bases(smollm2: Path, embedder_files: Path, tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="no adapter of PEFT"):
        export_adapter(tmp_path, smollm2, tmp_path / "a.gguf")
    folder = peft_folder(tmp_path / "peft", smollm2)
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    with pytest.raises(TuningError, match="damaged"):
        export_adapter(folder, smollm2, tmp_path / "a.gguf")
    folder = peft_folder(tmp_path / "none", smollm2, layers=0)
    with pytest.raises(AdapterError, match="changes no weights"):
        export_adapter(folder, smollm2, tmp_path / "a.gguf")


def test_merging_says_what_is_wrong(smollm2: Path, tmp_path: Path) -> None:
    export_adapter(peft_folder(tmp_path / "peft", smollm2), smollm2, tmp_path / "a.gguf")
    with pytest.raises(ModelError, match="There is no type Q9"):
        merge(smollm2, tmp_path / "a.gguf", tmp_path / "m.gguf", "Q9")
    with pytest.raises(ModelError, match="importance matrix"):
        merge(smollm2, tmp_path / "a.gguf", tmp_path / "m.gguf", "IQ1_S")
    (tmp_path / "link.gguf").symlink_to(smollm2)
    with pytest.raises(ModelError, match="which is only read"):
        merge(smollm2, tmp_path / "a.gguf", tmp_path / "link.gguf")
    with pytest.raises(AdapterError):
        merge(smollm2, smollm2, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()
