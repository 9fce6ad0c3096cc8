"""Training in torch, on models small enough for it: what is learnt, from what, and by which way."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundling.errors import TuningError
from groundling.tuning.example import Example
from groundling.tuning.recipe import Recipe
from groundling.tuning.supervisor import TrainingRun
from groundling.tuning.tokens import Tokens
from groundling.tuning.training.job import RESULT
from tests.tuning.tiny import WIDTH, chats, tiny_model

torch = pytest.importorskip("torch", reason="the extra tune is not installed")
pytestmark = [pytest.mark.tune, pytest.mark.filterwarnings("ignore")]
RECIPE = Recipe(
    steps=2, context=96, threads=1, batch=4, accumulate=1, rank=4, warmup=0.0, learning_rate=1e-3
)
PACKAGES = {
    "galore": "galore_torch", "apollo": "apollo_torch", "lomo": "lomo_optim",
    "adamw-8bit": "bitsandbytes", "qlora": "bitsandbytes",
}  # fmt: skip
PAIRS = [replace(one, rejected="No.") for one in chats(16)]
LABELS = [replace(one, good=number % 2 == 0) for number, one in enumerate(chats(16))]


@pytest.fixture(scope="session")
def tiny(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", smollm2)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the events of trainings in this process."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr("groundling.tuning.training.reporting.tell", events.append)
    return events


def trained(
    folder: Path,
    base: Path,
    recipe: Recipe,
    examples: Sequence[Example] = (),
    heldout: Sequence[Example] = (),
    start: Path | None = None,
) -> dict[str, Any]:
    """Train in this process; return what is told at the end."""
    from groundling.tuning.training.worker import train

    given = examples or chats(16)
    run = TrainingRun.prepare(folder, base, recipe, given, heldout, start=start)
    return train(run.job)


def losses(told: Sequence[dict[str, Any]], event: str = "step") -> list[float]:
    return [each["loss"] for each in told if each["event"] == event]


def test_the_loss_is_the_answers_alone(tiny: Path, tmp_path: Path) -> None:
    from transformers import TrainingArguments

    from groundling.tuning.training.batches import IGNORED, Padded, row
    from groundling.tuning.training.supervised import Supervised
    from groundling.tuning.training.weights import load

    model = load(tiny, Recipe(), tmp_path)
    examples = [Tokens([5, 6, 7, 8], [9, 10, 2]), Tokens([11], [12, 2]), Tokens([3] * 9, [4, 2])]
    batch = Padded(2)([row(one) for one in examples])
    assert int((batch["labels"] != IGNORED).sum()) == 7
    trainer = Supervised(
        model=model, args=TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    )
    shapes: list[Any] = []
    model.lm_head.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[:2])))

    def gradients(loss: Any) -> list[Any]:
        model.zero_grad()
        loss.backward()
        return [each.grad.clone() for each in model.parameters()]

    ours = trainer.compute_loss(model, dict(batch))
    assert shapes == [(1, 7)]  # no place of a prompt or of the padding met the output matrix
    found = gradients(ours)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logits.retain_grad()
    plain = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED
    )
    wanted = gradients(plain)
    assert float(ours) == pytest.approx(float(plain), rel=1e-5)
    learnt = logits.grad.abs().sum(-1) > 0
    assert torch.equal(learnt[:, :-1], batch["labels"][:, 1:] != IGNORED)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_examples_are_learnt_by_heart(tiny: Path, tmp_path: Path, told: list[Any]) -> None:
    recipe = RECIPE.model_copy(
        update={"steps": 40, "weights": "full", "learning_rate": 2e-3, "evaluate": 20}
    )
    ended = trained(tmp_path, tiny, recipe, heldout=chats(8))
    looks = losses(told, "look")
    assert looks[-1] < 4 < 8 < losses(told)[0]
    right = [each["accuracy"] for each in told if each["event"] == "look"]
    assert right[-1] > 0.5
    assert ended["step"] == 40
    assert ended["tokens"] > 40 * 4 * 20


@pytest.mark.parametrize(
    "wanted",
    [
        {"optimiser": "adamw-8bit"},
        {"optimiser": "adafactor"},
        {"optimiser": "galore", "weights": "full"},
        {"optimiser": "apollo", "weights": "full"},
        {"optimiser": "lomo", "weights": "full"},
        {"weights": "qlora"},
        {"dtype": "bfloat16", "checkpointing": True},
    ],
    ids=lambda wanted: "-".join(map(str, wanted.values())),
)
def test_optimisers_and_forms_of_weights(
    tiny: Path, tmp_path: Path, told: list[Any], wanted: dict[str, Any]
) -> None:
    for package in (PACKAGES[each] for each in wanted.values() if each in PACKAGES):
        pytest.importorskip(package, reason=f"{package} is not installed")
    recipe = Recipe.model_validate({**RECIPE.model_dump(), "steps": 3, **wanted})
    ended = trained(tmp_path, tiny, recipe, chats(1) * 8)  # the same batch again and again
    first, *_, last = losses(told)
    assert last < first
    all_of_it = 3 * (4 * WIDTH * WIDTH) + 49_152 * WIDTH
    assert (ended["trained"] > all_of_it) == (recipe.weights == "full")
    stored = "model" if recipe.weights == "full" else "adapter_model"
    assert (tmp_path / RESULT / f"{stored}.safetensors").is_file()
    assert not (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "floats").exists()


def test_preferences_begin_at_the_adapter_they_go_on_from(
    tiny: Path, tmp_path: Path, told: list[Any]
) -> None:
    first = RECIPE.model_copy(update={"learning_rate": 2e-2, "steps": 6})
    trained(tmp_path / "sft", tiny, first)
    told.clear()
    dpo = RECIPE.model_copy(update={"method": "dpo"})
    start = tmp_path / "sft" / RESULT
    trained(tmp_path / "dpo", tiny, dpo, PAIRS, PAIRS[:4], start=start)
    # The policy is its own reference before the first update: log 2.
    assert losses(told)[0] == pytest.approx(0.693147, abs=1e-4)
    assert losses(told)[-1] < 0.69
    assert any("accuracy" in each for each in told)
    from safetensors.torch import load_file

    before = load_file(start / "adapter_model.safetensors")
    after = load_file(tmp_path / "dpo" / RESULT / "adapter_model.safetensors")
    moved = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert 0 < moved < 0.02  # two small steps away from it, not from nothing


def test_thumbs(tiny: Path, tmp_path: Path, told: list[Any]) -> None:
    kto = RECIPE.model_copy(update={"method": "kto"})
    trained(tmp_path / "kto", tiny, kto, LABELS)
    assert losses(told)[0] == pytest.approx(0.5, abs=1e-3)  # 1 - sigmoid(0), as at any beginning
    with pytest.raises(TuningError, match="All 16 examples are good answers"):
        trained(tmp_path / "good", tiny, kto, chats(16, good=True))
    with pytest.raises(TuningError, match="batch = 1 has nothing to compare"):
        trained(tmp_path / "one", tiny, kto.model_copy(update={"batch": 1}), LABELS)


def test_it_stops_when_held_out_examples_get_worse(
    tiny: Path, tmp_path: Path, told: list[Any]
) -> None:
    recipe = RECIPE.model_copy(
        update={"steps": 60, "learning_rate": 2e-2, "evaluate": 2, "patience": 2}
    )
    others = chats(8, answer="Nobody ever quarried ruby jars {}!")
    ended = trained(tmp_path, tiny, recipe, heldout=others)
    assert ended["step"] < 60
    looks = losses(told, "look")
    assert min(looks) == looks[-3]  # two looks after the best one
    assert (tmp_path / RESULT).is_dir()


def test_bases_that_cannot_be_trained(smollm2: Path, tmp_path: Path) -> None:
    from groundling.tuning.training.weights import load

    other = tiny_model(tmp_path / "other.gguf", smollm2, "plm")
    with pytest.raises(TuningError, match=r"other\.gguf cannot be trained.*plm") as caught:
        load(other, Recipe(), tmp_path)
    assert "qwen2" in str(caught.value.hint)
    holes = tiny_model(tmp_path / "holes.gguf", smollm2, without=("blk.1.ffn_up.weight",))
    with pytest.raises(TuningError, match=r"finds no .*layers\.1\.mlp\.up_proj"):
        load(holes, Recipe(), tmp_path)
    (tmp_path / "cut.gguf").write_bytes(other.read_bytes()[:5000])
    with pytest.raises(TuningError, match="cannot be trained"):
        load(tmp_path / "cut.gguf", Recipe(), tmp_path)


def test_adapters_that_do_not_fit(tiny: Path, tmp_path: Path) -> None:
    from groundling.tuning.training.lora import adapted
    from groundling.tuning.training.weights import load

    model = load(tiny, Recipe(), tmp_path)
    with pytest.raises(TuningError, match="cannot be put on this model") as caught:
        adapted(model, Recipe(targets=["c_attn"]), None)
    assert "targets" in str(caught.value.hint)


@pytest.mark.parametrize("optimiser", ["adalomo", "badam"])
def test_optimisers_that_are_not_here(tiny: Path, tmp_path: Path, optimiser: Any) -> None:
    if torch.cuda.is_available() and optimiser == "adalomo":
        pytest.skip("there is CUDA")
    with pytest.raises(TuningError, match=r"CUDA alone|without a licence"):
        trained(
            tmp_path, tiny, RECIPE.model_copy(update={"optimiser": optimiser, "weights": "full"})
        )
