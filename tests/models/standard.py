"""LangChain's own suites, set up for `ChatLlama` once; the tests choose the model."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests

from groundling.models.chat import ChatLlama


class StandardTests(ChatModelIntegrationTests):
    """What the suite asks a provider to say about itself."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLlama

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
