"""Structured output: a schema becomes a grammar, and the model's text an object again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputParser,
    PydanticOutputParser,
)
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import TBaseModel, is_basemodel_subclass

from groundling.models.grammar import Grammar, any_json, grammar_for

Method = Literal["json_schema", "function_calling", "json_mode"]


def constrain(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    method: Method,
    include_raw: bool,
) -> Runnable[LanguageModelInput, Any]:
    """Bind a schema to a model and parse what comes back.

    Raises:
        ModelError: the schema has something that no grammar keeps.
    """
    if method not in ("json_schema", "function_calling", "json_mode"):
        raise ValueError(f"there is no method {method!r}")
    checked = isinstance(schema, type) and is_basemodel_subclass(schema)
    wish: dict[str, Any] = {
        "type": "json_schema",
        "json_schema": {"schema": _json_schema(schema), "validated": checked},
    }
    # A schema that cannot be kept fails here rather than at the first call.
    grammar_of(wish)
    bound = model.bind(
        response_format=wish,
        ls_structured_output_format={
            "kwargs": {"method": method},
            "schema": convert_to_json_schema(schema),
        },
    )
    parser: BaseOutputParser[Any] = _WholeJson()
    if checked:
        parser = _WholePydantic(pydantic_object=cast("type[Any]", schema))
    if not include_raw:
        return bound | parser
    parse = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    nothing = RunnablePassthrough.assign(parsed=lambda _: None)
    fallback = parse.with_fallbacks([nothing], exception_key="parsing_error")
    return RunnableMap(raw=bound) | fallback


class _WholeJson(JsonOutputParser):
    """A JSON parser that does not mend an object cut short."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _refuse_cut(result, partial)
        return super().parse_result(result, partial=partial)


class _WholePydantic(PydanticOutputParser[TBaseModel]):
    """A pydantic parser that does not mend an object cut short."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _refuse_cut(result, partial)
        return super().parse_result(result, partial=partial)


def _refuse_cut(result: list[Generation], partial: bool) -> None:
    generation = result[0]
    if partial or not isinstance(generation, ChatGeneration):
        return
    if generation.message.response_metadata.get("finish_reason") == "length":
        raise OutputParserException(
            "The answer was cut short before its object was complete; raise max_tokens.",
            llm_output=generation.text,
        )


def grammar_of(response_format: Mapping[str, Any] | None) -> Grammar | None:
    """Return the grammar of a `response_format`, as OpenAI's interface writes it.

    Raises:
        ValueError: it is of another type than `text`, `json_object` and `json_schema`.
        ModelError: its schema has something that no grammar keeps.
    """
    kind = "text" if response_format is None else response_format.get("type")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return any_json()
    if kind == "json_schema":
        inner = response_format["json_schema"]
        return grammar_for(inner["schema"], validated=bool(inner.get("validated")))
    raise ValueError(f"there is no response format {kind!r}")


def _json_schema(schema: dict[str, Any] | type) -> dict[str, Any]:
    if isinstance(schema, dict) and "properties" in schema:
        return copy.deepcopy(schema)
    if isinstance(schema, type) and hasattr(schema, "model_json_schema"):
        return cast("dict[str, Any]", schema.model_json_schema())
    # TypedDict, an OpenAI function, or a class of pydantic's first version.
    return convert_to_json_schema(schema)
