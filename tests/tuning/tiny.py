"""Whole GGUF models of random weights, small enough to be trained in a second or two.

Template and the commonest tokens are SmolLM2's, so that everything but the size is as in a
real file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from groundling.models.calls import Adapter, EngineSettings
from groundling.models.context import Context, Span
from groundling.models.memory import OUTPUTS
from groundling.tuning.example import Example, Turn

LAYERS, WIDTH, FORWARD, HEADS, HEADS_KV = 3, 64, 128, 4, 2
# Tokens are numbered as they were merged, so that the first ones are a vocabulary, too;
# reading all 49,152 takes transformers longer than a training does.
VOCABULARY = 4096
_KEPT = ("tokenizer.", "general.name")
_LISTS = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
_MERGES = "tokenizer.ggml.merges"


def tiny_model(
    file: Path,
    tokens_of: Path,
    architecture: str = "llama",
    without: Sequence[str] = (),
    template: str | None = None,
    head: int | None = None,
) -> Path:
    """Write a model of random weights, F16.

    Args:
        tokens_of: the GGUF file whose tokens and template it has.
        architecture: llama, qwen2 or qwen3; of these llama turns heads, qwen2 has biases, and
            qwen3 norms of queries and keys.
        without: names of tensors that are left out.
        template: instead of the one of the file.
        head: width of each head; default: as the architecture's models have it.
    """
    head = head or (128 if architecture == "qwen3" else WIDTH // HEADS)
    source = gguf.GGUFReader(tokens_of)
    writer = gguf.GGUFWriter(file, architecture)
    merged = len(source.fields[_LISTS[0]].data) - len(source.fields[_MERGES].data)
    few = {**dict.fromkeys(_LISTS, VOCABULARY), _MERGES: VOCABULARY - merged}
    for field in source.fields.values():
        if field.name.startswith(_KEPT):
            kind, *inner = field.types
            value = field.contents()
            if field.name in few:
                value = value[: few[field.name]]
            if field.name == "tokenizer.chat_template":
                value = template or value
            writer.add_key_value(field.name, value, kind, sub_type=inner[-1] if inner else None)
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS_KV)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(head)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    random = np.random.default_rng(0)

    def matrix(name: str, outer: int, inner: int, scale: float) -> None:
        numbers = random.normal(0, scale, (outer, inner))
        if f"{name}.weight" in without:
            return
        writer.add_tensor(f"{name}.weight", numbers.astype(np.float16))

    def vector(name: str, length: int, mean: float) -> None:
        writer.add_tensor(name, (mean + random.normal(0, 0.1, length)).astype(np.float32))

    matrix("token_embd", VOCABULARY, WIDTH, 0.3)
    vector("output_norm.weight", WIDTH, 1.0)
    wide, narrow = head * HEADS, head * HEADS_KV
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for part, outer, inner in (
            ("attn_q", wide, WIDTH), ("attn_k", narrow, WIDTH), ("attn_v", narrow, WIDTH),
            ("attn_output", WIDTH, wide), ("ffn_gate", FORWARD, WIDTH),
            ("ffn_up", FORWARD, WIDTH), ("ffn_down", WIDTH, FORWARD),
        ):  # fmt: skip
            matrix(f"{block}.{part}", outer, inner, 0.15)
            if architecture == "qwen2" and part in ("attn_q", "attn_k", "attn_v"):
                vector(f"{block}.{part}.bias", outer, 0.0)
        if architecture == "qwen3":
            vector(f"{block}.attn_q_norm.weight", head, 1.0)
            vector(f"{block}.attn_k_norm.weight", head, 1.0)
        vector(f"{block}.attn_norm.weight", WIDTH, 1.0)
        vector(f"{block}.ffn_norm.weight", WIDTH, 1.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def chats(count: int, *, answer: str = "It is number {}.", **more: Any) -> list[Example]:
    """Return questions with answers that can be learnt by heart."""
    return [
        Example((Turn("user", f"Which number has the house of stone {number}?"),),
                answer.format(number), group=str(number), **more)
        for number in range(count)
    ]  # fmt: skip


def llama_says(file: Path, rows: Sequence[Sequence[int]], adapter: Path | None = None) -> Any:
    """Return llama.cpp's log-probabilities after every token but the first of each row."""
    context = Context(file, EngineSettings(context=256, parallel=1, threads=1))
    try:
        used = context.resolve([Adapter(adapter)] if adapter is not None else [])
        found = []
        for row in rows:
            context.trim(0, 0)
            for start in range(0, len(row), OUTPUTS):
                part = row[start : start + OUTPUTS]
                (first,) = context.decode([Span(0, start, part, "all")], used)
                said = [context.log_probabilities(first + place) for place in range(len(part))]
                # llama.cpp and torch differ at the very first place, which nothing is before.
                found += said[1:] if start == 0 else said
        return np.stack(found)
    finally:
        context.close()


def apart(truth: Any, other: Any) -> tuple[float, float]:
    """Hold log-probabilities against others.

    Returns:
        The mean divergence, and how far, by the truth, the other's likeliest token is behind
        the likeliest one at the worst place; both in nats. Of near ties rounding chooses.
    """
    divergence = (np.exp(truth) * (truth - other)).sum(axis=1).mean()
    chosen = np.take_along_axis(truth, other.argmax(axis=1)[:, None], axis=1)[:, 0]
    same = (truth.argmax(axis=1) == other.argmax(axis=1)).mean()
    print(f"the same likeliest token: {same:.3f}")
    return float(divergence), float((truth.max(axis=1) - chosen).max())
