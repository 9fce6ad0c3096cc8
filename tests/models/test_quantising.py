"""Smaller files of a model are made, whatever goes wrong meanwhile."""

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groundling.errors import DiskFull, ModelError, ModelFileError
from groundling.models import quantising
from groundling.models.gguf import read_gguf
from groundling.models.quantising import NEEDS_IMPORTANCE, TYPES, quantise, quantised_as

pytestmark = pytest.mark.model
_QUANTISE = """
import sys
from pathlib import Path
from groundling.models.quantising import quantise
quantise(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], threads=1)
"""


def start(source: Path, target: Path, kind: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _QUANTISE, str(source), str(target), kind]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name != "home")


def test_matrices_that_a_type_has_no_blocks_for_are_told(smollm2: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    made = quantise(
        smollm2, tmp_path / "k.gguf", "Q2_K", tell=lambda done, total: steps.append((done, total))
    )
    written = read_gguf(tmp_path / "k.gguf")
    assert made.bytes == written.file_bytes
    # SmolLM2 is 576 wide, 2 · 256 + 64; its feed-forward is 1,536 wide, and has Q2_K or Q3_K.
    wide = [t for t in written.tensors.values() if len(t.shape) > 1 and t.shape[0] % 256 == 0]
    assert len(wide) == 30
    assert made.matrices == 211
    assert sum(made.fallbacks.values()) == 211 - len(wide)
    assert set(made.fallbacks) <= {"Q4_0", "Q5_0", "Q8_0", "IQ4_NL"}
    assert steps[-1] == (written.tensor_count, written.tensor_count)
    assert quantise(smollm2, tmp_path / "p.gguf", "Q8_0").fallbacks == {}


def test_importance_changes_what_is_written(smollm2: Path, tmp_path: Path) -> None:
    header = read_gguf(smollm2)
    matrix = {
        name: np.linspace(0.01, 10, tensor.shape[0]).astype(np.float32)
        for name, tensor in header.tensors.items()
        if len(tensor.shape) == 2 and "embd" not in name
    }
    quantise(smollm2, tmp_path / "plain.gguf", "Q4_0")
    quantise(smollm2, tmp_path / "weighed.gguf", "Q4_0", importance=matrix)
    plain, weighed = ((tmp_path / f"{n}.gguf").read_bytes() for n in ("plain", "weighed"))
    assert plain != weighed
    assert set(read_gguf(tmp_path / "weighed.gguf").tensors) == set(header.tensors)


def test_wrong_wishes(smollm2: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no type Q9"):
        quantise(smollm2, tmp_path / "x.gguf", "Q9")
    for kind in ("IQ1_S", "IQ3_XXS", "IQ3_XS"):
        with pytest.raises(ModelError, match="importance matrix"):
            quantise(smollm2, tmp_path / "x.gguf", kind)
    with pytest.raises(ModelError, match="which is only read"):
        quantise(smollm2, smollm2, "Q8_0")
    with pytest.raises(ModelError, match=r"no/x\.gguf cannot be written"):
        quantise(smollm2, tmp_path / "no" / "x.gguf", "Q8_0")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(smollm2.read_bytes()[:200_000])
    with pytest.raises(ModelFileError):
        quantise(broken, tmp_path / "x.gguf", "Q8_0")
    assert names(tmp_path) == ["broken.gguf"]


def test_every_type_without_a_matrix_is_one_that_llama_cpp_makes(qwen: Path) -> None:
    """Ask llama.cpp, which only works the sizes out, whether it wants a matrix."""
    ask = """
import ctypes, logging, os, sys
from groundling.models.native import import_llama
from groundling.models.quantising import TYPES
said = []
class Keep(logging.Handler):
    def emit(self, record): said.append(record.getMessage())
log = logging.getLogger("groundling.llama")
log.addHandler(Keep())
llama = import_llama()
for name, number in TYPES.items():
    said.clear()
    wish = llama.llama_model_quantize_default_params()
    wish.ftype, wish.allow_requantize, wish.dry_run = number, True, True
    llama.llama_model_quantize(os.fsencode(sys.argv[1]), b"/nowhere", ctypes.byref(wish))
    if any("will require an imatrix" in line for line in said):
        print(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", ask, str(qwen)], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == NEEDS_IMPORTANCE


def test_what_a_file_was_made_in_is_known(smollm2: Path) -> None:
    header = read_gguf(smollm2)
    assert quantised_as(header) == "Q4_1"
    for name, number in TYPES.items():
        found = quantised_as(replace(header, metadata={"general.file_type": number}))
        assert found == (None if name in ("F32", "F16", "BF16") else name)
    assert quantised_as(replace(header, metadata={})) == "quantised"
    assert quantised_as(replace(header, metadata={}, tensors={})) is None


def test_a_disk_that_is_too_small_is_told_before(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The child looks at the disk itself, so that its module is given another margin.
    command = "import sys; from groundling.models import quantising as q; q._MARGIN = 1 << 60; "
    monkeypatch.setattr(
        quantising, "_COMMAND", [sys.executable, "-c", command + "sys.exit(q._child())"]
    )
    with pytest.raises(DiskFull, match=r"Q8_0 of .* takes 143\.\d MB; .* has .* free"):
        quantise(smollm2, tmp_path / "x.gguf", "Q8_0")
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_leaves_nothing(smollm2: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, before[1]))  # the child has it, too
    try:
        with pytest.raises(DiskFull, match=r"and .* is full"):
            quantise(smollm2, tmp_path / "x.gguf", "Q8_0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_killed_at_its_work_it_leaves_the_old_file(smollm2: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.gguf"
    target.write_bytes(b"old")
    running = start(smollm2, target, "Q5_K_M")
    beside = tmp_path / f".x.gguf.{running.pid}"
    while not (beside.exists() and beside.stat().st_size > 30_000_000):
        assert running.poll() is None
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    assert target.read_bytes() == b"old"
    until = time.monotonic() + 30
    while beside.exists():  # the quantiser's own process sees that it is alone
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(1.0)
    assert names(tmp_path) == ["x.gguf"]


def test_what_dead_processes_left_is_removed(smollm2: Path, tmp_path: Path) -> None:
    dead = start(smollm2, tmp_path / "no" / "x.gguf", "Q8_0")
    dead.communicate()
    left, other = tmp_path / f".x.gguf.{dead.pid}", tmp_path / f".y.gguf.{dead.pid}"
    alive = tmp_path / f".x.gguf.{os.getppid()}"
    for file in (left, other, alive):
        file.touch()
    quantise(smollm2, tmp_path / "x.gguf", "Q8_0")
    assert names(tmp_path) == sorted([alive.name, other.name, "x.gguf"])


def test_two_at_once_leave_one_whole_file(smollm2: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.gguf"
    both = [start(smollm2, target, kind) for kind in ("Q8_0", "Q4_0")]
    assert [(each.communicate(), each.returncode)[1] for each in both] == [0, 0]
    assert quantised_as(read_gguf(target)) in ("Q8_0", "Q4_0")
    assert names(tmp_path) == ["x.gguf"]
