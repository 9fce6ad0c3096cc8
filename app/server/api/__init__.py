"""Groundling's own interface, under `/api`: what the page and scripts use.

    knowledge, documents    bases of documents, uploads and the jobs that read them
    memories                what is remembered of the one who asks
    traces                  what runs did, and feedback on them
    datasets, experiments   evaluations, compared and drawn
    threads                 conversations by title and text, and copies of them
    graphs, status          what there is and how it is
    openapi                 the description of all interfaces: `/openapi.json`

Sessions, users and keys are `groundling.server.people`'s. Every answer is cut down to what is
the person's own; what is another's is not there.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from groundling.server.api import (
    datasets,
    documents,
    experiments,
    graphs,
    knowledge,
    memories,
    openapi,
    status,
    threads,
    traces,
)
from groundling.server.api.endpoint import routes
from groundling.server.api.state import lifespan
from groundling.server.people.routes import ROUTES as PEOPLE

__all__ = ["ENDPOINTS", "ROUTES", "lifespan"]

# Documents before bases: a base may be named with a slash, and would swallow their paths.
ENDPOINTS = [
    *documents.ENDPOINTS,
    *sorted(knowledge.ENDPOINTS, key=lambda each: "search" not in each.path),
    *memories.ENDPOINTS,
    *traces.ENDPOINTS,
    *datasets.ENDPOINTS,
    *experiments.ENDPOINTS,
    *threads.ENDPOINTS,
    *graphs.ENDPOINTS,
    *status.ENDPOINTS,
]
ROUTES: list[BaseRoute] = [*routes(ENDPOINTS), *PEOPLE, *openapi.ROUTES]
