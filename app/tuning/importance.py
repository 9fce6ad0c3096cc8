"""Which weights matter for one's own texts: the importance matrix of a model.

The mean square of each input of each matrix, over the tokens of a text, read by torch in a
process of its own. llama.cpp's quantiser keeps more precision where it is large.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from groundling.errors import TuningError
from groundling.knowledge.loaders.text import decode
from groundling.models.gguf import GgufHeader, read_gguf
from groundling.models.memory import available_memory
from groundling.models.quantising import Importance
from groundling.models.vocabulary_file import reader_of

_MODULE = "groundling.tuning.training.inputs"
_WINDOW, _MOST = 256, 8_192  # tokens
_FLOAT = 4  # bytes
_PROCESS = 850 << 20  # torch, transformers and what they import


def importance_of(base: Path, texts: Path) -> Importance:
    """Return the importance matrix of a model for a text, by the names of its tensors.

    Args:
        base: a GGUF file of the model, the least quantised one there is.
        texts: some pages; the first 8,192 tokens are read.

    Raises:
        TuningError: the text is too short, the extra `tune` is not installed, the base does
            not fit into memory, or transformers cannot read it.
        DocumentError: the file is no text.
    """
    with reader_of(base) as reader:
        tokens = reader.vocabulary.tokenize(decode(texts))[:_MOST]
    if len(tokens) < _WINDOW:
        raise TuningError(
            f"{texts} has {len(tokens)} tokens; at least {_WINDOW} are needed.",
            hint="Give a longer text, of the kind that the model is to be good at.",
        )
    _check_memory(read_gguf(base))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "importance.npz"
        job = {
            "base": str(base.absolute()),
            "out": str(out),
            "windows": [tokens[at : at + _WINDOW] for at in range(0, len(tokens), _WINDOW)],
        }
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-m", _MODULE],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = lines[-1] if lines else f"the process ended with {done.returncode}"
            if done.returncode < 0:  # what it said last was about something else
                why = f"the system ended the process (signal {-done.returncode})"
            missing = "ModuleNotFoundError" in why
            raise TuningError(
                f"What matters could not be read: {why}",
                hint='pip install "groundling[tune]"'
                if missing
                else "The base is read as floats of 32 bits: it has to fit into memory, and "
                "transformers has to know its kind. Without --importance neither is needed.",
            )
        with np.load(out) as stored:
            return {name: stored[name] for name in stored.files}


def _check_memory(header: GgufHeader) -> None:
    """Refuse a base that the system would end the process for."""
    sizes = [math.prod(tensor.shape) for tensor in header.tensors.values()]
    # A tensor is copied while it is made floats; the pages of the file itself are given back.
    needed = _PROCESS + _FLOAT * (sum(sizes) + max(sizes, default=0))
    free = available_memory()
    if needed > free:
        raise TuningError(
            f"Reading the text takes {header.path.name} as floats of 32 bits, about "
            f"{needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
            hint="Close other programs, or leave out --importance.",
        )
