"""Arithmetic claims: how many are judged rightly, and how fast. No model is needed.

    uv run python -m bench.facts DATA [--json FILE]

DATA is a folder with `factool/math.jsonl` (labelled calculations of a chat model) and
`gsm8k/test.jsonl` (worked steps in `<<…>>`, all of which are right). Each GSM8K step is also
judged with a wrong result, to see whether errors are found.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from groundling.evaluation.paired import bootstrap
from groundling.facts.equations import judge_equation

STEP = re.compile(r"<<(.*?)>>")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    set: str
    claims: int
    accuracy: float
    low: float
    high: float
    errors: int
    found: int
    microseconds: float


def factool(file: Path) -> list[tuple[str, str, bool]]:
    """Read the calculations that have a label."""
    cases = []
    for line in file.read_text(encoding="utf-8").splitlines():
        for claim in json.loads(line)["claims"]:
            if isinstance(claim["label"], bool):
                said = claim["claim"]
                cases.append(
                    (said["math_calculation"], str(said["calculated_answer"]), claim["label"])
                )
    return cases


def gsm8k(file: Path, *, wrong: bool) -> list[tuple[str, str, bool]]:
    """Read the worked steps; with `wrong`, each result is off by one in its last digit."""
    cases = []
    for line in file.read_text(encoding="utf-8").splitlines():
        for step in STEP.findall(json.loads(line)["answer"]):
            calculation, _, answer = step.rpartition("=")
            if wrong:
                last = answer[-1]
                if not last.isdigit():
                    continue
                answer = answer[:-1] + str((int(last) + 1) % 10)
            cases.append((calculation, answer, not wrong))
    return cases


def measure(name: str, cases: list[tuple[str, str, bool]]) -> Row:
    """Judge all cases."""
    import numpy as np

    judge_equation("1 + 1", "2")  # imports what is imported once
    begun = time.perf_counter()
    judged = [judge_equation(calculation, answer) for calculation, answer, _ in cases]
    seconds = time.perf_counter() - begun
    right = np.array(
        [
            one is not None and one.holds == label
            for one, (_, _, label) in zip(judged, cases, strict=True)
        ],
        float,
    )
    low, high = bootstrap(right)
    wrong = [one for one, (_, _, label) in zip(judged, cases, strict=True) if not label]
    return Row(
        name,
        len(cases),
        round(float(right.mean()), 4),
        round(low, 4),
        round(high, 4),
        len(wrong),
        sum(one is not None and not one.holds for one in wrong),
        round(seconds / len(cases) * 1e6, 1),
    )


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "file", type=click.Path(path_type=Path))
def main(folder: Path, file: Path | None) -> None:
    """Measure arithmetic."""
    rows = []
    click.echo(f"{'set':28}{'claims':>8}{'accuracy':>10}  interval       errors found   µs each")
    steps = folder / "gsm8k/test.jsonl"
    for name, path, read in (
        ("FacTool math", folder / "factool/math.jsonl", factool),
        ("GSM8K steps", steps, lambda path: gsm8k(path, wrong=False)),
        ("GSM8K steps made wrong", steps, lambda path: gsm8k(path, wrong=True)),
    ):
        if not path.exists():
            click.echo(f"{name}: {path} is not there; left out")
            continue
        row = measure(name, read(path))
        rows.append(row)
        click.echo(
            f"{row.set:28}{row.claims:8}{row.accuracy:10.4f}  {row.low:.3f}–{row.high:.3f}"
            f"{row.errors:10}{row.found:6}{row.microseconds:10}"
        )
    click.echo(
        "Published: SymPy judged 98.9 % of FacTool's claims and 4,281 of GSM8K's 4,282 steps."
    )
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
