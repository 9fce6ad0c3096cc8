"""LoRA adapters: which files fit which model, and which of them a context applies.

An adapter changes the products of named weights by a low-rank term, scale · alpha / rank ·
B A x (Hu et al. 2021, arXiv:2106.09685). Its file is compared with the base model's header
before native code sees it: llama.cpp takes some wrong files without a word, and ends the
process over others. What a header cannot tell is whether the adapter was trained on these
very weights: another model of the same shapes goes through.
"""

from __future__ import annotations

import ctypes
import math
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from groundling.errors import AdapterError, ModelFileError
from groundling.models.calls import Adapter
from groundling.models.gguf import GgufHeader, Tensor, read_gguf
from groundling.models.memory import available_memory
from groundling.models.native import native_errors

_FLOAT32 = 6  # the GGUF value type
_STRING = 8
_A, _B = ".lora_a", ".lora_b"
_EMBEDDING = "token_embd.weight"
# ggml types that a product can be taken with: floats, and blocks of quantised weights.
_WEIGHT_TYPES = frozenset({0, 1, 2, 3, 6, 7, 8, *range(10, 15), *range(16, 24), 29, 30, 34, 35, 39})
_MOST_LOADED = 16

# Path, inode, time of the last change in nanoseconds, size in bytes.
FileKey = tuple[str, int, int, int]


def check_adapter(base: GgufHeader, path: Path) -> GgufHeader:
    """Read an adapter's header and compare it with the model it is meant for.

    Raises:
        AdapterError: the file is missing, damaged or no LoRA, or was made for another base;
            the message names what differs.
    """
    try:
        header = read_gguf(path)
    except ModelFileError as error:
        raise AdapterError(
            f"No adapter can be read: {error}",
            hint="An adapter is a GGUF file; llama.cpp's convert_lora_to_gguf.py makes one of "
            "a PEFT folder.",
        ) from error
    for key, wanted in (("general.type", "adapter"), ("adapter.type", "lora")):
        value = header.metadata.get(key)
        if value != wanted or header.types.get(key) != _STRING:
            raise AdapterError(
                f"{path} is no LoRA adapter: its {key} is {value!r}, not {wanted!r}.",
                hint="groundling model list shows what the file may be instead.",
            )
    if header.architecture != base.architecture:
        raise _other_base(base, path, f"it is for {header.architecture!r} models")
    alpha = header.metadata.get("adapter.lora.alpha", 0.0)
    if header.types.get("adapter.lora.alpha", _FLOAT32) != _FLOAT32 or not _finite(alpha):
        raise _damaged(path, f"its alpha is {alpha!r}")
    if any(key.startswith("adapter.alora.") for key in header.metadata):
        raise AdapterError(
            f"{path} is an activated LoRA, which counts only after a phrase; that is not supported."
        )
    _check_tensors(base, header)
    return header


def _check_tensors(base: GgufHeader, adapter: GgufHeader) -> None:
    path, pairs = adapter.path, 0
    for name, a in adapter.tensors.items():
        if name.endswith("_norm.weight"):
            continue  # llama.cpp leaves these out as well
        stem, ending = name[: -len(_A)], name[-len(_A) :]
        if ending not in (_A, _B):
            raise _damaged(path, f"its tensor {name!r} is no part of a LoRA")
        if {stem + _A, stem + _B} - adapter.tensors.keys():
            raise _damaged(path, f"{name!r} has no counterpart")
        if a.type not in _WEIGHT_TYPES:
            raise _damaged(path, f"{name!r} has the type {a.type}, which no product takes")
        if ending == _A:
            _check_pair(base, path, stem, a, adapter.tensors[stem + _B])
            pairs += 1
    if not pairs:
        raise _damaged(path, "it changes no weights")


def _check_pair(base: GgufHeader, path: Path, name: str, a: Tensor, b: Tensor) -> None:
    weight = base.tensors.get(name)
    if weight is None:
        raise _other_base(base, path, f"it changes {name!r}, which this model does not have")
    if name == _EMBEDDING and "output.weight" not in base.tensors:
        # llama.cpp would use the pair for the output, too, in the wrong order, and abort.
        raise AdapterError(
            f"{path} changes the token embeddings, which {base.name} also writes with; "
            "llama.cpp cannot do that.",
            hint="Train the adapter without embed_tokens and lm_head.",
        )
    if min(map(len, (weight.shape, a.shape, b.shape))) < 2:
        raise _damaged(path, f"{name!r} is no matrix")
    # Of embeddings rows are taken, so that A has the vocabulary where others have the input.
    (inner, outer), rest = weight.shape[:2], weight.shape[2:]
    if name == _EMBEDDING:
        fits = a.shape[1] == outer and b.shape[1] == inner and a.shape[0] == b.shape[0]
    else:
        fits = a.shape[0] == inner and b.shape[1] == outer and a.shape[1] == b.shape[0]
    if not fits or a.shape[2:] != rest or b.shape[2:] != rest or not b.shape[0]:
        raise _other_base(
            base, path, f"its {name!r} is {a.shape} and {b.shape} for a matrix of {weight.shape}"
        )


