"""Adapters as PEFT stores them, made of chosen numbers, without torch."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from groundling.models.gguf import read_gguf

MODULES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip


def peft_folder(
    folder: Path,
    base: Path,
    *,
    scale: float = 0.02,
    kinds: tuple[str, ...] = tuple(MODULES),
    layers: int = 2,
    rank: Callable[[int], int] = lambda _: 4,
    alpha: float = 8.0,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write an adapter of random numbers for the first layers of a base."""
    random = np.random.default_rng(0)
    header = read_gguf(base)
    weights: dict[str, Any] = {}
    for name, tensor in header.tensors.items():
        parts = name.split(".")
        if len(parts) != 4 or parts[2] not in kinds or int(parts[1]) >= layers:
            continue
        inner, outer = tensor.shape
        r = rank(int(parts[1]))
        stem = f"base_model.model.model.layers.{parts[1]}.{MODULES[parts[2]]}"
        weights[f"{stem}.lora_A.weight"] = random.normal(0, 1, (r, inner)).astype(np.float32)
        weights[f"{stem}.lora_B.weight"] = random.normal(0, scale, (outer, r)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "bias": "none", "lora_alpha": alpha, "r": rank(0)}
    (folder / "adapter_config.json").write_text(json.dumps({**told, **(config or {})}))
    return folder
