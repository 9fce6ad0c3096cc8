"""OpenAI's interface, under `/v1`: what its clients speak, over graphs and the bare model.

    names           which models there are
    asked           what a request asks, whichever way it came
    model_answers   the bare model's answers      graph_answers   those of graphs
    chat            /v1/chat/completions          responses       /v1/responses
    embeddings      /v1/embeddings

Errors leave in OpenAI's shape; see `groundling.server.problems`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server.openai import chat, embeddings, names, responses
from groundling.server.openai.bodies import reply
from groundling.server.person import person_of
from groundling.server.services import services


async def models(request: Request) -> Response:
    """List the models that one may ask."""
    held = services(request)
    data = await held.work(names.listed, held, person_of(request))
    return reply({"object": "list", "data": data})


async def model(request: Request) -> Response:
    """Describe one model."""
    held, id = services(request), request.path_params["id"]
    data = await held.work(names.listed, held, person_of(request))
    found = next((one for one in data if one["id"] == id), None)
    if found is None:
        raise names.unknown(id)
    return reply(found)


ROUTES: list[BaseRoute] = [
    Route("/v1/models", models, methods=["GET"]),
    Route("/v1/models/{id:path}", model, methods=["GET"]),
    Route("/v1/chat/completions", chat.create, methods=["POST"]),
    Route("/v1/responses", responses.create, methods=["POST"]),
    Route("/v1/responses/{id}", responses.retrieve, methods=["GET"]),
    Route("/v1/responses/{id}", responses.remove, methods=["DELETE"]),
    Route("/v1/responses/{id}/input_items", responses.input_items, methods=["GET"]),
    Route("/v1/embeddings", embeddings.create, methods=["POST"]),
]
