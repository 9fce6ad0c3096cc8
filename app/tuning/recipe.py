"""A recipe: everything that decides what a training run makes of a base and its data.

    recipe = read_recipe("laptop", {"steps": 50})      # a preset, a TOML file, and flags

The same recipe on the same data and base gives the same adapter, up to rounding.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from groundling.errors import TuningError

Method = Literal["sft", "dpo", "kto"]
Weights = Literal["lora", "qlora", "full"]
Optimiser = Literal[
    "adamw", "adamw-8bit", "adafactor", "galore", "apollo", "lomo", "adalomo", "badam"
]
PRESETS = ("laptop", "gpu", "multi-gpu")
# Updating weights while gradients come, or block by block, leaves no low-rank adapter.
FULL_ONLY = ("galore", "apollo", "lomo", "adalomo")
CUDA_ONLY = ("adalomo",)
# What it trains with, not what comes of it: a run goes on when these change.
_MEANS = {"threads", "save"}


class Recipe(BaseModel):
    """How a model is trained; `read_recipe` is the way to make one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field("sft", description="sft: right answers; dpo: pairs; kto: thumbs")
    weights: Weights = Field(
        "lora", description="what changes: a low-rank adapter, the same over 4-bit weights, or all"
    )
    rank: int = Field(16, ge=1, le=512, description="of the adapter")
    alpha: float = Field(32.0, gt=0.0, description="its scale is alpha / rank")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="of the adapter's inputs")
    targets: list[str] = Field(
        default_factory=lambda: [
            "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
        ],
        min_length=1,
        description="the matrices that are adapted",
    )  # fmt: skip
    ranks: Literal["even", "rising"] = Field(
        "even",
        description="rising: from a third of the rank in the first layer to twice as much less "
        "that third in the last (PRILoRA, arXiv:2401.11316)",
    )
    optimiser: Optimiser = "adamw"
    learning_rate: float = Field(2e-4, gt=0.0, le=1.0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0.0, le=0.5, description="share of the steps")
    weight_decay: float = Field(0.0, ge=0.0)
    clip: float = Field(1.0, gt=0.0, description="largest norm of a gradient")
    beta: float = Field(0.1, gt=0.0, description="dpo, kto: how near the reference it stays")
    epochs: float = Field(3.0, gt=0.0, description="times through the data; steps ends sooner")
    steps: int | None = Field(None, ge=1, description="most updates of the weights")
    batch: int = Field(4, ge=1, description="examples read at once by one process")
    accumulate: int = Field(2, ge=1, description="batches to one update")
    context: int = Field(512, ge=32, description="longest example, in tokens")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="of the base's weights")
    checkpointing: bool = Field(
        False, description="forget activations and compute them again: less memory, a third slower"
    )
    evaluate: int = Field(20, ge=1, description="updates between two looks at held-out examples")
    patience: int = Field(
        3,
        ge=0,
        description="looks without progress before it stops; the best look's weights are kept. "
        "0: never stop early, keep the last",
    )
    save: int = Field(20, ge=1, description="updates between two checkpoints")
    threads: int | None = Field(
        None, ge=1, description="default: all cores but one, so that answers keep their place"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1)
    sharding: Literal["none", "ddp", "fsdp"] = Field(
        "none", description="under torchrun: copies of the model, or one in pieces"
    )

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        if self.optimiser == "badam":
            raise ValueError("BAdam's package states no licence, so it is not offered")
        if self.optimiser in FULL_ONLY and self.weights != "full":
            raise ValueError(f"{self.optimiser} trains all weights: weights = “full”")
        if self.weights == "full" and self.ranks == "rising":
            raise ValueError("ranks are an adapter's; full weights have none")
        if self.ranks == "rising" and self.rank < 3:
            raise ValueError("rising ranks want a rank of at least 3")
        if self.method != "sft" and self.weights == "full":
            raise ValueError(f"{self.method} is trained as an adapter: weights = “lora”")
        if self.weights == "qlora" and self.sharding == "fsdp":
            raise ValueError("weights of 4 bits cannot be sharded: sharding = “ddp”")
        return self

    @property
    def digest(self) -> str:
        """Return 12 hexadecimal digits: the same where the same comes of it."""
        told = tomli_w.dumps(self.model_dump(exclude_none=True, exclude=_MEANS))
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def text(self) -> str:
        """Write it as TOML, defaults included."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))

    def rank_of(self, layer: int, layers: int) -> int:
        """Return the rank in a layer, counted from 0."""
        if self.ranks == "even" or layers < 2:
            return self.rank
        least = self.rank / 3
        most = 2 * self.rank - least
        return max(1, round(least + (most - least) * layer / (layers - 1)))


def read_recipe(name: str | Path, flags: Mapping[str, Any] | None = None) -> Recipe:
    """Read a preset or a TOML file; flags win over what is in it.

    A file may name a preset that it starts from: `preset = "gpu"`.

    Raises:
        TuningError: there is none, or a value in it is wrong; the message names it.
    """
    values = _read(str(name))
    values |= {key: value for key, value in (flags or {}).items() if value is not None}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the recipe"
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise TuningError(
            f"{where} in {name}: {reason}.",
            hint="docs/tuning.md lists what a recipe may say.",
        ) from error


def _read(name: str) -> dict[str, Any]:
    if name in PRESETS:
        text = resources.files("groundling.data").joinpath("recipes", f"{name}.toml").read_text()
        return tomllib.loads(text)
    try:
        values = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise TuningError(
            f"There is no recipe {name}: {error.strerror or error}.",
            hint=f"One of {', '.join(PRESETS)}, or a TOML file.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TuningError(f"{name} is no TOML: {error}.") from error
    preset = values.pop("preset", None)
    if preset is None:
        return values
    if preset not in PRESETS:
        raise TuningError(
            f"{name} starts from {preset!r}, which is no preset.",
            hint=f"One of {', '.join(PRESETS)}.",
        )
    return _read(preset) | values
