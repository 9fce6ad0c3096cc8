"""The GGUF header reader, on files made here and on a real one."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from groundling.errors import ModelFileError
from groundling.models.gguf import read_gguf


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str, value: object) -> bytes:
    head = string(name)
    if isinstance(value, str):
        return head + struct.pack("<I", 8) + string(value)
    if isinstance(value, int):
        return head + struct.pack("<II", 4, value)
    assert isinstance(value, list)
    if value and isinstance(value[0], str):
        return head + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(string, value))
    return head + struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def gguf(keys: dict[str, object], tensors: int = 2, data: int = 256) -> bytes:
    """Make a small file: F32 tensors of 32 numbers each."""
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(keys))
    head += b"".join(key(name, value) for name, value in keys.items())
    for n in range(tensors):
        head += string(f"t{n}") + struct.pack("<IQIQ", 1, 32, 0, n * 128)
    return head + b"\0" * (-len(head) % 32) + b"\1" * data


KEYS: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "작은 모델",
    "llama.context_length": 2048,
    "llama.block_count": 3,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": [2, 1, 2],
    "tokenizer.ggml.tokens": ["a", "가", "c"],
    "tokenizer.chat_template": "{{ messages }}",
    "general.file_type": 15,
}
WHOLE = gguf(KEYS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_what_the_header_says(file: Path) -> None:
    file.write_bytes(WHOLE)
    header = read_gguf(file)
    assert (header.architecture, header.name) == ("llama", "작은 모델")
    assert (header.context_length, header.block_count, header.head_count) == (2048, 3, 4)
    assert (header.head_count_kv, header.key_length, header.value_length) == ((2, 1, 2), 16, 16)
    assert (header.tensor_bytes, header.tensor_count, header.vocabulary) == (256, 2, 3)
    assert (header.file_type, header.chat_template) == (15, "{{ messages }}")
    assert "tokenizer.ggml.tokens" not in header.metadata


@given(cut=st.integers(0, len(WHOLE) - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_refused(file: Path, cut: int) -> None:
    file.write_bytes(WHOLE[:cut])
    with pytest.raises(ModelFileError) as error:
        read_gguf(file)
    assert error.value.hint


def test_a_missing_end_is_counted(file: Path) -> None:
    file.write_bytes(WHOLE[:-10])
    with pytest.raises(ModelFileError, match="at least 10 bytes are missing"):
        read_gguf(file)


@given(data=st.binary(max_size=300), keep=st.integers(0, len(WHOLE)))
@example(data=b"\xff" * 64, keep=4)
@example(data=b"\xff" * 16, keep=8)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_no_bytes_raise_anything_else(file: Path, data: bytes, keep: int) -> None:
    file.write_bytes(WHOLE[:keep] + data)
    try:
        header = read_gguf(file)
    except ModelFileError:
        return
    # What was read must be usable, however odd it is.
    assert header.tensor_bytes >= 0
    assert header.key_length >= 0
    assert all(count >= 0 for count in header.head_count_kv)
    assert header.name is not None


@given(at=st.integers(0, len(WHOLE) - 257), byte=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_a_flipped_byte_raises_nothing_else(file: Path, at: int, byte: int) -> None:
    file.write_bytes(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    try:
        header = read_gguf(file)
    except ModelFileError:
        return
    assert header.block_count >= 0
    assert header.split_count >= 1


def test_other_files_and_no_file(file: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file"):
        read_gguf(file)
    file.write_text("<html>not found</html>")
    with pytest.raises(ModelFileError, match="not a GGUF"):
        read_gguf(file)
    file.write_bytes(b"")
    with pytest.raises(ModelFileError, match="not a GGUF"):
        read_gguf(file)


def test_split_models(tmp_path: Path) -> None:
    names = [tmp_path / f"m-0000{n}-of-00002.gguf" for n in (1, 2)]
    names[0].write_bytes(gguf({**KEYS, "split.count": 2}))
    with pytest.raises(ModelFileError, match=r"missing beside it: m-00002-of-00002\.gguf"):
        read_gguf(names[0])
    names[1].write_bytes(gguf({"split.count": 2}))
    assert read_gguf(names[0]).tensor_bytes == 512
    with pytest.raises(ModelFileError, match="one part of a model"):
        read_gguf(names[1])


@pytest.mark.model
def test_a_real_model(smollm2: Path) -> None:
    header = read_gguf(smollm2)
    assert (header.architecture, header.context_length, header.block_count) == ("llama", 8192, 30)
    assert header.vocabulary == 49152
    assert 0 < header.file_bytes - header.tensor_bytes < 3_000_000
