"""Sessions, users, keys and the audit log over HTTP.

POST /api/session {key}              -> {person, csrf} and a cookie
GET  /api/session                    -> {person, csrf, people}; person: null, not logged in
DELETE /api/session                  -> 204
GET  /api/users                      -> {users: [user]}                            admin
POST /api/users {id, role, again?, label?, days?} -> 201 user + {key}              admin
PATCH /api/users/ID {role?, disabled?} -> user                                     admin
DELETE /api/users/ID?purge=false     -> {id, purged, remains: {threads, …}}        admin
GET  /api/users/ID/keys              -> {keys: [key]}                       one's own, admin
POST /api/users/ID/keys {label?, days?} -> 201 key + {secret}               one's own, admin
DELETE /api/users/ID/keys/KEY        -> 204                                 one's own, admin
GET  /api/audit?person&action&before&limit -> {audit: [entry], more}               admin

person   {id, role, via}
user     {id, role, created, disabled, keys: number, last_used}
key      {id, user, label, created, expires, last_used, expired}; `secret` is shown once
entry    {id, time, person, action, what, request, details}
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from groundling.errors import SettingsError
from groundling.server.people.forms import (
    DESCRIPTIONS,
    AuditQuery,
    Login,
    NewKey,
    NewUser,
    UserChange,
    body_of,
    checked,
)
from groundling.server.people.heads import Heads
from groundling.server.people.keys import Holder, check
from groundling.server.people.limits import network
from groundling.server.people.removal import purge, remains
from groundling.server.people.sessions import COOKIE, Session
from groundling.server.person import Person, Role, person_of
from groundling.server.problems import Problem, not_found
from groundling.server.services import services


async def get_session(request: Request) -> Response:
    """Tell a page who is logged in, and the token that its requests must repeat."""
    people = services(request).people
    person: Person | None = request.scope["state"].get("person")
    csrf = None
    if person is not None and person.via == "session":
        found = people.sessions.find(Heads.read(request.scope).session or "")
        csrf = found.csrf if isinstance(found, Session) else None
    shown = None if person is None else _shown(person)
    return JSONResponse({"person": shown, "csrf": csrf, "people": people.required})


async def post_session(request: Request) -> Response:
    """Log in with a key: a browser keeps a cookie, not the key."""
    held = services(request)
    people = held.people
    login = await body_of(request, Login)
    if not people.required:
        return JSONResponse({"person": _shown(people.local), "csrf": None})
    holder = people.keys.holder(login.key.strip())
    if not isinstance(holder, Holder):
        people.failures.count(network(request.client.host if request.client else ""))
        await held.work(people.log.write, "", "session.refused", **_request(request))
        raise Problem(401, holder.reason, hint="An admin can make a key: groundling user key add.")
    before = Heads.read(request.scope).session
    if before is not None:
        await held.work(people.sessions.end, before)
    token, session, seconds = await held.work(people.sessions.begin, holder)
    person = Person(holder.user, holder.role, "session")
    await held.work(people.audit, person, "session.begin", holder.key, **_request(request))
    answer = JSONResponse({"person": _shown(person), "csrf": session.csrf})
    # A browser names the page's origin; with https there, the cookie never goes without.
    https = request.headers.get("origin", "").startswith("https://") or (
        request.scope.get("scheme") == "https"
    )
    answer.set_cookie(
        COOKIE, token, max_age=int(seconds), path="/", secure=https, httponly=True,
        samesite="strict",
    )  # fmt: skip
    return answer


async def delete_session(request: Request) -> Response:
    """Log out."""
    held, person = services(request), person_of(request)
    if person.via == "session":
        await held.work(held.people.sessions.end, Heads.read(request.scope).session or "")
        await held.work(held.people.audit, person, "session.end", **_request(request))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


async def list_users(request: Request) -> Response:
    """List the users."""
    held = services(request)
    users = await held.work(held.people.users.list)
    return JSONResponse({"users": [user.as_json() for user in users]})


async def add_user(request: Request) -> Response:
    """Add a user, and give them a key, which is shown this once."""
    held, person = services(request), person_of(request)
    people, asked = held.people, await body_of(request, NewUser)

    def work() -> dict[str, Any]:
        check(asked.label, asked.days)
        people.users.add(asked.id, asked.role, again=asked.again)
        people.audit(person, "user.add", asked.id, role=asked.role.value, **_request(request))
        key, text = people.keys.add(asked.id, asked.label, asked.days)
        people.audit(person, "key.add", key.id, user=asked.id, **_request(request))
        return {**people.users.get(asked.id).as_json(), "key": {**key.as_json(), "secret": text}}

    return JSONResponse(await held.work(work), 201)


async def change_user(request: Request) -> Response:
    """Give a user another role, or disable or enable them."""
    held, person = services(request), person_of(request)
    asked, name = await body_of(request, UserChange), request.path_params["user"]
    await _known(request, name)

    def work() -> dict[str, Any]:
        user = held.people.users.change(name, role=asked.role, disabled=asked.disabled)
        changed = asked.model_dump(mode="json", exclude_none=True)
        held.people.audit(person, "user.change", name, **changed, **_request(request))
        return user.as_json()

    answer = await held.work(work)
    _let_go(request, name)
    return JSONResponse(answer)


async def remove_user(request: Request) -> Response:
    """Remove a user; their keys and sessions end at once.

    What is theirs stays, and is listed, unless `purge=true` asks for it to be deleted too.
    A user who was removed before can still be purged.
    """
    held, person, name = services(request), person_of(request), request.path_params["user"]
    wanted = request.query_params.get("purge", "false").lower()
    if wanted not in ("true", "false"):
        raise Problem(422, "purge is true or false.", param="purge")
    people = held.people
    if not await held.work(people.users.was_removed, name):
        await _known(request, name)
        await held.work(people.users.remove, name, last=False)
        await held.work(people.audit, person, "user.remove", name, **_request(request))
        _let_go(request, name)
    if wanted == "true":
        await purge(request.app, name)
        await held.work(people.audit, person, "user.purge", name, **_request(request))
    left = await remains(request.app, name)
    return JSONResponse({"id": name, "purged": wanted == "true", "remains": left})


async def list_keys(request: Request) -> Response:
    """List a user's keys, without their secrets."""
    held, name = services(request), _of(request)
    await _known(request, name)
    keys = await held.work(held.people.keys.list, name)
    return JSONResponse({"keys": [key.as_json() for key in keys]})


