"""What the chat models here have beyond LangChain's own: choosing, and answers in a form."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs

from groundling.models import structured
from groundling.models.adapter_shelf import Shelved
from groundling.models.calls import Adapter
from groundling.models.choosing import Choices

AdapterLike = Adapter | Mapping[str, Any] | str | Path


class FormingChat(BaseChatModel):
    """A chat model that weighs options and keeps to schemas; `ChatLlama` and `ChatRemote`."""

    def answering(self) -> tuple[Shelved, ...]:
        """Return the adapters that a call uses where it names none; reads no weights.

        What holds is this moment: another one may be promoted before the next call.
        """
        return ()

    @abstractmethod
    def _choosing(
        self, options: Sequence[str], wishes: Mapping[str, Any]
    ) -> Runnable[dict[str, Any], list[Choices]]:
        """Return the step that chooses; as a runnable it stands in traces.

        Args:
            options: different texts.
            wishes: `model` and `adapters` of this call, None where there are none.

        Returns:
            From `{"prompts": conversations, "options": texts}` to the choices.
        """

    def choose(
        self,
        messages: Sequence[BaseMessage],
        options: Sequence[str],
        *,
        model: str | None = None,
        adapters: Sequence[AdapterLike] | None = None,
        config: RunnableConfig | None = None,
    ) -> Choices:
        """Weigh possible beginnings of the answer, by the model's own probabilities.

        Args:
            messages: the conversation.
            options: at least one; options of several tokens are scored token by token.
            model: another one than this.
            adapters: others than this model's, where the model runs here.
            config: by which a trace knows the call, as for `invoke`.

        Returns:
            The probability of each option among the options; they add up to 1. Its `usage`
            says what it cost.

        Raises:
            ValueError: no options, an empty one, or one given twice.
        """
        prompts = [messages]
        return self.choose_many(prompts, options, model=model, adapters=adapters, config=config)[0]

    async def achoose(
        self,
        messages: Sequence[BaseMessage],
        options: Sequence[str],
        *,
        model: str | None = None,
        adapters: Sequence[AdapterLike] | None = None,
        config: RunnableConfig | None = None,
    ) -> Choices:
        """Weigh possible beginnings of the answer, as `choose` does."""
        found = await self.achoose_many(
            [messages], options, model=model, adapters=adapters, config=config
        )
        return found[0]

    def choose_many(
        self,
        prompts: Sequence[Sequence[BaseMessage]],
        options: Sequence[str],
        *,
        model: str | None = None,
        adapters: Sequence[AdapterLike] | None = None,
        config: RunnableConfig | None = None,
    ) -> list[Choices]:
        """Weigh the same options after many conversations, all at once.

        The model reads what the conversations begin with alike once: put what differs last.

        Args:
            prompts: the conversations.
            options: as for `choose`.
            model: another one than this.
            adapters: others than this model's.
            config: by which a trace knows the calls.

        Returns:
            What `choose` returns, for each conversation.
        """
        wishes = {"model": model, "adapters": adapters}
        step = self._choosing(options, wishes)
        return step.invoke(_asked(prompts, options), self._named(model, config))

    async def achoose_many(
        self,
        prompts: Sequence[Sequence[BaseMessage]],
        options: Sequence[str],
        *,
        model: str | None = None,
        adapters: Sequence[AdapterLike] | None = None,
        config: RunnableConfig | None = None,
    ) -> list[Choices]:
        """Weigh the same options after many conversations, as `choose_many` does."""
        wishes = {"model": model, "adapters": adapters}
        step = self._choosing(options, wishes)
        return await step.ainvoke(_asked(prompts, options), self._named(model, config))

    def _named(self, model: str | None, config: RunnableConfig | None) -> RunnableConfig:
        """Let a trace know which model chooses, as it does of every other call."""
        wishes: dict[str, Any] = {"model": model} if model is not None else {}
        name = self._get_ls_params(None, **wishes).get("ls_model_name", "")
        return merge_configs({"metadata": {"ls_model_name": name}}, config)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: structured.Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answer with an object of that schema.

        Args:
            schema: a pydantic class, a TypedDict, or a JSON Schema.
            include_raw: return `raw`, `parsed` and `parsing_error` instead of the object.
            method: `json_schema`: a grammar of the schema holds the answer, and the prompt
                stays as it is. `function_calling`: the schema is shown to the model as a
                tool, with its descriptions, and a grammar holds the call. `json_mode`: any
                JSON object; the prompt must say which one.
            strict: refuse schemas with something that no grammar keeps, even where pydantic
                would check it afterwards.

        Raises:
            ModelError: the schema has something that no grammar keeps.
        """
        if kwargs:
            raise ValueError(f"unknown arguments: {', '.join(kwargs)}")
        return structured.constrain(
            self, schema, method=method, include_raw=include_raw, strict=strict
        )

    def extract(
        self,
        messages: LanguageModelInput,
        *,
        schema: dict[str, Any] | type | None = None,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        **settings: Any,
    ) -> Any:
        """Answer in a form that a grammar holds, at the price of generating it.

        Args:
            messages: the conversation.
            schema: return an object: a pydantic class, a TypedDict, or a JSON Schema.
            regex: return a text that matches this from end to end.
            choices: return one of these texts; `choose` weighs them all instead.
            settings: of this call.

        Raises:
            ValueError: not exactly one of the three is given.
            ModelError: no grammar keeps the schema or the pattern.
            OutputParserException: the answer was cut short.
        """
        form = structured.form(self, schema=schema, regex=regex, choices=choices, **settings)
        return form.invoke(messages)

    async def aextract(
        self,
        messages: LanguageModelInput,
        *,
        schema: dict[str, Any] | type | None = None,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        **settings: Any,
    ) -> Any:
        """Answer in a form that a grammar holds, as `extract` does."""
        form = structured.form(self, schema=schema, regex=regex, choices=choices, **settings)
        return await form.ainvoke(messages)


def _asked(prompts: Sequence[Sequence[BaseMessage]], options: Sequence[str]) -> dict[str, Any]:
    if not options or not all(options) or len(set(options)) < len(options):
        raise ValueError("options must be different texts, at least one")
    return {"prompts": [list(messages) for messages in prompts], "options": list(options)}
