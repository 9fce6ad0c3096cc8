"""LangChain's own contract for chat models, against a real one.

Cases that need tool calling are off through the suite's own properties: `ChatLlama` binds no
tools yet. SmolLM2 is far too weak to judge, so these tests are about plumbing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from groundling.models.chat import ChatLlama


class TestUnit(ChatModelUnitTests):
    """Needs no weights: constructing a model loads none."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLlama

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "smollm2-135m"}


@pytest.mark.model
class TestIntegration(ChatModelIntegrationTests):
    """Runs SmolLM2."""

    @pytest.fixture(autouse=True)
    def _weights(self, home_with_models: Path) -> None:
        """Let the model be found by its id."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLlama

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # Without the penalty so small a model repeats itself inside a string of its JSON.
        return {"model": "smollm2-135m", "context": 512, "max_tokens": 60, "repeat_penalty": 1.1}

    @property
    def model_override_value(self) -> str:
        return "smollm2-135m"

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[Any, Any]:
        return {"invoke": ["cache_read_input"], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        model = ChatLlama(**self.chat_model_params)
        prompt = [HumanMessage("Tell me about cabbages and kings.")]
        model.invoke(prompt)
        if not stream:
            return model.invoke(prompt)
        first, *rest = model.stream(prompt)
        return sum(rest, start=first)
