"""What the CPU and the build can do, and the guard against the AMX crash."""

from __future__ import annotations

import ast
import shlex
import tomllib
from pathlib import Path

import pytest

from groundling.models import context as context_module
from groundling.models.calls import EngineSettings
from groundling.models.context import Context
from groundling.models.cpu import (
    Build,
    Cpu,
    default_threads,
    extra_buffers_safe,
    parse_cpuinfo,
    parse_sysctl,
    parse_system_info,
    read_build,
    read_cpu,
)
from groundling.settings import environment

ROOT = Path(__file__).parents[2]
AMX_BUILD = Build("1", {"CPU": frozenset({"AVX2", "AMX_INT8"})})
PLAIN_BUILD = Build("1", {"CPU": frozenset({"AVX2"})})
AMX_CPU = Cpu("Sapphire Rapids", frozenset({"avx2", "amx_int8"}))
PLAIN_CPU = Cpu("EPYC", frozenset({"avx2"}))


def test_the_installed_build_is_known_and_leaves_amx_out() -> None:
    build, cpu = read_build(), read_cpu()
    print(cpu.describe())
    print(build.describe())
    assert "CPU" in build.features
    assert not build.has_amx
    assert [device.name for device in build.devices].count("CPU") == 1
    assert build.backend == "CPU" or build.gpu_offload


@pytest.mark.parametrize(
    ("cpu", "build", "safe"),
    [
        (AMX_CPU, AMX_BUILD, False),
        (PLAIN_CPU, AMX_BUILD, True),
        (AMX_CPU, PLAIN_BUILD, True),
        (Cpu("unknown", frozenset()), AMX_BUILD, False),
        (Cpu("unknown", frozenset()), PLAIN_BUILD, True),
    ],
)
def test_extra_buffers_are_unsafe_only_where_cpu_and_build_have_amx(
    cpu: Cpu, build: Build, safe: bool
) -> None:
    assert extra_buffers_safe(cpu, build) is safe


@pytest.mark.model
@pytest.mark.parametrize(("build", "used"), [(AMX_BUILD, False), (PLAIN_BUILD, True)])
def test_the_guard_wins_over_the_repack_setting(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch, build: Build, used: bool
) -> None:
    monkeypatch.setattr(context_module, "read_cpu", lambda: AMX_CPU)
    monkeypatch.setattr(context_module, "read_build", lambda: build)
    seen: list[bool] = []
    llama = context_module.import_llama()
    load = llama.llama_model_load_from_file
    monkeypatch.setattr(
        llama,
        "llama_model_load_from_file",
        lambda path, params: seen.append(params.use_extra_bufts) or load(path, params),
    )
    Context(smollm2, EngineSettings(context=256, repack=True)).close()
    assert seen == [used]


def test_cpuinfo_of_x86_and_arm() -> None:
    x86 = parse_cpuinfo("processor : 0\nmodel name : A\nflags : fpu AVX2 amx_int8\n\nflags : x\n")
    assert (x86.name, x86.features) == ("A", {"fpu", "avx2", "amx_int8"})
    assert "asimd" in parse_cpuinfo("processor : 0\nFeatures : fp asimd\n").features
    assert parse_cpuinfo("").features == frozenset()


def test_sysctl_of_intel_and_apple() -> None:
    intel = parse_sysctl("machdep.cpu.brand_string: Intel\nmachdep.cpu.features: SSE AVX1.0\n")
    assert (intel.name, "avx1.0" in intel.features) == ("Intel", True)
    apple = parse_sysctl("hw.optional.arm.FEAT_I8MM: 1\nhw.optional.arm.FEAT_SME: 0\n")
    assert apple.features == {"i8mm"}


def test_system_info_by_backend() -> None:
    text = "CPU : SSE3 = 1 | AMX_INT8 = 0 | REPACK = 1 | CUDA : ARCHS = 890 | "
    assert parse_system_info(text) == {"CPU": {"SSE3", "REPACK"}, "CUDA": {"ARCHS"}}


def test_threads_are_within_the_machine() -> None:
    import os

    assert 1 <= default_threads() <= (os.cpu_count() or 1)


def test_waiting_threads_sleep() -> None:
    read_build()
    assert environment()["OMP_WAIT_POLICY"]


def test_llama_cpp_is_imported_through_one_door() -> None:
    found = []
    for folder in ("app", "graphs", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Import | ast.ImportFrom):
                    continue
                names = [alias.name for alias in node.names]
                names.append(getattr(node, "module", None) or "")
                if any(name.split(".")[0] == "llama_cpp" for name in names):
                    found.append(path.name)
    assert found == []
    door = (ROOT / "app/models/native.py").read_text(encoding="utf-8")
    assert 'import_module("llama_cpp.llama_cpp")' in door


def test_pip_builds_llama_cpp_as_uv_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    uv = dict(project["tool"]["uv"]["config-settings-package"]["llama-cpp-python"])
    flags = project["tool"]["uv"]["extra-build-variables"]["llama-cpp-python"]
    uv["cmake.define.CMAKE_C_FLAGS"] = flags["CFLAGS"]
    uv["cmake.define.CMAKE_CXX_FLAGS"] = flags["CXXFLAGS"]

    text = (ROOT / "requirements.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("llama-cpp-python"))
    requirement, *options = shlex.split(line)
    pairs = [option.removeprefix("--config-settings=").split("=", 1) for option in options]
    assert all(option.startswith("--config-settings=") for option in options)
    assert dict(pairs) == uv
    assert len(pairs) == len(uv)
    assert requirement in project["project"]["dependencies"]
