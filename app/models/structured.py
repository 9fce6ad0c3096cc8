"""Structured output: what a model may write, and the text or call it writes as an object.

Three ways, from strict to free. `json_schema`: the answer is the object, and a grammar of
the schema holds the model to it; nothing is added to the prompt, which other calls share.
`function_calling`: the schema is shown to the model as a tool, descriptions and all, and a
grammar makes it call that. `json_mode`: the answer is any JSON object; the prompt has to say
which, and the parser checks it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    PydanticOutputParser,
    PydanticToolsParser,
    StrOutputParser,
)
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import TBaseModel, is_basemodel_subclass

from groundling.models.grammars.grammar import Grammar, any_json, grammar_for

Method = Literal["json_schema", "function_calling", "json_mode"]


def constrain(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    method: Method,
    include_raw: bool,
    strict: bool | None = None,
) -> Runnable[LanguageModelInput, Any]:
    """Bind a schema to a model and parse what comes back.

    Raises:
        ValueError: there is no such method.
        ModelError: the schema has something that no grammar keeps.
    """
    if method not in ("json_schema", "function_calling", "json_mode"):
        raise ValueError(f"there is no method {method!r}")
    checked = isinstance(schema, type) and is_basemodel_subclass(schema)
    traced = {
        "ls_structured_output_format": {
            "kwargs": {"method": method} | ({} if strict is None else {"strict": strict}),
            "schema": _shown(schema),
        }
    }
    parser: BaseOutputParser[Any]
    if method == "function_calling":
        name = convert_to_openai_tool(schema)["function"]["name"]
        bound = model.bind_tools(
            [schema], tool_choice=name, parallel_tool_calls=False, strict=strict, **traced
        )
        parser = _WholeCall(key_name=name, first_tool_only=True)
        if checked:
            tools = [cast("type[Any]", schema)]
            parser = _WholePydanticCall(tools=tools, first_tool_only=True)
    else:
        wish: dict[str, Any] = {"type": "json_object"}
        if method == "json_schema":
            inner = {"schema": _json_schema(schema), "validated": checked and not strict}
            wish = {"type": "json_schema", "json_schema": inner}
        # A schema that cannot be kept fails here rather than at the first call.
        grammar_of(wish)
        bound = model.bind(response_format=wish, **traced)
        parser = _WholeJson()
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


def form(
    model: BaseChatModel,
    *,
    schema: dict[str, Any] | type | None,
    regex: str | None,
    choices: Sequence[str] | None,
    **settings: Any,
) -> Runnable[LanguageModelInput, Any]:
    """Return what answers in the one form that is given, and parses it.

    Raises:
        ValueError: not exactly one is given.
        ModelError: no grammar keeps it.
    """
    if sum(given is not None for given in (schema, regex, choices)) != 1:
        raise ValueError("extract wants one of schema, regex and choices")
    if schema is not None:
        constrained = constrain(model, schema, method="json_schema", include_raw=False)
        return constrained.bind(**settings) if settings else constrained
    wish: dict[str, Any] = {"type": "regex", "regex": regex}
    if choices is not None:
        wish = {"type": "choice", "choice": list(choices)}
    grammar_of(wish)
    return model.bind(response_format=wish, **settings) | _WholeText()


class _WholeText(StrOutputParser):
    """The text, of an answer that was written to its end."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> str:
        _refuse_cut(result, partial)
        return super().parse_result(result, partial=partial)


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


class _WholeCall(JsonOutputKeyToolsParser):
    """The arguments of the call, of one that was written to its end."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _refuse_cut(result, partial)
        return super().parse_result(result, partial=partial)


class _WholePydanticCall(PydanticToolsParser):
    """The object of the call, of one that was written to its end."""

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

    Besides OpenAI's types there are `{"type": "regex", "regex": …}` and
    `{"type": "choice", "choice": […]}`.

    Raises:
        ValueError: there is no such type.
        ModelError: its schema or pattern has something that no grammar keeps.
    """
    kind = "text" if response_format is None else response_format.get("type")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return any_json()
    if kind == "json_schema":
        inner = response_format["json_schema"]
        # Without `strict` OpenAI's interface promises no more than to try.
        validated = inner.get("validated", not inner.get("strict"))
        return grammar_for(inner["schema"], validated=bool(validated))
    if kind == "regex":
        from groundling.models.grammars.grammar import regex_grammar

        return regex_grammar(response_format["regex"])
    if kind == "choice":
        from groundling.models.grammars.grammar import choice_grammar

        return choice_grammar(response_format["choice"])
    raise ValueError(f"there is no response format {kind!r}")


def _shown(schema: dict[str, Any] | type) -> dict[str, Any]:
    """Return the schema for traces; LangChain's own form where the schema has a title."""
    if isinstance(schema, dict) and not schema.keys() & {"title", "name", "function"}:
        return schema
    return convert_to_json_schema(schema)


def _json_schema(schema: dict[str, Any] | type) -> dict[str, Any]:
    if isinstance(schema, dict) and "properties" in schema:
        return copy.deepcopy(schema)
    if isinstance(schema, type) and hasattr(schema, "model_json_schema"):
        return cast("dict[str, Any]", schema.model_json_schema())
    # TypedDict, an OpenAI function, or a class of pydantic's first version.
    return convert_to_json_schema(schema)
