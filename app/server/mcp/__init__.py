"""The server's side of the Model Context Protocol; it needs the extra `mcp`."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from groundling.server.services import Services

_LOG = logging.getLogger("groundling.server")


def mount(held: Services) -> Starlette | None:
    """Return what answers at `/mcp`; None where the extra is not installed, which is logged."""
    if find_spec("mcp") is None:
        _LOG.info('There is no /mcp: it needs pip install "groundling[mcp]".')
        return None
    from groundling.server.mcp.application import application

    return application(held)
