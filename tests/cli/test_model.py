"""`groundling model` against a local server: output, JSON, exit codes, interruption."""

# ruff: noqa: F811 (fixtures of another room are imported by name)

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from groundling.cli import main
from groundling.models.files.catalogue import ModelFile
from groundling.models.files.store import ModelStore
from groundling.settings import ModelSettings
from tests.models.conftest import Offerer, offer, server, store  # noqa: F401
from tests.models.server import Server, gguf
from tests.processes import interruptible

CONTENT = gguf(padding=300_000)


@pytest.fixture(autouse=True)
def local(store: ModelStore, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the command's own settings at the local server."""
    monkeypatch.setenv("GROUNDLING_DOWNLOAD__INDEX_URL", server.index)
    monkeypatch.setenv("GROUNDLING_DOWNLOAD__HUB_ENDPOINT", server.url)
    server.put("/m.gguf", CONTENT)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a way to call the command: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["model", *arguments])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def test_pull_speaks_on_stderr_and_answers_on_stdout(run: Any, server: Server, home: Path) -> None:
    code, out, err = run("pull", f"{server.url}/m.gguf")
    assert code == 0
    assert out.startswith("m: 300.1 kB in ")
    assert str(home / "models" / "blobs") in out
    assert err == "Fetching m.gguf (300.1 kB) …\n"
    code, out, err = run("pull", "m", "--json")
    assert (code, err) == (0, "")
    (model,) = json.loads(out)
    assert Path(model["path"]).read_bytes() == CONTENT
    assert model["installed"] is True


def test_the_life_of_a_model(run: Any, server: Server) -> None:
    run("pull", f"{server.url}/m.gguf", "--id", "mine", "--role", "guard")
    (listed,) = json.loads(run("list", "--installed", "--json")[1])
    assert (listed["id"], listed["role"]) == ("mine", "guard")
    assert "mine" in run("list")[1]
    shown = json.loads(run("show", "mine", "--json")[1])
    assert shown["context"] == 2048
    assert shown["files"][0]["sources"] == [f"{server.url}/m.gguf"]
    assert f"from   {server.url}/m.gguf" in run("show", "mine")[1]
    assert run("verify")[1] == "mine: as it came\n"
    path = Path(shown["paths"]["m.gguf"])
    with path.open("r+b") as file:
        file.write(b"GGUX")
    code, out, err = run("verify", "--json")
    assert code == 5
    assert json.loads(out)[0]["ok"] is False
    assert "groundling model pull mine" in err
    assert run("pull", "mine")[0] == 0
    assert run("verify", "mine")[0] == 0
    assert run("remove", "mine") == (0, "mine: removed, 300.1 kB freed\n", "")
    assert run("remove", "mine")[0] == 4
    assert run("list", "--installed", "--json")[1].strip() == "[]"


def test_without_a_name_the_configured_models_come(
    run: Any, server: Server, offer: Offerer
) -> None:
    defaults = ModelSettings()
    gone = ModelFile(name="a.gguf", sources=(f"{server.url}/gone",))
    here = ModelFile(name="m.gguf", sources=(f"{server.url}/m.gguf",))
    offer(defaults.name, gone, fallback="small")
    offer("small", here)
    offer(defaults.embedder, here)
    code, out, err = run("pull")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["small", defaults.embedder]
    assert "gone was not found" in err
    assert "The note of small." in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["pull", "qwen3-8x"], 4, "Did you mean qwen3-8b"),
        (["pull", "hf:nobody/nothing/m.gguf"], 5, "no repository nobody/nothing"),
        (["pull", "hf:nothing"], 4, "not a source"),
        (["pull", "--id", "x"], 2, "--id goes with exactly one source"),
        (["show", "nothing"], 4, "no model 'nothing'"),
        (["verify", "smollm2-135m"], 4, "groundling model pull smollm2-135m"),
        (["tokenize", "text"], 4, "groundling model pull qwen2.5-coder-1.5b"),
        (["tokenize", "--model", "./none.gguf", "text"], 4, "There is no file"),
    ],
)
def test_errors(run: Any, arguments: list[str], code: int, message: str) -> None:
    got, out, err = run(*arguments)
    assert (got, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_switched_off(run: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDLING_DOWNLOAD__OFFLINE", "true")
    code, _, err = run("pull", f"{server.url}/m.gguf")
    assert code == 5
    assert "groundling config set download.offline false" in err
    assert server.requests == []


def wait_until_half_came(home: Path) -> None:
    deadline = time.monotonic() + 60
    folder = home / "models" / "blobs"
    while not any(path.stat().st_size >= len(CONTENT) // 2 for path in folder.glob("*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


COMMAND = [sys.executable, "-c", "from groundling.cli import main; main()", "model", "pull"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_keeps_what_came(run: Any, server: Server, home: Path) -> None:
    gate = threading.Event()
    server.put("/m.gguf", CONTENT, hold=gate)
    with interruptible([*COMMAND, f"{server.url}/m.gguf"]) as process:
        wait_until_half_came(home)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    gate.set()
    assert process.returncode == 130
    assert "of m.gguf are kept; the same command goes on from there." in err
    assert "Traceback" not in err
    code, _, text = run("pull", f"{server.url}/m.gguf")
    assert code == 0
    assert "going on from" in text
    assert server.asked("/m.gguf")[-1] is not None


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar(server: Server) -> None:
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [*COMMAND, f"{server.url}/m.gguf"],
        stdout=subprocess.PIPE,
        stderr=follower,
        env=environment,
        check=True,
    )
    os.close(follower)
    drawn = os.read(leader, 100_000).decode()
    os.close(leader)
    assert "━" in drawn
    assert "m.gguf" in drawn
    assert b"\x1b" not in done.stdout


@pytest.mark.model
def test_tokenize(run: Any, smollm2: Path) -> None:
    code, out, _ = run("tokenize", "--json", "--model", str(smollm2.absolute()), "Hello 휴가")
    assert code == 0
    found = json.loads(out)
    assert found["count"] == len(found["tokens"]) > 3
    assert found["tokens"][0]["piece"] == "Hello"
    assert found["share"] == round(found["count"] / found["context"], 4)
