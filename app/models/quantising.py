"""GGUF files made smaller: llama.cpp's quantiser, in a process of its own.

    made = quantise(source, target, "Q4_K_M", importance=matrix)

The quantiser ends the process over files that it does not understand, so that it does not run
in this one. What it writes goes beside the target and is renamed when it is whole; its process
ends with this one, and takes away what it had written. K-quants and most i-quants want rows of
a multiple of 256 numbers; for others llama.cpp takes a larger type, which is told.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from groundling.errors import DiskFull, ModelError
from groundling.models.files.disk import show_bytes
from groundling.models.gguf import GgufHeader, read_gguf

# The types that people use, and llama.cpp's numbers for them, smallest last.
TYPES: Mapping[str, int] = {
    "F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q6_K": 18, "Q5_K_M": 17, "Q5_K_S": 16,
    "Q5_1": 9, "Q5_0": 8, "Q4_K_M": 15, "Q4_K_S": 14, "Q4_1": 3, "Q4_0": 2, "IQ4_NL": 25,
    "IQ4_XS": 30, "Q3_K_L": 13, "Q3_K_M": 12, "IQ3_M": 27, "IQ3_S": 26, "Q3_K_S": 11,
    "IQ3_XS": 22, "IQ3_XXS": 23, "Q2_K": 10, "IQ2_M": 29, "IQ2_S": 28, "IQ2_XS": 20,
    "IQ2_XXS": 19, "IQ1_M": 31, "IQ1_S": 24,
}  # fmt: skip
FLOATS = frozenset({"F32", "F16", "BF16"})
# These cannot be made without knowing which weights matter.
NEEDS_IMPORTANCE = frozenset(
    {"IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"}
)
Importance = Mapping[str, npt.NDArray[np.float32]]
Tell = Callable[[int, int], None]

_COMMAND = [sys.executable, "-P", "-m", __name__]
_BLOCK = 256
# Names of ggml's types for what stands in for types of 256 numbers.
_SMALL_BLOCKS = {1: "F16", 2: "Q4_0", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 20: "IQ4_NL"}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MARGIN = 16 << 20  # of the disk, for the file's header and for others
_PROBE = 1 << 20
_PARENT_CHECK_SECONDS = 0.5
_STEP = re.compile(r"^\[ *(\d+)/ *(\d+)\]")
_SIZE = re.compile(r"quant size += +([\d.]+) MiB")


@dataclass(frozen=True)
class Quantised:
    """A file that was made.

    Args:
        bytes: its size.
        matrices: how many it has.
        fallbacks: how many of them have rows that the type has no blocks for, by the larger
            type that they have instead.
        seconds: what it took.
    """

    bytes: int
    matrices: int
    fallbacks: Mapping[str, int]
    seconds: float


def quantise(
    source: Path,
    target: Path,
    kind: str,
    *,
    importance: Importance | None = None,
    threads: int | None = None,
    tell: Tell = lambda *_: None,
) -> Quantised:
    """Write a model in another type; a file that the target names already is replaced.

    Args:
        source: a GGUF file. From one that is quantised already nothing is won back.
        kind: of `TYPES`.
        importance: by tensor, the mean square of each input of its columns (an importance
            matrix: https://github.com/ggml-org/llama.cpp/pull/4861).
        threads: default: all cores.
        tell: called with tensors done and all of them.

    Raises:
        ModelError: the type is none, or llama.cpp cannot do it; the target is the source, or
            cannot be written.
        ModelFileError: the source is no GGUF.
        DiskFull: there is not enough room for the new file.
    """
    check_type(kind, weighed=importance is not None)
    read_gguf(source)
    check_target(target, source)
    sweep(target)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        told = {"source": str(source), "target": str(beside), "type": TYPES[kind],
                "threads": threads or 0, "importance": None, "parent": os.getpid()}  # fmt: skip
        if importance is not None:
            told["importance"] = str(Path(folder) / "importance.npz")
            np.savez(str(told["importance"]), allow_pickle=False, **dict(importance))
        try:
            _run(told, source, target, kind, tell)
            made = read_gguf(beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    matrices = [each for each in made.tensors.values() if len(each.shape) > 1]
    return Quantised(
        made.file_bytes, len(matrices), _fallbacks(made, kind), time.monotonic() - began
    )


def check_type(kind: str, *, weighed: bool) -> None:
    """Look whether a type can be made.

    Args:
        weighed: whether there is an importance matrix.

    Raises:
        ModelError: it is none, or wants a matrix.
    """
    if kind not in TYPES:
        raise ModelError(f"There is no type {kind}.", hint=f"One of {', '.join(TYPES)}.")
    if kind in NEEDS_IMPORTANCE and not weighed:
        raise ModelError(
            f"{kind} is only usable with an importance matrix of your own texts.",
            hint="groundling model quantize … --importance TEXTS",
        )


def check_target(target: Path, source: Path) -> None:
    """Keep a model from being replaced by what is made of it.

    Raises:
        ModelError: both are one file.
    """
    if target.exists() and target.samefile(source):
        raise ModelError(
            f"{target} is the file that it would be made of, which is only read.",
            hint="Give the new file another name.",
        )


def quantised_as(header: GgufHeader) -> str | None:
    """Return the type that a file was made in; None where its weights are floats."""
    names = {number: name for name, number in TYPES.items()}
    if header.file_type is None:
        floats = {0, 1, 30}  # ggml's types, not the file's
        return None if {each.type for each in header.tensors.values()} <= floats else "quantised"
    name = names.get(header.file_type, f"type {header.file_type}")
    return None if name in FLOATS else name


def _fallbacks(header: GgufHeader, kind: str) -> dict[str, int]:
    """Count the matrices that have a larger type because their rows are of no whole blocks."""
    if not (kind.startswith("IQ") or "_K" in kind) or kind == "IQ4_NL":
        return {}
    found = Counter(
        _SMALL_BLOCKS[each.type]
        for name, each in header.tensors.items()
        if len(each.shape) > 1 and each.shape[0] % _BLOCK and each.type in _SMALL_BLOCKS
    )
    return dict(found.most_common())


def sweep(target: Path) -> None:
    """Remove what processes that are gone had begun to write beside a target."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        process = left.name.rpartition(".")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            left.unlink(missing_ok=True)


def _run(told: Mapping[str, object], source: Path, target: Path, kind: str, tell: Tell) -> None:
    said: dict[str, int] = {}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(told).encode())
                child.stdin.close()
            for line in child.stdout:
                if line.startswith(b"{"):
                    said |= json.loads(line)
                if "total" in said:
                    tell(said["done"], said["total"])
        except BaseException:
            child.kill()
            raise
        code = child.wait()
        errors.seek(0)
        lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    if code:
        raise _failed(said, source, target, Path(str(told["target"])), kind, code, lines)


