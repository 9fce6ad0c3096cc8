"""The base's weights as torch has them, straight from a GGUF file or from a folder of the hub.

transformers reads the quantised blocks of a GGUF file and makes floats of them. What it then
remembers of that ("quantized with GGUF") would keep its own trainer from training them, and
is taken off: the weights are ordinary floats.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

from groundling.errors import TuningError
from groundling.settings import environment
from groundling.tuning.recipe import Recipe

_READABLE = "llama, qwen2, qwen3, mistral, phi3, gemma2, gemma3 and what else transformers reads"


def load(base: Path, recipe: Recipe, scratch: Path) -> Any:
    """Return the model.

    Args:
        base: a GGUF file, or a folder with safetensors.
        scratch: a folder for weights that are read a second time, in 4 bits.

    Raises:
        TuningError: transformers cannot read it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, recipe.dtype)
    where: dict[str, Any] = {"pretrained_model_name_or_path": str(base)}
    if base.is_file():
        where = {"pretrained_model_name_or_path": str(base.parent), "gguf_file": base.name}
    try:
        model, told = AutoModelForCausalLM.from_pretrained(
            **where,
            dtype=dtype,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told, and refused below
        )
    except (ValueError, LookupError, OSError, NotImplementedError, struct.error) as error:
        raise TuningError(
            f"The weights of {base.name} cannot be trained: {error}",
            hint=f"Bases that can be: {_READABLE}.",
        ) from error
    mismatched = {name for name, *_ in told["mismatched_keys"]}
    if missing := sorted(mismatched | set(told["missing_keys"])):
        # transformers fills up with random numbers what it has no name or no room for.
        raise TuningError(
            f"The weights of {base.name} cannot be trained: transformers finds no "
            f"{missing[0]} of the right shape in it, and {len(missing) - 1} more.",
            hint=f"Bases that can be: {_READABLE}.",
        )
    _forget_quantisation(model)
    if recipe.weights == "qlora":
        # Of several processes each has its own: none may take away what another reads.
        floats = scratch / f"floats-{environment().get('RANK', '0')}"
        try:
            model.save_pretrained(floats)
            del model  # before it is read again
            model = _in_four_bits(floats, dtype)
        finally:
            shutil.rmtree(floats, ignore_errors=True)
    model.config.use_cache = False
    return model


def _forget_quantisation(model: Any) -> None:
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(model, name):
            try:
                delattr(model, name)
            except AttributeError:
                setattr(model, name, None if name != "is_quantized" else False)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _in_four_bits(folder: Path, dtype: Any) -> Any:
    """Read the weights again as NF4 (Dettmers et al. 2023, arXiv:2305.14314)."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=quantised, dtype=dtype, local_files_only=True
    )
