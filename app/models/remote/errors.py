"""What a server's refusals mean: each becomes an error of the tree, with the next step."""

from __future__ import annotations

import json
import re
from typing import Any

from groundling.errors import EngineBusy, ModelError, ModelNotFound
from groundling.models.calling import PromptTooLong

# llama.cpp's server says it in fields of its own, vLLM and OpenAI in words.
_OVERFLOW_TYPES = ("exceed_context_size_error", "context_length_exceeded")
_OVERFLOW_WORDS = re.compile(r"maximum context length is (\d+) tokens.*?(\d+) tokens", re.DOTALL)


def refusal(base_url: str, path: str, status: int, body: bytes) -> ModelError:
    """Return the error of an answer that is none.

    Args:
        base_url: the server.
        path: what was asked for.
        status: of HTTP; 200 where the error came inside an answer.
        body: what the server says about it.
    """
    detail = _detail(body)
    message = str(detail.get("message") or "").strip()
    said = f": {_short(message)}" if message else ""
    overflow = _overflow(detail, message)
    if overflow is not None:
        return overflow
    if status in (401, 403):
        return ModelError(
            f"{base_url} refuses the key ({status}){said}.",
            hint="Give the server's key: groundling config set model.api_key KEY, "
            "or GROUNDLING_MODEL__API_KEY",
        )
    if status == 404:
        return ModelNotFound(
            f"{base_url} has no {path.lstrip('/') or 'such thing'} (404){said}.",
            hint="Does model.base_url end where the server's /v1 does, and is model.name "
            f"one of {base_url}/models?",
        )
    if status in (429, 503):
        return EngineBusy(
            f"{base_url} takes no call now ({status}){said}.",
            hint="Try again in a moment; a server that has just started reads its model first.",
        )
    if 300 <= status < 400:
        return ModelError(
            f"{base_url} sends calls to another address ({status}); they are not sent there.",
            hint="If you trust that address, name it: groundling config set model.base_url URL",
        )
    if status >= 500:
        return ModelError(f"{base_url} failed ({status}){said}.", hint="Look at the server's log.")
    return ModelError(
        f"{base_url} refuses the call ({status}){said}.",
        hint="The server may not know an option of this call; its documentation says.",
    )


def unreachable(base_url: str, error: Exception) -> ModelError:
    """Return the error of a server that does not answer at all."""
    reason = str(error) or type(error).__name__
    return ModelError(
        f"No server answers at {base_url}: {_short(reason)}.",
        hint="Start it, or name another: groundling config set model.base_url URL",
    )


def nonsense(base_url: str, body: bytes | str) -> ModelError:
    """Return the error of an answer that is no chat completion."""
    text = body[:500].decode("utf-8", "replace") if isinstance(body, bytes) else body
    return ModelError(
        f"{base_url} answered something that is no chat completion: {_short(text) or 'nothing'}",
        hint="model.base_url must be the /v1 of an OpenAI-compatible server.",
    )


def _detail(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {"message": body[:500].decode("utf-8", "replace")}
    detail = answer.get("error", answer) if isinstance(answer, dict) else answer
    return detail if isinstance(detail, dict) else {"message": str(detail)}


def _overflow(detail: dict[str, Any], message: str) -> PromptTooLong | None:
    prompt, context = detail.get("n_prompt_tokens"), detail.get("n_ctx")
    if not (isinstance(prompt, int) and isinstance(context, int)):
        words = _OVERFLOW_WORDS.search(message)
        if words is None:
            return None
        context, prompt = int(words[1]), int(words[2])
    elif not {str(detail.get("type")), str(detail.get("code"))} & set(_OVERFLOW_TYPES):
        return None
    error = PromptTooLong(prompt, context)
    error.hint = (
        "Shorten the question or the documents, or start the server with a longer context "
        "(llama-server -c; vLLM --max-model-len)."
    )
    return error


def _short(text: str) -> str:
    """Keep what a person reads of a server's words: one line without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (line[:200] + "…" if len(line) > 200 else line).rstrip(".")
