"""Whether a model fits: weights, cache and buffers against the memory that is free.

Counted from the file's header before anything native happens, because a process that the
system kills for memory cannot say why. The sums were compared with what llama.cpp logs
(SmolLM2, Qwen2.5-1.5B; 2,048 and 8,192 cells, batches of 128 to 512, flash attention on and
off): cache exact, buffers never less.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groundling.errors import ModelTooBig
from groundling.models.gguf import GgufHeader

CacheType = Literal["f16", "q8_0"]

# Tokens of one forward pass: a tenth faster than 128 on two cores; how long a pass takes is
# the scheduler's business.
BATCH = 512
# The most logits that one forward pass hands out, unless the context is made with more.
OUTPUTS = 32
# Bytes of one number in the cache; q8_0 keeps 32 of them in 34 bytes.
_CACHE_BYTES: dict[CacheType, float] = {"f16": 2.0, "q8_0": 34 / 32}
_CGROUP_V2 = Path("/sys/fs/cgroup")
_CGROUP_V1 = Path("/sys/fs/cgroup/memory")
_OWN_CGROUP = Path("/proc/self/cgroup")
# The library itself, the vocabulary and Python, measured with a model of 100 MB.
_PROCESS = 80 << 20
# Repacked weights live beside the mapped file: 597 MB for 1,060 MB of Q4_K_M.
_REPACKED = 0.57
_CELLS = 256  # llama.cpp makes a cache of a multiple of this
_WORTH_HAVING = 512  # no shorter context is recommended


@dataclass(frozen=True)
class MemoryPlan:
    """What a model will take, and what is free, in bytes.

    `context` and `cells`, the tokens kept for all callers together, are what it was made
    for; `longest_context` and `largest_cache` are what would fit with the rest unchanged
    (0: none does).
    """

    context: int
    cells: int
    longest_context: int
    largest_cache: int
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
        parts = f"weights {_size(self.weights)} + cache for {self.cells:,} tokens "
        parts += f"{_size(self.cache)} + buffers {_size(self.compute)}"
        return f"{parts} = {_size(self.needed)}; free: {_size(self.available)}"

    def check(self) -> None:
        """Refuse a model that does not fit.

        Raises:
            ModelTooBig: with the arithmetic, and a cache or a context that would fit where
                one does.
        """
        if self.fits:
            return
        hint = "Close other programs, or take a smaller model: groundling model list"
        if self.largest_cache >= self.context:
            smaller = self.largest_cache
            hint = f"A cache of {smaller:,} tokens fits: "
            hint += f"groundling config set model.cache_tokens {smaller}"
        elif self.longest_context >= _WORTH_HAVING:
            shorter = self.longest_context
            hint = f"A context of {shorter:,} fits: groundling config set model.context {shorter}"
        raise ModelTooBig(f"The model does not fit into memory: {self.explain()}.", hint=hint)


def plan(
    header: GgufHeader,
    context: int,
    *,
    cache: int | None = None,
    batch: int = 128,
    outputs: int = OUTPUTS,
    repack: bool = False,
    cache_type: CacheType = "f16",
    flash_attention: bool = False,
    available: int | None = None,
) -> MemoryPlan:
    """Estimate the memory of a model with that context.

    The cache takes, for each layer and token, one key and one value of each key-value head.
    The compute buffer is dominated by the attention scores of one batch against the whole
    cache, which flash attention does not write down, or by the logits where the vocabulary
    is large; the logits handed out are kept once more. Layers with a sliding window are
    counted in full.

    Args:
        header: of the model's file.
        context: tokens; what is above the trained length is not counted (see `clamp`).
        cache: tokens kept for all callers together; default: see `cache_cells`.
        batch: tokens read in one forward pass.
        outputs: logits handed out by one forward pass.
        repack: whether repacked weights are kept beside the mapped ones.
        cache_type: how the cache is kept; `q8_0` implies flash attention.
        flash_attention: whether it is on.
        available: bytes; default: what this process could still take.
    """
    context = clamp(header, context)
    free = available_memory() if available is None else available
    weights = int(header.tensor_bytes * (1 + _REPACKED * repack))
    flash = flash_attention or cache_type == "q8_0"

    def rest(cells: int) -> tuple[int, int]:
        return _cache(header, cells, cache_type), _buffers(header, cells, batch, outputs, flash)

    def fits(cells: int) -> bool:
        return weights + sum(rest(cells)) <= free

    cells = cache_cells(header, context, cache)
    kept, computed = rest(cells)
    return MemoryPlan(
        context=context,
        cells=cells,
        longest_context=_largest(context, lambda tokens: fits(cache_cells(header, tokens))),
        largest_cache=_largest(cells, fits),
        weights=weights,
        cache=kept,
        compute=computed,
        available=free,
    )


def clamp(header: GgufHeader, context: int) -> int:
    """Return the context, but no longer than the model was trained for."""
    return min(context, header.context_length) if header.context_length else context


def cache_cells(header: GgufHeader, context: int, cache: int | None = None) -> int:
    """Return the tokens kept for all callers together: at least one whole context.

    Args:
        header: of the model's file.
        context: tokens that one caller may have.
        cache: tokens wished for; default: twice the context.
    """
    context = clamp(header, context)
    wanted = max(context, cache or 2 * context)
    return -(-wanted // _CELLS) * _CELLS


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """Return the most tokens that fit: all, or else a multiple of the cache's step."""
    if fits(most):
        return most
    steps = range(most // _CELLS + 1)
    return (
        bisect_left(steps, True, lo=1, key=lambda step: not fits(step * _CELLS)) * _CELLS - _CELLS
    )


def _cache(header: GgufHeader, cells: int, cache_type: CacheType) -> int:
    numbers = sum(header.head_count_kv) * (header.key_length + header.value_length) * cells
    return int(numbers * _CACHE_BYTES[cache_type])


def _buffers(header: GgufHeader, cells: int, batch: int, outputs: int, flash: bool) -> int:
    # The mask of what may see what, and without flash attention each head's scores.
    attention = batch * cells * (6 if flash else 4 * (header.head_count + 1))
    width = header.embedding_length
    activations = 4 * batch * (5 * width + 2 * _feed_forward(header))
    logits = 4 * outputs * header.vocabulary
    return max(attention + activations, logits + 8 * batch * width) + logits + _PROCESS


def _feed_forward(header: GgufHeader) -> int:
    value = header.metadata.get(f"{header.architecture}.feed_forward_length")
    if isinstance(value, tuple):
        return int(max(value, default=0))
    return value if isinstance(value, int) and value > 0 else 4 * header.embedding_length


def available_memory() -> int:
    """Return the bytes this process could still take.

    That is the least of what the system has free, what the process's control groups (a
    container, a systemd service) leave it, and what its own limit (`ulimit -v`) does.
    """
    import psutil

    free = [int(psutil.virtual_memory().available)]
    free += (left for group in _cgroups() if (left := _left(group)) is not None)
    if hasattr(psutil, "RLIMIT_AS"):
        process = psutil.Process()
        limit, _ = process.rlimit(psutil.RLIMIT_AS)
        if limit != psutil.RLIM_INFINITY:
            free.append(max(0, limit - process.memory_info().vms))
    return min(free)


def _cgroups() -> Iterator[Path]:
    """Yield the folders of the control groups this process is in, the innermost first."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers in ("", "memory"):
            root = _CGROUP_V1 if controllers else _CGROUP_V2
            inner = root / own.lstrip("/")
            yield inner
            yield from (outer for outer in inner.parents if outer.is_relative_to(root))


def _left(group: Path) -> int | None:
    """Return what a group may still take, in either version's files; None: no limit."""
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            most, used = (int((group / name).read_text()) for name in (limit, usage))
            rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
        # Cached file pages are given back when memory is wanted.
        cached = int(rows.get("inactive_file", 0)) + int(rows.get("active_file", 0))
        return max(0, most - used + cached)
    return None


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
