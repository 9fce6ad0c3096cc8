"""Guard and fact checker for anybody's LangChain agent, as `AgentMiddleware`.

from langchain.agents import create_agent
from groundling.middleware import FactCheck, Guard

agent = create_agent(model, tools, middleware=[Guard(), FactCheck()])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundling.middleware.facts import FactCheck
    from groundling.middleware.guard import Guard

__all__ = ["FactCheck", "Guard"]

_PLACES = {"FactCheck": "groundling.middleware.facts", "Guard": "groundling.middleware.guard"}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
