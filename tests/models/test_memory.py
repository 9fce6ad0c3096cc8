"""The memory plan: arithmetic that can be checked by hand."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from groundling.errors import ModelTooBig
from groundling.models import memory
from groundling.models.gguf import GgufHeader
from groundling.models.memory import available_memory, clamp, plan

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


def test_the_cache_is_layers_by_heads_by_size_by_two_bytes() -> None:
    made = plan(HEADER, 4096, available=10**10)
    assert made.cache == 4096 * 10 * 4 * (64 + 64) * 2
    assert made.weights == 1_000_000_000
    assert made.fits
    made.check()


def test_a_context_beyond_the_trained_one_is_cut() -> None:
    assert clamp(HEADER, 100_000) == 8192
    assert plan(HEADER, 100_000, available=10**10).context == 8192


def test_a_model_too_big_is_refused_with_the_sum() -> None:
    with pytest.raises(ModelTooBig, match=r"weights 1\.00 GB \+ cache .* free: 0\.50 GB") as error:
        plan(HEADER, 4096, available=500_000_000).check()
    assert "smaller model" in str(error.value.hint)


def test_a_shorter_context_is_offered_where_it_helps() -> None:
    made = plan(HEADER, 8192, available=1_150_000_000)
    with pytest.raises(ModelTooBig) as error:
        made.check()
    offered = made.longest_context
    assert str(offered) in str(error.value.hint)
    assert plan(HEADER, offered, available=1_150_000_000).fits


def test_repacked_weights_take_more() -> None:
    assert plan(HEADER, 4096, repack=True).weights > plan(HEADER, 4096).weights


def test_a_container_has_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < available_memory() <= psutil.virtual_memory().total
    for name, text in {"max": "1000000", "current": "900000", "stat": "inactive_file 5\n"}.items():
        (tmp_path / name).write_text(text)
    group = tuple(str(tmp_path / name) for name in ("max", "current", "stat"))
    monkeypatch.setattr(memory, "_CGROUPS", (group,))
    assert available_memory() == 100_005
    (tmp_path / "max").write_text("max\n")
    assert available_memory() > 1_000_000
