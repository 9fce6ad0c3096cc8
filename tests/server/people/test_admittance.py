"""Who is admitted: hosts, origins, keys, cookies, roles and rates, over real requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.server.people.limits import Buckets, network
from groundling.server.people.people import People
from groundling.server.people.sessions import COOKIE
from groundling.server.person import Role
from groundling.server.problems import Problem
from tests.server.people.conftest import Clock, Door

Doors = Callable[..., Door]
LOCAL = ["default", "admin", "local"]


def session(people: People, key: str) -> tuple[str, str]:
    """Log in; return the cookie header and the CSRF token."""
    holder = people.keys.holder(key)
    token, begun, _ = people.sessions.begin(holder)  # type: ignore[arg-type]
    return f"{COOKIE}={token}", begun.csrf


async def test_without_users_this_machine_is_the_local_admin(door: Doors) -> None:
    at = door()
    async with at.client() as client:
        answer = await client.get("/threads", headers={"x-api-key": "anything"})
    assert answer.json()["person"] == LOCAL
    async with at.client(client=("192.168.1.7", 5)) as client:
        answer = await client.get("/threads")
    assert answer.status_code == 401
    assert "groundling user add" in answer.json()["hint"]
    async with door(host="0.0.0.0").client("http://box:2025") as client:
        assert (await client.get("/threads")).status_code == 403
    async with door(host="0.0.0.0").client() as client:
        assert (await client.get("/threads")).status_code == 401


async def test_with_users_each_request_says_who_sends_it(door: Doors) -> None:
    at = door()
    ann, bob = at.key("ann"), at.key("bob", Role.READER)
    async with at.client() as client:
        for path in ("/threads", "/v1/models", "/api/status", "/metrics", "/mcp", "/nowhere"):
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
        assert "error" in (await client.get("/v1/models")).json()  # in OpenAI's shape
        for path in ("/", "/page/app.js", "/favicon.ico"):
            assert (await client.get(path)).json()["person"] is None
        for headers, who in (
            ({"x-api-key": ann}, ["ann", "admin", "key"]),
            ({"authorization": f"Bearer {bob}"}, ["bob", "reader", "key"]),
            ({"authorization": f"bearer  {bob} ", "x-api-key": bob}, ["bob", "reader", "key"]),
        ):
            answer = await client.get("/threads", headers=headers)
            assert answer.json()["person"] == who
    assert ("langgraph", "GET", 200) in at.counted.requests
    assert ("openai", "GET", 401) in at.counted.requests


@pytest.mark.parametrize(
    ("status", "change"),
    [
        (401, lambda ann, bob: [("x-api-key", ann[:-2])]),
        (401, lambda ann, bob: [("x-api-key", "")]),
        (401, lambda ann, bob: [("authorization", f"Basic {ann}")]),
        (401, lambda ann, bob: [("authorization", ann)]),
        (400, lambda ann, bob: [("x-api-key", ann), ("authorization", f"Bearer {bob}")]),
        (400, lambda ann, bob: [("x-api-key", bob), ("x-api-key", ann)]),
        (400, lambda ann, bob: [("authorization", f"Bearer {bob}")] * 2),
        (400, lambda ann, bob: [("x-api-key", bob), ("host", "127.0.0.1"), ("host", "evil")]),
        (401, lambda ann, bob: [("x-forwarded-user", "ann"), ("x-remote-user", "ann")]),
        (401, lambda ann, bob: [("cookie", f"x-api-key={ann}; {COOKIE}=ann")]),
        (401, lambda ann, bob: [("cookie", f"{COOKIE}={'a' * 100_000}")]),
        (400, lambda ann, bob: [("cookie", f"{COOKIE}=a; {COOKIE}=b")]),
        (400, lambda ann, bob: [("cookie", f"{COOKIE}=a"), ("cookie", "b=c")]),
        (401, lambda ann, bob: [("proxy-authorization", f"Bearer {ann}")]),
    ],
)
async def test_no_header_gets_in_by_a_trick(
    door: Doors, status: int, change: Callable[[str, str], list[tuple[str, str]]]
) -> None:
    at = door()
    ann, bob = at.key("ann"), at.key("bob", Role.READER)
    async with at.client() as client:
        answer = await client.get("/threads?x-api-key=" + ann, headers=change(ann, bob))
    assert answer.status_code == status, answer.text
    assert ann not in answer.text


names = st.sampled_from(
    ["x-api-key", "authorization", "cookie", "x-forwarded-for", "x-forwarded-host", "forwarded",
     "x-real-ip", "x-user", "x-original-url", "x-http-method-override", "x-csrf-token", "origin"]
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(names, st.sampled_from(["ann", "bob", "KEY", "Bearer KEY", "{}", "1"])),
                max_size=4),
       st.lists(st.tuples(st.sampled_from(["user", "person", "api_key", "owner", "role"]),
                          st.sampled_from(["ann", "admin", "KEY"])), max_size=3))  # fmt: skip
def test_one_is_oneself_or_nobody(
    door: Doors, extra: list[tuple[str, str]], query: list[tuple[str, str]]
) -> None:
    at = door()
    bob = at.key("ann") and at.key("bob", Role.READER)

    async def ask() -> httpx.Response:
        async with at.client() as client:
            headers = [(name, value.replace("KEY", bob)) for name, value in extra]
            return await client.get("/threads", headers=headers, params=query)

    answer = asyncio.run(ask())
    if answer.status_code == 200:
        assert answer.json()["person"] == ["bob", "reader", "key"]
    else:
        assert answer.status_code in (400, 401, 403, 429)


async def test_a_session_acts_only_with_its_csrf_token(door: Doors) -> None:
    at = door()
    ann, bob = at.key("ann"), at.key("bob", Role.MEMBER)
    cookie, csrf = session(at.people, ann)
    _, others = session(at.people, bob)
    async with at.client() as client:
        answer = await client.get("/threads", headers={"cookie": f"theme=dark; {cookie}"})
        assert answer.json()["person"] == ["ann", "admin", "session"]
        for given_ in (None, "", "wrong", others, csrf + "x", "é"):
            headers = [(b"cookie", cookie.encode())]
            if given_ is not None:
                headers.append((b"x-csrf-token", given_.encode()))
            answer = await client.post("/threads", json={}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf"), given_
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            headers_ = {"cookie": cookie, "x-csrf-token": csrf}
            answer = await client.request(method, "/threads", headers=headers_)
            assert answer.json()["person"] == ["ann", "admin", "session"]
        at.people.sessions.end(cookie.partition("=")[2])  # a copy of the cookie is worth nothing
        assert (await client.get("/threads", headers={"cookie": cookie})).status_code == 401
        both = {"cookie": cookie, "x-api-key": bob}  # a key that is given is what counts
        assert (await client.get("/threads", headers=both)).json()["person"][0] == "bob"
        wrong = {"cookie": session(at.people, ann)[0], "x-api-key": bob[:-1]}
        assert (await client.get("/threads", headers=wrong)).status_code == 401


async def test_what_ends_a_key_holds_at_the_next_request(door: Doors, clock: Clock) -> None:
    at = door()
    at.key("ann")
    bob = at.key("bob", Role.READER, days=1)
    headers = {"x-api-key": bob}
    async with at.client() as client:
        assert (await client.post("/threads", headers=headers)).status_code == 200
        assert (await client.post("/assistants", headers=headers)).status_code == 403
        at.people.users.change("bob", role=Role.MEMBER)
        assert (await client.post("/assistants", headers=headers)).status_code == 200
        at.people.users.change("bob", disabled=True)
        answer = await client.post("/threads", headers=headers)
        assert answer.status_code == 401
        assert "disabled" in answer.json()["detail"]
        at.people.users.change("bob", disabled=False)
        clock.now += 86_400
        answer = await client.post("/threads", headers=headers)
        assert answer.status_code == 401
        assert "expired" in answer.json()["detail"]


async def test_roles_are_held_by_path(door: Doors) -> None:
    at = door()
    keys = {"admin": at.key("ann"), "member": at.key("bob", Role.MEMBER)}
    keys["reader"] = at.key("eve", Role.READER)
    rows = [
        ("GET", "/api/audit", {"admin"}),
        ("POST", "/langsmith/runs/batch", {"admin"}),
        ("GET", "/metrics", {"admin"}),
        ("POST", "/api/knowledge", {"admin", "member"}),
        ("POST", "/brand/new", {"admin", "member"}),
        ("POST", "/threads/t/runs/wait", {"admin", "member", "reader"}),
    ]
    async with at.client() as client:
        for method, path, may in rows:
            for role, key in keys.items():
                answer = await client.request(method, path, headers={"x-api-key": key})
                assert answer.status_code == (200 if role in may else 403), (role, path)


async def test_refusals_and_uses_of_keys_are_written_down(door: Doors) -> None:
    at = door()
    at.key("ann")
    eve = at.key("eve", Role.READER)
    async with at.client() as client:
        answer = await client.get("/api/audit", headers={"x-api-key": eve})
        await asyncio.gather(*at.app._background)
    (entry,) = at.people.log.read(action="request.refused")
    assert (entry.person, entry.what) == ("eve", "GET /api/audit")
    assert entry.request == answer.headers["x-request-id"]
    assert entry.details["status"] == 403
    assert eve not in str(entry)
    assert at.people.keys.list("eve")[0].last_used is not None


async def test_a_proxys_own_password_is_passed_over(door: Doors) -> None:
    at = door()
    key = at.key("ann")
    basic = {"authorization": "Basic YTpi"}
    async with at.client(headers=basic) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/threads")).status_code == 401
        assert (await client.get("/threads", headers={"x-api-key": key})).status_code == 200
        cookie, _ = session(at.people, key)
        assert (await client.get("/threads", headers={"cookie": cookie})).status_code == 200


async def test_the_log_shows_no_control_characters(door: Doors) -> None:
    at = door()
    eve = at.key("ann") and at.key("eve", Role.READER)
    async with at.client(headers={"x-api-key": eve}) as client:
        await client.get("/api/audit/%1b[2J%0a")
        await asyncio.gather(*at.app._background)
    (line,) = at.people.log.read()
    assert line.what.isprintable()
    assert line.what.startswith("GET /api/audit/")


async def test_who_is_refused_often_does_not_fill_the_log(door: Doors) -> None:
    at = door()
    at.key("ann")
    async with at.client() as client:
        for _ in range(100):
            await client.get("/", headers={"host": "evil"})
            await client.get("/threads")  # says nothing: no line
        await asyncio.gather(*at.app._background)
    lines = at.people.log.read(limit=1000)
    assert len(lines) == 50
    assert {line.details["status"] for line in lines} == {403}


HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost@evil",
    "evil:80",
    "",
    "[::1",
    "0.0.0.0",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_other_names_are_refused(door: Doors, host: str) -> None:
    async with door().client() as client:
        answer = await client.get("/", headers={"host": host})
    assert answer.status_code == 403
    assert "--name" in answer.json()["hint"]


@pytest.mark.parametrize("host", ["127.0.0.1:1", "LOCALHOST:2025", "[::1]:2025", "Box.lan:80"])
async def test_our_names_are_taken(door: Doors, host: str) -> None:
    async with door(names=["box.LAN"]).client() as client:
        assert (await client.get("/", headers={"host": host})).status_code == 200


async def test_a_server_with_users_on_all_addresses_may_be_called_anything(door: Doors) -> None:
    at = door(host="0.0.0.0")
    key = at.key("ann")
    async with at.client("http://box.lan:2025") as client:
        assert (await client.get("/threads", headers={"x-api-key": key})).status_code == 200
        assert (await client.get("/threads")).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:2025.evil.example"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ],
)
async def test_pages_of_other_origins_are_refused(door: Doors, headers: dict[str, str]) -> None:
    async with door().client() as client:
        for method in ("GET", "POST", "OPTIONS"):
            wanted = {**headers, "access-control-request-method": "POST"}
            answer = await client.request(method, "/threads", headers=wanted)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers


async def test_our_own_page_and_links_to_it_are_taken(door: Doors) -> None:
    async with door().client() as client:
        own = {"origin": "http://127.0.0.1:2025", "sec-fetch-site": "same-origin"}
        assert (await client.post("/threads", headers=own)).status_code == 200
        link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert (await client.get("/", headers=link)).status_code == 200
        assert (await client.post("/threads", headers=link)).status_code == 403


async def test_cors_is_for_named_origins_and_never_with_cookies(door: Doors) -> None:
    at = door(cors=["https://chat.example"])
    key = at.key("ann")
    cookie, csrf = session(at.people, key)
    origin = {"origin": "https://chat.example"}
    async with at.client() as client:
        asks = {**origin, "access-control-request-method": "POST"}
        answer = await client.options("/threads", headers=asks)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert "x-api-key" in answer.headers["access-control-allow-headers"]
        answer = await client.post("/threads", headers={**origin, "x-api-key": key})
        assert answer.json()["person"][0] == "ann"
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert "access-control-allow-credentials" not in answer.headers
        assert "Origin" in answer.headers["vary"]
        answer = await client.post("/threads", headers=origin)
        assert answer.status_code == 401  # readable for the page, which can then ask for a key
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        with_cookie = {**origin, "cookie": cookie, "x-csrf-token": csrf}
        assert (await client.post("/threads", headers=with_cookie)).status_code == 401
        other = await client.options("/threads", headers={**asks, "origin": "https://evil.example"})
        assert other.status_code == 403


async def test_every_answer_has_its_headers(door: Doors) -> None:
    at = door()
    key = at.key("ann")
    async with at.client() as client:
        answers = [
            await client.get("/threads", headers={"x-api-key": key}),
            await client.get("/threads"),
            await client.get("/", headers={"host": "evil"}),
        ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_a_routes_own_policy_is_kept(door: Doors) -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Security-Policy", b"default-src 'self'"), (b"Cache-Control", b"x")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with door(page).client() as client:
        answer = await client.get("/")
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers.get_list("cache-control") == ["x"]


async def test_rates_are_kept_by_person_and_else_by_address(door: Doors) -> None:
    at = door(requests_per_minute=5)
    ann, bob = at.key("ann"), at.key("bob", Role.READER)
    async with at.client() as client:
        for left in (4, 3, 2, 1, 0):
            answer = await client.get("/threads", headers={"x-api-key": ann})
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"requests";q=5;w=60'
            assert answer.headers["ratelimit"].startswith(f'"requests";r={left};t=')
        answer = await client.get("/threads", headers={"x-api-key": ann})
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 12
        assert (await client.get("/threads", headers={"x-api-key": bob})).status_code == 200
        statuses = [(await client.get("/")).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        assert (await client.get("/threads", headers={"x-api-key": bob})).status_code == 200


async def test_the_local_user_is_not_counted(door: Doors) -> None:
    async with door(requests_per_minute=1).client() as client:
        assert {(await client.get("/threads")).status_code for _ in range(5)} == {200}


async def test_wrong_keys_are_slowed_down_and_right_ones_are_not(door: Doors) -> None:
    at = door()
    key = at.key("ann")
    async with at.client(client=("10.0.0.1", 1)) as client:
        wrong = [
            (await client.get("/threads", headers={"x-api-key": f"gl_{n}"})).status_code
            for n in range(12)
        ]
        assert wrong[:10] == [401] * 10
        assert wrong[-1] == 429
        assert (await client.get("/threads", headers={"x-api-key": key})).status_code == 200
    async with at.client(client=("10.0.0.2", 1)) as client:
        spoofed = {"x-api-key": "gl_", "x-forwarded-for": "10.0.0.1"}
        assert (await client.get("/threads", headers=spoofed)).status_code == 401


def test_buckets_refill_and_stay_few() -> None:
    now = 0.0
    buckets = Buckets(2, 0.5, lambda: now)
    assert [buckets.take("a").allowed for _ in range(3)] == [True, True, False]
    assert buckets.take("a").wait == pytest.approx(2.0)
    now = 2.0
    assert buckets.take("a").allowed
    assert not buckets.take("a").allowed
    for number in range(20_000):
        buckets.take(str(number))
    assert len(buckets) == 10_000


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from("ab")), max_size=200))
def test_a_bucket_never_gives_more_than_its_rate(steps: list[tuple[float, str]]) -> None:
    now = 0.0
    buckets = Buckets(5, 2.0, lambda: now)
    taken = {"a": 0, "b": 0}
    for wait, key in steps:
        now += wait
        taken[key] += buckets.take(key).allowed
        assert taken[key] <= 5 + 2.0 * now + 1e-6


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9")
    assert network("2001:db8:1:2::1") != network("2001:db8:1:3::1")
    assert network("::ffff:10.0.0.1") == "10.0.0.1" == network("10.0.0.1")
    assert network("testclient") == "testclient"


async def test_websockets_are_closed(door: Doors) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await door().app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_what_fails_in_a_route_is_not_hidden(door: Doors) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise Problem(418, "of the route")

    async with door(fails).client() as client:
        with pytest.raises(Problem, match="of the route"):
            await client.get("/")
