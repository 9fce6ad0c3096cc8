"""Training in torch, on models small enough for it: what is learnt, from what, and by which way."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from groundling.errors import TuningError
from groundling.tuning.example import Example
from groundling.tuning.recipe import Recipe
from groundling.tuning.supervisor import TrainingRun
from groundling.tuning.tokens import Tokens
from groundling.tuning.training.job import RESULT
from tests.tuning.tiny import VOCABULARY, WIDTH, chats, tiny_model

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
    assert looks[-1] < 3 < 8 < losses(told)[0]
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
    all_of_it = 3 * (4 * WIDTH * WIDTH) + VOCABULARY * WIDTH
    assert (ended["trained"] > all_of_it) == (recipe.weights == "full")
    stored = "model" if recipe.weights == "full" else "adapter_model"
    assert (tmp_path / RESULT / f"{stored}.safetensors").is_file()
    assert not (tmp_path / "checkpoints").exists()
    assert not list(tmp_path.glob("floats*"))


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


def test_the_reference_is_the_adapter_that_is_gone_on_from(
    tiny: Path, tmp_path: Path, told: list[Any]
) -> None:
    from groundling.tuning.training.job import TRAIN, read_tokens
    from groundling.tuning.training.lora import adapted
    from groundling.tuning.training.trainers import trainer_for
    from groundling.tuning.training.weights import load

    trained(tmp_path / "sft", tiny, RECIPE.model_copy(update={"learning_rate": 2e-2, "steps": 6}))
    recipe = RECIPE.model_copy(update={"method": "dpo", "beta": 0.3})
    start = tmp_path / "sft" / RESULT
    run = TrainingRun.prepare(tmp_path / "dpo", tiny, recipe, PAIRS, start=start)
    rows = list(read_tokens(run.folder / TRAIN))[:4]

    def said(model: Any) -> Any:
        """Return the log-likelihoods of the better answers and of the worse ones."""
        found = []
        for one in rows:
            for answer in (one.answer, one.rejected):
                logits = model(input_ids=torch.tensor([[*one.prompt, *answer]])).logits[0]
                at = logits[len(one.prompt) - 1 : -1].log_softmax(-1)
                found.append(at.gather(-1, torch.tensor(answer)[:, None]).sum())
        return torch.stack(found).reshape(-1, 2).T

    model = adapted(load(tiny, recipe, tmp_path), recipe, start)
    with torch.no_grad():
        reference = said(model)
        trainer = trainer_for(model, run.job, rows, [])
        for name, each in model.named_parameters():
            if ".default." in name:  # the policy moves on, the reference does not
                each.add_(torch.randn_like(each) * 0.05)
        policy = said(model)
        batch = trainer.data_collator([trainer.train_dataset[at] for at in range(4)])
        loss = trainer.compute_loss(model, batch)
    better, worse = policy - reference
    wanted = -torch.nn.functional.logsigmoid(0.3 * (better - worse)).mean()
    assert abs(float(wanted) - 0.693147) > 0.05
    assert float(loss) == pytest.approx(float(wanted), rel=1e-4)


def test_thumbs(tiny: Path, tmp_path: Path, told: list[Any]) -> None:
    kto = RECIPE.model_copy(update={"method": "kto"})
    trained(tmp_path / "kto", tiny, kto, LABELS)
    assert losses(told)[0] == pytest.approx(0.5, abs=1e-3)  # 1 - sigmoid(0), as at any beginning
    told.clear()
    one_bad = [replace(each, good=at != 3) for at, each in enumerate(LABELS[:9])]
    trained(tmp_path / "few", tiny, kto.model_copy(update={"steps": 6}), one_bad, LABELS[:3])
    assert len(losses(told)) == 6
    assert all(0 < loss < 4 for loss in losses(told))  # the one bad answer counts for eight
    with pytest.raises(TuningError, match="All 16 examples are good answers"):
        trained(tmp_path / "good", tiny, kto, chats(16, good=True))
    with pytest.raises(TuningError, match="batch = 1 has nothing to compare"):
        trained(tmp_path / "one", tiny, kto.model_copy(update={"batch": 1}), LABELS)


def test_it_stops_when_held_out_examples_get_worse_and_goes_back(
    tiny: Path, tmp_path: Path, told: list[Any]
) -> None:
    from safetensors.torch import load_file

    changes = {
        "steps": 60, "learning_rate": 2e-2, "evaluate": 2, "patience": 2, "schedule": "constant",
        "save": 50,
    }  # fmt: skip
    recipe = RECIPE.model_copy(update=changes)
    others = chats(8, answer="Nobody ever quarried ruby jars {}!")
    ended = trained(tmp_path / "long", tiny, recipe, heldout=others)
    assert ended["step"] < 60
    looks = losses(told, "look")
    assert min(looks) == looks[-3]  # two looks after the best one
    assert ended["best"] == ended["step"] - 4
    # What is kept is what a training makes that ends there.
    short = recipe.model_copy(update={"steps": ended["best"], "patience": 0})
    assert trained(tmp_path / "short", tiny, short, heldout=others)["best"] == ended["best"]
    one, other = (
        load_file(tmp_path / name / RESULT / "adapter_model.safetensors")
        for name in ("long", "short")
    )
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6)


def test_the_last_update_is_looked_at_too(tiny: Path, tmp_path: Path, told: list[Any]) -> None:
    recipe = RECIPE.model_copy(update={"steps": 7, "evaluate": 5})
    ended = trained(tmp_path, tiny, recipe, heldout=chats(8))
    assert [each["step"] for each in told if each["event"] == "look"] == [5, 7]
    assert ended["best"] == 7  # it was still getting better


def test_losses_that_are_no_numbers_end_it(smollm2: Path, tmp_path: Path) -> None:
    import gguf

    base = tiny_model(tmp_path / "tiny.gguf", smollm2)
    whole = next(x for x in gguf.GGUFReader(base, "r+").tensors if x.name == "blk.1.ffn_up.weight")
    whole.data[0, 0] = float("inf")
    whole.data.flush()
    recipe = RECIPE.model_copy(update={"save": 1})
    with pytest.raises(TuningError, match="went astray: at update 1 loss is nan") as caught:
        trained(tmp_path / "run", base, recipe)
    assert "learning_rate (0.001 now)" in str(caught.value.hint)
    assert not list((tmp_path / "run").glob("checkpoints/*"))  # nothing of that is kept


def test_bases_that_cannot_be_trained(smollm2: Path, tmp_path: Path) -> None:
    from groundling.tuning.training.weights import load

    other = tiny_model(tmp_path / "other.gguf", smollm2, "plm")
    with pytest.raises(TuningError, match=r"other\.gguf cannot be trained.*plm") as caught:
        load(other, Recipe(), tmp_path)
    assert "qwen2" in str(caught.value.hint)
    holes = tiny_model(tmp_path / "holes.gguf", smollm2, without=("blk.1.ffn_up.weight",))
    with pytest.raises(TuningError, match=r"finds no .*layers\.1\.mlp\.up_proj"):
        load(holes, Recipe(), tmp_path)
    # transformers takes the width of Qwen3's heads for 128, whatever the file says.
    narrow = tiny_model(tmp_path / "narrow.gguf", smollm2, "qwen3", head=16)
    with pytest.raises(TuningError, match="of the right shape in it, and 17 more"):
        load(narrow, Recipe(), tmp_path)
    (tmp_path / "cut.gguf").write_bytes(other.read_bytes()[:5000])
    with pytest.raises(TuningError, match="cannot be trained"):
        load(tmp_path / "cut.gguf", Recipe(), tmp_path)


def test_adapters_that_do_not_fit(tiny: Path, tmp_path: Path) -> None:
    from groundling.tuning.training.lora import adapted
    from groundling.tuning.training.weights import load

    model = load(tiny, Recipe(), tmp_path)
    with pytest.raises(TuningError, match=r"this model: its layers have no c_attn\.") as caught:
        adapted(model, Recipe(targets=["q_proj", "c_attn"]), None)  # half of it would not do
    assert "there are down_proj, gate_proj" in str(caught.value.hint)


def test_choices_that_are_not_here(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[Any]
) -> None:
    from groundling.tuning.training import trainers

    wanted = RECIPE.model_copy(update={"optimiser": "adalomo", "weights": "full"})
    if find_spec("lomo_optim") and not torch.cuda.is_available():
        with pytest.raises(TuningError, match="adalomo runs on CUDA alone, and there is none"):
            trained(tmp_path, tiny, wanted)
    monkeypatch.setitem(trainers._PACKAGES, "qlora", "bits-of-nowhere")
    with pytest.raises(TuningError, match="“qlora” needs bits-of-nowhere, which is not") as caught:
        trained(tmp_path, tiny, RECIPE.model_copy(update={"weights": "qlora"}))
    assert caught.value.hint == "pip install bits-of-nowhere"
