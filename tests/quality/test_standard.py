"""LangChain's whole suite against the default model; nothing of it is expected to fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.models.standard import StandardTests

pytestmark = [pytest.mark.quality, pytest.mark.model]


class TestIntegration(StandardTests):
    """Runs Qwen2.5-Coder-1.5B."""

    @pytest.fixture(autouse=True)
    def _weights(self, home_with_models: Path, qwen: Path) -> None:
        """Let the model be found by its id."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "qwen2.5-coder-1.5b", "context": 1024, "max_tokens": 100}

    @property
    def model_override_value(self) -> str:
        return "qwen2.5-coder-1.5b"
