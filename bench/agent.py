"""How well an agent's decisions are: `python -m bench.agent calls FOLDER`.

`calls`: functions of the Berkeley Function Calling Leaderboard (Patil et al., ICML 2025;
`FOLDER/bfcl`). Ours is the node `decide` of the graphs: one forward pass chooses a function
or none, and a grammar of its schema holds the arguments. Plain is the same model's chat
template with `bind_tools`, free to call or not. *Right* is the leaderboard's comparison of
calls; *irrelevant* asks questions that no function fits, of which none should be called.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import StructuredTool

from bench.engines.calls import conforms, mistake, schema, tool
from bench.engines.figures import Table
from bench.engines.irrelevant import IRRELEVANT
from groundling.errors import GroundlingError
from groundling.models.chat import ChatLlama

SIMPLE, PARALLEL = "BFCL_v4_simple_python.json", "BFCL_v4_parallel.json"
Truth = dict[str, dict[str, list[Any]]]


@dataclass(frozen=True)
class Case:
    """A question, the functions there are, and the calls that are right; none: irrelevant."""

    id: str
    group: str
    question: str
    functions: list[dict[str, Any]]
    truth: list[Truth]


@dataclass(frozen=True)
class Outcome:
    """How one way has gone with a case; `mistake` is empty where it was right."""

    id: str
    group: str
    way: str
    valid: bool
    mistake: str
    seconds: float
    calls: list[dict[str, Any]]


def read(folder: Path, group: str, number: int, seed: int) -> list[Case]:
    """Draw so many cases of a file."""
    file = {"simple": SIMPLE, "parallel": PARALLEL}[group]
    rows = lines(folder / file)
    truths = {row["id"]: row["ground_truth"] for row in lines(folder / "possible_answer" / file)}
    drawn = random.Random(f"{group} {seed}").sample(rows, min(number, len(rows)))
    return [
        Case(
            row["id"], group, row["question"][0][-1]["content"], row["function"], truths[row["id"]]
        )
        for row in drawn
    ]


def irrelevant(folder: Path, seed: int) -> list[Case]:
    """Put each question that fits no function before three functions of the dataset."""
    rows = lines(folder / SIMPLE)
    draw = random.Random(seed)
    return [
        Case(
            f"irrelevant_{n}",
            "irrelevant",
            question,
            [row["function"][0] for row in draw.sample(rows, 3)],
            [],
        )
        for n, question in enumerate(IRRELEVANT)
    ]


def lines(file: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines.

    Raises:
        click.UsageError: it is not there.
    """
    if not file.is_file():
        raise click.UsageError(f"{file} is not there: give the folder that holds bfcl.")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


async def ours(model: ChatLlama, case: Case) -> list[dict[str, Any]]:
    """Decide as the graphs do."""
    from groundling.graphs.nodes.deciding import decide
    from groundling.graphs.resources import Resources
    from groundling.settings import Settings

    tools = [
        StructuredTool(
            name=function["name"].replace(".", "_"),
            description=function["description"],
            args_schema=schema(function["parameters"]),
            func=dict,
        )
        for function in case.functions
    ]
    resources = Resources(Settings(), model=model, tools=tools)
    state = {"question": case.question, "messages": [HumanMessage(case.question)]}
    found = await decide(state, resources)
    return [{"name": call["name"], "args": call["args"]} for call in found["calls"]]


async def plain(model: ChatLlama, case: Case) -> list[dict[str, Any]]:
    """Let the model's chat template and grammar do it, as `create_agent` would."""
    bound = model.bind_tools([tool(function) for function in case.functions])
    reply = await bound.ainvoke([("user", case.question)])
    assert isinstance(reply, AIMessage)
    broken = [{"name": "", "args": {}} for _ in reply.invalid_tool_calls]
    return [*({"name": call["name"], "args": call["args"]} for call in reply.tool_calls), *broken]


WAYS: dict[str, Callable[[ChatLlama, Case], Awaitable[list[dict[str, Any]]]]] = {
    "decide": ours,
    "bind_tools": plain,
}


def judged(case: Case, calls: Sequence[dict[str, Any]]) -> str:
    """Say what is wrong with the calls; parallel ones may come in any order."""
    if len(calls) != len(case.truth):
        return f"count: {len(calls)} calls, not {len(case.truth)}"
    functions = {function["name"]: function for function in case.functions}
    left = list(case.truth)
    for call in calls:
        wrong = ""
        for truth in left:
            [(name, arguments)] = truth.items()
            if not (wrong := mistake(functions[name], [call], arguments)):
                left.remove(truth)
                break
        if wrong:
            return wrong
    return ""


