"""Function calls, constrained and free: the simple Python cases of BFCL v4.

    uv run python -m bench.bfcl --data FOLDER [--cases 200] [--model ID] [--json FILE]

FOLDER holds `BFCL_v4_simple_python.json` and `possible_answer/` of the same name, as the
Berkeley Function Calling Leaderboard publishes them (Apache-2.0). Each case is asked twice
through `ChatLlama.bind_tools`, one call wanted: with `tool_choice="required"`, where a
grammar holds the call, and with `auto`, where the model may also answer in words. *Valid*:
one call of a known function whose arguments conform to its schema. *Right*: the
leaderboard's own comparison (`bench/engines/calls.py`).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click
from langchain_core.messages import AIMessage

from bench.engines.calls import conforms, mistake, tool
from bench.engines.figures import Table
from groundling.errors import GroundlingError
from groundling.models.chat import ChatLlama

FILE = "BFCL_v4_simple_python.json"
Mode = Literal["required", "auto"]
MODES: dict[Mode, str] = {"required": "constrained", "auto": "free"}


@dataclass(frozen=True)
class Case:
    """A question, the one function there is, and the arguments that are right."""

    id: str
    question: str
    function: dict[str, Any]
    truth: dict[str, list[Any]]


@dataclass(frozen=True)
class Outcome:
    """How one call went; `mistake` is empty where it was right."""

    id: str
    mode: Mode
    called: bool
    valid: bool
    mistake: str
    seconds: float
    tokens: int
    calls: list[dict[str, Any]]
    text: str


def read(folder: Path, number: int) -> list[Case]:
    """Read so many cases, evenly over the whole file."""
    rows = [json.loads(line) for line in (folder / FILE).read_text("utf-8").splitlines()]
    answers = {
        row["id"]: row["ground_truth"][0]
        for row in map(json.loads, (folder / "possible_answer" / FILE).open(encoding="utf-8"))
    }
    step = max(1, len(rows) / number)
    picked = [rows[int(n * step)] for n in range(min(number, len(rows)))]
    return [
        Case(
            row["id"],
            row["question"][0][-1]["content"],
            row["function"][0],
            next(iter(answers[row["id"]].values())),
        )
        for row in picked
    ]


def ask(model: ChatLlama, case: Case, mode: Mode) -> Outcome:
    """Let the model call the case's function; an error of the model is a mistake."""
    begun = time.perf_counter()
    try:
        shown = [tool(case.function)]
        bound = model.bind_tools(shown, tool_choice=mode, parallel_tool_calls=False)
        reply = bound.invoke([("user", case.question)])
        assert isinstance(reply, AIMessage)
    except GroundlingError as error:
        seconds = time.perf_counter() - begun
        return Outcome(case.id, mode, False, False, f"error: {error}", seconds, 0, [], "")
    calls = [{"name": call["name"], "args": call["args"]} for call in reply.tool_calls]
    broken = reply.invalid_tool_calls
    wrong = "broken: no JSON" if broken else mistake(case.function, calls, case.truth)
    usage = reply.usage_metadata
    return Outcome(
        id=case.id,
        mode=mode,
        called=bool(calls or broken),
        valid=len(calls) == 1 and not broken and conforms(case.function, calls[0]),
        mistake=wrong,
        seconds=time.perf_counter() - begun,
        tokens=usage["output_tokens"] if usage else 0,
        calls=calls,
        text=reply.text,
    )


def run(model: ChatLlama, cases: list[Case], at_once: int) -> Iterator[Outcome]:
    """Ask every case in both ways, several at once, the ways in turn."""
    jobs = [(case, mode) for case in cases for mode in MODES]
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda job: ask(model, *job), jobs)


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--cases", "number", default=200, show_default=True, help="Of the 400.")
@click.option("--model", default="qwen2.5-coder-1.5b", show_default=True)
@click.option("--at-once", default=8, show_default=True)
@click.option("--max-tokens", default=256, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every case here.")
@click.option("--markdown", is_flag=True, help="Print a table for a page.")
def main(
    data: Path,
    number: int,
    model: str,
    at_once: int,
    max_tokens: int,
    file: Path | None,
    markdown: bool,
) -> None:
    """Ask the cases and count."""
    if not (data / FILE).is_file() or not (data / "possible_answer" / FILE).is_file():
        raise click.UsageError(f"{FILE} and possible_answer/{FILE} are not in {data}.")
    cases = read(data, number)
    chat = ChatLlama(model=model, max_tokens=max_tokens, temperature=0.0)
    outcomes: list[Outcome] = []
    for outcome in run(chat, cases, at_once):
        outcomes.append(outcome)
        mark = "right" if not outcome.mistake else outcome.mistake
        line = f"{len(outcomes)}/{2 * len(cases)} {outcome.id} {outcome.mode}: {mark}"
        click.echo(line[:120], err=True)
    table = summary(model, outcomes)
    click.echo(table.markdown() if markdown else table.text())
    if file:
        rows = [asdict(outcome) for outcome in outcomes]
        report = {"table": table.json(), "cases": rows}
        file.write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")


def summary(model: str, outcomes: list[Outcome]) -> Table:
    """Count over the cases of both ways."""
    table = Table(
        f"BFCL v4 simple (Python), {model}: {len(outcomes) // 2} cases, temperature 0",
        ["", "called", "valid", "right (AST)", "tokens a call"],
    )
    for mode, name in MODES.items():
        those = [outcome for outcome in outcomes if outcome.mode == mode]
        count = max(1, len(those))
        shares = [
            sum(counted) / count
            for counted in (
                [outcome.called for outcome in those],
                [outcome.valid for outcome in those],
                [not outcome.mistake for outcome in those],
            )
        ]
        tokens = sum(outcome.tokens for outcome in those) / count
        table.add(name, *(f"{share:.1%}" for share in shares), tokens)
        kinds = Counter(one.mistake.partition(":")[0] for one in those if one.mistake)
        table.notes.append(f"{name}: {dict(kinds.most_common()) or 'no mistakes'}")
    return table


if __name__ == "__main__":
    main()
