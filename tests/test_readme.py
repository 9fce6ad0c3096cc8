"""What the README and docs/ say, run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from groundling.cli import groundling

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
COMMAND = re.compile(r"groundling (?:[^`\n]|\\\n)+")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    texts = [README, *(text for name, text in PAGES.items() if name != "commands.md")]
    shell = [block for text in texts for block in blocks(text, "sh")]
    spans = [span for text in texts for span in re.findall(r"`(groundling [^`]+)`", text)]
    lines = [line.strip() for block in shell for line in block.replace("\\\n", "").splitlines()]
    return [line for line in [*lines, *spans] if line.startswith("groundling ")]


def test_generated_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "generate_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_exactly_two_commands_stand_on_top():
    [first, *_] = blocks(README, "sh")
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make ask", "make test"]
    assert README.index("```sh") < 40


@pytest.mark.parametrize("line", commands())
def test_every_command_that_is_named_parses(line):
    import shlex

    words = [word for word in shlex.split(line, comments=True)[1:] if word != "…"]
    context = groundling.make_context("groundling", words, resilient_parsing=True)
    rest = [*context._protected_args, *context.args]
    command: click.Command = groundling
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]}"
        context = found.make_context(rest[0], rest[1:], parent=context, resilient_parsing=True)
        command, rest = found, [*getattr(context, "_protected_args", []), *context.args]
    known = {name for parameter in command.params for name in parameter.opts}
    assert not [word for word in rest if word.startswith("--") and word not in known]


def test_links_lead_somewhere():
    for name, text in {"../README.md": README, **PAGES}.items():
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
            assert (ROOT / "docs" / name).parent.joinpath(target).resolve().exists(), target


@pytest.mark.parametrize("block", blocks(PAGES["chains.md"], "toml"))
def test_the_example_chain_is_valid(block, tmp_path):
    from groundling.graphs.nodes.chain_file import load_chain

    file = tmp_path / "my-chain.toml"
    file.write_text(block, encoding="utf-8")
    assert load_chain(str(file)).steps
    assert tomllib.loads(block)["description"]


@pytest.mark.model
def test_the_page_of_the_model_runs_from_top_to_bottom(home_with_models, monkeypatch, capsys):
    monkeypatch.setenv("GROUNDLING_MODEL__NAME", "smollm2-135m")
    names = {}
    for block in blocks(PAGES["model.md"], "python"):
        exec(compile(block, "model.md", "exec"), names)
    assert names["weights"].keys() == {"yes", "no"}
    assert re.fullmatch("(19|20)[0-9]{2}", names["year"])
    assert "opening_hours" in capsys.readouterr().out


@pytest.mark.model
@pytest.mark.parametrize("block", blocks(README, "python"))
def test_the_script_runs(block, home_with_models, embedder_files, monkeypatch, capsys):
    monkeypatch.setenv("GROUNDLING_MODEL__NAME", "smollm2-135m")
    monkeypatch.chdir(ROOT)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()
