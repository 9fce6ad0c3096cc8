"""Weighing the same options after many prompts: in one go where the model can do that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from groundling.models.decide import decide

AT_ONCE = 4  # calls to a model that takes them one by one


@runtime_checkable
class ManyChooser(Protocol):
    """A chat model that reads once what several prompts begin with alike."""

    async def achoose_many(
        self,
        prompts: Sequence[Sequence[BaseMessage]],
        options: Sequence[str],
        *,
        config: RunnableConfig | None = None,
    ) -> Sequence[Mapping[str, float]]: ...


async def weigh(
    model: BaseChatModel,
    prompts: Sequence[Sequence[BaseMessage]],
    options: Sequence[str],
    config: RunnableConfig | None = None,
) -> list[dict[str, float]]:
    """Weigh the options after each prompt; the weights of a prompt add up to 1."""
    if isinstance(model, ManyChooser):
        chooser = cast("ManyChooser", model)
        return [dict(one) for one in await chooser.achoose_many(prompts, options, config=config)]
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(messages: Sequence[BaseMessage]) -> dict[str, float]:
        async with room:
            return await decide(model, messages, options, config)

    return list(await asyncio.gather(*map(ask, prompts)))


def calibrated(weights: Mapping[str, float], empty: Mapping[str, float]) -> dict[str, float]:
    """Divide weights by those after an empty text, which a fair judge gives alike.

    Contextual calibration after Zhao et al. 2021, arXiv:2102.09690.
    """
    scaled = {option: weight / max(empty[option], 1e-6) for option, weight in weights.items()}
    total = sum(scaled.values()) or 1.0
    return {option: weight / total for option, weight in scaled.items()}
