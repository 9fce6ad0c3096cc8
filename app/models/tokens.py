"""The pieces a text falls into: what a model counts, and what its context holds."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from groundling.errors import ModelFileError
from groundling.models.files.manifest import InstalledModel


@dataclass(frozen=True)
class Token:
    """One piece of a text: its number in the vocabulary and its bytes.

    A piece need not be a whole character: a Hangul syllable is up to three of them.
    """

    id: int
    piece: bytes

    @property
    def text(self) -> str:
        """The piece in quotes, for a person: bytes that are no character alone show as \\xec."""
        try:
            return repr(self.piece.decode())
        except UnicodeDecodeError:
            return repr(self.piece)[1:]


def tokenize(model: InstalledModel, text: str) -> list[Token]:
    """Split a text as a model does, without the marks it puts around it.

    Only the vocabulary is read, so this is quick for a model of any size.

    Raises:
        ModelFileError: the file cannot be read.
    """
    if "tokenizer.json" in model.paths:
        return _tokenize_onnx(model, text)
    return _tokenize_gguf(model, text)


def _tokenize_gguf(model: InstalledModel, text: str) -> list[Token]:
    from groundling.models.gguf import read_gguf
    from groundling.models.native import import_llama

    read_gguf(model.path)  # says more precisely than the library what is wrong
    llama = import_llama()
    parameters = llama.llama_model_default_params()
    parameters.vocab_only = True
    handle = llama.llama_model_load_from_file(str(model.path).encode(), parameters)
    if not handle:
        raise ModelFileError(
            f"llama.cpp cannot read the vocabulary of {model.path}.",
            hint=f"groundling model verify {model.entry.id}",
        )
    try:
        vocabulary = llama.llama_model_get_vocab(handle)
        data = text.encode()
        # No vocabulary makes more tokens than there are bytes.
        room = len(data) + 8
        ids = (llama.llama_token * room)()
        count = llama.llama_tokenize(vocabulary, data, len(data), ids, room, False, False)
        return [Token(ids[index], _piece(llama, vocabulary, ids[index])) for index in range(count)]
    finally:
        llama.llama_model_free(handle)


def _piece(llama: object, vocabulary: object, id: int) -> bytes:
    size = 64
    while True:
        buffer = ctypes.create_string_buffer(size)
        length: int = llama.llama_token_to_piece(vocabulary, id, buffer, size, 0, True)  # type: ignore[attr-defined]
        if length >= 0:
            return buffer.raw[:length]
        size = -length


def _tokenize_onnx(model: InstalledModel, text: str) -> list[Token]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model.paths["tokenizer.json"]))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoding = tokenizer.encode(text, add_special_tokens=False)
    return [
        Token(id, piece.encode()) for id, piece in zip(encoding.ids, encoding.tokens, strict=True)
    ]
