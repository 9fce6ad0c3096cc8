"""What tuning brings and costs: facts learnt, skills kept, habits lost, speed, memory.

    uv run python -m bench.tuning --model smollm2-135m --json tuning.json
    uv run python -m bench.tuning --parts facts,habit --facts 10 --steps 20
    uv run python -m bench.tuning --parts pubmedqa --pubmedqa FOLDER

Needs the extra `tune`. Everything is asked of llama.cpp through the exported adapter. Parts:

- `facts`: fifty invented facts, four phrasings learnt, a fifth asked; then the regression
  suite, base against adapter: what was forgotten. With export and peak memory.
- `habit`: answers are first taught to begin with “Sure!” (SFT), then DPO is to take it away.
- `pubmedqa`: yes, no or maybe, with and without what a knowledge base of all abstracts has,
  tuned and not; FOLDER holds `pqal_train_500.json` (https://pubmedqa.github.io). Every tenth
  question is asked.
- `speed`: tokens a second of a training, ours and plain transformers' with peft, by turns.
- `switch`: seconds to the first token when every call takes another adapter.

Intervals are 95 %: Wilson's for shares, the bootstrap's for differences within pairs.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from bench.memory import wilson
from bench.tuning_facts import HABIT, facts, habits
from bench.tuning_pubmedqa import OPTIONS, Abstracts, as_example, macro_f1, questions
from groundling import settings as settings_module
from groundling.evaluation.paired import paired
from groundling.models.chat import ChatLlama
from groundling.models.configured import embedding_model
from groundling.models.files.store import ModelStore
from groundling.settings import Settings
from groundling.tuning.dataset import DataShelf, TrainingData
from groundling.tuning.example import Example
from groundling.tuning.export import export_adapter
from groundling.tuning.gate import LEARNT, gate, messages_of
from groundling.tuning.learn import learn
from groundling.tuning.recipe import Recipe, read_recipe
from groundling.tuning.regression import SKILLS, suite
from groundling.tuning.selection import Selection
from groundling.tuning.supervisor import TrainingRun

PARTS = ("facts", "habit", "pubmedqa", "speed", "switch")
_SWITCHES = 20
_LEAST = 1e-30  # of a probability


@dataclass(frozen=True)
class Bench:
    """What all parts share.

    Args:
        base: the model's file.
        own: settings of the person who runs it; models are there.
        settings: of the bench's own home folder.
        flags: values of the recipe that win over the preset's.
        suite: questions of each skill of the regression suite; None: all.
    """

    base: Path
    own: Settings
    settings: Settings
    flags: Mapping[str, Any]
    suite: int | None

    def recipe(self, **flags: Any) -> Recipe:
        """Return the preset `laptop` with flags; those of the command line win."""
        return read_recipe("laptop", {"patience": 0, **flags, **self.flags})

    def data(self, name: str, train: Sequence[Example], held: Sequence[Example]) -> TrainingData:
        """Store examples as they are."""
        shelf = DataShelf(self.settings.tuning_path / "data")
        return shelf.store(name, Selection(list(train), list(held)))

    def model(self) -> ChatLlama:
        """Return the bare base."""
        return ChatLlama(model=str(self.base), context=2560, temperature=0.0)

    def learn(self, name: str, data: TrainingData, recipe: Recipe, **more: Any) -> Costs:
        """Train an adapter, and say what that cost."""
        before = _cpu()
        began = time.perf_counter()
        made = learn(self.settings, self.base, name, data, recipe, **more)
        wall, ended = time.perf_counter() - began, made.ended
        found = {
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(_cpu() - before, 1),
            "peak_bytes": ended.get("memory"),
            "steps": ended.get("step"),
            "tokens": ended.get("tokens"),
            "trained": ended.get("trained"),
        }
        if made.adapter is None:
            raise click.ClickException("Adapters are measured here: leave weights=full out.")
        return Costs(made.adapter.file, found)


@dataclass(frozen=True)
class Costs:
    """An adapter's file and what it took."""

    adapter: Path
    figures: dict[str, Any]

    @property
    def file(self) -> str:
        """The file, as a call names it."""
        return str(self.adapter)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def learnt(bench: Bench, languages: Sequence[str], count: int) -> dict[str, Any]:
    """Teach invented facts; ask each in a way that was not learnt, and the regression suite."""
    parts = [facts(language, count) for language in languages]  # type: ignore[arg-type]
    train = [each for some, _ in parts for each in some]
    held = [each for _, some in parts for each in some]
    costs = bench.learn(
        "facts", bench.data("facts", train, held), bench.recipe(method="sft", steps=100)
    )
    cases = [
        case
        for skill in SKILLS
        for case in [one for one in suite() if one.skill == skill][: bench.suite]
    ]  # fmt: skip
    began = time.perf_counter()
    verdict = gate(bench.model(), costs.file, held, cases=cases)
    again = time.perf_counter()
    result = bench.settings.tuning_path / "runs" / "facts" / "result"
    export_adapter(result, bench.base, bench.settings.home / "again.gguf")
    return {
        "facts": count,
        "languages": list(languages),
        "training": costs.figures,
        "gate_seconds": round(again - began, 1),
        "export_seconds": round(time.perf_counter() - again, 3),
        "adapter_bytes": costs.adapter.stat().st_size,
        "promoted": verdict.passed,
        "learnt": _pair(verdict.comparisons[0].paired),
        "forgetting": {
            each.skill: _pair(each.paired) for each in verdict.comparisons if each.skill != LEARNT
        },
    }


