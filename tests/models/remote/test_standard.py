"""LangChain's own contract for chat models, on llama.cpp's server.

SmolLM2 is far too weak to judge: these tests are about plumbing. The whole suite runs with
the default model in tests/quality.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_tests.unit_tests import ChatModelUnitTests

from groundling.models.remote import ChatRemote
from tests.models.standard import StandardTests


class TestUnit(ChatModelUnitTests):
    """Needs no server: constructing a model asks nothing."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatRemote

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": "http://127.0.0.1:9/v1", "model": "any"}


class RemoteStandardTests(StandardTests):
    """What the suite asks a provider to say about itself."""

    address: str

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatRemote

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.address, "max_tokens": 60, "repeat_penalty": 1.1}

    @property
    def model_override_value(self) -> str | None:
        return None  # llama.cpp's server runs one model, whatever it is called

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        model = ChatRemote(**self.chat_model_params)
        prompt = [HumanMessage("Tell me about cabbages and kings.")]
        model.invoke(prompt)
        if not stream:
            return model.invoke(prompt)
        first, *rest = model.stream(prompt)
        return sum(rest, start=first)


@pytest.mark.model
class TestIntegration(RemoteStandardTests):
    """Asks SmolLM2, which writes calls where it must and yet cannot read a number out of a text.

    Calls and forms are tested in test_chat.
    """

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def supports_json_mode(self) -> bool:
        return False

    @pytest.fixture(autouse=True)
    def _server(self, llama_server: str) -> None:
        self.address = llama_server
