"""Training in processes of their own: killed, on a full disk, and several together."""

import sys
from pathlib import Path
from typing import Any

import pytest

from groundling.errors import TuningError
from groundling.tuning.recipe import Recipe
from groundling.tuning.supervisor import TrainingRun
from groundling.tuning.training.job import RESULT
from tests.tuning.tiny import chats, tiny_model

torch = pytest.importorskip("torch", reason="the extra tune is not installed")
pytestmark = [pytest.mark.tune, pytest.mark.filterwarnings("ignore")]
RECIPE = Recipe(
    steps=8, context=96, threads=1, batch=4, accumulate=1, rank=4, warmup=0.0, learning_rate=1e-3,
    save=2,
)  # fmt: skip
# Files longer than that cannot be written to their end, as on a full disk.
FULL = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))
os.execv({sys.executable!r}, [{sys.executable!r}, "-P", *sys.argv[1:]])
"""
TWO = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]


@pytest.fixture(scope="session")
def tiny(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", smollm2)


def run_of(folder: Path, base: Path, **wanted: Any) -> TrainingRun:
    recipe = Recipe.model_validate({**RECIPE.model_dump(), **wanted})
    return TrainingRun.prepare(folder, base, recipe, chats(16))


def finished(run: TrainingRun) -> dict[str, Any]:
    """Train in this process what is left to train; return the adapter."""
    from safetensors.torch import load_file

    from groundling.tuning.training.worker import train

    train(run.job)
    return dict(load_file(run.folder / RESULT / "adapter_model.safetensors"))


def same(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=tolerance)


def kill_at(run: TrainingRun, step: int) -> None:
    for event in run.events():
        if event["event"] == "step" and event["step"] == step:
            assert run._process is not None
            run._process.kill()


def test_killed_in_the_middle_it_goes_on_to_the_same_end(tiny: Path, tmp_path: Path) -> None:
    whole = finished(run_of(tmp_path / "whole", tiny, steps=20))
    run = run_of(tmp_path / "killed", tiny, steps=20)
    with pytest.raises(TuningError, match=r"killed.*the last whole checkpoint is kept"):
        kill_at(run, 5)
    # A checkpoint whose state was not written to its end does not count.
    torn = run.folder / "checkpoints" / "checkpoint-99"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step": 9')
    assert not run.result.exists()
    same(finished(run_of(tmp_path / "killed", tiny, steps=20)), whole, 1e-6)


def test_a_full_disk_keeps_what_was_whole(tiny: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", tiny, steps=2)
    with pytest.raises(TuningError, match="The disk is full") as caught:
        list(run.events([sys.executable, "-c", FULL]))
    assert "goes on from there" in str(caught.value.hint)
    assert not run.result.exists()
    assert finished(run)


@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_does(tiny: Path, tmp_path: Path, sharding: str) -> None:
    from safetensors.torch import load_file

    alone = finished(run_of(tmp_path / "one", tiny, steps=3, save=10))
    run = run_of(tmp_path / "two", tiny, steps=3, save=10, batch=2, sharding=sharding)
    *_, ended = run.events(TWO)
    assert ended["processes"] == 2
    assert (ended["sharding"] == "FSDP") == (sharding == "fsdp")
    same(load_file(run.result / "adapter_model.safetensors"), alone, 1e-4)


def test_sharding_and_processes_that_do_not_go_together(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundling.tuning.training.processes import CheckSharding

    with pytest.raises(TuningError, match="sharding = “fsdp”, and there is one process"):
        finished(run_of(tmp_path / "one", tiny, sharding="fsdp"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TuningError, match="2 processes were started"):
        finished(run_of(tmp_path / "two", tiny))
    # Copies, where pieces were wanted: told before the first update.
    look = CheckSharding(Recipe(sharding="fsdp"))
    with pytest.raises(TuningError, match="all of the model in each"):
        look.on_train_begin(None, None, None, model=torch.nn.Linear(2, 2))
