"""GGUF files made smaller: llama.cpp's quantiser, in a process of its own.

    quantise(source, target, "Q4_K_M", importance=matrix)

The quantiser ends the process over files that it does not understand, so that it does not run
in this one. What it writes goes beside the target and is renamed when it is whole. K-quants
want rows of a multiple of 256 numbers; for others llama.cpp takes a larger type by itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from groundling.errors import DiskFull, ModelError
from groundling.models.gguf import read_gguf

# The types that people use, and llama.cpp's numbers for them, smallest last.
TYPES: Mapping[str, int] = {
    "F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q6_K": 18, "Q5_K_M": 17, "Q5_K_S": 16,
    "Q5_1": 9, "Q5_0": 8, "Q4_K_M": 15, "Q4_K_S": 14, "Q4_1": 3, "Q4_0": 2, "IQ4_NL": 25,
    "IQ4_XS": 30, "Q3_K_L": 13, "Q3_K_M": 12, "IQ3_M": 27, "IQ3_S": 26, "Q3_K_S": 11,
    "IQ3_XS": 22, "IQ3_XXS": 23, "Q2_K": 10, "IQ2_M": 29, "IQ2_S": 28, "IQ2_XS": 20,
    "IQ2_XXS": 19, "IQ1_M": 31, "IQ1_S": 24,
}  # fmt: skip
# These cannot be made without knowing which weights matter.
NEEDS_IMPORTANCE = frozenset({"IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"})
Importance = Mapping[str, npt.NDArray[np.float32]]
_MARGIN = 64 << 20


def quantise(
    source: Path,
    target: Path,
    kind: str,
    *,
    importance: Importance | None = None,
    threads: int | None = None,
) -> int:
    """Write a model in another type; return the new file's size in bytes.

    Args:
        source: a GGUF file. From one that is quantised already nothing is won back.
        kind: of `TYPES`.
        importance: by tensor, the mean square of each input of its columns (an importance
            matrix: https://github.com/ggml-org/llama.cpp/pull/4861).
        threads: default: all cores.

    Raises:
        ModelError: the type is none, or llama.cpp cannot do it; the target is the source.
        ModelFileError: the source is no GGUF.
        DiskFull: there is not enough room for the new file.
    """
    check_type(kind, weighed=importance is not None)
    header = read_gguf(source)
    check_target(target, source)
    free = shutil.disk_usage(target.parent).free
    if free < header.file_bytes + _MARGIN and TYPES[kind] > 1:
        raise DiskFull(
            f"{target.parent} has {free / 1e9:.1f} GB free; {source.name} has "
            f"{header.file_bytes / 1e9:.1f} GB.",
            hint="Free the disk, or give another folder with --out.",
        )
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory() as folder:
        told = {"source": str(source), "target": str(beside), "type": TYPES[kind],
                "threads": threads or 0, "importance": None}  # fmt: skip
        if importance is not None:
            told["importance"] = str(Path(folder) / "importance.npz")
            np.savez(str(told["importance"]), allow_pickle=False, **dict(importance))
        try:
            _run(told, kind)
            size = read_gguf(beside).file_bytes
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    return size


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


def _run(told: Mapping[str, object], kind: str) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps(told).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ModelError(
            f"{Path(str(told['source'])).name} cannot be written as {kind}: "
            f"{lines[-1] if lines else f'the quantiser ended with {done.returncode}'}",
            hint="groundling model verify; a file of F16 or BF16 can be made into every type.",
        )


def _child() -> int:
    """Do what the standard input says; the exit code is llama.cpp's."""
    from groundling.models.native import import_llama, native_errors

    told = json.load(sys.stdin)
    llama = import_llama()
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = told["type"]
    parameters.nthread = told["threads"]
    parameters.allow_requantize = True
    kept: list[object] = []
    if told["importance"]:
        parameters.imatrix = _matrix(llama, told["importance"], kept)
    with native_errors() as errors:
        code = llama.llama_model_quantize(
            os.fsencode(told["source"]), os.fsencode(told["target"]), ctypes.byref(parameters)
        )
    if code:
        print("\n".join(errors) or "llama.cpp gives no reason", file=sys.stderr)
    return int(code != 0)


def _matrix(llama: object, file: str, kept: list[object]) -> object:
    """Return llama.cpp's array of matrices, which ends with a name of null."""
    item = llama.llama_model_imatrix_data  # type: ignore[attr-defined]
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
