"""School mathematics (GSM8K): the model alone, and the model with a calculator.

    uv run python -m bench.gsm8k DATA --sample 200 --seed 0 --minutes 5 --json results.json

DATA is the folder with GSM8K's `test.jsonl`. Both ways have the same prompt, solved problems
as earlier turns, at temperature 0. *Alone*, the model writes its steps and the final number.
*With a calculator*, it stops at every `=`: what it wrote in front of it is computed exactly,
the value is put there, and it goes on behind it; what is no arithmetic it finishes itself.
What stands is kept in the engine's cache, so a stop costs next to nothing.

Right is the number behind the last `####`, equal to the set's. Intervals are 95 %: Wilson's
for the shares, the bootstrap's for the difference, in which each problem is its own control.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from bench.memory import wilson
from groundling.evaluation.paired import paired
from groundling.facts.exact import ArithmeticFault
from groundling.facts.expressions import evaluate, shown
from groundling.models.calling import prepare
from groundling.models.chat import ChatLlama

LONGEST = 256  # tokens of a solution
MOST_STOPS = 16
WAYS = ("alone", "calculator")
SYSTEM = (
    "You solve the problem in short steps, one a line, each with one calculation written as "
    "numbers and signs, such as 3 * 4 = 12. The last line is #### and the number asked for."
)
# The author's own; none is GSM8K's.
SHOTS = (
    (
        "A baker fills 6 trays with 15 rolls each. He sells 52 rolls in the morning and half of "
        "the rest in the afternoon. How many rolls are left?",
        "Rolls baked: 6 * 15 = 90\nLeft after the morning: 90 - 52 = 38\n"
        "Sold in the afternoon: 38 / 2 = 19\nLeft: 38 - 19 = 19\n#### 19",
    ),
    (
        "Tickets cost $12, and children pay 25% less. What do 2 adults and 3 children pay?",
        "A child pays: 12 * (1 - 25 / 100) = 9\nThe adults pay: 2 * 12 = 24\n"
        "The children pay: 3 * 9 = 27\nTogether: 24 + 27 = 51\n#### 51",
    ),
    (
        "Rosa is three times as old as Ben was 4 years ago. Ben is 13. How old will Rosa be in "
        "5 years?",
        "Ben 4 years ago: 13 - 4 = 9\nRosa now: 3 * 9 = 27\nRosa in 5 years: 27 + 5 = 32\n#### 32",
    ),
    (
        "A pump moves 40 litres a minute. It runs for 1.5 hours and 10% leaks away. How many "
        "litres arrive?",
        "Minutes: 1.5 * 60 = 90\nLitres pumped: 40 * 90 = 3600\nLost: 3600 * 10 / 100 = 360\n"
        "Arrive: 3600 - 360 = 3240\n#### 3240",
    ),
)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
EXPRESSION = re.compile(r"[\d$.,()+\-*/×÷%^ ]+$")
SIGN = re.compile(r"[+*/×÷%^]|(?<=[\d)])\s*-")


@dataclass(frozen=True)
class Case:
    """How one problem went in one way; `computed` counts the values put in."""

    problem: int
    way: str
    right: bool
    wanted: str
    got: str | None
    seconds: float
    computed: int
    solution: str


def problems(folder: Path, sample: int, seed: int) -> list[tuple[int, str, str]]:
    """Read a sample: number in the file, question, final number."""
    file = folder / "test.jsonl"
    if not file.is_file():
        raise click.ClickException(f"{file} is not there; DATA is the folder of GSM8K.")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    read = [(n, one["question"], one["answer"].rpartition("####")[2]) for n, one in enumerate(rows)]
    return random.Random(seed).sample(read, min(sample, len(read)))


def asked(question: str) -> list[BaseMessage]:
    """Return the prompt, which both ways share."""
    shots = [each(text) for shot in SHOTS for each, text in zip(_TURNS, shot, strict=True)]
    return [SystemMessage(SYSTEM), *shots, HumanMessage(question)]


_TURNS = (HumanMessage, AIMessage)


def final(solution: str) -> Decimal | None:
    """Return the number that a solution ends with: behind its last ####, else its last one."""
    marked = solution.rpartition("####")
    found = NUMBER.findall(marked[2]) if marked[1] else []
    last = found[-1 if "=" in marked[2] else 0] if found else (NUMBER.findall(solution) or [""])[-1]
    try:
        return Decimal(last.replace(",", ""))
    except InvalidOperation:
        return None


def computed(written: str) -> str | None:
    """Compute what stands at the end of a text; None where that is no calculation."""
    match = EXPRESSION.search(written.rpartition("\n")[2].rpartition("=")[2])
    text = match.group().replace("$", "").strip(" ,.") if match else ""
    if not SIGN.search(text):
        return None
    try:
        return shown(evaluate(text))
    except ArithmeticFault:
        return None


async def write(model: ChatLlama, question: str, so_far: str, stop: Sequence[str]) -> str:
    """Let the model go on behind what stands of its solution."""
    call = prepare(model, asked(question), stop, {})
    more = call.engine.vocabulary.tokenize(so_far) if so_far else []
    request = replace(call.request, tokens=[*call.request.tokens, *more])
    return "".join([chunk.text async for chunk in call.engine.agenerate(request, None)])


