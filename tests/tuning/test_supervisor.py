"""A run is prepared, watched and ended; what its process does not say, its supervisor does."""

import errno
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from groundling.errors import TuningError
from groundling.tuning.example import Example
from groundling.tuning.recipe import Recipe
from groundling.tuning.supervisor import TrainingRun, alone, material
from groundling.tuning.training import worker
from groundling.tuning.training.job import HELDOUT, TRAIN, Job, read_tokens
from tests.tuning.tiny import chats

pytestmark = pytest.mark.model
RECIPE = Recipe(context=64, steps=2)


def prepared(
    folder: Path, base: Path, examples: Sequence[Example], recipe: Recipe = RECIPE
) -> TrainingRun:
    return TrainingRun.prepare(folder / "run", base, recipe, examples)


def python(script: str) -> list[str]:
    """Return a command that runs a script in place of the training."""
    return [sys.executable, "-c", f"import json, os, sys, time\n{script}"]


def test_a_job_is_tokens_and_a_recipe(smollm2: Path, tmp_path: Path) -> None:
    run = TrainingRun.prepare(tmp_path / "run", smollm2, RECIPE, chats(9), chats(2))
    job = Job.read(tmp_path / "run" / "job.json")
    assert job == run.job
    assert (job.recipe, job.start) == (RECIPE, None)
    learnt = list(read_tokens(tmp_path / "run" / TRAIN))
    assert len(learnt) == 9
    assert len(list(read_tokens(tmp_path / "run" / HELDOUT))) == 2
    # Each answer ends with the token that ends answers, which also fills up batches.
    assert {one.answer[-1] for one in learnt} == {job.pad}
    assert not run.skipped


def test_what_cannot_be_learnt_from_is_passed_over(smollm2: Path, tmp_path: Path) -> None:
    long = chats(1, answer="word " * 60)
    label = chats(1, good=True)
    run = prepared(tmp_path, smollm2, [*chats(8), *long, *label])
    assert len(run.skipped) == 2
    assert "tokens with its answer; 64 are trained with" in run.skipped[0]
    assert "of the kind label, not chat" in run.skipped[1]
    assert len(list(read_tokens(tmp_path / "run" / TRAIN))) == 8


def test_too_few_examples(smollm2: Path, tmp_path: Path) -> None:
    with pytest.raises(TuningError, match=r"There are 7 examples for sft; at least 8") as caught:
        prepared(tmp_path, smollm2, [*chats(7), *chats(1, good=True)])
    assert "1 were passed over: it is of the kind label" in str(caught.value)
    assert "tune data show" in str(caught.value.hint)
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_is_refused_before_anything_is_loaded(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundling.tuning.plan.available_memory", lambda: 1 << 30)
    with pytest.raises(TuningError, match=r"would need about .* GB of memory; 1\.1 GB") as caught:
        prepared(tmp_path, smollm2, chats(8), Recipe(weights="full", context=64))
    assert "the optimiser" in str(caught.value)
    assert "adafactor" in str(caught.value.hint)


def test_events_are_passed_on_and_kept(smollm2: Path, tmp_path: Path) -> None:
    run = prepared(tmp_path, smollm2, chats(8))
    script = """
print("a library prints something")
print(json.dumps({"event": "step", "step": 1, "loss": 2.0}))
print("{} []")
print(json.dumps({"event": "ended", "step": 1}))
"""
    told = [event["event"] for event in run.events(python(script))]
    assert told == ["step", "ended"]
    kept = (run.folder / "events.jsonl").read_text().splitlines()
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            'print(json.dumps({"event": "failed", "reason": "No luck.", "hint": "More."}))',
            "No luck",
        ),
        ("os.kill(os.getpid(), 9)", "killed, perhaps by the system for its memory"),
        ("os.kill(os.getpid(), 15)", "ended with signal 15"),
        (
            "print('  exitcode  : -9 (pid: 7)', file=sys.stderr); sys.exit(1)",
            "killed, perhaps by the system for its memory",
        ),
        ("import torch_is_not_here", "extra tune is not installed.*torch_is_not_here"),
        ("sys.exit('it broke')", "ended with code 1: it broke"),
        ("sys.exit(3)", "ended with code 3: it said nothing"),
        ("pass", "ended with code 0"),
    ],
)
def test_how_a_process_ended(smollm2: Path, tmp_path: Path, script: str, reason: str) -> None:
    run = prepared(tmp_path, smollm2, chats(8))
    with pytest.raises(TuningError, match=reason) as caught:
        list(run.events(python(script)))
    assert caught.value.hint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_disk_that_is_full_for_the_supervisor(smollm2: Path, tmp_path: Path) -> None:
    run = prepared(tmp_path, smollm2, chats(8))
    (run.folder / "events.jsonl").symlink_to("/dev/full")
    with pytest.raises(TuningError, match=r"cannot write into .*No space left") as caught:
        list(run.events(python('print(json.dumps({"event": "ended", "step": 1}))')))
    assert "goes on from there" in str(caught.value.hint)


