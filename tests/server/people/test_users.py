"""Users, keys, sessions, the audit log: in the file, without a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import GroundlingError, SettingsError
from groundling.server.people.keys import Holder, Refused
from groundling.server.people.names import is_folder, is_knowledge, is_user
from groundling.server.people.people import People
from groundling.server.people.sessions import Session
from groundling.server.person import Role
from groundling.settings import load
from tests.server.people.conftest import Clock


def test_a_key_speaks_for_its_user_until_it_is_revoked(people: People) -> None:
    people.users.add("ann", Role.ADMIN)
    key, text = people.keys.add("ann", "laptop")
    assert people.keys.holder(text) == Holder("ann", Role.ADMIN, key.id, None, stale=True)
    people.keys.used(key.id)
    held = people.keys.holder(text)
    assert isinstance(held, Holder)
    assert not held.stale
    assert people.keys.list("ann")[0].last_used is not None
    people.keys.revoke("ann", key.id)
    assert isinstance(people.keys.holder(text), Refused)


def test_the_secret_is_nowhere_in_the_files(people: People) -> None:
    people.users.add("ann", Role.ADMIN)
    key, text = people.keys.add("ann")
    held = people.keys.holder(text)
    assert isinstance(held, Holder)
    token, _, _ = people.sessions.begin(held)
    home = load().home
    kept = b"".join(file.read_bytes() for file in home.glob("people.sqlite*"))
    assert key.id.encode() in kept
    assert text.rsplit("_", 1)[-1].encode() not in kept
    assert text.encode() not in kept
    assert token.encode() not in kept
    assert (home / "people.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.upper(),
        lambda text: text.replace("gl_", "gl-"),
        lambda text: text[:16] + "_" + "A" * 43,
        lambda text: "gl_" + "0" * 12 + text[15:],
        lambda text: "",
        lambda text: "' OR 1=1 --",
        lambda text: text + "\x00",
        lambda text: "\udc80",
    ],
)
def test_a_key_that_is_changed_speaks_for_nobody(
    people: People, change: Callable[[str], str]
) -> None:
    people.users.add("ann", Role.ADMIN)
    _, text = people.keys.add("ann")
    refused = people.keys.holder(change(text))
    assert refused == Refused("The key is not known, or is revoked.")


def test_keys_expire(people: People, clock: Clock) -> None:
    people.users.add("ann", Role.ADMIN)
    _, text = people.keys.add("ann", days=1)
    held = people.keys.holder(text)
    assert isinstance(held, Holder)
    token, session, seconds = people.sessions.begin(held)
    assert seconds == 12 * 3600
    assert session.proves(session.csrf)
    clock.now += 86_399
    assert isinstance(people.keys.holder(text), Holder)
    again, _, left = people.sessions.begin(held)
    assert left == pytest.approx(1)  # a session does not outlive its key
    clock.now += 1
    refused = people.keys.holder(text)
    assert isinstance(refused, Refused)
    assert "expired" in refused.reason
    assert isinstance(people.sessions.find(token), Refused)
    assert isinstance(people.sessions.find(again), Refused)
    assert people.keys.list("ann")[0].expired


@pytest.mark.parametrize("end", ["revoke", "disable", "remove", "logout", "hours"])
def test_sessions_end(people: People, clock: Clock, end: str) -> None:
    people.users.add("ann", Role.ADMIN)
    people.users.add("bob", Role.MEMBER)
    key, text = people.keys.add("bob")
    held = people.keys.holder(text)
    assert isinstance(held, Holder)
    token, _, _ = people.sessions.begin(held)
    found = people.sessions.find(token)
    assert isinstance(found, Session)
    assert found.holder.user == "bob"
    match end:
        case "revoke":
            people.keys.revoke("bob", key.id)
        case "disable":
            people.users.change("bob", disabled=True)
        case "remove":
            people.users.remove("bob")
        case "logout":
            people.sessions.end(token)
        case "hours":
            clock.now += 12 * 3600
    assert isinstance(people.sessions.find(token), Refused)
    if end in ("disable", "remove"):
        assert isinstance(people.keys.holder(text), Refused)
    if end == "disable":
        people.users.change("bob", disabled=False)
        assert isinstance(people.keys.holder(text), Holder)
        assert isinstance(people.sessions.find(token), Refused)  # ended is ended


def test_a_user_keeps_a_bounded_number_of_sessions(people: People, clock: Clock) -> None:
    people.users.add("ann", Role.ADMIN)
    held = people.keys.holder(people.keys.add("ann")[1])
    assert isinstance(held, Holder)
    tokens = []
    for _ in range(60):
        clock.now += 1
        tokens.append(people.sessions.begin(held)[0])
    open_ones = [token for token in tokens if isinstance(people.sessions.find(token), Session)]
    assert open_ones == tokens[-50:]


def test_there_is_always_an_admin(people: People) -> None:
    with pytest.raises(SettingsError, match="first user has to be an admin"):
        people.users.add("bob", Role.MEMBER)
    assert not people.required
    people.users.add("ann", Role.ADMIN)
    people.users.add("bob", Role.MEMBER)
    for act in (
        lambda: people.users.remove("ann"),
        lambda: people.users.change("ann", role=Role.READER),
        lambda: people.users.change("ann", disabled=True),
    ):
        with pytest.raises(SettingsError, match="last admin"):
            act()
        assert people.users.get("ann").role is Role.ADMIN
    people.users.change("bob", role=Role.ADMIN)
    people.users.remove("ann")
    people.users.remove("bob")  # the only one may go
    assert not people.required


def test_a_removed_name_is_not_given_to_another_by_mistake(people: People) -> None:
    people.users.add("ann", Role.ADMIN)
    people.users.add("bob", Role.MEMBER)
    _, text = people.keys.add("bob")
    people.users.remove("bob")
    with pytest.raises(SettingsError, match="what they left") as told:
        people.users.add("bob", Role.MEMBER)
    assert "--again" in str(told.value.hint)
    people.users.add("bob", Role.READER, again=True)
    assert isinstance(people.keys.holder(text), Refused)  # the old keys do not come back
    people.users.remove("bob")
    people.users.forget("bob")
    people.users.add("bob", Role.MEMBER)


def test_another_process_sees_changes_at_once(people: People) -> None:
    people.users.add("ann", Role.ADMIN)
    key, text = people.keys.add("ann")
    other = People.open(load(), lambda: 1_800_000_000.0)
    try:
        assert other.required
        assert isinstance(other.keys.holder(text), Holder)
        people.keys.revoke("ann", key.id)
        assert isinstance(other.keys.holder(text), Refused)
        other.users.remove("ann")
        assert not people.required
    finally:
        other.close()


@given(st.text(max_size=40))
def test_names_of_users_are_plain(name: str) -> None:
    if is_user(name):
        assert name.isascii()
        assert name == name.lower()
        assert 1 <= len(name) <= 32
        assert "--" not in name
        assert not set(name) & set("/\\.%: \n")


@given(st.text(alphabet="ab-./\\ \n\x00:한_", max_size=12))
def test_names_of_knowledge_stay_in_their_folder(name: str) -> None:
    if is_knowledge(name):
        assert is_folder(name)
        assert "--" not in name
    if is_folder(name):
        assert not set(name) & set("/\\\n\x00:")
        assert not name.startswith(".")


@pytest.mark.parametrize("name", ["", "Ann", "a b", "a/b", "-a", "a--b", "a" * 33, "ann\n", "é"])
def test_a_wrong_name_is_refused_in_words(people: People, name: str) -> None:
    with pytest.raises(SettingsError, match="no name for a user"):
        people.users.add(name, Role.ADMIN)


def test_the_log_is_append_only_and_kept_for_a_year(people: People, clock: Clock) -> None:
    import time

    clock.now = time.time()
    people.log.write("ann", "key.add", "k1", user="bob")
    people.log.write("bob", "key.revoke", "k1" * 1000, request="r1", much="x" * 10_000)
    newest, oldest = people.log.read()
    assert (oldest.person, oldest.action, oldest.details) == ("ann", "key.add", {"user": "bob"})
    assert newest.request == "r1"
    assert len(newest.what) == 500
    assert len(newest.details["cut"]) == 1000
    assert people.log.read(person="bob") == [newest]
    assert people.log.read(action="key.") == [newest, oldest]
    assert people.log.read(action="key.a") == [oldest]
    assert people.log.read(before=newest.id) == [oldest]
    db = sqlite3.connect(load().home / "people.sqlite")
    for change in ("UPDATE audit SET person = 'eve'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="audit log"):
            db.execute(change)
    db.execute("INSERT INTO audit SELECT 0, 1000.0, person, action, what, request, details"
               " FROM audit LIMIT 1")  # fmt: skip
    db.commit()
    db.close()
    other = People.open(load())
    other.log.write("ann", "key.add")  # the first line of a process lets old ones go
    assert [entry.id for entry in other.log.read()] == [3, 2, 1]
    other.close()


@pytest.mark.parametrize("damage", ["text", "newer"])
def test_a_damaged_file_is_named(damage: str) -> None:
    settings = load()
    settings.home.mkdir(parents=True)
    if damage == "text":
        settings.people_path.write_text("this is no database, and long enough to be read as one")
    else:
        db = sqlite3.connect(settings.people_path)
        db.execute("PRAGMA user_version = 99")
        db.close()
    with pytest.raises(GroundlingError, match=r"people\.sqlite") as told:
        People.open(settings)
    assert told.value.hint


def test_impossible_keys_are_refused(people: People) -> None:
    people.users.add("ann", Role.ADMIN)
    wrong: list[dict[str, Any]] = [{"days": 0}, {"days": -1}, {"days": 1e9}, {"label": "a\nb"},
                                   {"label": "x" * 101}, {"days": float("nan")}]  # fmt: skip
    for options in wrong:
        with pytest.raises(SettingsError):
            people.keys.add("ann", **options)
    for name in ("eve", ""):
        with pytest.raises(SettingsError, match="no user"):
            people.keys.add(name)
    with pytest.raises(SettingsError, match="no key"):
        people.keys.revoke("ann", "000000000000")


def test_a_wrong_secret_and_an_unknown_id_take_the_same_steps(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundling.server.people import keys

    people.users.add("ann", Role.ADMIN)
    _, text = people.keys.add("ann")
    steps: list[tuple[int, int]] = []

    def compared(one: bytes, other: bytes) -> bool:
        steps.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(keys.hmac, "compare_digest", compared)
    for wrong in (text[:17] + "A" * 42, "gl_" + "0" * 12 + "_" + "A" * 43, "x", ""):
        people.keys.holder(wrong)
    assert steps == [(32, 32)] * 4


def test_who_asks_is_read_while_a_long_list_is(people: People) -> None:
    file = people._file
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    began = Event()
    file._reading.set_progress_handler(began.set, 1000)

    def read() -> None:
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            file.rows(endless)

    reading = Thread(target=read)
    reading.start()
    try:
        assert began.wait(20)
        assert people.required is False
        assert reading.is_alive()
    finally:
        file._reading.interrupt()
        reading.join()


def test_the_only_user_may_be_kept(people: People) -> None:
    people.users.add("ann", Role.ADMIN)
    with pytest.raises(SettingsError, match="ann is the only user"):
        people.users.remove("ann", last=False)
    assert [user.id for user in people.users.list()] == ["ann"]
    people.users.remove("ann")
    assert people.users.list() == []
