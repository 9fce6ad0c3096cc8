"""Sessions, users, keys and the audit log over HTTP, behind the real middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.applications import Starlette

from groundling.errors import GroundlingError
from groundling.home import Home
from groundling.memory.threads import Threads
from groundling.server.interfaces import problem
from groundling.server.metrics import Metrics
from groundling.server.people.people import People
from groundling.server.people.routes import ROUTES
from groundling.server.people.sessions import COOKIE
from groundling.server.person import Role
from groundling.server.problems import Problem
from groundling.server.services import Services
from tests.server.people.conftest import Door

Doors = Callable[..., Door]


@pytest.fixture
async def at(door: Doors, people: People) -> AsyncIterator[Door]:
    """The routes behind the middleware, over a real home folder."""
    with Home() as home:
        async with Threads.open(home.settings.state_path, home.settings.conversation) as threads:
            app = Starlette(
                routes=ROUTES, exception_handlers={Problem: problem, GroundlingError: problem}
            )
            app.state.services = services = Services(home, threads, people, Metrics())
            yield door(app)
            services._workers.shutdown()


def as_(key: str) -> dict[str, str]:
    return {"x-api-key": key}


async def test_a_browser_logs_in_acts_and_logs_out(at: Door) -> None:
    key = at.key("ann")
    async with at.client() as client:
        answer = await client.get("/api/session")
        assert answer.json() == {"person": None, "csrf": None, "people": True}
        answer = await client.post("/api/session", json={"key": key})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert "Max-Age=43200" in cookie
        assert "Secure" not in cookie  # http, and this machine
        csrf = answer.json()["csrf"]
        assert answer.json()["person"] == {"id": "ann", "role": "admin", "via": "session"}
        assert key not in cookie
        answer = await client.get("/api/session")  # the client sends the cookie by itself
        assert (answer.json()["csrf"], answer.json()["person"]["id"]) == (csrf, "ann")
        assert (await client.post("/api/users", json={"id": "bob"})).status_code == 403
        token = {"x-csrf-token": csrf}
        answer = await client.post("/api/users", json={"id": "bob"}, headers=token)
        assert answer.status_code == 201
        kept = client.cookies[COOKIE]
        assert (await client.delete("/api/session")).status_code == 403
        assert (await client.delete("/api/session", headers=token)).status_code == 204
        assert COOKIE not in client.cookies
        replayed = {"cookie": f"{COOKIE}={kept}", **token}
        assert (await client.get("/api/users", headers=replayed)).status_code == 401
        assert (await client.get("/api/session")).json()["person"] is None


async def test_behind_https_the_cookie_never_goes_without(at: Door) -> None:
    key = at.key("ann")
    async with at.client("https://localhost") as client:
        answer = await client.post("/api/session", json={"key": key})
        assert "Secure" in answer.headers["set-cookie"]
    async with at.client() as client:  # a proxy that ends TLS: the origin tells
        origin = {"origin": "https://127.0.0.1:2025"}
        answer = await client.post("/api/session", json={"key": key}, headers=origin)
        assert "Secure" in answer.headers["set-cookie"]


async def test_a_second_login_ends_the_first(at: Door) -> None:
    ann, bob = at.key("ann"), at.key("bob", Role.READER)
    async with at.client() as client:
        await client.post("/api/session", json={"key": ann})
        first = client.cookies[COOKIE]
        answer = await client.post("/api/session", json={"key": bob})
        assert answer.json()["person"]["id"] == "bob"
        answer = await client.get("/api/users/ann/keys", headers={"cookie": f"{COOKIE}={first}"})
        assert answer.status_code == 401


async def test_wrong_logins_are_slowed_down_and_written_down(at: Door) -> None:
    key = at.key("ann")
    async with at.client() as client:
        answers = [await client.post("/api/session", json={"key": f"gl_{n}"}) for n in range(12)]
        assert [answer.status_code for answer in answers[:10]] == [401] * 10
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await client.post("/api/session", json={"key": key})).status_code == 200
    assert len(at.people.log.read(action="session.refused")) == 10


async def test_without_users_there_is_nothing_to_log_in_to(at: Door) -> None:
    async with at.client() as client:
        answer = (await client.get("/api/session")).json()
        assert answer["people"] is False
        assert answer["person"] == {"id": "default", "role": "admin", "via": "local"}
        answer_ = await client.post("/api/session", json={"key": ""})
        assert answer_.status_code == 200
        assert "set-cookie" not in answer_.headers


async def test_the_first_user_is_made_on_the_page(at: Door) -> None:
    async with at.client() as client:
        answer = await client.post("/api/users", json={"id": "bob", "role": "member"})
        assert answer.status_code == 422
        assert "first user" in answer.json()["detail"]
        made = (await client.post("/api/users", json={"id": "ann", "role": "admin"})).json()
        assert (await client.get("/api/users")).status_code == 401  # from here on keys count
        answer = await client.get("/api/users", headers=as_(made["key"]["secret"]))
        (shown,) = answer.json()["users"]
        assert (shown["id"], shown["role"], shown["keys"]) == ("ann", "admin", 1)
        assert "secret" not in answer.text
    assert [entry.action for entry in at.people.log.read(person="default")] == [
        "key.add",
        "user.add",
    ]


async def test_users_are_changed_and_removed(at: Door) -> None:
    ann, bob = at.key("ann"), at.key("bob", Role.MEMBER)
    async with at.client(headers=as_(ann)) as client:
        answer = await client.patch("/api/users/bob", json={"role": "reader", "disabled": True})
        assert answer.json()["disabled"] is True
        assert (await client.patch("/api/users/eve", json={})).status_code == 404
        assert (await client.patch("/api/users/ann", json={"role": "reader"})).status_code == 422
        assert (await client.get("/api/users/bob/keys", headers=as_(bob))).status_code == 401
        assert (await client.delete("/api/users/eve")).status_code == 404
        assert (await client.delete("/api/users/ann")).status_code == 422  # the last admin
        assert (await client.delete("/api/users/bob?purge=maybe")).status_code == 422
        at.people.users.remove("bob")
        answer = await client.delete("/api/users/ann")
        assert answer.status_code == 422
        assert "groundling user remove" in answer.json()["hint"]
        assert (await client.post("/api/users", json={"id": "bob"})).status_code == 422
        again = await client.post("/api/users", json={"id": "bob", "again": True})
        assert again.status_code == 201


async def test_one_sees_and_makes_keys_of_ones_own(at: Door) -> None:
    at.key("ann")
    bob, eve = at.key("bob", Role.READER), at.key("eve", Role.READER)
    async with at.client(headers=as_(bob)) as client:
        made = await client.post("/api/users/bob/keys", json={"label": "phone", "days": 30})
        assert made.status_code == 201
        key = made.json()
        assert key["secret"].startswith(f"gl_{key['id']}_")
        listed = await client.get("/api/users/bob/keys")
        assert [one["label"] for one in listed.json()["keys"]].count("phone") == 1
        assert key["secret"] not in listed.text
        for method, path in (
            ("GET", "/api/users/ann/keys"),
            ("POST", "/api/users/ann/keys"),
            ("DELETE", f"/api/users/bob/keys/{'0' * 12}"),
            ("DELETE", f"/api/users/eve/keys/{at.people.keys.list('eve')[0].id}"),
            ("GET", "/api/users/nobody/keys"),
        ):
            assert (await client.request(method, path)).status_code == 404, path
        assert (await client.get("/api/users")).status_code == 403
        assert (await client.delete(f"/api/users/bob/keys/{key['id']}")).status_code == 204
        assert (await client.get("/api/session", headers=as_(key["secret"]))).json()[
            "person"
        ] is None
        answer = await client.get("/api/users/eve/keys", headers=as_(eve))
        assert answer.status_code == 200


async def test_the_audit_log_is_read_page_by_page(at: Door) -> None:
    ann = at.key("ann")
    async with at.client(headers=as_(ann)) as client:
        for name in ("bob", "eve"):
            await client.post("/api/users", json={"id": name})
        first = (await client.get("/api/audit?limit=3")).json()
        assert first["more"] is True
        assert [entry["what"] for entry in first["audit"]][1] == "eve"
        rest = (await client.get(f"/api/audit?before={first['audit'][-1]['id']}")).json()
        assert [entry["what"] for entry in rest["audit"]] == ["bob"]
        assert rest["more"] is False
        assert first["audit"][0]["request"]
        assert first["audit"][0]["details"] == {"via": "key", "user": "eve"}
        only = (await client.get("/api/audit?action=user.&person=ann")).json()["audit"]
        assert {entry["action"] for entry in only} == {"user.add"}
        for query in ("limit=0", "limit=x", "before=-1", "limit=1001", "other=1"):
            answer = await client.get(f"/api/audit?{query}")
            assert answer.status_code == 422, query


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b'{"id": 1}', b'{"id": ""}', b'{"id": "a", "role": "king"}',
        b'{"id": "a", "more": 1}', b'{"id": "A B"}', b'{"id": "a", "days": -1}',
        b'{"id": "a", "days": NaN}', b'{"id": "a", "days": 1e400}', b'{"id": "\\ud800"}', b"\xff",
        b'{"id": "../a"}', b"[" * 100_000,
    ],
)  # fmt: skip
async def test_bad_bodies_are_refused_in_words(at: Door, body: bytes) -> None:
    ann = at.key("ann")
    headers = {**as_(ann), "content-type": "application/json"}
    async with at.client(headers=headers) as client:
        for path in ("/api/users", "/api/users/ann/keys", "/api/session"):
            answer: httpx.Response = await client.post(path, content=body)
            if answer.status_code != 201:  # no body at all makes a key
                assert answer.status_code in (401, 422), (path, answer.text)
                assert answer.json()["detail"]
    assert [user.id for user in at.people.users.list()] == ["ann"]


async def test_no_user_is_left_behind_by_a_key_that_cannot_be_made(at: Door) -> None:
    ann = at.key("ann")
    async with at.client(headers=as_(ann)) as client:
        answer = await client.post("/api/users", json={"id": "bob", "label": "two\nlines"})
        assert answer.status_code == 422
        assert [user.id for user in at.people.users.list()] == ["ann"]
        assert (await client.post("/api/users", json={"id": "bob"})).status_code == 201