def is_valid(case: Case, calls: Sequence[dict[str, Any]]) -> bool:
    """Do all calls conform to the schema of one of the functions?"""
    return all(any(conforms(function, call) for function in case.functions) for call in calls)


async def ask(model: ChatLlama, case: Case, way: str) -> Outcome:
    """Put one case to one way."""
    begun = time.perf_counter()
    calls: list[dict[str, Any]] = []
    try:
        calls = await WAYS[way](model, case)
        wrong = judged(case, calls)
    except GroundlingError as error:
        wrong = f"error: {error}"
    seconds = time.perf_counter() - begun
    return Outcome(case.id, case.group, way, is_valid(case, calls), wrong, seconds, calls)


async def gather(
    model: ChatLlama, cases: Sequence[Case], ways: Sequence[str], at_once: int, minutes: float,
    found: list[Outcome], keep: Callable[[], None],
) -> None:  # fmt: skip
    """Put the cases to all ways, so many at once; none is begun after so many minutes.

    What is known stands in `found` and is kept after each case, so that a run which is
    stopped has its table, too; only cases that all ways have done are in it.
    """
    free, until = asyncio.Semaphore(at_once), time.monotonic() + 60 * minutes

    async def one(case: Case) -> None:
        async with free:
            if time.monotonic() > until:
                return
            outcomes = [await ask(model, case, way) for way in ways]
            for each in outcomes:
                click.echo(f"{each.id} {each.way}: {each.mistake or 'right'}"[:120], err=True)
            found.extend(outcomes)
            keep()

    await asyncio.gather(*map(one, cases))


def wilson(right: int, count: int) -> str:
    """Write the 95 % interval of a share (Wilson 1927)."""
    if not count:
        return "–"
    z, share = 1.96, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * ((share * (1 - share) + z * z / (4 * count)) / count) ** 0.5 / (1 + z * z / count)
    return f"{middle - half:.0%}–{middle + half:.0%}"


@click.group(help=(__doc__ or "").splitlines()[0])
def main() -> None:
    """Take a benchmark's name."""


@main.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--simple", default=100, show_default=True)
@click.option("--parallel", default=60, show_default=True)
@click.option("--seed", default=0, show_default=True, help="0 is reported; tune on others.")
@click.option("--model", "name", default="qwen2.5-coder-1.5b", show_default=True)
@click.option("--at-once", default=8, show_default=True)
@click.option("--minutes", default=5.5, show_default=True, help="Begin no case after these.")
@click.option("--way", "ways", multiple=True, type=click.Choice([*WAYS]))
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every case here.")
def calls(
    folder: Path, simple: int, parallel: int, seed: int, name: str, at_once: int,
    minutes: float, ways: tuple[str, ...], file: Path | None,
) -> None:  # fmt: skip
    """Compare calls with BFCL's."""
    data = folder / "bfcl"
    cases = [
        *read(data, "simple", simple, seed),
        *read(data, "parallel", parallel, seed),
        *irrelevant(data, seed),
    ]
    random.Random(seed).shuffle(cases)  # whatever is done in time is a fair sample
    model = ChatLlama(model=name, max_tokens=400, temperature=0.0)
    outcomes: list[Outcome] = []

    def keep() -> None:
        if file:
            table = tabled(outcomes, list(ways or WAYS), name, seed, at_once)
            report = {"table": table.json(), "cases": [asdict(one) for one in outcomes]}
            file.write_text(json.dumps(report, ensure_ascii=False, indent=2), "utf-8")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        asyncio.run(gather(model, cases, list(ways or WAYS), at_once, minutes, outcomes, keep))
    except KeyboardInterrupt:
        click.echo("Stopped; the table holds what was done.", err=True)
    click.echo(tabled(outcomes, list(ways or WAYS), name, seed, at_once).text())


def tabled(
    outcomes: Sequence[Outcome], ways: Sequence[str], name: str, seed: int, at_once: int
) -> Table:
    """Sum up by group and way."""
    table = Table(
        f"BFCL v4, {Path(name).stem}, seed {seed}, temperature 0",
        ["", "cases", "right", "95 % interval", "valid", "seconds each"],
    )
    for group in ("simple", "parallel", "irrelevant"):
        for way in ways:
            those = [one for one in outcomes if (one.group, one.way) == (group, way)]
            right, count = sum(not one.mistake for one in those), len(those)
            if not count:
                continue
            valid = sum(one.valid for one in those)
            table.add(
                f"{group}, {way}", count, f"{right / count:.1%}", wilson(right, count),
                f"{valid / count:.1%}", sum(one.seconds for one in those) / count / at_once,
            )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
