"""The house rules that a machine can check."""

import ast
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"llama_cpp", "faiss", "onnxruntime", "langchain_core", "langgraph", "rich", "pydantic"}
SOURCES = [path for room in ("app", "graphs", "tools") for path in (ROOT / room).rglob("*.py")]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_rooms_import_downwards():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("statement", ["import groundling", "import groundling.cli"])
def test_the_start_path_is_light(statement):
    assert not loaded_by(statement) & HEAVY


def test_nothing_on_the_start_path_of_the_graphs_is_retired():
    loaded = loaded_by("import groundling.graphs.rag, groundling.home, groundling.graphs.registry")
    assert not loaded & {"langchain_community", "torch", "transformers", "llama_cpp", "onnxruntime"}


def test_only_the_settings_read_the_environment():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if path != ROOT / "app" / "settings.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"}
    ]
    assert not found


def test_every_package_is_listed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {path.parent.relative_to(ROOT).parts for path in SOURCES}
    names = {
        ".".join(["groundling", *(parts[1:] if parts[0] == "app" else parts)]) for parts in folders
    }
    assert names <= set(project["tool"]["setuptools"]["packages"])


def test_graphs_are_named_in_langgraph_json():
    from groundling.graphs.registry import GRAPHS

    named = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))["graphs"]
    assert set(named) == set(GRAPHS)
    for name, place in named.items():
        module, _, factory = place.partition(":")
        assert callable(getattr(importlib.import_module(module), factory)), name