def test_a_command_that_is_not_there(smollm2: Path, tmp_path: Path) -> None:
    run = prepared(tmp_path, smollm2, chats(8))
    with pytest.raises(TuningError, match=r"torchrum cannot be started: No such file"):
        list(run.events(["torchrum", "--nproc-per-node", "2"]))


def test_torchrun_is_our_own(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another environment's would train with another torch, and not find Groundling."""
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "torchrun").write_text(f"#!/bin/sh\necho {folder} >&2; exit 1\n")
        (tmp_path / folder / "torchrun").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "ours" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "theirs"), prepend=os.pathsep)
    run = prepared(tmp_path, smollm2, chats(8))
    with pytest.raises(TuningError, match="ended with code 1: ours"):
        list(run.events(["torchrun", "--nproc-per-node", "2"]))


def test_the_plan_is_written_out(smollm2: Path) -> None:
    given = material(smollm2, RECIPE, chats(9, answer="Yes."), chats(2))
    told = given.plan.explain()
    assert re.match(r"[\d.]+ GB at the most \(torch 0\.9, weights 0\.\d, reading them 0\.", told)
    assert sum(len(each) for each in (given.train, given.heldout)) == 11
    nf4 = material(smollm2, RECIPE.model_copy(update={"weights": "qlora"}), chats(9), ()).plan
    # Its embeddings, a fifth of its numbers, stay floats: 113 MB alone.
    assert 150e6 < nf4.weights < 0.4 * given.plan.weights


def test_leaving_the_loop_ends_the_process(smollm2: Path, tmp_path: Path) -> None:
    run = prepared(tmp_path, smollm2, chats(8))
    script = """
print(json.dumps({"event": "step", "step": os.getpid()}), flush=True)
time.sleep(600)
"""
    events = run.events(python(script))
    process = next(events)["step"]
    os.kill(process, 0)  # it is there
    events.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(process, signal.SIGCONT)
    with alone(run.folder):  # and nobody holds the folder
        pass


def test_one_process_trains_a_run(smollm2: Path, tmp_path: Path) -> None:
    run = prepared(tmp_path, smollm2, chats(8))
    with (
        FileLock(run.folder / "lock"),
        pytest.raises(TuningError, match="Another process trains run"),
    ):
        next(run.events(python("sys.exit(1)")))


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory", "batch"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory", "batch"),
        (MemoryError(), "memory", "batch"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full", "goes on"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"), "disk", ""),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk is full", ""),
        (ImportError("You need to install `galore_torch`"), "not installed.*galore_torch", "tune"),
        (ValueError("allocation of names"), "ValueError: allocation of names", "errors.log"),
    ],
)
def test_errors_of_the_libraries_are_explained(error: Exception, reason: str, hint: str) -> None:
    told = worker._explained(error)
    assert re.search(reason, told["reason"])
    assert hint in told["hint"]
