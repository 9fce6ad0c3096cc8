"""Training in processes of their own: killed, on a full disk, and several together."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from groundling.errors import TuningError
from groundling.tuning.recipe import Recipe, read_recipe
from groundling.tuning.supervisor import TrainingRun
from groundling.tuning.training.job import RESULT
from tests.tuning.tiny import chats

torch = pytest.importorskip("torch", reason="the extra tune is not installed")
# Every process reads torch for itself: on a busy machine that is a minute for each.
pytestmark = [
    pytest.mark.tune, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900),
]  # fmt: skip
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
TORCHRUN = ["torchrun", "--nproc-per-node", "2"]
ACCELERATE = ["accelerate", "launch", "--multi_gpu", "--num_processes", "2"]
OTHERS = chats(8, answer="Nobody ever quarried ruby jars {}!")
PARENT = """
import json, pathlib, sys
from groundling.tuning.supervisor import TrainingRun
from groundling.tuning.training.job import Job
run = TrainingRun(pathlib.Path(sys.argv[1]), None, None)
for event in run.events():
    print(run._process.pid, event["event"], flush=True)
"""


def run_of(
    folder: Path,
    base: Path,
    examples: Sequence[Any] = (),
    heldout: Sequence[Any] = (),
    start: Path | None = None,
    **wanted: Any,
) -> TrainingRun:
    recipe = Recipe.model_validate({**RECIPE.model_dump(), **wanted})
    return TrainingRun.prepare(folder, base, recipe, examples or chats(16), heldout, start=start)


def result(run: TrainingRun) -> dict[str, Any]:
    from safetensors.torch import load_file

    [file] = run.result.glob("*model.safetensors")
    return dict(load_file(file))


def finished(run: TrainingRun) -> dict[str, Any]:
    """Train in this process what is left to train; return the adapter."""
    from groundling.tuning.training.worker import train

    train(run.job)
    return result(run)


def same(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=tolerance)


def losses(told: Sequence[dict[str, Any]]) -> dict[int, float]:
    return {each["step"]: each["loss"] for each in told if each["event"] == "step"}


def kill_at(
    run: TrainingRun,
    step: int,
    command: Sequence[str] = (),
    which: Callable[[psutil.Process], psutil.Process] = lambda started: started,
    sent: int = signal.SIGKILL,
) -> None:
    for event in run.events(command):
        if event["event"] == "step" and event["step"] == step:
            assert run._process is not None
            which(psutil.Process(run._process.pid)).send_signal(sent)


def test_killed_in_the_middle_it_goes_on_to_the_same_end(
    tiny: Path, tmp_path: Path, told: list[Any]
) -> None:
    # Four updates are an epoch: it goes on from within one, with the dropout that was due.
    wanted = {"steps": 30, "save": 3, "dropout": 0.1}
    whole = finished(run_of(tmp_path / "whole", tiny, **wanted))
    first = losses(told)
    told.clear()
    run = run_of(tmp_path / "killed", tiny, **wanted)
    with pytest.raises(TuningError, match=r"killed.*the last whole checkpoint is kept"):
        kill_at(run, 8)
    # A checkpoint whose state was not written to its end does not count.
    torn = run.folder / "checkpoints" / "checkpoint-99"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step": 9')
    assert not run.result.exists()
    same(finished(run_of(tmp_path / "killed", tiny, **wanted)), whole, 1e-6)
    then = losses(told)
    assert sorted(then) == list(range(min(then), 31))
    assert min(then) > 6
    assert then == pytest.approx({step: first[step] for step in then}, abs=1e-5)


def test_preferences_go_on_with_the_reference_they_began_with(tiny: Path, tmp_path: Path) -> None:
    finished(run_of(tmp_path / "sft", tiny, learning_rate=2e-2))
    wanted = {"method": "dpo", "steps": 20, "save": 2, "learning_rate": 3e-3}
    pairs = [replace(one, rejected="No.") for one in chats(16)]
    start = tmp_path / "sft" / RESULT
    whole = finished(run_of(tmp_path / "whole", tiny, pairs, start=start, **wanted))
    run = run_of(tmp_path / "killed", tiny, pairs, start=start, **wanted)
    with pytest.raises(TuningError, match="killed"):
        kill_at(run, 5)
    same(finished(run), whole, 1e-5)


def test_a_full_disk_keeps_what_was_whole(tiny: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", tiny, steps=2)
    with pytest.raises(TuningError, match="The disk is full") as caught:
        list(run.events([sys.executable, "-c", FULL]))
    assert "goes on from there" in str(caught.value.hint)
    assert not run.result.exists()
    assert finished(run)


def test_it_leaves_the_machine_to_others_and_ends_with_who_started_it(
    tiny: Path, tmp_path: Path
) -> None:
    run = run_of(tmp_path / "run", tiny, steps=100_000, save=100_000, threads=2)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, run.folder], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    number = next(line.split()[0] for line in parent.stdout if "step" in line)
    training = psutil.Process(int(number))
    mine = os.nice(0)
    assert training.nice() == min(mine + 10, 19)
    weighed = Path(f"/proc/{number}/autogroup")
    if weighed.is_file():  # sessions are weighed first: the training's own, not this one
        assert weighed.read_text().endswith("nice 10\n")
        assert weighed.read_text() != Path("/proc/self/autogroup").read_text()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs([training], timeout=30)
    assert not alive


def test_threads_and_a_request_to_end(tiny: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", tiny, steps=60, threads=2)
    with pytest.raises(TuningError, match=r"ended with signal 15; the last whole checkpoint"):
        kill_at(run, 5, sent=signal.SIGTERM)
    told = list(run.events())
    assert next(each for each in told if each["event"] == "begun")["step"] >= 4
    assert (told[-1]["step"], told[-1]["threads"]) == (60, 2)


def test_copies_learn_what_one_process_does(tiny: Path, tmp_path: Path) -> None:
    alone = finished(run_of(tmp_path / "one", tiny, steps=3, save=10))
    run = run_of(tmp_path / "two", tiny, steps=3, save=10, batch=2, sharding="ddp")
    *_, ended = run.events(ACCELERATE)
    assert (ended["processes"], ended["sharding"]) == (2, "MULTI_CPU")
    same(result(run), alone, 1e-4)


def test_pieces_learn_what_one_process_does_and_go_on(tiny: Path, tmp_path: Path) -> None:
    wanted = {
        "steps": 60, "learning_rate": 1e-2, "evaluate": 2, "patience": 2, "save": 3,
        "schedule": "constant",
    }  # fmt: skip
    alone = run_of(tmp_path / "one", tiny, heldout=OTHERS, **wanted)
    whole = finished(alone)
    run = run_of(tmp_path / "two", tiny, heldout=OTHERS, batch=2, sharding="fsdp", **wanted)
    # One of the two is killed: the other cannot go on, and torchrun ends it.
    with pytest.raises(TuningError, match=r"was killed.*the last whole checkpoint is kept"):
        kill_at(run, 4, TORCHRUN, lambda started: started.children()[-1])
    assert not run.result.exists()
    told = list(run.events(TORCHRUN))
    begun = next(each for each in told if each["event"] == "begun")
    assert begun["step"] >= 2
    ended = told[-1]
    assert (ended["processes"], ended["sharding"]) == (2, "FSDP")
    assert ended["best"] < ended["step"] < 60
    same(result(run), whole, 1e-3)


def test_all_weights_in_pieces(tiny: Path, tmp_path: Path) -> None:
    wanted = {"steps": 3, "save": 2, "weights": "full"}
    alone = finished(run_of(tmp_path / "one", tiny, **wanted))
    run = run_of(tmp_path / "two", tiny, batch=2, sharding="fsdp", **wanted)
    *_, ended = run.events(TORCHRUN)
    assert ended["sharding"] == "FSDP"
    found = result(run)
    # Of matrices that are one, FSDP stores both.
    torch.testing.assert_close(found.pop("lm_head.weight"), found["model.embed_tokens.weight"])
    same(found, alone, 1e-3)


@pytest.mark.parametrize("preset", ["multi-gpu", "gpu"])
def test_presets_for_gpus_on_two_processes(tiny: Path, tmp_path: Path, preset: str) -> None:
    """The arithmetic is a CPU's; what is put together how is the preset's."""
    if preset == "gpu":
        pytest.importorskip("bitsandbytes")
    wanted = read_recipe(preset, {"steps": 2, "context": 96}).model_dump()
    if preset == "gpu":
        wanted["sharding"] = "ddp"
    run = run_of(tmp_path / "run", tiny, **wanted)
    told = list(run.events(TORCHRUN))
    assert told[-1]["processes"] == 2
    assert all(math.isfinite(loss) for loss in losses(told).values())
    assert all(bool(each.isfinite().all()) for each in result(run).values())
    assert not list(run.folder.glob("floats*"))


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
