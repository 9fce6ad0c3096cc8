"""Fixtures for all rooms: an isolated home, and real models fetched once per machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from tests.scripted import ScriptedChat

hypothesis_settings.register_profile("groundling", deadline=None, max_examples=100)
hypothesis_settings.load_profile("groundling")

# Read before the isolating fixture hides the environment.
MODELS = Path(
    os.environ.get("GROUNDLING_TEST_MODELS", "~/.cache/groundling-tests/models")
).expanduser()
_PULL = """
import sys
from collections.abc import Iterator
from pathlib import Path
from groundling.models.files.store import ModelStore
from groundling.settings import DownloadSettings
print(ModelStore(Path(sys.argv[1]), DownloadSettings()).pull(sys.argv[2]).path)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test an empty home folder, and none of the user's settings.

    What a test recorded of its runs is stored before the folder goes.
    """
    for name in list(os.environ):
        if name.startswith(("GROUNDLING_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("GROUNDLING_HOME", str(folder))
    yield folder
    if (attach := sys.modules.get("groundling.tracing.attach")) is not None:
        attach.detach()


def pull(name: str) -> Path:
    """Return the main file of a catalogue entry, fetched where it is missing.

    A child process does it: sockets are blocked in this one.
    """
    done = subprocess.run(
        [sys.executable, "-c", _PULL, str(MODELS), name],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{name} could not be fetched"
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """Return the shared models folder: a store that tests may read and never change."""
    return MODELS


@pytest.fixture
def home_with_models(home: Path, smollm2: Path) -> Path:
    """Return the test's home folder with the shared models in it."""
    home.mkdir()
    (home / "models").symlink_to(MODELS)
    return home


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct."""
    return pull("smollm2-135m")


@pytest.fixture(scope="session")
def qwen() -> Path:
    """Return the GGUF file of Qwen2.5-Coder-1.5B-Instruct."""
    return pull("qwen2.5-coder-1.5b")


@pytest.fixture(scope="session")
def embedder_files() -> Path:
    """Return the folder that holds the English embedder's files."""
    return pull("minilm-l6").parent


@pytest.fixture
def scripted() -> ScriptedChat:
    """Return a chat model without replies; `enqueue` adds some."""
    return ScriptedChat()


def pytest_report_header() -> list[str]:
    """Tell which llama.cpp these tests run on."""
    from groundling.models.cpu import read_build, read_cpu

    return [read_cpu().describe(), read_build().describe()]