async def calculate(model: ChatLlama, question: str) -> tuple[str, int]:
    """Write a solution whose calculations are computed; returns it and how many were."""
    text, count = "", 0
    for _ in range(MOST_STOPS):
        text += await write(model, question, text, ["="])
        last = text.rpartition("\n")[2]
        value = computed(text)
        if "####" in last or not text.strip():
            return (f"{text.rstrip()} = {value}", count + 1) if value else (text, count)
        if value is None:  # the model's own: a text with "=", or one that ended without ####
            text = text.rstrip() + " ="
            rest = await write(model, question, text, ["\n"])
            text += rest.rstrip() + "\n"
            if not rest.strip():
                break
            continue
        text = f"{text.rstrip()} = {value}\n"
        count += 1
    return text, count


async def solve(model: ChatLlama, problem: tuple[int, str, str], way: str) -> Case:
    """Put one problem in one way."""
    number, question, gold = problem
    begun, count = time.perf_counter(), 0
    if way == "alone":
        text = await write(model, question, "", [])
    else:
        text, count = await calculate(model, question)
    got, wanted = final(text), Decimal(gold.strip().replace(",", ""))
    said = None if got is None else f"{got:f}"
    seconds = time.perf_counter() - begun
    return Case(number, way, got == wanted, f"{wanted:f}", said, seconds, count, text)


async def gather(
    model: ChatLlama,
    listed: Sequence[tuple[int, str, str]],
    at_once: int,
    minutes: float,
    keep: Path | None,
) -> tuple[list[Case], float]:
    """Put the problems to both ways, so many at once; none is begun after so many minutes.

    Returns:
        The cases, and the seconds of machine time that one problem took in one way.
    """
    free, begun = asyncio.Semaphore(at_once), time.monotonic()
    done: list[Case] = []

    async def one(problem: tuple[int, str, str]) -> None:
        async with free:
            if time.monotonic() > begun + 60 * minutes:
                return
            pair = [await solve(model, problem, way) for way in WAYS]
            done.extend(pair)
            said = ", ".join(f"{each.way} {each.got}" for each in pair)
            click.echo(f"{problem[0]:5} ({pair[0].wanted}) {said}", err=True)
            if keep is not None:
                save(keep, done)

    await asyncio.gather(*map(one, listed))
    return done, (time.monotonic() - begun) / max(1, len(done))


def save(file: Path, cases: Sequence[Case], found: dict[str, object] | None = None) -> None:
    """Write what there is so far."""
    text = {**(found or {}), "cases": [asdict(one) for one in cases]}
    file.write_text(json.dumps(text, indent=1, ensure_ascii=False), encoding="utf-8")


def figures(cases: Sequence[Case], each: float, seed: int) -> dict[str, object]:
    """Return the shares with their intervals, and the paired difference."""
    scores = {way: [float(one.right) for one in cases if one.way == way] for way in WAYS}
    waits = {way: sum(one.seconds for one in cases if one.way == way) for way in WAYS}
    against = paired(scores["alone"], scores["calculator"])
    shares = {
        way: {
            "right": int(sum(found)),
            "share": round(sum(found) / len(found), 3),
            "interval": wilson(int(sum(found)), len(found)),
            "seconds": round(2 * each * waits[way] / sum(waits.values()), 2),
        }
        for way, found in scores.items()
    }
    return {"n": against.examples, "seed": seed, **shares, "difference": asdict(against)}


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--sample", default=200, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--model", "name", default="qwen2.5-coder-1.5b", show_default=True)
@click.option("--at-once", default=8, show_default=True)
@click.option("--minutes", default=60.0, show_default=True, help="Begin no problem after these.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every case there.")
def main(
    folder: Path, sample: int, seed: int, name: str, at_once: int, minutes: float, file: Path | None
) -> None:
    """Compare the model alone with the model and a calculator."""
    listed = problems(folder, sample, seed)
    model = ChatLlama(
        model=name, temperature=0.0, max_tokens=LONGEST, context=2048, parallel=at_once,
        cache_tokens=2048 * at_once,
    )  # fmt: skip
    cases, each = asyncio.run(gather(model, listed, at_once, minutes, file))
    if not cases:
        raise click.ClickException("No problem was done in time.")
    found = figures(cases, each, seed)
    click.echo(f"GSM8K, {Path(name).stem}, n={found['n']}, seed {seed}, temperature 0")
    for way in WAYS:
        row = found[way]
        assert isinstance(row, dict)
        low, high = row["interval"]
        click.echo(
            f"  {way:12}{row['share']:7.1%}  [{low:.1%}, {high:.1%}]  {row['seconds']} s a problem"
        )
    told = found["difference"]
    assert isinstance(told, dict)
    click.echo(
        f"  difference  {told['difference']:+7.1%}  [{told['low']:+.1%}, {told['high']:+.1%}]  "
        f"only the calculator right {told['higher']}, only alone {told['lower']}, "
        f"p={told['p_sign']:.3f}"
    )
    if file is not None:
        save(file, cases, found)


if __name__ == "__main__":
    main()
