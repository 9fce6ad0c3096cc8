"""What was read is there again after a restart, and nothing that does not belong to the model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from groundling.models.calls import Choice, EngineSettings, Weights
from groundling.models.engine import Engine

pytestmark = pytest.mark.model
PROMPTS = ("The lighthouse of Seogwipo is built of black stone. " * 6, "Nine swans swam by. " * 8)


def settings(folder: Path) -> EngineSettings:
    return EngineSettings(context=256, snapshot=folder)


def ask(model: Path, how: EngineSettings, *prompts: str) -> list[Weights]:
    engine = Engine.open(model, how)
    options = [engine.vocabulary.tokenize(word) for word in (" The", " Nine", "\n")]
    answers = []
    for prompt in prompts:
        _, future = engine.choose(Choice(engine.vocabulary.tokenize(prompt), options))
        answers.append(future.result())
    engine.close()
    return answers


def same(weights: Weights) -> object:
    """Allow what kernels for one row and for many differ by."""
    return pytest.approx(weights.logarithms, abs=0.7)


def test_a_restart_reads_nothing_again(smollm2: Path, tmp_path: Path) -> None:
    how = settings(tmp_path / "kept")
    before = ask(smollm2, how, *PROMPTS)
    after = ask(smollm2, how, *PROMPTS)
    for old, new in zip(before, after, strict=True):
        assert new.logarithms == same(old)
        assert old.usage.cached_tokens < 3
        assert new.usage.cached_tokens == new.usage.prompt_tokens - 1


def test_only_its_owner_may_read_it(smollm2: Path, tmp_path: Path) -> None:
    ask(smollm2, settings(tmp_path / "kept"), PROMPTS[0])
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("harm", ["cut", "flipped", "manifest", "elsewhere", "missing"])
def test_what_is_damaged_is_read_again(smollm2: Path, tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "kept"
    how = settings(folder)
    (before,) = ask(smollm2, how, PROMPTS[0])
    (state,) = folder.glob("*.state")
    data = bytearray(state.read_bytes())
    if harm == "cut":
        state.write_bytes(data[: len(data) // 2])
    elif harm == "flipped":
        data[len(data) // 2] ^= 255
        state.write_bytes(data)
    elif harm == "manifest":
        (folder / "manifest.json").write_text('{"sequences": 7}')
    elif harm == "elsewhere":
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["sequences"][0]["file"] = "../../etc/passwd"
        (folder / "manifest.json").write_text(json.dumps(manifest))
    else:
        state.unlink()
    (after,) = ask(smollm2, how, PROMPTS[0])
    assert after.logarithms == same(before)
    assert after.usage.cached_tokens < 3


def test_another_model_or_another_cache_takes_nothing(smollm2: Path, tmp_path: Path) -> None:
    how = settings(tmp_path / "kept")
    ask(smollm2, how, PROMPTS[0])
    (other,) = ask(smollm2, dataclasses.replace(how, cache_type="q8_0"), PROMPTS[0])
    assert other.usage.cached_tokens < 3
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(smollm2.read_bytes())
    (copied,) = ask(copy, how, PROMPTS[0])
    assert copied.usage.cached_tokens < 3
