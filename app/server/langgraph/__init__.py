"""LangGraph's API: what its clients, Studio and chat pages speak.

    assistants   graphs, with settings of their own      langgraph.assistants
    threads      conversations and their states          langgraph.threads
    runs         asked for, streamed, joined, stopped    langgraph.runs
    store        items by namespace                      langgraph.store

The bodies are those of LangGraph's own server; docs/langgraph.md has the few differences.
What a thread or run is, and whose, is `groundling.server.runs`' concern.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from groundling.server.langgraph import assistants, following, runs, store, system, threads
from groundling.server.langgraph.store import lifespan

__all__ = ["ROUTES", "lifespan"]

ROUTES: list[BaseRoute] = [
    *system.ROUTES,  # before the others: /runs/crons is no run
    *assistants.ROUTES,
    *threads.ROUTES,
    *runs.ROUTES,
    *following.ROUTES,
    *store.ROUTES,
]
