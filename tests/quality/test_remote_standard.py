"""LangChain's whole suite against the default model on llama.cpp's own server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.models.remote.conftest import serving
from tests.models.remote.test_standard import RemoteStandardTests

pytestmark = [pytest.mark.quality, pytest.mark.model]


class TestIntegration(RemoteStandardTests):
    """Asks Qwen2.5-Coder-1.5B."""

    @pytest.fixture(scope="class")
    def running(self, qwen: Path) -> Iterator[str]:
        with serving(qwen) as address:
            yield address

    @pytest.fixture(autouse=True)
    def _server(self, running: str) -> None:
        self.address = running

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.address, "max_tokens": 100}
