"""A PEFT adapter becomes a GGUF adapter that llama.cpp applies, F16, without torch.

The names are GGUF's (`gguf.get_tensor_name_map`), and for architectures whose heads
llama.cpp turns otherwise than transformers do, the rows of B are put in its order, as
`convert_hf_to_gguf.py` does with the weights themselves. What llama.cpp has no form for
(DoRA, biases, embeddings) is refused; different ranks are made one by zeros, with the scale
of each matrix worked into B.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundling.errors import AdapterError, TuningError
from groundling.models.adapters import check_adapter
from groundling.models.gguf import GgufHeader, read_gguf

# Of these architectures llama.cpp turns neighbouring rows of queries and keys, transformers
# rows half a head apart.
_TURNED = frozenset({"llama"})
# Of these `convert_hf_to_gguf.py` takes every matrix of a layer as it is, but for the turning.
# Of others it turns, splits or joins some (granite, falcon, bloom, the mixtures of experts):
# an adapter written as it is would be another one there, and nobody would be told.
EXPORTABLE = _TURNED | {"qwen2", "qwen3", "gemma2", "gemma3", "phi3", "starcoder2", "stablelm"}
_PREFIX = "base_model.model."
_TYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(np.uint16),
}
Matrix = npt.NDArray[np.float32]


def export_adapter(folder: Path, base: Path, file: Path) -> GgufHeader:
    """Write the adapter of a folder as a GGUF file for a base; return what was written.

    Args:
        folder: PEFT's: `adapter_config.json` and `adapter_model.safetensors`.
        base: the GGUF file that the adapter was trained on.
        file: where it goes; written beside and renamed.

    Raises:
        TuningError: the adapter has something that GGUF has no form for; the extra `tune` is
            not installed; the disk is full.
        AdapterError: what came out does not fit the base.
    """
    gguf = _gguf()
    config = _config(folder)
    header = read_gguf(base)
    check_exportable(header)
    try:
        weights = stored_tensors(folder / "adapter_model.safetensors")
    except (OSError, ValueError, LookupError) as error:
        raise TuningError(f"The adapter in {folder} is damaged: {error}") from error
    pairs = _pairs(weights, config)
    rank = max(a.shape[0] for a, _ in pairs.values())
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    names = tensor_names(gguf, header)
    writer = gguf.GGUFWriter(beside, header.architecture)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        # With the scales in B, alpha equals the rank: llama.cpp's own scale is 1.
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
        for name, (a, b) in sorted(pairs.items()):
            known = names.get_name(name, try_suffixes=(".weight",))
            if known is None:
                raise TuningError(
                    f"{name} has no name in GGUF for models of the kind {header.architecture}.",
                    hint="targets in the recipe names the matrices.",
                )
            ordered = turned(b, name, header)
            wide_a = np.zeros((rank, a.shape[1]), np.float32)
            wide_b = np.zeros((ordered.shape[0], rank), np.float32)
            wide_a[: a.shape[0]], wide_b[:, : b.shape[1]] = a, ordered
            writer.add_tensor(f"{known}.weight.lora_a", wide_a.astype(np.float16))
            writer.add_tensor(f"{known}.weight.lora_b", wide_b.astype(np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        check_adapter(header, beside)
        beside.replace(file)
    except OSError as error:
        raise TuningError(
            f"The adapter cannot be written: {error.strerror or error}.",
            hint="Free the disk if it is full; what was trained is kept.",
        ) from error
    finally:
        writer.close()
        beside.unlink(missing_ok=True)
    return read_gguf(file)


def check_exportable(header: GgufHeader) -> None:
    """Refuse a base whose adapter could be trained and not be written.

    Raises:
        TuningError: its architecture is none of `EXPORTABLE`, or gguf is not installed.
    """
    if header.architecture not in EXPORTABLE:
        raise TuningError(
            f"Adapters for models of the kind {header.architecture} cannot be written.",
            hint=f"A base of the kinds {', '.join(sorted(EXPORTABLE))}.",
        )
    tensor_names(_gguf(), header)


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise TuningError(
            "Adapters are written with gguf, which is not installed.",
            hint='pip install "groundling[tune]"',
        ) from error
    return gguf


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TuningError(
            f"{folder} holds no adapter of PEFT: {error}",
            hint="It should have adapter_config.json and adapter_model.safetensors.",
        ) from error
    refused = {
        "use_dora": "DoRA",
        "modules_to_save": "whole matrices beside the adapter",
        "trainable_token_indices": "trained embeddings",
    }
    for key, what in refused.items():
        if config.get(key):
            raise TuningError(f"The adapter has {what}, which GGUF has no form for.")
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        raise TuningError("The adapter is no LoRA without biases; GGUF has no form for others.")
    return dict(config)


def _pairs(
    weights: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, tuple[Matrix, Matrix]]:
    """Return A and scaled B of each matrix, by the matrix's name in the base."""
    found: dict[str, tuple[Matrix, Matrix]] = {}
    for name, a in weights.items():
        stem, part, _ = name.partition(".lora_A.")
        if not part:
            if ".lora_B." not in name:
                raise TuningError(f"{name} is no part of a LoRA; GGUF has no form for it.")
            continue
        other = name.replace(".lora_A.", ".lora_B.")
        if other not in weights:
            raise TuningError(f"The adapter is damaged: {name} has no counterpart.")
        plain = stem.removeprefix(_PREFIX)
        scale = _scale(plain, a.shape[0], config)
        found[plain] = (floats(a), floats(weights[other]) * scale)
    if not found:
        raise AdapterError("The adapter changes no weights.")
    return found


