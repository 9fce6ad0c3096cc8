"""Makes the GGUF files that tests need and no package index carries.

LoRA adapters for a given model: random low-rank matrices for weights that its header names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from groundling.models.gguf import GgufHeader

RANK = 4


def make_adapter(
    path: Path,
    base: GgufHeader,
    weights: Sequence[str],
    *,
    size: float = 0.05,
    seed: int = 0,
    architecture: str | None = None,
    change: Callable[[GGUFWriter], None] = lambda _: None,
    shapes: Callable[[str, tuple[int, int]], tuple[int, int]] = lambda _, shape: shape,
) -> Path:
    """Write a LoRA adapter of rank 4 with random matrices.

    Args:
        path: to write to.
        base: the model's header.
        weights: names of the tensors to change.
        size: the standard deviation of the numbers; with alpha = rank, about that much times
            the input is added.
        seed: of the numbers.
        architecture: default: the base's.
        change: called before the file is written; adds or replaces what the file says.
        shapes: gives each matrix (`…lora_a`, `…lora_b`) another shape (rows, columns).
    """
    random = np.random.default_rng(seed)
    writer = GGUFWriter(path, architecture or base.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    change(writer)
    for weight in weights:
        inner, outer = base.tensors[weight].shape[:2]
        for name, shape in (
            (f"{weight}.lora_a", (RANK, inner)),
            (f"{weight}.lora_b", (outer, RANK)),
        ):
            numbers = random.normal(0, size, shapes(name, shape)).astype(np.float32)
            writer.add_tensor(name, numbers, raw_dtype=GGMLQuantizationType.F32)
    _write(writer)
    return path


def _write(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
