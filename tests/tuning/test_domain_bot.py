"""The commands of docs/domain-bot.md, run as they stand, with the small model and few updates.

What the page asks of a machine for minutes is made short by `SHORTER`; nothing else is changed.
The small model writes hardly a question that passes the checks, so that a file of invented
facts stands beside the documents.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.tuning_facts import facts
from groundling.cli import groundling

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "domain-bot.md").read_text(encoding="utf-8")
SHORTER = {
    "--docs handbook": "--docs handbook --file known.jsonl",
    "--questions 40": "--questions 2",
    "--questions 30": "--questions 2",
    "--phrasings 4": "--phrasings 3",
    "--steps 100": "--steps 4 --set batch=2 --set accumulate=1",
    "--steps 30": "--steps 2 --set accumulate=1",
}
CONFIG = """
[model]
name = "smollm2-135m"
context = 4096
max_tokens = 32
measure = false
[download]
offline = true
"""
NOT_EARNED = 9
HANDBOOK, KOREAN, BIOMEDICINE = (
    "A handbook",
    "한국어: 사규를 익힌 도우미",
    "Biomedicine: yes, no or maybe",
)

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="the extra tune is missing")


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def blocks(title: str, language: str = "sh") -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", section(title), re.DOTALL | re.MULTILINE)
    return [str(block) for block in found]


def commands(title: str) -> list[str]:
    """Return what a person types, one command each; a text that is typed in belongs to it."""
    found: list[str] = []
    typed = False
    for line in "".join(blocks(title)).splitlines():
        if typed:
            found[-1] += f"\n{line}"
            typed = line != "END"
        else:
            found.append(line)
            typed = line.endswith("<<'END'")
    return found


def shorter(command: str) -> str:
    for long, short in SHORTER.items():
        command = command.replace(long, short)
    return command


class Shell:
    """A folder in which commands are typed.

    Args:
        folder: where; the page's own `data/handbook` is there.
        home: the home folder of the commands.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        scripts = Path(sys.executable).parent
        self._variables = {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "GROUNDLING_HOME": str(home),
            "PUBMEDQA": os.environ.get("PUBMEDQA", str(folder)),
        }

    def __call__(self, command: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command; return what it prints."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in codes, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout


@pytest.fixture
def shell(home_with_models: Path, tmp_path: Path) -> Shell:
    (home_with_models / "config.toml").write_text(CONFIG, encoding="utf-8")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "data").symlink_to(ROOT / "data")
    return Shell(folder, home_with_models)


def test_what_is_made_short_stands_on_the_page() -> None:
    assert [long for long in SHORTER if long not in PAGE] == []


@pytest.mark.parametrize("title", [HANDBOOK, KOREAN, BIOMEDICINE])
def test_every_section_goes_from_data_to_the_gate(title: str) -> None:
    typed = "\n".join(commands(title))
    steps = ["tune data build", "tune sft", "tune gate"]
    places = [typed.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


TYPED = [
    command.partition("groundling ")[2].partition(" >")[0]
    for title in (HANDBOOK, KOREAN, BIOMEDICINE)
    for command in commands(title)
    if re.search(r"^groundling |\| groundling ", command)
]


@pytest.mark.parametrize("typed", TYPED)
def test_every_command_parses(typed: str) -> None:
    # With --help at its end click reads all options before it, and runs nothing.
    result = CliRunner().invoke(groundling, [*shlex.split(typed), "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage: groundling ")


@pytest.mark.model
def test_the_questions_of_the_korean_page_are_examples(shell: Shell) -> None:
    [typed, *_] = [command for command in commands(KOREAN) if command.startswith("cat")]
    shell(typed)
    out = shell("groundling tune data build 사규 --file faq.csv")
    assert "to learn from   8 chat\n" in out
    assert "held out        6 chat\n" in out
    assert "languages       14 ko\n" in out


@pytest.mark.model
def test_the_biomedical_script_makes_examples_of_a_file(shell: Shell) -> None:
    write_pubmedqa(shell.folder, 20)
    [script] = blocks(BIOMEDICINE, "python")
    (shell.folder / "pubmedqa.py").write_text(script, encoding="utf-8")
    [make, build, *_] = commands(BIOMEDICINE)
    shell(make.replace("$PUBMEDQA", "."))
    out = shell(build)
    assert "to learn from   18 chat\n" in out
    assert "held out        2 chat\n" in out
    assert "licence         MIT\n" in out


@pytest.mark.tune
@pytest.mark.model
@needs_torch
@pytest.mark.timeout(900)
def test_the_handbook_page(shell: Shell, embedder_files: Path) -> None:
    write_facts(shell.folder / "known.jsonl")
    typed = iter(commands(HANDBOOK))
    for command in typed:
        if "tune gate" in command:
            shell(command, codes=(0, NOT_EARNED))
            break
        shell(shorter(command))
    assert "bot-2" in shell("groundling tune list")
    shell("groundling tune promote bot-2")
    said = {command: shell(shorter(command)) for command in typed}
    [listed] = [out for command, out in said.items() if "tune list" in command]
    assert listed.splitlines()[0].startswith("* bot-2")
    [rag] = [out for command, out in said.items() if " ask " in command]
    assert rag.strip()
    [chat] = [out for command, out in said.items() if " chat" in command]
    assert chat.strip()
    [back] = [out for command, out in said.items() if "rollback" in command]
    assert back.startswith("bot-2 answers no more")


@pytest.mark.tune
@pytest.mark.model
@needs_torch
@pytest.mark.timeout(900)
def test_the_korean_page(shell: Shell, embedder_files: Path) -> None:
    for command in commands(KOREAN):
        if "tune gate" not in command:  # its minute is spent in the test above
            shell(shorter(command))
    assert "sagyu-1" in shell("groundling tune list")


@pytest.mark.tune
@pytest.mark.model
@needs_torch
@pytest.mark.timeout(900)
def test_the_biomedical_page(shell: Shell) -> None:
    """With the real file where `PUBMEDQA` names its folder, else with one of its form."""
    if "PUBMEDQA" not in os.environ:
        write_pubmedqa(shell.folder, 60)
    [script] = blocks(BIOMEDICINE, "python")
    (shell.folder / "pubmedqa.py").write_text(script, encoding="utf-8")
    for command in commands(BIOMEDICINE):
        if "tune gate" not in command:
            shell(shorter(command))
    assert "med-2" in shell("groundling tune list")


def write_facts(file: Path) -> None:
    """Write twelve facts that no model knows, and another way to ask six of them, held out."""
    train, held = facts("en", 12)
    rows = [
        {"question": each.question, "answer": each.answer, "split": part}
        for part, some in (("train", train[::4]), ("heldout", held[:6]))
        for each in some
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_pubmedqa(folder: Path, count: int) -> None:
    """Write a file of PubMedQA's form about invented trials."""
    rows = {
        str(1000 + number): {
            "QUESTION": f"Does drug {number * 37} lower the pressure of group {number}?",
            "CONTEXTS": [f"We gave {number * 37} to {number + 30} persons.", "Half had a placebo."],
            "final_decision": ("yes", "no", "maybe")[number % 3],
        }
        for number in range(count)
    }
    (folder / "pqal_train_500.json").write_text(json.dumps(rows), encoding="utf-8")
