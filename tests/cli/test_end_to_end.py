"""The command as a person runs it: a process of its own, the real small model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import interruptible

pytestmark = pytest.mark.model
COMMAND = (sys.executable, "-c", "from groundling.cli import main; main()")


@pytest.fixture
def ready_home(home_with_models, embedder_files):
    """Return a home folder whose models are there, set up for the small one."""
    (home_with_models / "config.toml").write_text(
        '[model]\nname = "smollm2-135m"\ncontext = 2048\nmax_tokens = 48\nmeasure = false\n'
        "[download]\noffline = true\n",
        encoding="utf-8",
    )
    return home_with_models


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(
        "# Leave\n\nFull-time employees receive 17 days of paid leave a year.\n", encoding="utf-8"
    )
    (folder / "출장.md").write_text(
        "# 출장\n\n국내 출장의 숙박비는 1박에 95,000원까지 지급합니다.\n", encoding="utf-8"
    )
    return folder


def run(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def test_ask_the_model_alone_with_a_question_from_stdin(ready_home):
    done = run("ask", "-", input="Say hello.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_ask_documents_and_open_the_citation(ready_home, documents):
    question = "How many days of paid leave do full-time employees receive?"
    done = run("ask", "--docs", documents, question, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # What the small model decides may differ between machines; what follows from it may not.
    assert bool(result["citations"]) == (result["verdict"] == "answered")
    assert result["answer"]
    assert "messages" not in result
    for citation in result["citations"]:
        opened = run(
            "knowledge", "--name", knowledge_of(ready_home), "text", citation["source"],
            "--at", f"{citation['start']}:{citation['end']}", "--json",
        )  # fmt: skip
        assert citation["quote"] in opened.stdout


def knowledge_of(home: Path) -> str:
    [folder] = [path for path in (home / "knowledge").iterdir() if path.is_dir()]
    return folder.name


def test_unchanged_documents_are_not_read_again(ready_home, documents):
    first = run("knowledge", "add", documents, "--json")
    assert json.loads(first.stdout)["added"] == 2, first.stderr
    [store] = (ready_home / "knowledge").glob("*/knowledge.sqlite")
    before = store.stat().st_mtime_ns
    second = run("knowledge", "add", documents, "--json")
    assert json.loads(second.stdout)["unchanged"] == 2
    assert store.stat().st_mtime_ns == before


def test_a_conversation_goes_on_after_the_process_ended(ready_home):
    first = run("chat", "--json", input="My name is Mina.\n\n")
    assert first.returncode == 0, first.stderr
    thread = json.loads(first.stdout.splitlines()[0])["thread"]
    second = run("chat", "-c", "--json", input="What is my name?\n")
    assert json.loads(second.stdout.splitlines()[0])["thread"] == thread


def test_a_question_longer_than_the_context_is_counted(ready_home):
    done = run("ask", "word " * 5000)
    assert done.returncode == 4
    assert "tokens; the context holds 2048" in done.stderr
    assert "Next:" in done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty|not a GGUF|cut short"), (b"PK\x03\x04 not a model", "not a GGUF")],
)
def test_a_file_that_is_no_model(ready_home, tmp_path, content, reason):
    file = tmp_path / "broken.gguf"
    file.write_bytes(content)
    done = run("--model", file, "ask", "hello")
    assert done.returncode == 4, done.stderr
    assert "broken.gguf" in done.stderr
    assert "Next:" in done.stderr


def test_a_model_file_that_was_cut_short(ready_home, tmp_path, smollm2):
    file = tmp_path / "short.gguf"
    file.write_bytes(smollm2.read_bytes()[:5_000_000])
    done = run("--model", file, "ask", "hello")
    assert done.returncode == 4
    assert "short.gguf" in done.stderr


def test_an_empty_folder_and_no_documents(ready_home, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("ask", "--docs", empty, "hello?")
    assert done.returncode == 6
    assert "Next:" in done.stderr
    missing = run("ask", "--knowledge", "nope", "hello?")
    assert missing.returncode == 6
    assert "groundling knowledge --name nope add" in missing.stderr


def test_ctrl_c_stops_an_answer(ready_home):
    command = [*COMMAND, "ask", "Write a very long story about a river, of two thousand words."]
    environment = {**os.environ, "GROUNDLING_MODEL__MAX_TOKENS": "1900"}
    with interruptible(command, env=environment) as process:
        time.sleep(8)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
