"""What a run says, in the words that viewers of OpenTelemetry know.

Two vocabularies side by side: OpenInference
(https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md), which holds
what was said, and OpenTelemetry's own for generative AI
(https://github.com/open-telemetry/semantic-conventions-genai), which counts it. What neither
has a word for stands under `groundling.`. Needs the extra `otlp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openinference.semconv.trace import (
    OpenInferenceMimeTypeValues,
    OpenInferenceSpanKindValues,
    SpanAttributes,
)

from groundling.tracing.run import Payload, StoredRun
from groundling.tracing.span_messages import answer, documents, fields, mapping, messages, written

Value = str | bool | int | float | Sequence[str]
LONGEST = 100_000  # characters of one attribute
_INT64 = 2**63
_KINDS = {
    "llm": OpenInferenceSpanKindValues.LLM,
    "tool": OpenInferenceSpanKindValues.TOOL,
    "retriever": OpenInferenceSpanKindValues.RETRIEVER,
    "embedding": OpenInferenceSpanKindValues.EMBEDDING,
}
_OPERATIONS = {
    OpenInferenceSpanKindValues.LLM: "chat",
    OpenInferenceSpanKindValues.TOOL: "execute_tool",
    OpenInferenceSpanKindValues.RETRIEVER: "retrieval",
    OpenInferenceSpanKindValues.EMBEDDING: "embeddings",
    OpenInferenceSpanKindValues.AGENT: "invoke_agent",
}
# Parameters of a call that have a name in gen_ai.request.
_REQUESTED = ("temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty",
              "presence_penalty")  # fmt: skip
_TEXT, _JSON = (each.value for each in OpenInferenceMimeTypeValues)


def kind_of(run: StoredRun, payload: Payload) -> OpenInferenceSpanKindValues:
    """Tell what kind of work a run is; choosing among options is a model's, too."""
    if run.run_type == "chain" and run.name == "choose" and "options" in payload.inputs:
        return OpenInferenceSpanKindValues.LLM
    if "lc_agent_name" in payload.metadata and run.node is None:
        return OpenInferenceSpanKindValues.AGENT
    return _KINDS.get(run.run_type, OpenInferenceSpanKindValues.CHAIN)


def attributes_of(run: StoredRun, payload: Payload) -> dict[str, Value]:
    """Return everything that a span is to say of a run."""
    kind = kind_of(run, payload)
    parts = [_common(run, payload, kind)]
    if kind is OpenInferenceSpanKindValues.LLM:
        parts += [_model(run, payload), _usage(run), messages(payload)]
    elif kind is OpenInferenceSpanKindValues.EMBEDDING:
        parts += [{"embedding.model_name": run.model, "gen_ai.request.model": run.model}]
        parts += [_usage(run)]
    elif kind is OpenInferenceSpanKindValues.TOOL:
        parts.append(_tool(run, payload))
    elif kind is OpenInferenceSpanKindValues.RETRIEVER:
        parts.append(documents(payload.outputs))
    elif kind is OpenInferenceSpanKindValues.AGENT:
        name = payload.metadata["lc_agent_name"]
        parts.append({SpanAttributes.AGENT_NAME: name, "gen_ai.agent.name": name})
    merged = {name: value for part in parts for name, value in part.items()}
    return {name: told for name, value in merged.items() if (told := attribute(value)) is not None}


