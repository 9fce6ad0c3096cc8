"""`groundling user`, as people type it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from groundling.cli.output import Shell
from groundling.cli.user import user
from groundling.errors import SettingsError
from groundling.server.people.keys import Holder, Refused
from groundling.server.people.people import People


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(user, list(arguments), obj=Shell())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def data(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_a_user_is_added_with_a_key_that_works(people: People) -> None:
    assert "--role admin" in run("list").stderr
    done = run("add", "ann", "--role", "admin", "--label", "laptop")
    assert "this once" in done.stderr
    held = people.keys.holder(done.stdout.strip())
    assert isinstance(held, Holder)
    assert held.user == "ann"
    made = data("add", "bob", "--days", "30")
    assert made["role"] == "member"
    assert people.keys.holder(made["key"]["secret"])
    assert "key" not in data("add", "eve", "--role", "reader", "--no-key")
    assert [one["id"] for one in data("list")] == ["ann", "bob", "eve"]
    assert "0 keys" in run("list").stdout


def test_keys_are_made_listed_and_revoked_while_others_have_the_file_open(people: People) -> None:
    run("add", "ann", "--role", "admin", "--no-key")
    made = data("key", "add", "ann", "--label", "phone")
    assert made["secret"] not in run("key", "list", "ann").stdout
    assert [one["id"] for one in data("key", "list", "ann")] == [made["id"]]
    assert isinstance(people.keys.holder(made["secret"]), Holder)
    run("key", "revoke", "ann", made["id"])
    assert isinstance(people.keys.holder(made["secret"]), Refused)
    with pytest.raises(SettingsError, match="no key"):
        run("key", "revoke", "ann", made["id"])
    assert [line["action"] for line in data("log", "--action", "key.")] == [
        "key.revoke",
        "key.add",
    ]


def test_roles_and_removal(people: People) -> None:
    run("add", "ann", "--role", "admin")
    run("add", "bob")
    with pytest.raises(SettingsError, match="last admin"):
        run("role", "ann", "reader")
    assert data("role", "bob", "admin")["role"] == "admin"
    assert data("disable", "bob")["disabled"] is True
    assert data("enable", "bob")["disabled"] is False
    people.owners.claim("trace", "t", "ann")
    assert "purge" in run("remove", "ann").stderr
    with pytest.raises(SettingsError, match="no user"):
        run("remove", "ann")
    with pytest.raises(SettingsError, match="what they left"):
        run("add", "ann")
    assert "an admin" in run("add", "ann", "--role", "admin", "--again").stderr
    run("remove", "ann")
    run("remove", "bob", "--yes")
    assert not people.required
    assert "no users" in run("list").stderr


def test_a_wrong_name_says_what_would_do() -> None:
    with pytest.raises(SettingsError) as told:
        run("add", "Ann Lee", "--role", "admin")
    assert "a-z" in str(told.value.hint)
