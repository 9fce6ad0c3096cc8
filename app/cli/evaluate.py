"""`groundling eval`: run a data set over a graph, look at the scores, compare, hold a line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import click

from groundling.cli.eval_compare import calibrate, compare, gate
from groundling.cli.eval_prepare import (
    data_sets,
    experiment_progress,
    home_with_models,
    judge_model_of,
    plain_home,
    target_of,
)
from groundling.cli.output import Group, Shell, pass_shell


@click.group("eval", cls=Group)
def eval_() -> None:
    """Run data sets over graphs and compare what comes of it."""


eval = eval_


@eval_.command()
@click.argument("dataset")
@click.option("-g", "--graph", metavar="NAME", help="A graph (default: rag).")
@click.option("--target", metavar="MODULE:NAME", help="A Runnable or a function, instead.")
@click.option(
    "-e",
    "--evaluators",
    multiple=True,
    metavar="NAMES",
    help="With commas between them; repeatable. `eval evaluators` lists them.",
)
@click.option("--repeat", type=click.IntRange(1), default=1, help="Runs of each example.")
@click.option("-c", "--concurrency", type=click.IntRange(1), default=1, help="Runs at once.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many examples.")
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Only of this split.")
@click.option("--as-of", metavar="VERSION", help="A version of the data set; default: newest.")
@click.option("--name", metavar="NAME", help="Of the experiment (default: DATASET-GRAPH-N).")
@click.option("--new", "fresh", is_flag=True, help="Begin anew, whatever is unfinished.")
@click.option(
    "--docs", type=click.Path(exists=True, path_type=Path), help="Documents that rag reads first."
)
@click.option("-k", "--knowledge", metavar="NAME", help="Knowledge base, for rag.")
@click.option("--judge-model", metavar="ID|FILE", help="Model of `judge` (default: the same).")
@pass_shell
def run(
    shell: Shell,
    dataset: str,
    graph: str | None,
    target: str | None,
    evaluators: tuple[str, ...],
    repeat: int,
    concurrency: int,
    limit: int | None,
    splits: tuple[str, ...],
    as_of: str | None,
    name: str | None,
    fresh: bool,
    docs: Path | None,
    knowledge: str | None,
    judge_model: str | None,
) -> None:
    """Run the examples of DATASET and score the answers.

    Stopped at any point, the same command goes on where it stopped.

    \b
    groundling eval run handbook --graph rag --docs data/handbook
    groundling eval run faq --graph ask --evaluators f1,judge --repeat 3
    groundling eval run faq --target my_app:answer -e my_checks:is_polite
    """
    from groundling.cli.eval_tables import scores_table, shown
    from groundling.evaluation.evaluators.registry import (
        USUAL,
        USUAL_OF_RAG,
        Context,
        make_evaluators,
        split_list,
    )
    from groundling.evaluation.experiment import run_experiment
    from groundling.evaluation.plan import plan
    from groundling.evaluation.shipped import dataset_of
    from groundling.evaluation.summary import as_json

    if graph and target:
        raise click.UsageError("Give --graph or --target, not both.")
    graph = None if target else graph or "rag"
    wanted = [each for text in evaluators for each in split_list(text)]
    wanted = wanted or list(USUAL_OF_RAG if graph == "rag" else USUAL)
    with data_sets(shell) as datasets, home_with_models(shell, graph, wanted, judge_model) as home:
        found = dataset_of(datasets, dataset)
        answers, base = target_of(shell, home, graph, target, docs, knowledge)
        judge = judge_model_of(shell, home, judge_model)
        made = make_evaluators(wanted, Context(home, base, judge))
        planned = plan(
            datasets,
            found.name,
            answers,
            made,
            repeat=repeat,
            concurrency=concurrency,
            name=name,
            as_of=as_of,
            splits=splits,
            limit=limit,
            fresh=fresh,
        )
        with experiment_progress(shell) as tell:
            results = asyncio.run(run_experiment(home, planned, tell))
    shell.out(as_json(results), shown(shell, scores_table(results)))
    for line in _to_say(results.experiment.name, len(results.failed)):
        shell.status(line)


@eval_.command()
@pass_shell
def evaluators(shell: Shell) -> None:
    """List the evaluators."""
    from groundling.evaluation.evaluators.registry import EVALUATORS

    listed = {name: description for name, (description, _) in EVALUATORS.items()}
    width = max(map(len, listed))
    lines = [f"{name:<{width}}  {text}" for name, text in listed.items()]
    shell.out(
        listed,
        [
            *lines,
            "",
            "Any function of (inputs, outputs, reference_outputs), as openevals and LangSmith call",
            "them, is one, too: MODULE:NAME or FILE.py:NAME. NAME=… keeps scores under that name.",
        ],
    )


@eval_.command("list")
@click.argument("dataset", required=False)
@pass_shell
def list_(shell: Shell, dataset: str | None) -> None:
    """List the experiments, those of DATASET."""
    from groundling.cli.eval_tables import experiments_table, shown
    from groundling.evaluation.experiments import ExperimentBook
    from groundling.evaluation.results import read_results
    from groundling.evaluation.summary import as_json

    with data_sets(shell) as datasets, plain_home(shell) as home:
        id = datasets.get(dataset).id if dataset else None
        names = {each.id: each.name for each in datasets.list(limit=-1)}
        found = ExperimentBook(home.traces).list(id)
        results = [read_results(home.traces, each) for each in found]
    shell.out(
        [as_json(each) for each in results],
        shown(shell, experiments_table(results, names))
        if results
        else ["There are no experiments yet."],
    )


@eval_.command()
@click.argument("experiment")
@click.option("--by", metavar="FIELD", help="Means by a field of the examples' metadata.")
@pass_shell
def show(shell: Shell, experiment: str, by: str | None) -> None:
    """Show the scores of an experiment, and where it failed.

    EXPERIMENT is a name or an id, or the word last.
    """
    from groundling.cli.eval_tables import groups_table, outcomes_lines, scores_table, shown
    from groundling.evaluation.experiments import ExperimentBook
    from groundling.evaluation.results import read_results
    from groundling.evaluation.summary import as_json, grouped

    with data_sets(shell) as datasets, plain_home(shell) as home:
        found = ExperimentBook(home.traces).get(experiment)
        results = read_results(home.traces, found)
        examples = {each.id: each for each in datasets.examples(found.dataset, as_of=found.version)}
        groups = grouped(results, examples, by) if by else {}
    data = as_json(results)
    if by:
        data["by"] = {
            group: {key: {"mean": mean, "examples": n} for key, (mean, n) in scores.items()}
            for group, scores in groups.items()
        }
    shell.out(data, shown(shell, scores_table(results)))
    if not shell.json:
        if by:
            shell.out(None, shown(shell, groups_table(groups, by)))
        shell.out(None, outcomes_lines(results, examples))


def _to_say(name: str, failed: int) -> Iterator[str]:
    if failed:
        yield f"{failed} runs failed and score 0: groundling eval show {name}"
    yield f"Compare it: groundling eval compare {name} OTHER"


for command in (compare, gate, calibrate):
    eval_.add_command(command)
