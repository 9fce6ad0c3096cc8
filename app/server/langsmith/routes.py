"""All addresses of LangSmith's interface that are answered here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from groundling.server.langsmith import (
    current,
    datasets,
    examples,
    experiments,
    feedback,
    ingest,
    runs,
    sessions,
    versions,
)
from groundling.server.langsmith.service import service

# Of LangSmith's server whose interface this is; the client looks at it.
VERSION = "0.16.14"
BATCH_BYTES = 20_000_000  # what the client gathers before it sends
BATCH_RUNS = 100


async def info(request: Request) -> Response:
    """Say what this server can do, and how its clients should send."""
    return JSONResponse(
        {
            "version": VERSION,
            "license_expiration_time": None,
            "batch_ingest_config": {
                "use_multipart_endpoint": True,
                "size_limit": BATCH_RUNS,
                "size_limit_bytes": min(BATCH_BYTES, service(request).limits.body),
                "scale_up_qsize_trigger": 1000,
                "scale_up_nthreads_limit": 4,
                "scale_down_nempty_trigger": 4,
            },
            "instance_flags": {
                "zstd_compression_enabled": True,
                "dataset_examples_multipart_enabled": True,
                "examples_multipart_enabled": True,
            },
        }
    )


async def ok(_: Request) -> Response:
    """Say that the server is there."""
    return JSONResponse({"ok": True})


async def settings(_: Request) -> Response:
    """Describe the workspace; there is one, and it is this home folder."""
    return JSONResponse(
        {
            "id": sessions.TENANT,
            "display_name": "Groundling",
            "created_at": "2026-01-01T00:00:00+00:00",
            "tenant_handle": None,
        }
    )


_ALL = [
    Route("/info", info, methods=["GET"]),
    Route("/ok", ok, methods=["GET"]),
    Route("/settings", settings, methods=["GET"]),
    *ingest.ROUTES,
    *runs.ROUTES,
    *feedback.ROUTES,
    *sessions.ROUTES,
    *experiments.ROUTES,  # before those of data sets: /datasets/comparative is none
    *versions.ROUTES,
    *datasets.ROUTES,
    *examples.ROUTES,
]
ROUTES = [
    *_ALL,
    *current.ROUTES,
    *(Mount(prefix, routes=_ALL) for prefix in ("/api/v1", "/v1", "/api")),
]
