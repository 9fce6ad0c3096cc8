"""`groundling knowledge`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundling.cli import main

pytestmark = pytest.mark.model


class Shell:
    """Runs commands in one home folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["knowledge", *arguments])
        captured = self.capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, captured.out, captured.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str], home: Path, embedder_files: Path, models_folder: Path
) -> Shell:
    home.mkdir()
    (home / "models").symlink_to(models_folder)
    return Shell(capsys)


def test_add_search_and_open_a_citation(shell: Shell, documents: Path) -> None:
    (documents / "broken.pdf").write_bytes(b"no pdf")
    code, out, err = shell.run("add", str(documents))
    assert code == 0
    assert out.startswith("3 added, 1 skipped; 4 passages in all;")
    assert "broken.pdf is not a readable PDF" in err
    assert shell.json("add", str(documents))["unchanged"] == 3

    found = shell.json("search", "How many days of annual leave?")
    best = found["passages"][0]
    assert best["source"] == "documents/rules/leave.md"
    assert found["coverage"] == 1
    code, out, _ = shell.run("search", "숙박비는", "얼마인가요?", "-n", "1")
    assert "documents/rules/travel.md [" in out
    assert "8만 원" in out

    at = f"{best['start']}:{best['end']}"
    assert shell.json("text", best["source"], "--at", at)["text"] == best["text"]
    assert shell.json("text", "leave.md", "--at", at)["text"] == best["text"]
    code, out, _ = shell.run("text", best["source"], "--at", at)
    assert f">>>{best['text']}<<<" in out
    code, out, _ = shell.run("text", str(best["document_id"]))
    assert out.startswith("# Leave\n")


def test_several_bases_by_name(shell: Shell, documents: Path) -> None:
    shell.json("add", str(documents / "rules"), "--name", "rules")
    shell.json("-k", "printers", "add", str(documents / "printers.txt"))
    assert len(shell.json("list", "-k", "rules")) == 2
    assert [one["source"] for one in shell.json("-k", "printers", "documents")] == ["printers.txt"]
    assert shell.json("show", "-k", "rules")["vectors"] == 3


def test_remove_reindex_check(shell: Shell, documents: Path) -> None:
    shell.json("add", str(documents))
    assert shell.json("remove", "documents/rules/leave.md") == {"removed": 1}
    assert shell.json("reindex", "default")["chunks"] == 2
    assert shell.json("check") == {"ok": True, "problems": []}


def test_errors_name_the_next_command(shell: Shell, documents: Path) -> None:
    code, _, err = shell.run("list")
    assert (code, "groundling knowledge add" in err) == (6, True)
    code, _, err = shell.run("add", str(documents / "missing"))
    assert (code, "does not exist" in err) == (6, True)
    (documents / "bad.pdf").write_bytes(b"bad")
    code, _, err = shell.run("add", str(documents / "bad.pdf"))
    assert (code, "None of the documents" in err) == (6, True)
    shell.json("add", str(documents))
    assert shell.run("text", "nowhere.md")[0] == 6
    assert shell.run("text", "documents/printers.txt", "--at", "5:2")[0] == 2
    assert shell.run("text", "documents/printers.txt", "--at", "0:9999")[0] == 2
