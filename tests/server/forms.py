"""Multipart bodies, and runs to put into them, as LangSmith's client writes them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

BOUNDARY = "d41d8cd98f00b204e9800998ecf8427e"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
Part = tuple[str, str, bytes]


def form(parts: Sequence[Part], *, ended: bool = True) -> bytes:
    """Write a body; `ended` says whether its last line is there."""
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, kind, data in parts
    )
    return body + (f"--{BOUNDARY}--\r\n".encode() if ended else b"")


def part(name: str, value: Any) -> Part:
    """Return a part in JSON; bytes are taken as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return name, "application/json", data


def run(name: str = "run", id: UUID | None = None, **fields: Any) -> dict[str, Any]:
    """Return a run that has ended, as its JSON object without payloads."""
    run_id = id or uuid.uuid4()
    now = datetime.now(UTC)
    return {
        "id": str(run_id),
        "trace_id": str(run_id),
        "dotted_order": f"{now:%Y%m%dT%H%M%S%f}Z{run_id}",
        "name": name,
        "run_type": "chain",
        "start_time": now.isoformat(),
        "end_time": now.isoformat(),
        "session_name": "forms",
    } | fields


def parts_of(fields: dict[str, Any], operation: str = "post", **payloads: Any) -> list[Part]:
    """Return the parts of one run."""
    name = f"{operation}.{fields['id']}"
    return [
        part(name, fields),
        *(part(f"{name}.{field}", value) for field, value in payloads.items()),
    ]
