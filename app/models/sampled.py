"""The settings of `ChatLlama` that reach the sampler, as fields with their defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from groundling.models.grammars.grammar import Grammar
from groundling.models.sampling import Sampling
from groundling.settings import ModelSettings

_DEFAULTS = ModelSettings.model_construct()
_OFF = Sampling()
SAMPLING_FIELDS = tuple(
    field.name
    for field in dataclasses.fields(Sampling)
    if field.name not in ("grammar", "grammar_trigger")
)


class Sampled(BaseModel):
    """How tokens are drawn; what each setting does is told at `Sampling`."""

    temperature: float = Field(_DEFAULTS.temperature, ge=0.0, le=5.0)
    top_p: float = Field(_DEFAULTS.top_p, gt=0.0, le=1.0)
    top_k: int = Field(_DEFAULTS.top_k, ge=0, description="0 keeps every token")
    min_p: float = Field(_DEFAULTS.min_p, ge=0.0, le=1.0)
    repeat_penalty: float = Field(_DEFAULTS.repeat_penalty, gt=0.0)
    seed: int = Field(_DEFAULTS.seed, ge=0, description="the same seed draws the same sample")
    logit_bias: dict[int, float] | None = Field(
        None, description="what is added to single tokens' logits, by token number"
    )
    repeat_window: int = _OFF.repeat_window
    frequency_penalty: float = _OFF.frequency_penalty
    presence_penalty: float = _OFF.presence_penalty
    dry_multiplier: float = _OFF.dry_multiplier
    dry_base: float = _OFF.dry_base
    dry_allowed_length: int = _OFF.dry_allowed_length
    dry_window: int = _OFF.dry_window
    dry_breakers: tuple[str, ...] = _OFF.dry_breakers
    top_n_sigma: float = _OFF.top_n_sigma
    typical_p: float = _OFF.typical_p
    xtc_probability: float = _OFF.xtc_probability
    xtc_threshold: float = _OFF.xtc_threshold
    dynamic_range: float = _OFF.dynamic_range
    dynamic_exponent: float = _OFF.dynamic_exponent
    mirostat: int = _OFF.mirostat
    mirostat_tau: float = _OFF.mirostat_tau
    mirostat_eta: float = _OFF.mirostat_eta

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        self.sampling({})
        return self

    def sampling(
        self, wishes: Mapping[str, Any], grammar: Grammar | None = None, trigger: str | None = None
    ) -> Sampling:
        """Return the sampling of one call.

        Args:
            wishes: what the call wants otherwise; None is no wish.
            grammar: what the text must conform to.
            trigger: after which text the grammar begins to bind.

        Raises:
            ValueError: a setting outside of what it may be.
        """
        values = {name: getattr(self, name) for name in SAMPLING_FIELDS}
        values |= {name: wish for name, wish in wishes.items() if wish is not None}
        bias = values["logit_bias"] or {}
        values["logit_bias"] = tuple((int(token), float(add)) for token, add in bias.items())
        values["dry_breakers"] = tuple(values["dry_breakers"])
        return Sampling(**values, grammar=grammar, grammar_trigger=trigger)
