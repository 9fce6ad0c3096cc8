"""A model's tokens without its weights: read in a moment, for whoever only counts or cuts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from groundling.errors import ModelFileError
from groundling.models.gguf import read_gguf
from groundling.models.native import import_llama, native_errors
from groundling.models.template import ChatTemplate
from groundling.models.vocabulary import Vocabulary

_TEMPLATE = "tokenizer.chat_template"


class Reader(NamedTuple):
    """What makes tokens of conversations, exactly as the model is given them when it answers."""

    vocabulary: Vocabulary
    template: ChatTemplate


@contextmanager
def reader_of(file: Path) -> Iterator[Reader]:
    """Read the vocabulary and the chat template of a GGUF file.

    Raises:
        ModelFileError: it is none, or has no vocabulary.
    """
    header = read_gguf(file)
    llama = import_llama()
    parameters = llama.llama_model_default_params()
    parameters.vocab_only = True
    with native_errors() as errors:
        model = llama.llama_model_load_from_file(os.fsencode(file), parameters)
    if not model:
        reason = errors[0] if errors else "llama.cpp gives no reason"
        raise ModelFileError(f"The vocabulary of {file} cannot be read: {reason}.")
    source = header.metadata.get(_TEMPLATE)
    try:
        vocabulary = Vocabulary(llama, model)
        try:
            yield Reader(
                vocabulary,
                ChatTemplate(
                    source if isinstance(source, str) else None,
                    bos=vocabulary.bos,
                    eos=vocabulary.eos,
                    control_texts=vocabulary.control_texts,
                ),
            )
        finally:
            vocabulary.close()
    finally:
        llama.llama_model_free(model)
