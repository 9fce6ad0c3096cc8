"""Which role a path takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.server.people.rights import SAFE, role_for
from groundling.server.person import Role

ID = "3f2b1c90-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/", None),
        ("GET", "/page/app.js", None),
        ("POST", "/page/app.js", Role.MEMBER),
        ("GET", "/api/session", None),
        ("POST", "/api/session", None),
        ("DELETE", "/api/session", Role.READER),
        ("GET", f"/langsmith/attachments/{ID}", None),
        ("DELETE", f"/langsmith/attachments/{ID}", Role.ADMIN),
        ("GET", "/langsmith/api/v1/runs", Role.ADMIN),
        ("POST", "/langsmith/runs/batch", Role.ADMIN),
        ("GET", "/metrics", Role.ADMIN),
        ("GET", "/openapi.json", Role.READER),
        ("POST", "/assistants/search", Role.READER),
        ("POST", "/assistants/count", Role.READER),
        ("POST", f"/assistants/{ID}/versions", Role.READER),
        ("POST", f"/assistants/{ID}/latest", Role.MEMBER),
        ("POST", "/assistants", Role.MEMBER),
        ("PATCH", f"/assistants/{ID}", Role.MEMBER),
        ("DELETE", f"/assistants/{ID}", Role.MEMBER),
        ("POST", "/threads", Role.READER),
        ("DELETE", f"/threads/{ID}", Role.READER),
        ("POST", f"/threads/{ID}/runs/stream", Role.READER),
        ("PUT", "/store/items", Role.READER),
        ("POST", "/v1/chat/completions", Role.READER),
        ("DELETE", "/v1/responses/r", Role.READER),
        ("POST", "/mcp", Role.READER),
        ("POST", "/mcp/", Role.READER),
        ("POST", "/api/knowledge", Role.MEMBER),
        ("DELETE", "/api/knowledge/handbook", Role.MEMBER),
        ("POST", "/api/knowledge/handbook/search", Role.READER),
        ("POST", "/api/knowledge/ann/handbook/search", Role.READER),
        ("POST", "/api/knowledge/search/documents", Role.MEMBER),
        ("POST", "/api/knowledge/a\n/search", Role.READER),
        ("DELETE", "/api/jobs/1", Role.MEMBER),
        ("POST", "/api/memories", Role.READER),
        ("POST", f"/api/traces/{ID}/feedback", Role.READER),
        ("DELETE", "/api/feedback/1", Role.READER),
        ("GET", "/api/users", Role.ADMIN),
        ("POST", "/api/users/", Role.ADMIN),
        ("DELETE", "/api/users/ann", Role.ADMIN),
        ("POST", "/api/users/ann/keys", Role.READER),
        ("DELETE", "/api/users/ann/keys/k", Role.READER),
        ("GET", "/api/audit", Role.ADMIN),
        ("GET", "/api/settings", Role.ADMIN),
        ("GET", "/unknown", Role.READER),
        ("POST", "/unknown", Role.MEMBER),
        ("TRACE", "/unknown", Role.MEMBER),
        ("get", "/", Role.MEMBER),
    ],
)
def test_the_table(method: str, path: str, role: Role | None) -> None:
    assert role_for(method, path) is role


@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    st.text(alphabet="/.%2e\\\npagelsmithu", max_size=30),
)
def test_only_what_is_meant_to_be_is_open(method: str, tail: str) -> None:
    for path in (f"/api{tail}", f"/langsmith/{tail}", f"/v1{tail}", f"/threads{tail}", f"//{tail}"):
        if path.rstrip("/") == "/api/session" or "/attachments/" in path:
            continue
        assert role_for(method, path) is not None, path
    if method not in SAFE:
        assert role_for(method, f"/page/{tail}") is not None
