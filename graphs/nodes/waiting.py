"""Whether a run can stop for a person and be resumed."""

from __future__ import annotations

from langgraph.config import get_config


def can_wait() -> bool:
    """Tell whether the run has a checkpointer, without which an interrupt loses it."""
    try:
        config = get_config()
    except RuntimeError:  # a node that is called outside of a graph
        return False
    return config.get("configurable", {}).get("__pregel_checkpointer") is not None