def _failed(
    said: Mapping[str, int],
    source: Path,
    target: Path,
    beside: Path,
    kind: str,
    code: int,
    lines: list[str],
) -> ModelError | DiskFull:
    need = f"{kind} of {source.name} takes {show_bytes(said.get('need', 0))}"
    elsewhere = "Free some room, or name a folder on another disk."
    if "free" in said:
        return DiskFull(
            f"{need}; {target.parent} has {show_bytes(said['free'])} free.", hint=elsewhere
        )
    # What llama.cpp says of a file that cannot be written is "iostream error".
    if (error := _refusal(beside)) is not None:
        if error.errno in _FULL:
            return DiskFull(f"{need}, and {target.parent} is full.", hint=elsewhere)
        return ModelError(
            f"{target} cannot be written: {error.strerror}.", hint="Name another folder."
        )
    return ModelError(
        f"{source.name} cannot be written as {kind}: "
        f"{lines[-1] if lines else f'the quantiser ended with {code}'}",
        hint="groundling model verify; a file of F16 or BF16 can be made into every type.",
    )


def _refusal(file: Path) -> OSError | None:
    """Return why a file may not grow."""
    try:
        with file.open("ab") as grown:
            grown.write(bytes(_PROBE))
    except OSError as error:
        return error
    return None


def _child() -> int:
    """Do what the standard input says; the exit code is llama.cpp's."""
    from groundling.models.native import import_llama, native_errors

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what Ctrl-C means is the parent's
    told = json.load(sys.stdin)
    target = Path(told["target"])
    threading.Thread(target=_end_with, args=(told["parent"], target), daemon=True).start()
    llama = import_llama()
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = told["type"]
    parameters.nthread = told["threads"]
    parameters.allow_requantize = True
    kept: list[object] = []
    if told["importance"]:
        parameters.imatrix = _matrix(llama, told["importance"], kept)

    def write(dry: bool) -> int:
        parameters.dry_run = dry
        names = os.fsencode(told["source"]), os.fsencode(told["target"])
        with native_errors() as errors:
            code = llama.llama_model_quantize(*names, ctypes.byref(parameters))
        if code:
            print("\n".join(errors) or "llama.cpp gives no reason", file=sys.stderr)
        return int(code)

    watch = _Watch()
    log = logging.getLogger("groundling.llama")
    log.addHandler(watch)
    log.setLevel(logging.INFO)
    if code := write(dry=True):
        return code
    free = shutil.disk_usage(target.parent).free
    _say(need=watch.size)
    if watch.size + _MARGIN > free:
        _say(free=free)
        return 1
    watch.steps = True
    return write(dry=False)


class _Watch(logging.Handler):
    """Reads llama.cpp's log: the size that a file will have, and how far it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.steps = False

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if self.steps and (step := _STEP.match(line)):
            _say(done=int(step[1]), total=int(step[2]))
        elif size := _SIZE.search(line):
            self.size = int(float(size[1]) * (1 << 20))


def _say(**numbers: int) -> None:
    print(json.dumps(numbers), flush=True)


def _end_with(parent: int, target: Path) -> None:
    """End this process when its parent is gone, and leave no half file."""
    while sys.platform == "win32" or os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    target.unlink(missing_ok=True)
    os._exit(1)


def _matrix(llama: Any, file: str, kept: list[object]) -> object:
    """Return llama.cpp's array of matrices, which ends with a name of null."""
    item = llama.llama_model_imatrix_data
    with np.load(file) as stored:
        values = {name: np.ascontiguousarray(stored[name], np.float32) for name in stored.files}
    array = (item * (len(values) + 1))()
    for place, (name, numbers) in zip(array, values.items(), strict=False):
        place.name = name.encode()
        place.data = numbers.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        place.size = numbers.size
    kept += [array, values]
    return ctypes.cast(array, ctypes.POINTER(item))


if __name__ == "__main__":
    raise SystemExit(_child())
