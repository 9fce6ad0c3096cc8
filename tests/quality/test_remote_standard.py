"""LangChain's whole suite against the default model on llama.cpp's own server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.models.remote.conftest import serving
from tests.models.remote.test_standard import RemoteStandardTests

pytestmark = [pytest.mark.quality, pytest.mark.model]


@pytest.fixture(scope="module")
def running(qwen: Path) -> Iterator[str]:
    """Run llama.cpp's server with Qwen2.5-Coder-1.5B."""
    with serving(qwen) as address:
        yield address


class TestIntegration(RemoteStandardTests):
    """Asks Qwen2.5-Coder-1.5B."""

    @pytest.fixture(autouse=True)
    def _server(self, running: str) -> None:
        self.address = running

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.address, "max_tokens": 100}
