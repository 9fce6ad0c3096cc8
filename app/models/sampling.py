"""What is wanted of the next token: `Sampling`, checked before native code sees it.

`sampler.Sampler` carries it out. The settings, their order and their neutral values are
those of llama.cpp (`common/sampling.cpp`); what ends the process there, or is silently
taken for something else, is refused here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from groundling.models.grammars.gbnf import Grammar

_NONE = -math.inf
_LARGEST_SEED = 2**32 - 2  # the last 32-bit number asks llama.cpp for a random seed
_LONGEST_WINDOW = 1_000_000
_MOST_BREAKERS = 32
_LONGEST_BREAKER = 40  # bytes; llama.cpp cuts longer ones

# Setting: the lowest and the highest value.
_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 1000),
    "top_p": (0, 1),
    "top_k": (0, 2**31 - 1),
    "min_p": (0, 1),
    "typical_p": (0, 1),
    "top_n_sigma": (0, 1000),
    "xtc_probability": (0, 1),
    "xtc_threshold": (0, 1),
    "repeat_penalty": (0.01, 100),
    "repeat_window": (0, _LONGEST_WINDOW),
    "frequency_penalty": (-100, 100),
    "presence_penalty": (-100, 100),
    "dry_multiplier": (0, 100),
    "dry_base": (1, 100),
    "dry_allowed_length": (1, 1000),
    "dry_window": (0, _LONGEST_WINDOW),
    "dynamic_range": (0, 1000),
    "dynamic_exponent": (0.01, 100),
    "mirostat": (0, 2),
    "mirostat_tau": (0, 100),
    "mirostat_eta": (0, 1),
    "seed": (0, _LARGEST_SEED),
}


@dataclass(frozen=True)
class Sampling:
    """Sampling settings; at temperature 0 the likeliest token is always taken.

    Penalties, bias and DRY count at every temperature, the other filters only above 0. They
    work in the order in which they stand here, the temperature after all of them.

    Args:
        temperature: from 0; higher is more varied.
        top_p: keep the likeliest tokens that have this much probability together; 1 is off.
        top_k: keep this many of the likeliest tokens; 0 keeps all.
        min_p: drop tokens less likely than this share of the likeliest one; 0 is off.
        repeat_penalty: above 1, tokens of the last `repeat_window` become less likely.
        seed: the same seed draws the same tokens.
        grammar: what the text must conform to.
        grammar_trigger: the grammar binds only after the model has written this text.
        logit_bias: what is added to single tokens' logits; minus infinity bans a token.
        repeat_window: how many tokens penalties look back on, prompt included.
        frequency_penalty: subtracted for each time a token stands in the window.
        presence_penalty: subtracted once for tokens that stand in the window.
        dry_multiplier: above 0, tokens that would go on with a repeated sequence become less
            likely (github.com/oobabooga/text-generation-webui/pull/5677).
        dry_base: DRY's penalty grows with this to the power of the repeated length.
        dry_allowed_length: sequences up to this long may repeat.
        dry_window: how many tokens DRY looks back on.
        dry_breakers: texts at which a repeated sequence ends.
        top_n_sigma: keep logits within this many standard deviations of the highest one
            (arXiv:2411.07641); 0 is off.
        typical_p: keep the tokens nearest to the expected surprise that have this much
            probability together (arXiv:2202.00666); 1 is off.
        xtc_probability: how often all but the least likely of the tokens above
            `xtc_threshold` are dropped; 0 is off.
        xtc_threshold: XTC counts tokens at least this likely; above 0.5 it is off.
        dynamic_range: the temperature moves this far around its value, with the entropy.
        dynamic_exponent: how the entropy is bent into the dynamic temperature.
        mirostat: 1 or 2 steer the surprise to `mirostat_tau`, instead of every filter but
            penalties, bias, DRY and temperature (arXiv:2007.14966).
        mirostat_tau: the surprise wanted, in bits.
        mirostat_eta: how fast mirostat learns.

    Raises:
        ValueError: a setting outside of what it may be.
    """

    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int = 0
    grammar: Grammar | None = None
    grammar_trigger: str | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    repeat_window: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_window: int = 4096
    dry_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    top_n_sigma: float = 0.0
    typical_p: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dynamic_range: float = 0.0
    dynamic_exponent: float = 1.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in _BOUNDS:
                self._check(field.name, whole=isinstance(field.default, int))
        for token, bias in self.logit_bias:
            if not _is_number(token, whole=True) or token < 0:
                raise ValueError(f"logit_bias names token {token!r}; tokens are numbers from 0")
            if bias != _NONE and not (_is_number(bias) and abs(bias) <= 1e6):
                raise ValueError(f"logit_bias of token {token} is {bias!r}, no number up to 1e6")
        if len(self.dry_breakers) > _MOST_BREAKERS:
            raise ValueError(f"{len(self.dry_breakers)} dry_breakers; at most {_MOST_BREAKERS}")
        for breaker in self.dry_breakers:
            if not 0 < len(breaker.encode("utf-8", "replace")) <= _LONGEST_BREAKER:
                raise ValueError(f"dry_breakers has {breaker!r}; 1 to {_LONGEST_BREAKER} bytes")
        if self.grammar_trigger is not None:
            if self.grammar is None:
                raise ValueError("grammar_trigger without a grammar")
            if not self.grammar_trigger:
                raise ValueError("grammar_trigger is empty; leave it out to bind from the start")

    def _check(self, name: str, *, whole: bool) -> None:
        value = getattr(self, name)
        low, high = _BOUNDS[name]
        if not _is_number(value, whole=whole) or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{name} is {value!r}; it must be {kind} from {low:g} to {high:g}")

    @property
    def penalises(self) -> bool:
        """Whether tokens of the window become less likely."""
        plain = (self.repeat_penalty, self.frequency_penalty, self.presence_penalty)
        return plain != (1.0, 0.0, 0.0) and self.repeat_window > 0

    @property
    def dry(self) -> bool:
        """Whether repeated sequences become less likely."""
        return self.dry_multiplier > 0 and self.dry_window > 0


def _is_number(value: object, *, whole: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return math.isfinite(value)