def attribute(value: Any) -> Value | None:
    """Return a value as an attribute can hold it; mappings and the like as JSON."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return [_short(each) for each in value]
    return _short(value if isinstance(value, str) else written(value))


def _common(run: StoredRun, payload: Payload, kind: OpenInferenceSpanKindValues) -> dict[str, Any]:
    told: dict[str, Any] = {
        SpanAttributes.OPENINFERENCE_SPAN_KIND: kind.value,
        "gen_ai.operation.name": _OPERATIONS.get(kind),
        SpanAttributes.SESSION_ID: run.thread,
        "gen_ai.conversation.id": run.thread,
        SpanAttributes.TAG_TAGS: run.tags or None,
        SpanAttributes.METADATA: written(payload.metadata) if payload.metadata else None,
        "groundling.run.id": str(run.id),
        "groundling.status": str(run.status),
        "groundling.graph": run.graph,
        "groundling.node": run.node,
        "groundling.verdict": run.verdict,
        "groundling.egress": run.egress or None,
        "groundling.redacted": run.redacted or None,
        "groundling.cpu_seconds": None if run.cpu is None else run.cpu / 1e6,
        "groundling.peak_memory": run.memory,
        "groundling.example.id": str(run.example) if run.example else None,
        **_text("input", payload.inputs),
    }
    return told if payload.outputs is None else told | _text("output", payload.outputs)


def _text(side: str, value: Any) -> dict[str, Any]:
    """Return what went in or came out: a single text as it is, anything else as JSON."""
    if isinstance(value, dict) and len(value) == 1:
        [only] = value.values()
        if isinstance(only, str):
            return {f"{side}.value": only, f"{side}.mime_type": _TEXT}
    return {f"{side}.value": written(value), f"{side}.mime_type": _JSON}


def _model(run: StoredRun, payload: Payload) -> dict[str, Any]:
    asked = mapping(payload.extra.get("invocation_params"))
    given = {name: value for name, value in asked.items() if value is not None and name != "tools"}
    response = mapping(fields(answer(payload.outputs)).get("response_metadata"))
    finished = response.get("finish_reason")
    stop = asked.get("stop")
    tools = asked.get("tools")
    return {
        SpanAttributes.LLM_MODEL_NAME: run.model,
        SpanAttributes.LLM_PROVIDER: payload.metadata.get("ls_provider"),
        SpanAttributes.LLM_INVOCATION_PARAMETERS: written(given) if given else None,
        **{
            f"{SpanAttributes.LLM_TOOLS}.{n}.tool.json_schema": written(tool)
            for n, tool in enumerate(tools if isinstance(tools, list) else ())
        },
        "prompt.id": run.prompt,
        SpanAttributes.LLM_PROMPT_TEMPLATE_VERSION: run.prompt_sha256,
        "groundling.prompt.sha256": run.prompt_sha256,
        "groundling.tokens_per_second": run.speed,
        "gen_ai.prompt.name": run.prompt,
        "gen_ai.provider.name": payload.metadata.get("ls_provider"),
        "gen_ai.request.model": run.model,
        **{f"gen_ai.request.{name}": given[name] for name in _REQUESTED if name in given},
        "gen_ai.request.stop_sequences": stop if isinstance(stop, list) and stop else None,
        "gen_ai.response.model": response.get("model_name"),
        "gen_ai.response.finish_reasons": [finished] if isinstance(finished, str) else None,
        "gen_ai.response.time_to_first_chunk": (
            None if run.first_token is None else run.first_token / 1e6
        ),
    }


def _usage(run: StoredRun) -> dict[str, Any]:
    total = None
    if run.input_tokens is not None and run.output_tokens is not None:
        total = run.input_tokens + run.output_tokens
    return {
        SpanAttributes.LLM_TOKEN_COUNT_PROMPT: run.input_tokens,
        SpanAttributes.LLM_TOKEN_COUNT_COMPLETION: run.output_tokens,
        SpanAttributes.LLM_TOKEN_COUNT_TOTAL: total,
        "llm.token_count.prompt_details.cache_read": run.cached_tokens,
        "gen_ai.usage.input_tokens": run.input_tokens,
        "gen_ai.usage.output_tokens": run.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": run.cached_tokens,
    }


def _tool(run: StoredRun, payload: Payload) -> dict[str, Any]:
    arguments, call = written(payload.inputs), payload.extra.get("tool_call_id")
    return {
        SpanAttributes.TOOL_NAME: run.name,
        SpanAttributes.TOOL_PARAMETERS: arguments,
        "tool.id": call,
        "gen_ai.tool.name": run.name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": call,
        "gen_ai.tool.call.arguments": arguments,
        "gen_ai.tool.call.result": written(payload.outputs) if payload.outputs else None,
    }


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… <{len(text)} characters>"
