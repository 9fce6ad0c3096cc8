"""Whether a model fits: weights, cache and buffers against the memory that is free.

Counted from the file's header before anything native happens, because a process that the
system kills for memory cannot say why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from groundling.errors import ModelTooBig
from groundling.models.gguf import GgufHeader

# The most logits that one forward pass hands out; the context is made with it.
OUTPUTS = 32
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
# The library itself, the vocabulary and Python, measured with a model of 100 MB.
_PROCESS = 80 << 20
# Repacked weights live beside the mapped file: 1.87 GB against 1.28 GB for 1.12 GB of Q4_K_M.
_REPACKED = 0.55


@dataclass(frozen=True)
class MemoryPlan:
    """What a model will take, and what is free, in bytes.

    `context` is the one it was made for, `longest_context` the longest that fits (0: none).
    """

    context: int
    longest_context: int
    weights: int
    cache: int
    compute: int
    available: int

    @property
    def needed(self) -> int:
        return self.weights + self.cache + self.compute

    @property
    def fits(self) -> bool:
        return self.needed <= self.available

    def explain(self) -> str:
        """Write the sum out."""
        parts = f"weights {_size(self.weights)} + cache for {self.context:,} tokens "
        parts += f"{_size(self.cache)} + buffers {_size(self.compute)}"
        return f"{parts} = {_size(self.needed)}; free: {_size(self.available)}"

    def check(self) -> None:
        """Refuse a model that does not fit.

        Raises:
            ModelTooBig: with the arithmetic, and a context that would fit where one does.
        """
        if self.fits:
            return
        shorter = self.longest_context
        hint = "Close other programs, or take a smaller model: groundling model list"
        if shorter >= 512:
            hint = f"A context of {shorter:,} fits: groundling config set model.context {shorter}"
        raise ModelTooBig(f"The model does not fit into memory: {self.explain()}.", hint=hint)


def plan(
    header: GgufHeader,
    context: int,
    *,
    batch: int = 128,
    repack: bool = False,
    available: int | None = None,
) -> MemoryPlan:
    """Estimate the memory of a model with that context.

    The cache takes, for each layer and token, one key and one value of each key-value head,
    as 16-bit floats. The compute buffer is dominated by the attention scores of one batch, or
    by its logits where the vocabulary is large. Layers with a sliding window are counted in
    full.

    Args:
        header: of the model's file.
        context: tokens; what is above the trained length is not counted (see `clamp`).
        batch: tokens read in one forward pass.
        repack: whether repacked weights are kept beside the mapped ones.
        available: bytes; default: what this process could still take.
    """
    context = clamp(header, context)
    free = available_memory() if available is None else available
    weights = int(header.tensor_bytes * (1 + _REPACKED * repack))

    def needed(tokens: int) -> int:
        return weights + _cache(header, tokens) + _buffers(header, tokens, batch)

    shorter = range(context // 256 * 256, 0, -256)
    return MemoryPlan(
        context=context,
        longest_context=next((n for n in (context, *shorter) if needed(n) <= free), 0),
        weights=weights,
        cache=_cache(header, context),
        compute=_buffers(header, context, batch),
        available=free,
    )


def _cache(header: GgufHeader, context: int) -> int:
    return sum(header.head_count_kv) * (header.key_length + header.value_length) * 2 * context


def _buffers(header: GgufHeader, context: int, batch: int) -> int:
    scores = batch * context * (header.head_count + 1) * 4
    logits = OUTPUTS * header.vocabulary * 4 * 2
    activations = batch * header.embedding_length * 4 * 12
    return max(scores, logits) + activations + _PROCESS


def clamp(header: GgufHeader, context: int) -> int:
    """Return the context, but no longer than the model was trained for."""
    return min(context, header.context_length) if header.context_length else context


def available_memory() -> int:
    """Return the bytes this process could still take: the system's, or its container's."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, usage, stat in _CGROUPS:
        left = _left(Path(limit), Path(usage), Path(stat))
        if left is not None:
            free = min(free, left)
    return free


def _left(limit: Path, usage: Path, stat: Path) -> int | None:
    try:
        most = int(limit.read_text())
        used = int(usage.read_text())
        rows = dict(line.split() for line in stat.read_text().splitlines())
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
    # Cached file pages are given back when memory is wanted.
    cached = int(rows.get("inactive_file", 0)) + int(rows.get("active_file", 0))
    return max(0, most - used + cached)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
