"""The sample questions: right, cited, refused; a table for each model.

    uv run python -m bench.questions                      the 20 of the core set, both models
    uv run python -m bench.questions --set all            all of them
    uv run python -m bench.questions --model smollm2-135m --json results.json

*Right*: the answer holds one of the accepted strings, and none of the rejected ones.
*Cited*: a citation lies on the passage that the gold quote names, or on a stretch of the
right document that holds an accepted string; where several quotes are needed, each is cited.
*Refused*: the answer is that the documents do not have it; right for the unanswerable
questions and wrong for the others.

The `rag` graph has no tools: at the questions of kind `tool` it shows what the model can
reckon by itself.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from groundling.evaluation.evaluators.matching import Span, cites, holds_any
from groundling.home import Home
from groundling.settings import load

DATA = Path(__file__).parents[1] / "data"
MODELS = ("qwen2.5-coder-1.5b", "smollm2-135m")
CORE = 20  # the first of the file


@dataclass(frozen=True)
class Outcome:
    """How one question went."""

    id: str
    language: str
    kind: str
    right: bool
    cited: bool
    refused: bool
    seconds: float
    answer: str

    @property
    def good(self) -> bool:
        """Refused where it should be, else right and cited."""
        return self.refused if self.kind == "unanswerable" else self.right and self.cited


def questions() -> list[dict[str, Any]]:
    """Read the sample questions with their gold answers, the core set first."""
    text = (DATA / "questions.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["question"])


def spans(question: dict[str, Any]) -> list[Span]:
    """Return what a gold answer rests on: none where no document tells it."""
    if "quotes" in question:
        return [Span(**place) for place in question["quotes"]]
    return [Span(question["document"], question["quote"])] if "quote" in question else []


def score(question: dict[str, Any], result: dict[str, Any], seconds: float) -> Outcome:
    """Judge one answer."""
    accept = question.get("accept", [])
    answer = re.sub(r" \[\d+\]", "", result["answer"])
    needed = spans(question)
    return Outcome(
        id=question["id"],
        language=question["language"],
        kind=question["kind"],
        right=holds_any(answer, accept) and not holds_any(answer, question.get("reject", [])),
        cited=bool(needed) and all(cites(result["citations"], span, accept) for span in needed),
        refused=result["verdict"] == "refused",
        seconds=round(seconds, 1),
        answer=answer,
    )


def run(
    model: str, wanted: list[dict[str, Any]], knowledge: Path, **flags: Any
) -> Iterator[Outcome]:
    """Ask a model the questions, one by one, over the handbook.

    Args:
        model: catalogue id, or the path of a GGUF file.
        wanted: which questions.
        knowledge: the home folder that holds (or gets) the knowledge base.
    """
    models = load().models_path
    with Home(knowledge, model={"name": model}, **flags) as home:
        if not home.settings.models_path.exists():
            home.settings.home.mkdir(parents=True, exist_ok=True)
            home.settings.models_path.symlink_to(models.resolve())
        home.knowledge("handbook").add([DATA / "handbook"])
        rag = home.graph("rag", knowledge="handbook")
        for question in wanted:
            begun = time.perf_counter()
            result = rag.invoke({"question": question["question"]})
            yield score(question, result, time.perf_counter() - begun)


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Count over the questions of a model."""
    answerable = [outcome for outcome in outcomes if outcome.kind != "unanswerable"]
    others = [outcome for outcome in outcomes if outcome.kind == "unanswerable"]
    return {
        "right": f"{sum(outcome.right for outcome in answerable)}/{len(answerable)}",
        "cited": f"{sum(outcome.cited for outcome in answerable)}/{len(answerable)}",
        "wrongly refused": f"{sum(outcome.refused for outcome in answerable)}/{len(answerable)}",
        "rightly refused": f"{sum(outcome.refused for outcome in others)}/{len(others)}",
        "seconds": round(sum(outcome.seconds for outcome in outcomes) / max(1, len(outcomes)), 1),
    }


def good_by_kind(outcomes: list[Outcome]) -> dict[str, str]:
    """Count the questions of each kind that went well."""
    kinds: dict[str, list[bool]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.kind, []).append(outcome.good)
    return {kind: f"{sum(good)}/{len(good)}" for kind, good in sorted(kinds.items())}


def choose(which: str, only: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return the questions of a set, `core` or `all`; or those with the given ids.

    Raises:
        click.UsageError: there is no question with one of the ids.
    """
    known = questions()
    if unknown := set(only) - {question["id"] for question in known}:
        raise click.UsageError(
            f"No question is called {', '.join(sorted(unknown))}; data/questions.toml names them."
        )
    if only:
        return [question for question in known if question["id"] in only]
    return known[:CORE] if which == "core" else known


@click.command()
@click.option("--model", "models", multiple=True, default=MODELS, help="Repeat for several.")
@click.option(
    "--set",
    "which",
    type=click.Choice(["core", "all"]),
    default="core",
    show_default=True,
    help=f"The first {CORE}, or all.",
)
@click.option("--only", multiple=True, help="Question ids, of any set.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the results here.")
def main(models: tuple[str, ...], which: str, only: tuple[str, ...], file: Path | None) -> None:
    """Ask the sample questions and print a table for each model."""
    chosen = choose(which, only)
    width = max(len(question["id"]) for question in chosen)
    results: dict[str, Any] = {}
    for model in models:
        click.echo(f"\n{model}")
        click.echo(f"{'id':<{width}} {'kind':<13} right cited refused seconds  answer")
        outcomes = []
        with tempfile.TemporaryDirectory() as folder:
            for outcome in run(model, chosen, Path(folder)):
                outcomes.append(outcome)
                marks = ("yes" if yes else "-" for yes in (outcome.right, outcome.cited))
                right, cited = marks
                click.echo(
                    f"{outcome.id:<{width}} {outcome.kind:<13} {right:<5} {cited:<5} "
                    f"{'yes' if outcome.refused else '-':<7} {outcome.seconds:7.1f}  "
                    f"{' '.join(outcome.answer.split())[:90]}"
                )
        counted, kinds = summary(outcomes), good_by_kind(outcomes)
        results[model] = {
            "summary": counted,
            "good by kind": kinds,
            "questions": [asdict(o) for o in outcomes],
        }
        click.echo("  ".join(f"{name} {value}" for name, value in counted.items()))
        click.echo("good by kind  " + "  ".join(f"{kind} {n}" for kind, n in kinds.items()))
    if file:
        file.write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
