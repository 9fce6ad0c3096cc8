"""A model that was trained as a whole becomes a GGUF file: the base's, with other weights.

Tokens, template and everything else of the base's file are copied as they are; its tensors
are replaced, by name, by those that transformers stored, matrices as F16. Heads are turned
into llama.cpp's order where the architecture has another, as for adapters.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundling.errors import TuningError
from groundling.models.gguf import GgufHeader, read_gguf
from groundling.tuning.export import floats, stored_tensors, tensor_names, turned
from groundling.tuning.merging import check_whole, copy_metadata

# Of these transformers and llama.cpp keep the same numbers, but for the order of heads.
REWRITABLE = frozenset({"llama", "qwen2", "qwen3"})


def check_rewritable(header: GgufHeader) -> None:
    """Refuse a base whose weights could be trained and not be written again.

    Raises:
        TuningError: its architecture is none of `REWRITABLE`, or it is in several files.
    """
    check_whole(header)
    if header.architecture not in REWRITABLE:
        raise TuningError(
            f"All weights of models of the kind {header.architecture} cannot be written as GGUF.",
            hint=f"weights = “lora” in the recipe, or a base of the kinds "
            f"{', '.join(sorted(REWRITABLE))}.",
        )


def write_weights(folder: Path, base: Path, file: Path, name: str) -> GgufHeader:
    """Write the weights of a folder as a GGUF file, F16; return what was written.

    Args:
        folder: as transformers stores a model: safetensors, in one file or several.
        base: the GGUF file that the training began with; it is only read.
        file: where it goes; written beside and renamed.
        name: what the model is to call itself.

    Raises:
        TuningError: a tensor is missing, is too much or has another shape; the extra `tune`
            is not installed; the disk is full.
    """
    try:
        import gguf
    except ImportError as error:
        raise TuningError(
            "Models are written with gguf, which is not installed.",
            hint='pip install "groundling[tune]"',
        ) from error
    header = read_gguf(base)
    check_rewritable(header)
    found: dict[str, Any] = {}
    try:
        for part in sorted(folder.glob("*.safetensors")):
            found |= stored_tensors(part)
    except (OSError, ValueError, LookupError) as error:
        raise TuningError(f"The weights in {folder} are damaged: {error}") from error
    weights = _by_name(gguf, header, found)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(gguf, base, header, weights, beside, name)
        beside.replace(file)
    except OSError as error:
        raise TuningError(
            f"The model cannot be written: {error.strerror or error}.",
            hint="Free the disk if it is full, and run the same command: what was trained is kept.",
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return read_gguf(file)


def _by_name(gguf: Any, header: GgufHeader, found: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return transformers' name of what was stored, and its numbers, by GGUF's name."""
    names = tensor_names(gguf, header)
    weights: dict[str, tuple[str, Any]] = {}
    for name, numbers in found.items():
        stem, _, kind = name.rpartition(".")
        known = names.get_name(stem)
        tensor = header.tensors.get(f"{known}.{kind}")
        if tensor is None:
            if f"{known}.{kind}" == "output.weight":
                continue  # the embeddings write, too
            raise TuningError(f"{name} was trained, and the base's file has no place for it.")
        if numbers.shape != tuple(reversed(tensor.shape)):
            raise TuningError(f"{name} is {numbers.shape}; the base has {tensor.shape} there.")
        weights[f"{known}.{kind}"] = stem, numbers
    return weights


def _write(
    gguf: Any,
    base: Path,
    header: GgufHeader,
    weights: Mapping[str, tuple[str, Any]],
    file: Path,
    name: str,
) -> None:
    model = gguf.GGUFReader(base)
    missing = [each.name for each in model.tensors if each.name not in weights]
    # Factors of rotary positions are worked out, not trained: the base's stay.
    if missing := [each for each in missing if not each.startswith("rope_")]:
        raise TuningError(f"{missing[0]} is missing in what was trained.")
    writer = gguf.GGUFWriter(file, header.architecture, use_temp_file=True)
    try:
        copy_metadata(gguf, model, writer, without=("general.name",))
        writer.add_name(name)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
        for tensor in model.tensors:
            if tensor.name in weights:
                stem, numbers = weights[tensor.name]
                values = turned(floats(numbers), stem, header)
            else:
                values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            writer.add_tensor(
                tensor.name, values if values.ndim == 1 else values.astype(np.float16)
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
