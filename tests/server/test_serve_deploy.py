"""The files of `docs/deploy`: they parse, name what is there, and give no more than they must."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from groundling.cli.serve import serve
from groundling.sections import ServerSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
# https://docs.docker.com/reference/dockerfile/
INSTRUCTIONS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip
Instruction = tuple[str, str]


def instructions(text: str) -> list[Instruction]:
    """Split a Containerfile: comments go, continued lines are joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(name, rest[0] if rest else "") for name, *rest in found]


@pytest.fixture
def container() -> list[Instruction]:
    return instructions((DEPLOY / "Containerfile").read_text("utf-8"))


def of(container: list[Instruction], name: str) -> list[str]:
    return [rest for each, rest in container if each == name]


def test_the_containerfile_has_instructions_alone(container: list[Instruction]) -> None:
    assert {name for name, _ in container} <= INSTRUCTIONS
    assert next(name for name, _ in container if name != "ARG") == "FROM"
    stages = [rest.split(" AS ")[-1] for rest in of(container, "FROM")]
    for copied in of(container, "COPY"):
        if stage := re.match(r"--from=(\S+) ", copied):
            assert stage[1] in stages
            continue
        *sources, _ = copied.split()
        for source in sources:
            assert (ROOT / source).exists(), f"{source} is copied and not there"


def test_what_is_copied_is_what_the_builder_sees(container: list[Instruction]) -> None:
    first, *rest = (DEPLOY / "Containerfile.dockerignore").read_text("utf-8").split()
    assert first == "*"
    seen = {line[1:] for line in rest if line.startswith("!")}
    copied = {
        source
        for line in of(container, "COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    assert copied == seen


def test_the_image_runs_as_nobody_special_and_is_looked_after(
    container: list[Instruction],
) -> None:
    last = max(n for n, (name, _) in enumerate(container) if name == "FROM")
    final = container[last:]
    assert of(final, "USER") == ["groundling"]
    names = [name for name, _ in final]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "/health" in of(final, "HEALTHCHECK")[0]
    (volume,) = of(final, "VOLUME")
    assert f"GROUNDLING_HOME={volume}" in of(final, "ENV")[0].split()
    assert of(final, "EXPOSE") == [str(ServerSettings().port)]
    entry, command = json.loads(of(final, "ENTRYPOINT")[0]), json.loads(of(final, "CMD")[0])
    assert [*entry, *command][:2] == ["groundling", "serve"]
    serve.make_context("serve", command[1:], resilient_parsing=False)  # the options exist
    check = of(final, "HEALTHCHECK")[0].partition("CMD")[2]
    compile(json.loads(check)[2], "healthcheck", "exec")


def test_the_build_keeps_the_settings_of_the_lock_file(container: list[Instruction]) -> None:
    builds = [line for line in of(container, "RUN") if "uv sync" in line]
    assert len(builds) == 2
    assert all("--locked" in line for line in builds)
    assert "-U__AMX_INT8__" in (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with a program and a user that are there on this machine."""
    text = (DEPLOY / "groundling.service").read_text("utf-8")
    text = text.replace("/opt/groundling/bin/groundling", sys.executable)
    text = text.replace("User=groundling", "User=root").replace("Group=groundling", "Group=root")
    file = tmp_path / "groundling.service"
    file.write_text(text, "utf-8")
    return file


def test_the_unit_starts_the_server_and_waits_for_its_end() -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "groundling.service", "utf-8")
    service = dict(parser["Service"])
    program, command, *options = service["ExecStart"].split()
    assert (Path(program).name, command) == ("groundling", "serve")
    serve.make_context("serve", options)
    assert int(service["TimeoutStopSec"]) > ServerSettings().grace
    assert service["Environment"] == "GROUNDLING_HOME=/var/lib/" + service["StateDirectory"]
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit_and_finds_it_confined(unit: Path) -> None:
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-300:]


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_the_proxies_pass_streams_on_to_the_port(name: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    said = "\n".join(line.split("#")[0] for line in text.splitlines())
    assert said.count("{") == said.count("}") > 0
    assert f"127.0.0.1:{ServerSettings().port}" in said
    streams = {"Caddyfile": "flush_interval -1", "nginx.conf": "proxy_buffering off;"}
    assert streams[name] in said
    if name == "nginx.conf":
        assert "proxy_set_header Host $host;" in said
        for line in filter(None, map(str.strip, said.splitlines())):
            assert line[-1] in ";{}", f"{line} does not end"