def _pair(found: Any) -> dict[str, Any]:
    told = asdict(found)
    names = ("examples", "mean_a", "mean_b", "difference", "low", "high")
    return {name: round(told[name], 4) for name in names}


def habit(bench: Bench) -> dict[str, Any]:
    """Teach a habit, then take it away: how often it shows, and which answer is preferred."""
    train, held = habits()
    taught = [_with_habit(each) for each in train]
    first = bench.learn(
        "habit", bench.data("habit", taught, []), bench.recipe(method="sft", steps=40)
    )
    pairs = bench.data("pairs", train, held)
    # The rate is a tenth of what SFT takes: more and the model forgets how to write.
    then = bench.learn(
        "cured", pairs, bench.recipe(method="dpo", steps=30, batch=2, learning_rate=1e-4),
        parent="habit",
    )  # fmt: skip
    model = bench.model()
    sides = {"base": [], "taught": [first.file], "cured": [then.file]}
    margins = {name: _margins(model, adapters, held) for name, adapters in sides.items()}
    # DPO's own reward: how far the better answer gained on the worse one since the reference.
    gained = sum(
        now > before for now, before in zip(margins["cured"], margins["taught"], strict=True)
    )
    return {
        "training": {"sft": first.figures, "dpo": then.figures},
        "examples": len(held),
        **{
            name: {**_shows(model, adapters, held), "preferred": sum(x > 0 for x in margins[name])}
            for name, adapters in sides.items()
        },
        "rewarded": gained,
        "rewarded_interval": wilson(gained, len(held)),
    }


def _with_habit(example: Example) -> Example:
    return Example(example.prompt, example.rejected or "", source="habit", group=example.group)


def _shows(model: ChatLlama, adapters: list[str], held: Sequence[Example]) -> dict[str, Any]:
    """Count the answers that begin with the habit."""
    said = [model.invoke(messages_of(each), adapters=adapters, max_tokens=24).text for each in held]
    shows = sum(text.lstrip().startswith(HABIT.strip()) for text in said)
    return {"habit": shows, "habit_interval": wilson(shows, len(held))}


def _margins(model: ChatLlama, adapters: list[str], held: Sequence[Example]) -> list[float]:
    """Return the log-odds of each better answer against the worse one."""
    found: list[float] = []
    for each in held:
        answers = [each.answer, str(each.rejected)]
        weights = model.choose(messages_of(each), answers, adapters=adapters)
        found.append(math.log(max(weights[answers[0]], _LEAST) / max(weights[answers[1]], _LEAST)))
    return found


def pubmedqa(bench: Bench, folder: Path, learns: int, asks: int) -> dict[str, Any]:
    """Ask biomedical questions: base, with passages found, tuned, tuned with passages found."""
    train, dev = questions(folder)
    abstracts = Abstracts(
        bench.settings.home / "pubmedqa", [*train, *dev], embedding_model(bench.own)
    )
    shown = [
        as_example(one, passages)
        for one in train[:learns]
        for passages in ("", abstracts.found(one)[0])
    ]
    costs = bench.learn(
        "pubmedqa", bench.data("pubmedqa", shown, []), bench.recipe(method="sft", steps=100)
    )
    model = bench.model()
    found = [abstracts.found(one) for one in dev[:asks]]
    ways: dict[str, tuple[list[str], bool]] = {
        "base": ([], False), "rag": ([], True),
        "tuned": ([costs.file], False), "tuned + rag": ([costs.file], True),
    }  # fmt: skip
    scores: dict[str, list[float]] = {}
    rows: dict[str, Any] = {}
    for way, (adapters, reads) in ways.items():
        said: list[str] = []
        for one, (passages, _) in zip(dev, found, strict=False):
            asked = messages_of(as_example(one, passages if reads else ""))
            weights = model.choose(asked, list(OPTIONS), adapters=adapters)
            said.append(max(weights, key=lambda option: weights[option]))
        wanted = [one["final_decision"] for one in dev[:asks]]
        scores[way] = [float(a == b) for a, b in zip(said, wanted, strict=True)]
        right = int(sum(scores[way]))
        rows[way] = {
            "right": right, "share": round(right / len(said), 3),
            "interval": wilson(right, len(said)), "macro_f1": round(macro_f1(wanted, said), 3),
            "said": {option: said.count(option) for option in OPTIONS},
        }  # fmt: skip
    return {
        "asked": len(scores["base"]),
        "learnt": len(shown),
        "own_abstract_found": sum(own for _, own in found),
        "training": costs.figures,
        **rows,
        "tuned - base": _pair(paired(scores["base"], scores["tuned"])),
        "tuned + rag - rag": _pair(paired(scores["rag"], scores["tuned + rag"])),
    }


