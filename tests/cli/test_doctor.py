"""`groundling doctor`: each thing that can be wrong is said, with the next command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from groundling.cli import doctor as doctor_module
from groundling.cli import main
from groundling.models import cpu, memory
from groundling.models.cpu import Build, Cpu, Device

Findings = list[dict[str, Any]]


def diagnose(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Findings]:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "--json", *arguments])
    assert isinstance(stop.value.code, int)
    return stop.value.code, json.loads(capsys.readouterr().out)["findings"]


def problems(findings: Findings) -> dict[str, str]:
    return {found["check"]: found["text"] for found in findings if found["state"] == "problem"}


def test_an_empty_home_lacks_its_models(capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = diagnose(capsys)
    assert code == 1
    assert problems(findings).keys() == {"model", "embedder"}
    assert {found["next"] for found in findings if found["state"] == "problem"} == {
        "groundling model pull qwen2.5-coder-1.5b",
        "groundling model pull minilm-l6",
    }
    text = {found["check"]: found["text"] for found in findings}
    assert "AMX kernels" in text["llama.cpp"]
    assert text["backend"].startswith(("CPU", "CUDA", "Metal", "MTL"))
    assert "OMP_WAIT_POLICY=passive" in text["threads"]


def test_the_plain_listing_has_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor"])
    out = capsys.readouterr().out
    assert "next: groundling model pull minilm-l6" in out
    assert out.endswith("2 problems.\n")


def test_a_broken_settings_file_is_the_only_finding(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[model]\ncontext = 'long'\n")
    code, findings = diagnose(capsys)
    assert code == 1
    assert len(findings) == 1
    assert "model.context" in problems(findings)["settings"]


def test_a_home_that_is_a_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("a file where the folder should be")
    code, findings = diagnose(capsys)
    assert code == 1
    assert "Not a directory" in problems(findings)["settings"]


def test_a_home_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    _, findings = diagnose(capsys)
    assert "cannot be written" in problems(findings)["home"]


def test_a_full_disk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(doctor_module.shutil, "disk_usage", lambda _: usage)
    _, findings = diagnose(capsys)
    assert "free disk" in problems(findings)["home"]


def test_a_build_with_amx_on_such_a_cpu_is_noted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "read_cpu", lambda: Cpu("Rapids", frozenset({"amx_int8"})))
    monkeypatch.setattr(cpu, "read_build", lambda: Build("1", {"CPU": frozenset({"AMX_INT8"})}))
    _, findings = diagnose(capsys)
    notes = [found["text"] for found in findings if found["state"] == "note"]
    assert any("kept off" in text for text in notes)


def test_a_library_that_does_not_load(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Build:
        raise RuntimeError("libllama.so: cannot open shared object file")

    monkeypatch.setattr(cpu, "read_build", broken)
    _, findings = diagnose(capsys)
    assert "cannot open shared object" in problems(findings)["llama.cpp"]


def test_a_wait_policy_that_spins_is_noted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    _, findings = diagnose(capsys)
    assert next(found for found in findings if found["check"] == "threads")["state"] == "note"


def test_a_model_file_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + b"\3\0\0\0" + b"\1" * 12)
    with pytest.raises(SystemExit):
        main(["--model", str(file), "doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert "damaged" in problems(findings)["model"]


def test_a_damaged_knowledge_base(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "knowledge" / "notes"
    folder.mkdir(parents=True)
    (folder / "knowledge.sqlite").write_bytes(b"not a database" * 100)
    code, findings = diagnose(capsys)
    assert code == 1
    assert "knowledge notes" in problems(findings)


@pytest.mark.model
@pytest.mark.usefixtures("home_with_models", "embedder_files")
def test_a_home_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--model", "smollm2-135m", "doctor", "--json", "--full"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert problems(findings) == {}
    assert stop.value.code == 0
    hashes = [found["text"] for found in findings if found["check"] == "hash"]
    assert hashes == ["smollm2-135m: sha256 agrees", "minilm-l6: sha256 agrees"]
    sums = next(found["text"] for found in findings if found["check"] == "memory")
    assert "weights 0.10 GB + cache" in sums


@pytest.mark.model
@pytest.mark.usefixtures("home_with_models")
def test_too_little_memory_is_a_problem_with_its_sum(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 60_000_000)
    monkeypatch.setenv("GROUNDLING_MODEL__NAME", "smollm2-135m")
    code, findings = diagnose(capsys)
    assert code == 1
    assert "free: 0.06 GB" in problems(findings)["model"]


@pytest.mark.model
@pytest.mark.usefixtures("home_with_models")
def test_a_context_beyond_the_trained_one_is_noted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDLING_MODEL__NAME", "smollm2-135m")
    monkeypatch.setenv("GROUNDLING_MODEL__CONTEXT", "20000")
    _, findings = diagnose(capsys)
    notes = [found for found in findings if found["state"] == "note"]
    assert "groundling config set model.context 8192" in [found["next"] for found in notes]


def test_a_gpu_that_nothing_uses_is_noted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def notes() -> list[str]:
        _, findings = diagnose(capsys)
        return [f["text"] for f in findings if (f["check"], f["state"]) == ("backend", "note")]

    monkeypatch.setattr(cpu, "read_build", lambda: Build("1", {"CPU": frozenset()}))
    monkeypatch.setattr(cpu, "has_nvidia_driver", lambda: True)
    assert "without CUDA" in notes()[0]
    build = Build("1", {"CPU": frozenset(), "CUDA": frozenset()})
    monkeypatch.setattr(cpu, "read_build", lambda: build)
    assert "built for CUDA and finds no GPU" in notes()[0]


@pytest.mark.model
@pytest.mark.usefixtures("home_with_models")
@pytest.mark.parametrize(
    ("wanted", "text"), [("-1", "31 of 31 on CUDA0"), ("12", "12 of 31 on CUDA0")]
)
def test_the_layers_on_the_gpu_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wanted: str, text: str
) -> None:
    devices = (Device("CUDA0", "a card"), Device("CPU", "a processor"))
    build = Build("1", {"CPU": frozenset()}, devices, gpu_offload=True)
    monkeypatch.setattr(cpu, "read_build", lambda: build)
    monkeypatch.setenv("GROUNDLING_MODEL__NAME", "smollm2-135m")
    monkeypatch.setenv("GROUNDLING_MODEL__GPU_LAYERS", wanted)
    _, findings = diagnose(capsys)
    assert [found["text"] for found in findings if found["check"] == "layers"] == [text]


def test_a_model_server_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDLING_MODEL__BASE_URL", "http://127.0.0.1:9/v1")
    _, findings = diagnose(capsys)
    assert "No server answers at http://127.0.0.1:9/v1" in problems(findings)["model"]


def test_traces_are_checked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from uuid import uuid4

    from groundling.tracing.run import Patch
    from groundling.tracing.store import TraceStore

    home.mkdir()
    with TraceStore(home / "traces.sqlite") as store:
        store.write([Patch(id=uuid4(), name="rag", started=1, duration=1)])
    _, findings = diagnose(capsys, "--full")
    assert [found["text"] for found in findings if found["check"] == "traces"] == ["1 runs, 0 MB"]
    with TraceStore(home / "traces.sqlite") as store:
        store.count_drop("the disk was full", 3)
        with store.writing() as db:
            db.execute("INSERT INTO terms (rowid, body) VALUES (77, 'nobody')")
    _, findings = diagnose(capsys, "--full")
    assert problems(findings)["traces"] == "1 texts in the index belong to no run"
    assert any("3 runs could not be recorded" in found["text"] for found in findings)
    (home / "traces.sqlite").write_bytes(b"no database" * 1000)
    _, findings = diagnose(capsys)
    assert "cannot be opened" in problems(findings)["traces"]
