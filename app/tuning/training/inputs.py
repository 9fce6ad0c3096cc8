"""The mean square of the inputs of a model's matrices; a process for `tuning.importance`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundling.models.gguf import read_gguf
from groundling.tuning.export import tensor_names
from groundling.tuning.recipe import Recipe
from groundling.tuning.training.weights import load


def main() -> int:
    """Do what the standard input says."""
    import gguf

    job = json.load(sys.stdin)
    base = Path(job["base"])
    header = read_gguf(base)
    model = load(base, Recipe(), Path(job["out"]).parent)
    names = tensor_names(gguf, header)
    sums: dict[str, Any] = {}
    counts: dict[str, int] = {}

    def watch(name: str) -> Any:
        def note(_: Any, given: tuple[Any, ...]) -> None:
            rows = given[0].detach().reshape(-1, given[0].shape[-1]).float()
            sums[name] = sums.get(name, 0.0) + rows.square().sum(0)
            counts[name] = counts.get(name, 0) + len(rows)

        return note

    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            known = names.get_name(path, try_suffixes=(".weight",))
            if known is not None:
                module.register_forward_pre_hook(watch(f"{known}.weight"))
    with torch.no_grad():
        for window in job["windows"]:
            model(input_ids=torch.tensor([window]))
    found = {name: (sums[name] / counts[name]).numpy().astype(np.float32) for name in sums}
    if "output.weight" in found and "output.weight" not in header.tensors:
        del found["output.weight"]  # the embeddings write, too; they have no inputs
    np.savez(job["out"], **found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
