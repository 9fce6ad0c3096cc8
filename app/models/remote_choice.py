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
from collections.abc import Sequence
from typing import Any, Literal

from groundling.models.calls import normalise
from groundling.models.remote_errors import nonsense
from groundling.models.remote_http import Ask, Dialogue, Json

Exactness = Literal["exact", "likeliest tokens", "words"]

_LISTED = 100  # tokens that llama.cpp's server lists; the default models' yes is among them
_LISTED_ELSEWHERE = 20  # more than that, vLLM and OpenAI refuse
_FORCED = 10_000.0  # added to a logit: far above any that a model computes


def weigh_exactly(
    base_url: str, prompt: Sequence[int], options: Sequence[Sequence[int]]
) -> Dialogue[list[float]]:
    """Ask llama.cpp's server for the probability of each option after the prompt.

    Returns:
        Probabilities among the options; they add up to 1.
    """
    logarithms: dict[tuple[int, ...], float] = {(): 0.0}
    heads: dict[tuple[int, ...], set[int]] = {}
    for option in options:
        for place, token in enumerate(option):
            heads.setdefault(tuple(option[:place]), set()).add(token)
    for head, tokens in sorted(heads.items(), key=lambda item: len(item[0])):
        listed = yield from _next_tokens(base_url, [*prompt, *head], None)
        for token in tokens:
            if token not in listed:
                listed |= yield from _next_tokens(base_url, [*prompt, *head], token)
            logarithms[(*head, token)] = logarithms[head] + listed[token]
    return normalise([logarithms[tuple(option)] for option in options])


def _next_tokens(
    base_url: str, tokens: list[int], forced: int | None
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
    except (KeyError, TypeError, ValueError):
        raise nonsense(base_url, str(answer)) from None
    if forced is not None and forced not in found:
        raise nonsense(base_url, "a probability of another token than the one asked for")
    return found


def weigh_by_listing(body: Json, options: Sequence[str]) -> Dialogue[tuple[list[float], Exactness]]:
    """Ask any OpenAI-compatible server for the likeliest first tokens.

    Args:
        body: the chat completion request, without what this function decides.
        options: different texts.

    Returns:
        Probabilities among the options, and how they were found.
    """
    starts = {option.strip().casefold()[:1] for option in options}
    # One token tells options apart that begin differently; others need their own words.
    most = 1 if len(starts) == len(options) else 4 + max(map(len, options))
    wish: Json = {
        "max_tokens": most, "temperature": 0.0, "logprobs": True, "top_logprobs": _LISTED_ELSEWHERE,
    }  # fmt: skip
    answer = yield Ask("/chat/completions", {**body, **wish})
    text, listed = _first_token(answer)
    if listed:
        shares = _shares(listed, text, options)
        if sum(shares) > 0:
            return [share / sum(shares) for share in shares], "likeliest tokens"
    if most == 1:
        wish = {"max_tokens": 4 + max(map(len, options)), "temperature": 0.0}
        text, _ = _first_token((yield Ask("/chat/completions", {**body, **wish})))
    return _named(text, options), "words"


def _first_token(answer: Json) -> tuple[str, list[tuple[str, float]]]:
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
        raise nonsense("The server", str(answer)) from None
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
