"""Groundling: a folder of documents and a GGUF file become a private agent.

    from groundling import Home

    home = Home()
    home.knowledge("handbook").add(["docs/"])
    rag = home.graph("rag", knowledge="handbook")
    result = rag.invoke({"question": "How many days of leave do I have?"})
    print(result["answer"], result["citations"])

What `graph` returns is an ordinary compiled LangGraph graph. The names below are the
public interface; they are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundling.errors import GroundlingError
    from groundling.graphs.resources import Resources
    from groundling.home import Home
    from groundling.knowledge.base import Knowledge
    from groundling.knowledge.citations import Citation
    from groundling.knowledge.passage import Passage
    from groundling.models.chat import ChatLlama
    from groundling.models.files.store import ModelStore
    from groundling.settings import Settings

__all__ = [
    "ChatLlama",
    "Citation",
    "GroundlingError",
    "Home",
    "Knowledge",
    "ModelStore",
    "Passage",
    "Resources",
    "Settings",
]

_MODULES = {
    "ChatLlama": "groundling.models.chat",
    "Citation": "groundling.knowledge.citations",
    "GroundlingError": "groundling.errors",
    "Home": "groundling.home",
    "Knowledge": "groundling.knowledge.base",
    "ModelStore": "groundling.models.files.store",
    "Passage": "groundling.knowledge.passage",
    "Resources": "groundling.graphs.resources",
    "Settings": "groundling.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'groundling' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
