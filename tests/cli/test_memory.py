"""`groundling memory`, as people type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from groundling.cli.memory import memory
from groundling.cli.output import Shell
from groundling.errors import MemoriesError, UnknownMemory


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(memory, list(arguments), obj=Shell())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def data(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_facts_are_added_listed_found_edited_and_forgotten() -> None:
    assert "memory add" in run("list").stderr
    one = data("add", "lives in Busan", "--kind", "home")["id"]
    two = data("add", "주말마다 등산을 합니다", "--kind", "hobby")["id"]
    assert [fact["id"] for fact in data("list")] == [two, one]
    assert data("search", "where do I live")[0]["id"] == one
    assert data("search", "취미가 뭐야?")[0]["id"] == two
    assert run("edit", str(one), "lives in Daegu").stdout.strip().endswith("lives in Daegu")
    moved = data("add", "lives in Ulsan", "--supersedes", str(one))["id"]
    assert [fact["id"] for fact in data("show", str(moved))["history"]] == [one]
    assert len(data("list")) == 2
    assert len(data("list", "--all")) == 3
    assert data("forget", str(moved))["forgotten"] == 2
    assert data("list", "--user", "bob") == []
    assert "1 fact." in run("forget", "--all", "--yes").stdout


def test_exported_facts_come_back(tmp_path: Path) -> None:
    old = data("add", "lives in Seoul")["id"]
    data("add", "lives in Busan", "--supersedes", str(old))
    data("add", "plays the oboe", "--user", "bob")
    file = tmp_path / "facts.jsonl"
    assert data("export", str(file), "--all")["facts"] == 3
    assert data("import", str(file))["new"] == 0
    before = data("list", "--all")
    run("forget", "--all", "--yes")
    run("forget", "--all", "--yes", "--user", "bob")
    assert data("import", str(file))["new"] == 3
    after = data("list", "--all")
    assert [fact["text"] for fact in after] == [fact["text"] for fact in before]
    assert after[1]["superseded_by"] == after[0]["id"]
    assert [fact["text"] for fact in data("list", "--user", "bob")] == ["plays the oboe"]
    assert len(run("export", "-").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"text": 1}', '{"text": "x", "kind": 2}', '{"text": ""}']
)
def test_a_wrong_file_imports_nothing(tmp_path: Path, line: str) -> None:
    file = tmp_path / "facts.jsonl"
    file.write_text('{"text": "plays the oboe"}\n' + line)
    with pytest.raises(MemoriesError):
        run("import", str(file))
    assert data("list") == []


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownMemory, match="no memory 7"):
        run("show", "7")
    assert run("forget").exit_code == 2
    with pytest.raises(MemoriesError, match="empty"):
        run("add", " ")
