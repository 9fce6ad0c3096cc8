"""Weighing options on a server that only writes text: how, and how exactly.

`exact`: llama.cpp's server tells, for a prompt given as tokens, the probability of any next
token: of the likeliest by listing them, of others by forcing them with a bias, which does
not change the probability it reports. Options of several tokens are followed token by token;
the server keeps the prompt's prefix, so that each step after the first reads one token.

`likeliest tokens`: OpenAI's interface lists at most 20 of the first token. Each gives its
probability to the option that begins with it; where several do, to the one that the model
goes on to write. Letter case is not told apart, since the list rarely holds both.

`words`: without any probabilities, the option that the answer names gets all the weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from groundling.models.calls import normalise
from groundling.models.choosing import Choices
from groundling.models.remote.errors import nonsense
from groundling.models.remote.http import Ask, Dialogue, Json
from groundling.models.remote.server import prompt_tokens, tokenize
from groundling.models.remote.wire import usage_of

_LISTED = 100  # tokens that llama.cpp's server lists; the default models' yes is among them
_LISTED_ELSEWHERE = 20  # more than that, vLLM and OpenAI refuse
_FORCED = 10_000.0  # added to a logit: far above any that a model computes


def choose_exactly(base_url: str, body: Json, options: Sequence[str]) -> Dialogue[Choices]:
    """Ask llama.cpp's server for the probability of each option.

    Args:
        base_url: for errors.
        body: the conversation, as a chat completion request.
        options: different texts.
    """
    prompt = yield from prompt_tokens(base_url, body)
    ways: list[list[int]] = []
    for option in options:
        ways += [(yield from tokenize(base_url, option, special=False))]
    heads: dict[tuple[int, ...], set[int]] = {}
    for way in ways:
        for place, token in enumerate(way):
            heads.setdefault(tuple(way[:place]), set()).add(token)
    logarithms: dict[tuple[int, ...], float] = {(): 0.0}
    cost = _Cost(len(prompt))
    for head, tokens in sorted(heads.items(), key=lambda item: len(item[0])):
        listed = yield from _next_tokens(base_url, [*prompt, *head], None, cost)
        for token in tokens:
            if token not in listed:
                listed |= yield from _next_tokens(base_url, [*prompt, *head], token, cost)
            logarithms[(*head, token)] = logarithms[head] + listed[token]
    weights = normalise([logarithms[tuple(way)] for way in ways])
    return cost.choices(dict(zip(options, weights, strict=True)))


@dataclass
class _Cost:
    """What weighing has cost so far: the prompt once, then a token for each further question."""

    prompt_tokens: int
    cached_tokens: int | None = None
    completion_tokens: int = 0
    seconds: float = 0.0

    def add(self, timings: Mapping[str, Any]) -> None:
        if self.cached_tokens is None:
            self.cached_tokens = int(timings.get("cache_n") or 0)
        self.completion_tokens += 1
        self.seconds += float(timings.get("prompt_ms") or 0.0) / 1000

    def choices(self, weights: Mapping[str, float]) -> Choices:
        usage = UsageMetadata(
            input_tokens=self.prompt_tokens,
            output_tokens=self.completion_tokens,
            total_tokens=self.prompt_tokens + self.completion_tokens,
            input_token_details=InputTokenDetails(cache_read=self.cached_tokens or 0),
        )
        return Choices(weights, usage, {"prefill_seconds": round(self.seconds, 3)})


def _next_tokens(
    base_url: str, tokens: list[int], forced: int | None, cost: _Cost
) -> Dialogue[dict[int, float]]:
    body: Json = {
        "prompt": tokens,
        "n_predict": 1,
        "n_probs": _LISTED if forced is None else 1,
        "temperature": 0.0,
        "cache_prompt": True,
        "return_tokens": True,
    }
    if forced is not None:
        body["logit_bias"] = [[forced, _FORCED]]
    answer = yield Ask("/completion", body, top=True)
    try:
        [first] = answer["completion_probabilities"]
        found = {int(one["id"]): float(one["logprob"]) for one in (*first["top_logprobs"], first)}
        cost.add(answer.get("timings") or {})
    except (KeyError, TypeError, ValueError):
        raise nonsense(base_url, str(answer)) from None
    if forced is not None and forced not in found:
        raise nonsense(base_url, "a probability of another token than the one asked for")
    return found


def choose_by_listing(base_url: str, body: Json, options: Sequence[str]) -> Dialogue[Choices]:
    """Ask any OpenAI-compatible server for the likeliest first tokens.

    Args:
        base_url: for errors.
        body: the conversation, as a chat completion request.
        options: different texts.
    """
    starts = {option.strip().casefold()[:1] for option in options}
    longest = 4 + max(map(len, options))
    # One token tells options apart that begin differently; others need their own words.
    most = 1 if len(starts) == len(options) else longest
    body = {**body, "temperature": 0.0}
    listing = {"max_tokens": most, "logprobs": True, "top_logprobs": _LISTED_ELSEWHERE}
    answer = yield Ask("/chat/completions", {**body, **listing})
    text, listed = _first_token(base_url, answer)
    shares = _shares(listed, text, options)
    if sum(shares) > 0:
        weights = [share / sum(shares) for share in shares]
    else:
        if most < longest:
            answer = yield Ask("/chat/completions", {**body, "max_tokens": longest})
            text, _ = _first_token(base_url, answer)
        weights = _named(text, options)
    usage = usage_of(answer.get("usage") or {"prompt_tokens": 0})
    return Choices(dict(zip(options, weights, strict=True)), usage, {})


def _first_token(base_url: str, answer: Json) -> tuple[str, list[tuple[str, float]]]:
    """Return an answer's text, and what could have been its first token, with probabilities."""
    try:
        choice: Any = answer["choices"][0]
        text = str(choice["message"].get("content") or "")
        tokens = (choice.get("logprobs") or {}).get("content") or [{}]
        listed = [
            (str(one["token"]), math.exp(min(0.0, float(one["logprob"]))))
            for one in tokens[0].get("top_logprobs") or ()
        ]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise nonsense(base_url, str(answer)) from None
    return text, listed


def _shares(listed: list[tuple[str, float]], text: str, options: Sequence[str]) -> list[float]:
    """Give each listed token's probability to the option that it begins."""
    keys = [option.strip().casefold() for option in options]
    written = text.strip().casefold()
    shares = [0.0] * len(keys)
    for token, probability in listed:
        start = token.strip().casefold()
        if not start:
            continue
        fitting = [n for n, key in enumerate(keys) if key.startswith(start)]
        # A token may also hold a whole option and go on: "yes," or "No.".
        fitting = fitting or [n for n, key in enumerate(keys) if start.startswith(key)]
        written_on = [n for n in fitting if written.startswith(keys[n])]
        meant = [max(written_on, key=lambda n: len(keys[n]))] if written_on else fitting
        for n in meant:
            shares[n] += probability / len(meant)
    return shares


def _named(text: str, options: Sequence[str]) -> list[float]:
    written = text.casefold()
    places = {n: written.find(option.casefold()) for n, option in enumerate(options)}
    named = [n for n, place in places.items() if place >= 0]
    if not named:
        return [1 / len(options)] * len(options)
    first = min(named, key=lambda n: (places[n], -len(options[n])))
    return [float(n == first) for n in range(len(options))]
