"""Decisions: the probability of each of a few options, from one forward pass.

`ChatLlama` reads them off the model's own distribution. For any other chat model the
option is asked for in words, and the one it names gets all the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig


@runtime_checkable
class Chooser(Protocol):
    """A chat model that can weigh options."""

    async def achoose(
        self,
        messages: Sequence[BaseMessage],
        options: Sequence[str],
        *,
        config: RunnableConfig | None = None,
    ) -> dict[str, float]: ...


async def decide(
    model: BaseChatModel,
    messages: Sequence[BaseMessage],
    options: Sequence[str],
    config: RunnableConfig | None = None,
) -> dict[str, float]:
    """Weigh the options; the weights are between 0 and 1 and add up to 1.

    A reply that names none of them gives each the same weight.
    """
    if isinstance(model, Chooser):
        return await cast("Chooser", model).achoose(messages, options, config=config)
    quiet = RunnableConfig(**{**(config or {}), "tags": ["nostream"]})
    reply = (await model.ainvoke(list(messages), quiet)).text.casefold()
    places = {option: reply.find(option.casefold()) for option in options}
    named = [option for option, place in places.items() if place >= 0]
    if not named:
        return dict.fromkeys(options, 1 / len(options))
    first = min(named, key=lambda option: (places[option], -len(option)))
    return {option: float(option == first) for option in options}