def speed(bench: Bench, steps: int) -> dict[str, Any]:
    """Train with our trainer and with the plain one, by turns, in one process."""
    train, _ = facts("en")
    recipe = bench.recipe(method="sft", steps=steps)
    run = TrainingRun.prepare(bench.settings.tuning_path / "speed", bench.base, recipe, train)
    done = subprocess.run(
        [sys.executable, "-m", "bench.tuning_plain", str(run.folder / "job.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise click.ClickException(done.stderr.strip().splitlines()[-1])
    told = json.loads(done.stdout.splitlines()[-1])
    rates = {name: told["tokens"][name] / told["seconds"][name] for name in told["seconds"]}
    return {
        "batch": recipe.batch,
        "tokens_a_second": {name: round(rate, 1) for name, rate in rates.items()},
        "ratio": round(rates["ours"] / rates["plain"], 2),
    }


def switch(bench: Bench) -> dict[str, Any]:
    """Ask one thing again and again: as it is, and with adapter and base by turns."""
    shelf = bench.settings.adapters_path
    files = sorted(shelf.glob("*/adapter.gguf"))
    if not files:
        raise click.ClickException("switch needs an adapter: choose facts or habit with it.")
    model = bench.model()
    turns: dict[str, list[list[str]]] = {"same": [[]], "switched": [[], [str(files[0])]]}

    def ask(adapters: list[str]) -> float:
        began = time.perf_counter()
        model.invoke("Say hello.", adapters=adapters, max_tokens=1)
        return time.perf_counter() - began

    ask([])
    first = ask([str(files[0])])
    found = {
        name: sorted(ask(kinds[turn % len(kinds)]) for turn in range(_SWITCHES))
        for name, kinds in turns.items()
    }
    medians = {name: round(times[len(times) // 2], 4) for name, times in found.items()}
    return {
        "first_use_seconds": round(first, 4),
        "first_token_seconds": medians,
        "ratio": round(medians["switched"] / medians["same"], 2),
    }


@click.command()
@click.option("--model", "name", default="smollm2-135m", show_default=True, metavar="ID|FILE")
@click.option("--parts", default="facts,habit,speed,switch", show_default=True, metavar="LIST")
@click.option("--facts", "count", type=click.IntRange(5, 50), default=50, show_default=True)
@click.option("--languages", default="en", show_default=True, help="of en and ko, with commas")
@click.option("--steps", type=click.IntRange(1), help="updates of every training")
@click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="of the recipe")
@click.option("--suite", "few", type=click.IntRange(1), help="questions of each skill")
@click.option("--pubmedqa", "folder", type=click.Path(exists=True, path_type=Path))
@click.option("--learns", default=450, show_default=True, help="PubMedQA's questions to learn")
@click.option("--asks", default=50, show_default=True, help="PubMedQA's questions to ask")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="keep it there")
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures there")
def main(
    name: str, parts: str, count: int, languages: str, steps: int | None, flags: tuple[str, ...],
    few: int | None, folder: Path | None, learns: int, asks: int, home: Path | None,
    file: Path | None,
) -> None:  # fmt: skip
    """Measure the parts, one after another; each is told as soon as it is there."""
    chosen = [part for part in parts.split(",") if part]
    if wrong := set(chosen) - set(PARTS):
        raise click.BadParameter(f"{', '.join(sorted(wrong))}: parts are {', '.join(PARTS)}")
    if "pubmedqa" in chosen and folder is None:
        raise click.BadParameter("pubmedqa wants --pubmedqa FOLDER")
    own = settings_module.load()
    base = ModelStore(own.models_path, own.download).resolve(name).path
    values = dict(flag.split("=", 1) for flag in flags) | ({"steps": str(steps)} if steps else {})
    with tempfile.TemporaryDirectory() as scratch:
        settings = settings_module.load({"home": home or Path(scratch)})
        bench = Bench(base, own, settings, {key: _value(text) for key, text in values.items()}, few)
        run: dict[str, Callable[[], dict[str, Any]]] = {
            "facts": lambda: learnt(bench, languages.split(","), count),
            "habit": lambda: habit(bench),
            "pubmedqa": lambda: pubmedqa(bench, folder or Path(), learns, asks),
            "speed": lambda: speed(bench, steps or 10),
            "switch": lambda: switch(bench),
        }
        found: dict[str, Any] = {"model": name}
        for part in PARTS:
            if part in chosen:
                found[part] = run[part]()
                click.echo(json.dumps({part: found[part]}, ensure_ascii=False, indent=1))
                if file is not None:
                    file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")


def _value(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if math.isfinite(number) and number.is_integer() else number


if __name__ == "__main__":
    main()
