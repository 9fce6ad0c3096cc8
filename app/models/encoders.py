"""The encoders of this process, shared: one for each file and each way to run it.

Embedder, reranker and chat model have contexts of their own and stay loaded beside each
other while they fit: each is counted against what is free when it is loaded. What nobody is
using can be unloaded to make room; it comes back by itself.
"""

from __future__ import annotations

import atexit
import threading
from pathlib import Path

from groundling.models.encoder import Encoder
from groundling.models.encoding import EncoderSettings

_Key = tuple[str, int, int, EncoderSettings]
_encoders: dict[_Key, Encoder] = {}
_encoders_lock = threading.Lock()


def encoder_for(path: Path, settings: EncoderSettings | None = None) -> Encoder:
    """Return the encoder of that file and those settings; its weights are loaded when used.

    A file that was replaced since is another encoder.

    Raises:
        ModelFileError: see `Encoder`.
    """
    settings = settings or EncoderSettings()
    with _encoders_lock:
        try:
            file = path.resolve().stat()
            key = (str(path.resolve()), file.st_ino, file.st_mtime_ns, settings)
        except OSError:
            key = (str(path), 0, 0, settings)
        encoder = _encoders.get(key)
        if encoder is None or encoder.closed:
            encoder = _encoders[key] = Encoder(path, settings)
        return encoder


def unload_encoders(idle: float = 0.0) -> int:
    """Free the weights of encoders that nobody has used for so many seconds.

    Returns:
        How many were freed. Each loads again at its next call.
    """
    with _encoders_lock:
        encoders = list(_encoders.values())
    return sum(encoder.unload(idle) for encoder in encoders)


@atexit.register
def close_encoders() -> None:
    """Close every shared encoder and free its memory."""
    with _encoders_lock:
        encoders = list(_encoders.values())
        _encoders.clear()
    for encoder in encoders:
        encoder.close()
