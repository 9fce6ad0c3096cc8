"""LoRA adapters: what is refused before native code sees it, and what an adapter changes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGUFWriter

from groundling.errors import AdapterError
from groundling.models import adapters as module
from groundling.models.adapters import NO_ADAPTERS, AdapterStore, check_adapter
from groundling.models.calls import Adapter
from groundling.models.gguf import GgufHeader, Tensor, read_gguf
from groundling.models.native import import_llama
from tests.models.make_gguf import RANK, make_adapter

WEIGHT = "blk.0.attn_q.weight"


@pytest.fixture
def base(tmp_path: Path) -> GgufHeader:
    """Return the header of a model that has one matrix, one vector and three experts."""
    return GgufHeader(
        path=tmp_path / "base.gguf",
        version=3,
        file_bytes=0,
        tensor_bytes=0,
        tensor_count=3,
        metadata={"general.architecture": "llama"},
        tensors={
            WEIGHT: Tensor((32, 48), 1),
            "blk.0.attn_q.bias": Tensor((48,), 0),
            "blk.0.ffn_up_exps.weight": Tensor((32, 48, 3), 1),
            "token_embd.weight": Tensor((32, 100), 1),
        },
    )


def test_a_fitting_adapter_passes(base: GgufHeader, tmp_path: Path) -> None:
    header = check_adapter(base, make_adapter(tmp_path / "a.gguf", base, [WEIGHT]))
    assert header.metadata["adapter.lora.alpha"] == RANK


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.add_type("model"), "no LoRA adapter: its general.type is 'model'"),
        (lambda w: w.add_string("adapter.type", "control_vector"), "adapter.type is 'control_v"),
        (lambda w: w.add_uint32("adapter.type", 1), "adapter.type is 1"),
        (lambda w: w.add_float64("adapter.lora.alpha", 8.0), r"alpha is 8\.0"),
        (lambda w: w.add_string("adapter.lora.alpha", "8"), "alpha is '8'"),
        (lambda w: w.add_float32("adapter.lora.alpha", float("nan")), "alpha is nan"),
        (lambda w: w.add_array("adapter.alora.invocation_tokens", [1, 2]), "activated LoRA"),
    ],
)
def test_wrong_metadata(
    base: GgufHeader, tmp_path: Path, change: Callable[[GGUFWriter], None], reason: str
) -> None:
    def replace(writer: GGUFWriter) -> None:
        before = {**writer.kv_data[0]}
        for key in ("general.type", "adapter.type", "adapter.lora.alpha"):
            writer.kv_data[0].pop(key)
        change(writer)
        writer.kv_data[0] = {**before, **writer.kv_data[0]}

    path = make_adapter(tmp_path / "a.gguf", base, [WEIGHT], change=replace)
    with pytest.raises(AdapterError, match=reason):
        check_adapter(base, path)


def _numbers(*shape: int) -> npt.NDArray[np.float32]:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "changes no weights"),
        ({"blk.0.attn_norm.weight": _numbers(32)}, "changes no weights"),
        ({WEIGHT + ".lora_a": _numbers(4, 32)}, "no counterpart"),
        ({WEIGHT: _numbers(48, 32)}, "no part of a LoRA"),
        (
            {WEIGHT + ".lora_a": _numbers(4, 64), WEIGHT + ".lora_b": _numbers(48, 4)},
            r"another base than .*\(64, 4\) and \(4, 48\) for a matrix of \(32, 48\)",
        ),
        (
            {WEIGHT + ".lora_a": _numbers(4, 32), WEIGHT + ".lora_b": _numbers(48, 5)},
            "another base",
        ),
        (
            {"blk.9.attn_q.weight.lora_a": _numbers(4, 32)}
            | {"blk.9.attn_q.weight.lora_b": _numbers(48, 4)},
            "'blk.9.attn_q.weight', which this model does not have",
        ),
        (
            {"blk.0.attn_q.bias.lora_a": _numbers(4, 48)}
            | {"blk.0.attn_q.bias.lora_b": _numbers(1, 4)},
            "no matrix",
        ),
        (  # two experts' matrices for three: llama.cpp compares the first two dimensions only
            {"blk.0.ffn_up_exps.weight.lora_a": _numbers(2, 4, 32)}
            | {"blk.0.ffn_up_exps.weight.lora_b": _numbers(2, 48, 4)},
            "another base",
        ),
        (
            {WEIGHT + ".lora_a": np.ones((4, 32), np.int32)}
            | {WEIGHT + ".lora_b": _numbers(48, 4)},
            "type 26",
        ),
        (
            {"token_embd.weight.lora_a": _numbers(100, 4)}
            | {"token_embd.weight.lora_b": _numbers(32, 4)},
            "also writes with",
        ),
    ],
)
def test_wrong_tensors(
    base: GgufHeader,
    tmp_path: Path,
    tensors: dict[str, npt.NDArray[np.float32]],
    reason: str,
) -> None:
    def add(writer: GGUFWriter) -> None:
        for name, numbers in tensors.items():
            writer.add_tensor(name, numbers)

    with pytest.raises(AdapterError, match=reason):
        check_adapter(base, make_adapter(tmp_path / "a.gguf", base, [], change=add))


def test_embeddings_of_a_model_with_an_output_of_its_own(base: GgufHeader, tmp_path: Path) -> None:
    base.tensors["output.weight"] = Tensor((32, 100), 1)
    shapes = {"a": (100, RANK), "b": (32, RANK)}
    make = lambda: make_adapter(  # noqa: E731
        tmp_path / "a.gguf", base, ["token_embd.weight"], shapes=lambda name, _: shapes[name[-1]]
    )
    check_adapter(base, make())
    shapes["b"] = (32, RANK + 1)
    with pytest.raises(AdapterError, match="another base"):
        check_adapter(base, make())


def test_other_files(base: GgufHeader, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"There is no model file .*a\.gguf"):
        check_adapter(base, tmp_path / "a.gguf")
    safetensors = tmp_path / "adapter_model.safetensors"
    safetensors.write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(AdapterError, match="not a GGUF") as error:
        check_adapter(base, safetensors)
    assert "convert_lora_to_gguf" in (error.value.hint or "")
    whole = make_adapter(tmp_path / "a.gguf", base, [WEIGHT])
    whole.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(AdapterError, match="cut short"):
        check_adapter(base, whole)
    other = make_adapter(tmp_path / "b.gguf", base, [WEIGHT], architecture="qwen2")
    with pytest.raises(AdapterError, match="'qwen2' models"):
        check_adapter(base, other)


class Loaded:
    """SmolLM2 with one context, below the engine."""

    def __init__(self, path: Path) -> None:
        self.header = read_gguf(path)
        self.llama: ModuleType = import_llama()
        params = self.llama.llama_model_default_params()
        params.use_extra_bufts = False
        self.model = self.llama.llama_model_load_from_file(os.fsencode(path), params)
        context = self.llama.llama_context_default_params()
        context.n_ctx = 64
        context.n_threads = context.n_threads_batch = 2
        self.context: Any = self.llama.llama_init_from_model(self.model, context)
        self.store = AdapterStore(self.llama, self.model, self.header)

    def logits(self, *adapters: Adapter) -> npt.NDArray[np.float32]:
        llama = self.llama
        self.store.apply(self.context, self.store.resolve(adapters))
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        tokens = (ctypes.c_int32 * 3)(504, 3575, 282)
        assert llama.llama_decode(self.context, llama.llama_batch_get_one(tokens, 3)) == 0
        pointer = llama.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(pointer, (self.header.vocabulary,)).copy()

    def close(self) -> None:
        self.llama.llama_free(self.context)
        self.store.close()
        self.llama.llama_model_free(self.model)


@pytest.fixture(scope="module")
def loaded(smollm2: Path) -> Iterator[Loaded]:
    one = Loaded(smollm2)
    yield one
    one.close()


@pytest.fixture
def adapter(loaded: Loaded, tmp_path: Path) -> Path:
    weights = [f"blk.{layer}.{part}.weight" for layer in range(8) for part in ("attn_q", "ffn_up")]
    return make_adapter(tmp_path / "a.gguf", loaded.header, weights)


@pytest.mark.model
def test_the_scale_counts(loaded: Loaded, adapter: Path) -> None:
    plain = loaded.logits()
    with_it = loaded.logits(Adapter(adapter))
    against = loaded.logits(Adapter(adapter, -1.0))
    assert abs(with_it - plain).max() > 0.05
    assert abs(against - with_it).max() > 0.05
    assert np.array_equal(loaded.logits(Adapter(adapter, 0.0)), plain)
    half = Adapter(adapter, 0.5)
    assert loaded.logits(half, half) == pytest.approx(with_it, abs=1e-3)
    assert np.array_equal(loaded.logits(), plain)


@pytest.mark.model
def test_a_wrong_adapter_leaves_the_model_as_it_was(
    loaded: Loaded, adapter: Path, tmp_path: Path
) -> None:
    plain = loaded.logits()
    assert loaded.store.resolve([]) is NO_ADAPTERS
    for wrong in (
        Adapter(tmp_path / "none.gguf"),
        Adapter(loaded.header.path),
        Adapter(adapter, float("nan")),
        Adapter(adapter, 1e300),
    ):
        with pytest.raises(AdapterError):
            loaded.store.resolve([wrong])
    assert np.array_equal(loaded.logits(), plain)


@pytest.mark.model
def test_equal_sets_have_equal_keys_and_a_replaced_file_is_another(
    loaded: Loaded, adapter: Path
) -> None:
    store = loaded.store
    first = store.resolve([Adapter(adapter), Adapter(adapter, 0.0)])
    assert first == store.resolve([Adapter(adapter.parent / "." / adapter.name)])
    assert first != store.resolve([Adapter(adapter, 0.5)])
    before = loaded.logits(Adapter(adapter))
    beside = make_adapter(adapter.with_name("b.gguf"), loaded.header, [WEIGHT], seed=1, size=0.3)
    beside.replace(adapter)
    assert first != store.resolve([Adapter(adapter)])
    assert not np.array_equal(loaded.logits(Adapter(adapter)), before)


@pytest.mark.model
def test_unused_adapters_are_freed_and_used_ones_are_not(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_LOADED", 2)
    files = [
        Adapter(make_adapter(tmp_path / f"{n}.gguf", loaded.header, [WEIGHT], seed=n, size=0.3))
        for n in range(6)
    ]
    kept = loaded.store.resolve(files[:1])
    first = loaded.logits(files[0])
    for file in files[1:]:
        loaded.store.resolve([file])
    paths = [Path(key[0]).name for key in loaded.store._loaded]
    assert "0.gguf" in paths
    assert len(paths) <= 3
    loaded.logits()
    loaded.store.apply(loaded.context, kept)
    assert np.array_equal(loaded.logits(files[0]), first)
