"""The 20 sample questions: right, cited, refused; a table for each model.

    uv run python -m bench.questions                      both shipped models
    uv run python -m bench.questions --model smollm2-135m --json results.json

*Right*: the answer holds one of the accepted strings, and none of the rejected ones.
*Cited*: a citation lies on the passage that the gold quote names, or on a stretch of the
right document that holds an accepted string. *Refused*: the answer is that the documents
do not have it; right for the unanswerable questions and wrong for the others.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from groundling.home import Home
from groundling.settings import load

DATA = Path(__file__).parents[1] / "data"
MODELS = ("qwen2.5-coder-1.5b", "smollm2-135m")


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
    """Read the sample questions with their gold answers."""
    text = (DATA / "questions.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["question"])


def normal(text: str) -> str:
    """Fold what does not make an answer another one; `questions.toml` states the rule."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(?<=\d),(?=\d)", "", re.sub(r"[\s*_`]", "", text))


def holds(text: str, wanted: str) -> bool:
    """Tell whether a string stands in a text, without cutting a number in two."""
    key = normal(wanted)
    before = r"(?<!\d)(?<!\d\.)" if key[0].isdigit() else ""
    after = r"(?!\d)(?!\.\d)" if key[-1].isdigit() else ""
    return re.search(before + re.escape(key) + after, normal(text)) is not None


def holds_any(text: str, strings: list[str]) -> bool:
    """Tell whether any of the strings stands in the text."""
    return any(holds(text, string) for string in strings)


def score(question: dict[str, Any], result: dict[str, Any], seconds: float) -> Outcome:
    """Judge one answer."""
    accept = question.get("accept", [])
    answer = re.sub(r" \[\d+\]", "", result["answer"])
    citations = [
        citation
        for citation in result["citations"]
        if Path(citation["source"]).name == Path(question.get("document") or "").name
    ]
    quote = normal(question.get("quote") or "")
    return Outcome(
        id=question["id"],
        language=question["language"],
        kind=question["kind"],
        right=holds_any(answer, accept) and not holds_any(answer, question.get("reject", [])),
        cited=any(
            holds_any(citation["quote"], accept) or (quote and quote in normal(citation["quote"]))
            for citation in citations
        ),
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


@click.command()
@click.option("--model", "models", multiple=True, default=MODELS, help="Repeat for several.")
@click.option("--only", multiple=True, help="Question ids.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the results here.")
def main(models: tuple[str, ...], only: tuple[str, ...], file: Path | None) -> None:
    """Ask the sample questions and print a table for each model."""
    chosen = [question for question in questions() if not only or question["id"] in only]
    results: dict[str, Any] = {}
    for model in models:
        click.echo(f"\n{model}")
        click.echo(f"{'id':<24} {'kind':<13} right cited refused seconds  answer")
        outcomes = []
        with tempfile.TemporaryDirectory() as folder:
            for outcome in run(model, chosen, Path(folder)):
                outcomes.append(outcome)
                marks = ("yes" if yes else "-" for yes in (outcome.right, outcome.cited))
                right, cited = marks
                click.echo(
                    f"{outcome.id:<24} {outcome.kind:<13} {right:<5} {cited:<5} "
                    f"{'yes' if outcome.refused else '-':<7} {outcome.seconds:7.1f}  "
                    f"{' '.join(outcome.answer.split())[:90]}"
                )
        counted = summary(outcomes)
        results[model] = {"summary": counted, "questions": [asdict(o) for o in outcomes]}
        click.echo("  ".join(f"{name} {value}" for name, value in counted.items()))
    if file:
        file.write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
