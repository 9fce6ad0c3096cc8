"""The memory plan: arithmetic that can be checked by hand."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import ModelTooBig
from groundling.models import memory
from groundling.models.calls import EngineSettings
from groundling.models.context import Context
from groundling.models.gguf import GgufHeader
from groundling.models.memory import available_memory, cache_cells, clamp, plan

HEADER = GgufHeader(
    path=Path("m.gguf"),
    version=3,
    file_bytes=1_000_000_000,
    tensor_bytes=1_000_000_000,
    tensor_count=1,
    vocabulary=1000,
    metadata={
        "general.architecture": "llama",
        "llama.context_length": 8192,
        "llama.block_count": 10,
        "llama.embedding_length": 1024,
        "llama.attention.head_count": 16,
        "llama.attention.head_count_kv": 4,
    },
)


def test_the_cache_is_cells_by_layers_by_heads_by_size_by_two_bytes() -> None:
    made = plan(HEADER, 4096, cache=5000, available=10**10)
    assert made.cells == 5120  # llama.cpp's multiple of 256
    assert made.cache == 5120 * 10 * 4 * (64 + 64) * 2
    assert made.weights == 1_000_000_000
    assert made.fits
    made.check()


def test_a_quantised_cache_takes_34_bytes_for_32_numbers() -> None:
    full, half = (plan(HEADER, 4096, cache_type=kind, available=10**10) for kind in ("f16", "q8_0"))
    assert half.cache * 64 == full.cache * 34


def test_all_callers_have_two_contexts_and_never_less_than_one() -> None:
    assert cache_cells(HEADER, 1024) == 2048
    assert cache_cells(HEADER, 1024, 300) == 1024
    assert plan(HEADER, 1024, available=10**10).cells == 2048


def test_scores_grow_with_the_cache_unless_flash_attention_leaves_them_out() -> None:
    def compute(cache: int, flash: bool) -> int:
        return plan(HEADER, 4096, cache=cache, flash_attention=flash, available=10**10).compute

    assert compute(8192, False) - compute(4096, False) == 128 * 4096 * 4 * (16 + 1)
    assert compute(8192, True) - compute(4096, True) == 128 * 4096 * 6


def test_logits_are_counted_twice_where_they_rule() -> None:
    large = replace(HEADER, vocabulary=150_000)
    few, many = (plan(large, 256, outputs=n, available=10**10).compute for n in (64, 128))
    assert many - few == 2 * 64 * 150_000 * 4


def test_a_context_beyond_the_trained_one_is_cut() -> None:
    assert clamp(HEADER, 100_000) == 8192
    assert plan(HEADER, 100_000, available=10**10).context == 8192


def test_a_model_too_big_is_refused_with_the_sum() -> None:
    with pytest.raises(ModelTooBig, match=r"weights 1\.00 GB \+ cache .* free: 0\.50 GB") as error:
        plan(HEADER, 4096, available=500_000_000).check()
    assert "smaller model" in str(error.value.hint)


@given(available=st.integers(10**9, 2 * 10**9), context=st.integers(256, 8192))
def test_what_is_offered_fits(available: int, context: int) -> None:
    made = plan(HEADER, context, available=available)
    if made.fits:
        return
    with pytest.raises(ModelTooBig) as error:
        made.check()
    hint = str(error.value.hint)
    if "model.cache" in hint:
        offered = made.largest_cache
        assert plan(HEADER, context, cache=offered, available=available).fits
    elif "model.context" in hint:
        offered = made.longest_context
        assert plan(HEADER, offered, available=available).fits
    else:
        assert "smaller model" in hint
        offered = 0
    assert f" {offered:,} " in hint or not offered


def test_a_smaller_cache_is_offered_before_a_shorter_context() -> None:
    both = [plan(HEADER, 4096, cache=cache, available=10**10).needed for cache in (4096, 8192)]
    with pytest.raises(ModelTooBig) as error:
        plan(HEADER, 4096, available=sum(both) // 2).check()
    assert "model.cache" in str(error.value.hint)
    with pytest.raises(ModelTooBig) as error:
        plan(HEADER, 4096, available=both[0] - 1).check()
    assert "model.context" in str(error.value.hint)


@pytest.mark.model
@pytest.mark.parametrize("flash", [False, True])
def test_the_sum_covers_what_llama_cpp_takes(
    smollm2: Path, caplog: pytest.LogCaptureFixture, flash: bool
) -> None:
    settings = EngineSettings(context=1024, batch=256, flash_attention=flash)
    with caplog.at_level(logging.DEBUG, logger="groundling.llama"):
        context = Context(smollm2, settings)
    context.close()
    found = dict(re.findall(r"(model|output|KV|compute) buffer size = +([\d.]+) MiB", caplog.text))
    taken = {name: float(size) * 2**20 for name, size in found.items()}
    made = plan(
        context.header,
        1024,
        batch=256,
        outputs=context.outputs,
        flash_attention=flash,
        available=10**10,
    )
    assert made.cache == taken["KV"]
    assert made.weights == pytest.approx(taken["model"], rel=0.01)
    # The rest is in the plan for Python and the library.
    assert taken["compute"] + taken["output"] < made.compute - memory._PROCESS * 0.9


def test_repacked_weights_take_more() -> None:
    assert plan(HEADER, 4096, repack=True).weights > plan(HEADER, 4096).weights


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_has_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    assert 0 < available_memory() <= psutil.virtual_memory().total
    own, outer = tmp_path / "own", tmp_path / "system"
    inner = outer / "app.service"
    inner.mkdir(parents=True)
    own.write_text(
        {1: "9:cpu:/\n4:memory:/system/app.service\n", 2: "0::/system/app.service\n"}[version]
    )
    monkeypatch.setattr(memory, "_OWN_CGROUP", own)
    monkeypatch.setattr(memory, f"_CGROUP_V{version}", tmp_path)
    limit, usage = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        2: ("memory.max", "memory.current"),
    }[version]

    def write(group: Path, most: str) -> None:
        (group / limit).write_text(most)
        (group / usage).write_text("900000\n")
        (group / "memory.stat").write_text("anon 7\ninactive_file 5\n")

    write(inner, "max\n" if version == 2 else str(2**63))
    assert available_memory() > 1_000_000
    write(outer, "1000000\n")
    assert available_memory() == 100_005


@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are read on Linux")
def test_a_process_with_a_limit_has_less() -> None:
    code = (
        "import resource, psutil; from groundling.models.memory import available_memory\n"
        "used = psutil.Process().memory_info().vms\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)\n"
        "print(available_memory())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 200_000_000 < int(done.stdout) <= 300_000_000