def _scale(name: str, rank: int, config: Mapping[str, Any]) -> float:
    """Return alpha / rank, or alpha / √rank, of a matrix."""
    alphas = config.get("alpha_pattern") or {}
    alpha = next(
        (value for key, value in alphas.items() if re.match(rf".*(^|\.)({key})$", name)),
        config["lora_alpha"],
    )
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)


def stored_tensors(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Map the tensors of a safetensors file; numbers of the type BF16, which numpy lacks, as
    they are stored.

    Raises:
        OSError, ValueError, LookupError: it cannot be read, or is damaged.
    """
    from gguf.utility import SafetensorsLocal

    return {
        name: each.mmap_bytes().view(_TYPES[each.dtype]).reshape(each.shape)
        for name, each in SafetensorsLocal(file).tensors.items()
    }


def floats(stored: npt.NDArray[Any]) -> Matrix:
    """Return a tensor of `stored_tensors` as numbers of 32 bits."""
    if stored.dtype == _TYPES["BF16"]:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def tensor_names(gguf: Any, header: GgufHeader) -> Any:
    """Return gguf's map from transformers' names to its own, for a base's architecture.

    Raises:
        TuningError: gguf does not know the architecture.
    """
    known = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    if header.architecture not in known:
        raise TuningError(
            f"gguf has no names for models of the kind {header.architecture}.",
            hint="pip install --upgrade gguf",
        )
    blocks = header.metadata[f"{header.architecture}.block_count"]
    return gguf.get_tensor_name_map(known[header.architecture], blocks)


def turned(b: Matrix, name: str, header: GgufHeader) -> Matrix:
    """Return the rows of a matrix, or the numbers of a bias, in llama.cpp's order of heads.

    Args:
        b: of a weight, or of the B of its adapter.
        name: of the weight, as transformers has it.
    """
    kind = name.rpartition(".")[2]
    if header.architecture not in _TURNED or kind not in ("q_proj", "k_proj"):
        return b
    prefix = f"{header.architecture}.attention.head_count"
    heads = int(header.metadata[prefix])  # type: ignore[arg-type]
    if kind == "k_proj":
        heads = int(header.metadata.get(f"{prefix}_kv", heads))  # type: ignore[arg-type]
    halves = b.reshape(heads, 2, b.shape[0] // heads // 2, *b.shape[1:])
    return halves.swapaxes(1, 2).reshape(b.shape)