async def add_key(request: Request) -> Response:
    """Make a key; its secret is shown this once."""
    held, person, name = services(request), person_of(request), _of(request)
    asked = await body_of(request, NewKey)
    await _known(request, name)

    def work() -> dict[str, Any]:
        key, text = held.people.keys.add(name, asked.label, asked.days)
        held.people.audit(person, "key.add", key.id, user=name, **_request(request))
        return {**key.as_json(), "secret": text}

    return JSONResponse(await held.work(work), 201)


async def revoke_key(request: Request) -> Response:
    """Take a key back, with the sessions that were begun with it."""
    held, person, name = services(request), person_of(request), _of(request)
    await _known(request, name)
    id = request.path_params["key"]

    def work() -> None:
        try:
            held.people.keys.revoke(name, id)
        except SettingsError:
            raise not_found(f"key {id} of {name}") from None
        held.people.audit(person, "key.revoke", id, user=name, **_request(request))

    await held.work(work)
    return Response(status_code=204)


async def read_audit(request: Request) -> Response:
    """Read the audit log, the newest first; `before` reads on."""
    held = services(request)
    asked = checked(AuditQuery, dict(request.query_params))
    entries = await held.work(
        held.people.log.read, asked.person, asked.action, asked.before, asked.limit + 1
    )
    shown = [vars(entry) for entry in entries[: asked.limit]]
    return JSONResponse({"audit": shown, "more": len(entries) > asked.limit})


__all__ = ["DESCRIPTIONS", "ROUTES"]

ROUTES: list[BaseRoute] = [
    Route("/api/session", get_session, methods=["GET"]),
    Route("/api/session", post_session, methods=["POST"]),
    Route("/api/session", delete_session, methods=["DELETE"]),
    Route("/api/users", list_users, methods=["GET"]),
    Route("/api/users", add_user, methods=["POST"]),
    Route("/api/users/{user}", change_user, methods=["PATCH"]),
    Route("/api/users/{user}", remove_user, methods=["DELETE"]),
    Route("/api/users/{user}/keys", list_keys, methods=["GET"]),
    Route("/api/users/{user}/keys", add_key, methods=["POST"]),
    Route("/api/users/{user}/keys/{key}", revoke_key, methods=["DELETE"]),
    Route("/api/audit", read_audit, methods=["GET"]),
]


def _of(request: Request) -> str:
    """Return whose keys are meant; another's are not to be found, unless for an admin."""
    name: str = request.path_params["user"]
    person = person_of(request)
    if name != person.id and person.role is not Role.ADMIN:
        raise not_found(f"user {name}")
    return name


async def _known(request: Request, name: str) -> None:
    held = services(request)
    try:
        await held.work(held.people.users.get, name)
    except SettingsError:
        raise not_found(f"user {name}") from None


def _let_go(request: Request, name: str) -> None:
    """Stop what someone has going on who may not be here any more."""
    if (server := getattr(request.app.state, "server", None)) is not None:
        server.let_go(name)


def _shown(person: Person) -> dict[str, str]:
    return {"id": person.id, "role": person.role.value, "via": person.via}


def _request(request: Request) -> dict[str, str]:
    return {"request": request.scope["state"]["request_id"]}
