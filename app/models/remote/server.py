"""What a server is, what it can do, and what llama.cpp's tells about tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from groundling.errors import ModelError, ModelNotFound
from groundling.models.remote.errors import nonsense
from groundling.models.remote.http import Ask, Dialogue, Json

_OPENAI = {name: name for name in ("logit_bias", "frequency_penalty", "presence_penalty")}
# What reaches the sampler besides temperature, top_p and seed, by each server's own names.
EXTRAS: dict[str, Mapping[str, str]] = {
    "llama.cpp": {
        **_OPENAI,
        "top_k": "top_k",
        "min_p": "min_p",
        "typical_p": "typical_p",
        "top_n_sigma": "top_n_sigma",
        "repeat_penalty": "repeat_penalty",
        "repeat_window": "repeat_last_n",
        "dry_multiplier": "dry_multiplier",
        "dry_base": "dry_base",
        "dry_allowed_length": "dry_allowed_length",
        "dry_window": "dry_penalty_last_n",
        "dry_breakers": "dry_sequence_breakers",
        "xtc_probability": "xtc_probability",
        "xtc_threshold": "xtc_threshold",
        "dynamic_range": "dynatemp_range",
        "dynamic_exponent": "dynatemp_exponent",
        "mirostat": "mirostat",
        "mirostat_tau": "mirostat_tau",
        "mirostat_eta": "mirostat_eta",
    },
    "vLLM": {
        **_OPENAI,
        "top_k": "top_k",
        "min_p": "min_p",
        "repeat_penalty": "repetition_penalty",
    },
    "other": _OPENAI,
}


@dataclass(frozen=True)
class Capabilities:
    """What a server can do, and how well.

    Args:
        server: what it seems to be.
        model: the name that calls go to.
        context: tokens that a prompt and its answer may have; None where it does not tell.
        shows_tools: whether the model's template knows tools; elsewhere they are told in words.
        choose: how options are weighed; see `remote.choice`. `likeliest tokens` falls back to
            `words` where the server lists none.
        counting: whether tokens are counted by the server's tokenizer or estimated.
        prefix_statistics: whether every answer tells how much of its prompt was not read
            again, or only if the server was told to.
        sampling: the settings that reach it; it ignores the others.
    """

    server: Literal["llama.cpp", "vLLM", "other"]
    model: str
    context: int | None
    shows_tools: bool
    choose: Literal["exact", "likeliest tokens"]
    counting: Literal["exact", "estimated"]
    prefix_statistics: Literal["reported", "if switched on"]
    sampling: tuple[str, ...]


def recognise(base_url: str, model: str | None) -> Dialogue[Capabilities]:
    """Find out what a server is by what it says of its models.

    Args:
        base_url: for errors.
        model: the name wanted; None takes the first that the server names.

    Raises:
        ModelError: it names no model, and none is wanted by name.
    """
    try:
        answer = yield Ask("/models")
    except ModelNotFound:
        answer = {}
    models = [one for one in answer.get("data") or () if isinstance(one, dict) and one.get("id")]
    if model is None and not models:
        raise ModelError(
            f"{base_url} names no model.",
            hint="Say which to use: groundling config set model.name NAME",
        )
    entry = next((one for one in models if one["id"] == model), models[0] if models else {})
    name = model or str(entry["id"])
    owner = str(entry.get("owned_by", "")).casefold()
    if owner == "llamacpp":
        try:
            answer = yield Ask("/props", top=True)
        except ModelNotFound:
            pass  # something stands before it that passes only /v1 on
        else:
            return _llama_cpp(name, answer)
    server: Literal["vLLM", "other"] = "vLLM" if owner == "vllm" else "other"
    length = entry.get("max_model_len")
    return Capabilities(
        server=server,
        model=name,
        context=length if isinstance(length, int) else None,
        shows_tools=True,
        choose="likeliest tokens",
        counting="estimated",
        prefix_statistics="if switched on",
        sampling=_sampling(server),
    )


def _llama_cpp(model: str, props: Json) -> Capabilities:
    defaults, abilities = props.get("default_generation_settings"), props.get("chat_template_caps")
    return Capabilities(
        server="llama.cpp",
        model=model,
        context=defaults.get("n_ctx") if isinstance(defaults, dict) else None,
        shows_tools=not isinstance(abilities, dict) or bool(abilities.get("supports_tools", True)),
        choose="exact",
        counting="exact",
        prefix_statistics="reported",
        sampling=_sampling("llama.cpp"),
    )


def _sampling(server: str) -> tuple[str, ...]:
    return ("temperature", "top_p", "seed", *EXTRAS[server])


def tokenize(base_url: str, text: str, *, special: bool) -> Dialogue[list[int]]:
    """Ask llama.cpp's server for a text's tokens, control tokens among them or not."""
    body = {"content": text, "add_special": special, "parse_special": special}
    answer = yield Ask("/tokenize", body, top=True)
    tokens = answer.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise nonsense(base_url, str(answer))
    return tokens


def prompt_tokens(base_url: str, body: Json) -> Dialogue[list[int]]:
    """Return the tokens that llama.cpp's server makes of a conversation."""
    answer = yield Ask("/apply-template", body, top=True)
    return (yield from tokenize(base_url, str(answer.get("prompt", "")), special=True))


def estimate(text: str) -> int:
    """Estimate a text's tokens: four letters of ASCII, or one other character, make one."""
    beyond = sum(not character.isascii() for character in text)
    return beyond + -(-(len(text) - beyond) // 4)
