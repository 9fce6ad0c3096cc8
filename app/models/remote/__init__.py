"""Chat models on another server: `ChatRemote`, and what it needs to talk to one."""

from __future__ import annotations

from groundling.models.remote.chat import ChatRemote
from groundling.models.remote.server import Capabilities

__all__ = ["Capabilities", "ChatRemote"]
