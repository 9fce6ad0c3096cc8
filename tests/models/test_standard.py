"""LangChain's own contract for chat models, against a real one.

SmolLM2 is far too weak to judge, so these tests are about plumbing; the same suite runs with
the default model in tests/quality. What is held by a grammar even SmolLM2 gets right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_tests.unit_tests import ChatModelUnitTests

from groundling.models.chat import ChatLlama
from groundling.models.toolbox import ToolChoice
from tests.models.standard import StandardTests


class TestUnit(ChatModelUnitTests):
    """Needs no weights: constructing a model loads none."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLlama

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "smollm2-135m"}


class Calling(ChatLlama):
    """Calls a tool whenever there is one: left to itself, so small a model would not."""

    def bind_tools(
        self, *args: Any, tool_choice: ToolChoice = None, **kwargs: Any
    ) -> Runnable[Any, Any]:
        return super().bind_tools(*args, tool_choice=tool_choice or "any", **kwargs)


@pytest.mark.model
class TestIntegration(StandardTests):
    """Runs SmolLM2."""

    @pytest.fixture(autouse=True)
    def _weights(self, home_with_models: Path) -> None:
        """Let the model be found by its id."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Calling

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # So small a model writes inside a string of its JSON for ever. Its tokens that begin
        # or end with a quotation mark are made likelier: " ", "} ." .", ?"
        ends = dict.fromkeys([18, 1002, 23597, 1270, 14069, 4817], 3.0)
        return {"model": "smollm2-135m", "context": 1024, "max_tokens": 100, "logit_bias": ends}

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        # The schema in the prompt steadies it; test_chat.py has the other methods.
        return {"method": "function_calling"}

    @property
    def model_override_value(self) -> str:
        return "smollm2-135m"

    @property
    def supports_json_mode(self) -> bool:
        # Which keys the object has is the model's choice there; test_chat.py has the rest.
        return False
