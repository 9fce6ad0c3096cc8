"""A base that is small enough to be trained in a test, and what its trainings tell."""

from pathlib import Path
from typing import Any

import pytest

from tests.tuning.tiny import tiny_model


@pytest.fixture(scope="session")
def tiny(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of random weights."""
    return tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", smollm2)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the events of trainings in this process."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr("groundling.tuning.training.reporting.tell", events.append)
    return events
