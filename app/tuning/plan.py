"""Whether a training run fits into memory, worked out before anything is loaded.

The sums are upper bounds for what PyTorch keeps: weights, the adapter's or all gradients,
what the optimiser remembers of each, and what the backward pass needs of the forward pass.
docs/tuning.md holds one of them against a measured size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from groundling.errors import TuningError
from groundling.models.gguf import GgufHeader
from groundling.models.memory import available_memory
from groundling.tuning.recipe import Recipe

# torch, transformers, TRL and what they import.
_PROCESS = 850 << 20
_FLOAT = 4
# Bytes of each trained number that are kept beside it: its gradient, and the optimiser's.
_STATES = {
    "adamw": 3 * _FLOAT, "adamw-8bit": _FLOAT + 2, "adafactor": _FLOAT + 0.1,
    "galore": _FLOAT + 1.0, "apollo": _FLOAT + 0.5, "lomo": 0.0, "adalomo": 0.1,
}  # fmt: skip
_NF4 = 0.56  # bytes of a weight in blocks of 64 with doubly quantised scales
# Numbers that a layer keeps of each token: of the width, and of the feed-forward's width.
_WIDE, _FORWARD = 26, 5
_LOGITS = 3  # copies of the scores of all tokens: the scores, their logarithms, the gradient
_TARGETS = {
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
    "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
}  # fmt: skip


@dataclass(frozen=True)
class TrainingPlan:
    """What a run will take, in bytes, and how much it trains.

    Args:
        parameters: numbers in the base.
        trained: numbers that change.
        weights: of the base, and of the adapter.
        loading: beside the weights while the file is read.
        available: memory that is free.
    """

    parameters: int
    trained: int
    weights: int
    loading: int
    states: int
    activations: int
    available: int

    @property
    def needed(self) -> int:
        """The most at once: what reading the file takes is given back before the first update."""
        return _PROCESS + self.weights + max(self.loading, self.states + self.activations)

    def explain(self) -> str:
        """Write the sum out."""
        parts = {
            "torch": _PROCESS,
            "weights": self.weights,
            "reading them": self.loading,
            "optimiser": self.states,
            "activations": self.activations,
        }
        told = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items())
        return (
            f"{self.needed / 1e9:.1f} GB at the most ({told}; what reading takes is given back "
            f"before the first update); {self.available / 1e9:.1f} GB are free"
        )

    def check(self) -> None:
        """Refuse what does not fit.

        Raises:
            TuningError: it needs more than is free; the hint is what to change.
        """
        if self.needed <= self.available:
            return
        parts = {
            "the weights": (
                self.weights + self.loading,
                "weights = “qlora”, dtype = “bfloat16”, or a smaller base",
            ),
            "the optimiser": (self.states, "a smaller rank, or optimiser = “adafactor”"),
            "the activations": (
                self.activations, "batch = 1, a shorter context, or checkpointing = true",
            ),
        }  # fmt: skip
        largest = max(parts, key=lambda name: parts[name][0])
        raise TuningError(
            f"The training would need about {self.needed / 1e9:.1f} GB of memory; "
            f"{self.available / 1e9:.1f} GB are free. Most goes to {largest}: "
            f"{parts[largest][0] / 1e9:.1f} GB.",
            hint=f"In the recipe: {parts[largest][1]}.",
        )


def plan(
    header: GgufHeader, recipe: Recipe, longest: int, answer: int | None = None
) -> TrainingPlan:
    """Work out what a run takes.

    Args:
        header: of the base.
        longest: tokens of the longest example.
        answer: of them, tokens that are learnt; default: all.
    """
    sizes = {name: math.prod(tensor.shape) for name, tensor in header.tensors.items()}
    parameters = sum(sizes.values())
    layers = _number(header, "block_count")
    whole = recipe.weights == "full"
    trained = parameters if whole else _adapter(header, recipe, layers)
    each = {"float32": 4.0, "bfloat16": 2.0}[recipe.dtype]
    # The file is mapped; a tensor is made floats, and copied, before it has its final form.
    loading = header.tensor_bytes + 2 * _FLOAT * max(sizes.values(), default=0)
    weights = parameters * each
    if recipe.weights == "qlora":
        # The floats are stored, and read again in 4 bits while they are still there.
        loading = max(loading, round(2 * parameters * each))
        # Layers become 4 bits; embeddings, norms and the output matrix stay floats of 32.
        inside = sum(size for name, size in sizes.items() if name.startswith("blk."))
        weights = inside * _NF4 + (parameters - inside) * _FLOAT
    return TrainingPlan(
        parameters=parameters,
        trained=trained,
        weights=round(weights + (0 if whole else trained * _FLOAT)),
        loading=round(loading),
        states=round(trained * _STATES[recipe.optimiser]),
        activations=_activations(header, recipe, min(longest, recipe.context), answer, layers),
        available=available_memory(),
    )


def _adapter(header: GgufHeader, recipe: Recipe, layers: int) -> int:
    """Count the numbers of A and B of every matrix that is adapted."""
    wanted = {_TARGETS.get(name) for name in recipe.targets}
    total = 0
    for name, tensor in header.tensors.items():
        parts = name.split(".")
        if len(parts) == 4 and parts[0] == "blk" and parts[2] in wanted and len(tensor.shape) == 2:
            total += recipe.rank_of(int(parts[1]), layers) * sum(tensor.shape)
    return total


def _activations(
    header: GgufHeader, recipe: Recipe, longest: int, answer: int | None, layers: int
) -> int:
    width = _number(header, "embedding_length")
    forward = _number(header, "feed_forward_length") or 4 * width
    heads = _number(header, "attention.head_count") or 1
    vocabulary = max(
        (tensor.shape[-1] for name, tensor in header.tensors.items() if "embd" in name), default=0
    )
    # Of a pair both answers are read, of a label another question's answer as well.
    rows = recipe.batch * (1 if recipe.method == "sft" else 2)
    tokens = rows * longest
    layer = tokens * (_WIDE * width + _FORWARD * forward) + rows * heads * longest**2
    kept = tokens * width * layers + layer if recipe.checkpointing else layer * layers
    # Our own trainer gives the output matrix the places that are learnt, TRL's all of them.
    places = rows * (answer or longest) if recipe.method == "sft" else tokens
    return (kept + _LOGITS * places * vocabulary) * _FLOAT


def _number(header: GgufHeader, key: str) -> int:
    value = header.metadata.get(f"{header.architecture}.{key}", 0)
    return value if isinstance(value, int) else 0
