"""A model with an adapter worked into its weights, as one GGUF file.

W + B·A, matrix by matrix (Hu et al. 2021, 4.1): everything else of the base's file is copied
as it is, tokens and template among it. The weights that changed are written as F16; another
type is made of that by llama.cpp's quantiser.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from groundling.errors import TuningError
from groundling.models.adapters import check_adapter
from groundling.models.gguf import GgufHeader, read_gguf
from groundling.models.quantising import check_target, check_type, quantise, sweep

_A, _B = ".lora_a", ".lora_b"
_EMBEDDING = "token_embd.weight"
_SKIPPED = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version")


def merge(base: Path, adapter: Path, target: Path, kind: str = "F16", scale: float = 1.0) -> int:
    """Write the merged model; return its size in bytes.

    Args:
        base: the GGUF file that the adapter belongs to.
        adapter: the GGUF adapter.
        target: the new file, written beside and renamed.
        kind: its type, of `TYPES`.
        scale: how much of the adapter.

    Raises:
        AdapterError: the adapter does not fit the base.
        TuningError: the extra `tune` is not installed; the disk is full; the base is in
            several files.
        ModelError: there is no such type, or it wants an importance matrix; the target is the
            base itself.
    """
    try:
        import gguf
    except ImportError as error:
        raise TuningError(
            "Files are merged with gguf, which is not installed.",
            hint='pip install "groundling[tune]"',
        ) from error
    check_type(kind, weighed=False)
    check_target(target, base)
    header = read_gguf(base)
    check_whole(header)
    check_adapter(header, adapter)
    sweep(target)
    beside = target.with_name(f".{target.name}.f16.{os.getpid()}")
    try:
        _write(gguf, base, adapter, beside, scale)
        if kind == "F16":
            beside.replace(target)
        else:
            quantise(beside, target, kind)
    except OSError as error:
        raise TuningError(
            f"The merged model cannot be written: {error.strerror or error}.",
            hint="Free the disk if it is full; base and adapter are as they were.",
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return target.stat().st_size


def check_whole(header: GgufHeader) -> None:
    """Refuse a model in several files, of which gguf would read the first one.

    Raises:
        TuningError: it is one.
    """
    if header.split_count > 1:
        raise TuningError(
            f"{header.path.name} is a model in {header.split_count} files.",
            hint="groundling model quantize --types F16 makes one file of them.",
        )


def _write(gguf: Any, base: Path, adapter: Path, target: Path, scale: float) -> None:
    model, change = gguf.GGUFReader(base), gguf.GGUFReader(adapter)
    pairs = {each.name: each for each in change.tensors}
    alpha = _alpha(change)
    writer = gguf.GGUFWriter(target, read_gguf(base).architecture, use_temp_file=True)
    try:
        copy_metadata(gguf, model, writer)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
        for tensor in model.tensors:
            a, b = pairs.get(tensor.name + _A), pairs.get(tensor.name + _B)
            weight = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            if a is not None and b is not None:
                weight = weight + scale * _change(gguf, tensor.name, a, b, alpha)
            # One-dimensional tensors, norms and biases, stay what they are.
            plain = weight.ndim == 1 or weight.shape[0] == 1
            writer.add_tensor(tensor.name, weight if plain else weight.astype(np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _change(gguf: Any, name: str, a: Any, b: Any, alpha: float) -> Any:
    """Return what an adapter adds to a matrix, as llama.cpp scales it.

    That is by alpha over the rank of this matrix; without an alpha by 1.
    """
    left, right = _floats(gguf, b), _floats(gguf, a)
    if name == _EMBEDDING:  # rows of A are taken, so that it lies the other way round
        left, right = right, left.swapaxes(-1, -2)
    return (left @ right) * (alpha / left.shape[-1] if alpha else 1.0)


def _floats(gguf: Any, tensor: Any) -> Any:
    return gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def copy_metadata(gguf: Any, model: Any, writer: Any, without: tuple[str, ...] = ()) -> None:
    """Copy tokens, template and all else that is not about the weights' types."""
    for field in model.fields.values():
        if field.name.startswith((*_SKIPPED, *without)):
            continue
        kind, *inner = field.types
        writer.add_key_value(
            field.name,
            field.contents(),
            kind,
            sub_type=inner[-1] if kind == gguf.GGUFValueType.ARRAY and inner else None,
        )


def _alpha(change: Any) -> float:
    field = change.fields.get("adapter.lora.alpha")
    return float(field.contents()) if field is not None else 0.0