def load_adapter(llama: ModuleType, model: object, base: GgufHeader, path: Path) -> int:
    """Check and load an adapter; return its address, valid until it or the model is freed.

    Raises:
        AdapterError: see `check_adapter`; or it does not fit into the free memory.
    """
    header = check_adapter(base, path)
    free = available_memory()
    if header.tensor_bytes > free:
        raise AdapterError(
            f"{path} does not fit into memory: {header.tensor_bytes / 1e6:,.0f} MB; "
            f"free: {free / 1e6:,.0f} MB."
        )
    with native_errors() as errors:
        handle = llama.llama_adapter_lora_init(model, os.fsencode(path))
    if not handle:
        raise _damaged(path, errors[0] if errors else "llama.cpp gives no reason")
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


@dataclass(frozen=True)
class AdapterSet:
    """Adapters as a context applies them; equal ones make equal text.

    Args:
        key: each file's identity and its scale, in order. Calls of equal keys may share a
            forward pass, and what was read with a key holds for that key alone.
        handles: the loaded adapters, one for each part of the key.
    """

    key: tuple[tuple[FileKey, float], ...] = ()
    handles: tuple[int, ...] = field(default=(), compare=False, repr=False)


NO_ADAPTERS = AdapterSet()


class AdapterStore:
    """The adapters of one loaded model, loaded when first asked for.

    Belongs to the thread that owns the model and its one context. A file that was replaced
    is loaded anew, and sets resolved before keep what they had. Beyond 16 the ones not used
    for longest are freed, never those of a set that is alive.

    Args:
        llama: the binding.
        model: the loaded model.
        header: of the model's file.
    """

    def __init__(self, llama: ModuleType, model: object, header: GgufHeader) -> None:
        self._llama = llama
        self._model = model
        self._header = header
        self._loaded: dict[FileKey, int] = {}  # the last used one is last
        self._sets: list[weakref.ref[AdapterSet]] = []
        self._applied = NO_ADAPTERS

    def resolve(self, adapters: Sequence[Adapter]) -> AdapterSet:
        """Load what is not loaded; call it when a request is admitted, and keep the set.

        Of a file that is named twice the scales add up; a scale of 0 leaves it out.

        Raises:
            AdapterError: see `load_adapter`; or a scale is no finite number.
        """
        if not adapters:
            return NO_ADAPTERS
        scales: dict[FileKey, float] = {}
        for adapter in adapters:
            if not _finite(adapter.scale):
                raise AdapterError(f"{adapter.path}: the scale {adapter.scale} is no number.")
            key = _file_key(adapter.path)
            handle = self._loaded.pop(key, None)
            if handle is None:
                handle = load_adapter(self._llama, self._model, self._header, adapter.path)
            self._loaded[key] = handle
            scales[key] = scales.get(key, 0.0) + adapter.scale
        used = tuple(sorted((key, scale) for key, scale in scales.items() if scale))
        found = AdapterSet(used, tuple(self._loaded[key] for key, _ in used))
        self._sets.append(weakref.ref(found))
        self._free_unused()
        return found

    def apply(self, context: object, adapters: AdapterSet) -> None:
        """Let the context's next forward passes use exactly these adapters.

        The set that is applied already costs nothing; another makes llama.cpp plan its
        buffers anew.
        """
        if adapters == self._applied:
            return
        count = len(adapters.handles)
        kind = self._llama.llama_adapter_lora_p_ctypes
        pointers = (kind * count)(*(ctypes.cast(handle, kind) for handle in adapters.handles))
        scales = (ctypes.c_float * count)(*(scale for _, scale in adapters.key))
        code = self._llama.llama_set_adapters_lora(context, pointers, count, scales)
        if code != 0:
            raise AdapterError(f"llama.cpp could not apply {count} adapters (code {code}).")
        self._applied = adapters

    def close(self) -> None:
        """Free what is loaded: after the context, before the model."""
        while self._loaded:
            self._free(self._loaded.popitem()[1])

    def _free_unused(self) -> None:
        self._sets = [one for one in self._sets if one() is not None]
        alive = {key for one in self._sets if (found := one()) for key, _ in found.key}
        alive |= {key for key, _ in self._applied.key}
        for key in [key for key in self._loaded if key not in alive]:
            if len(self._loaded) <= _MOST_LOADED:
                break
            self._free(self._loaded.pop(key))

    def _free(self, handle: int) -> None:
        kind = self._llama.llama_adapter_lora_p_ctypes
        self._llama.llama_adapter_lora_free(ctypes.cast(handle, kind))


def _finite(value: object) -> bool:
    if not isinstance(value, int | float):
        return False
    with np.errstate(over="ignore"):
        return math.isfinite(float(np.float32(value)))


def _file_key(path: Path) -> FileKey:
    try:
        file = path.resolve().stat()
    except OSError as error:
        raise AdapterError(
            f"There is no adapter {path}: {error.strerror}.", hint="Name a GGUF file."
        ) from error
    return str(path.resolve()), file.st_ino, file.st_mtime_ns, file.st_size


def _other_base(base: GgufHeader, path: Path, what: str) -> AdapterError:
    return AdapterError(
        f"{path} is an adapter for another base than {base.name} "
        f"({base.architecture}, {base.path.name}): {what}.",
        hint="Take the adapter that was trained on this model, or the model it was trained on.",
    )


def _damaged(path: Path, what: str) -> AdapterError:
    return AdapterError(
        f"{path} cannot be used as a LoRA adapter: {what}.", hint="Convert or train it again."
    )
