"""Data sets, examples and experiments through LangSmith's real client; it is the contract."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langsmith import Client, aevaluate, evaluate, tracing_context
from langsmith.evaluation import evaluate_comparative
from langsmith.schemas import Dataset, DataType, Example, Run
from langsmith.utils import LangSmithConflictError, LangSmithError, LangSmithNotFoundError

from groundling.errors import EvaluationError
from groundling.tracing.query import RunFilter
from tests.server.conftest import Running

pytestmark = pytest.mark.filterwarnings(
    "ignore::langsmith._internal._beta_decorator.LangSmithDeprecationWarning",
    # evaluate() logs feedback of experiments without naming their project.
    "ignore:Creating feedback for a run without session_id",
    # ... and hands itself an argument that it has withdrawn.
    "ignore:The following arguments are no longer used in the create_feedback",
)


@pytest.fixture
def dataset(client: Client) -> Dataset:
    """Return a data set of three examples."""
    made = client.create_dataset("handbook", description="about leave", metadata={"team": "a"})
    client.create_examples(
        dataset_id=made.id,
        examples=[
            {
                "inputs": {"question": question},
                "reference_outputs": {"answer": answer},
                "metadata": {"language": language},
                "split": split,
            }
            for question, answer, language, split in (
                ("leave?", "25", "en", "train"),
                ("휴가?", "25", "ko", ["train", "test"]),
                ("pay?", "900", "en", "test"),
            )
        ],
    )
    return made


def questions(examples: Any) -> list[str]:
    return [each.inputs["question"] for each in examples]


def test_data_sets_are_made_read_listed_and_deleted(client: Client, dataset: Dataset) -> None:
    read = client.read_dataset(dataset_name="handbook")
    assert (read.id, read.description, read.data_type) == (dataset.id, "about leave", DataType.kv)
    assert (read.example_count, read.session_count) == (3, 0)
    assert read.metadata is not None
    assert read.metadata["team"] == "a"
    assert client.read_dataset(dataset_id=dataset.id).name == "handbook"
    assert client.has_dataset(dataset_name="handbook")
    assert not client.has_dataset(dataset_name="nothing")
    with pytest.raises(LangSmithConflictError, match="There is a data set handbook already"):
        client.create_dataset("handbook")
    schema = {"type": "object", "required": ["text"]}
    strict = client.create_dataset("strict", data_type=DataType.llm, inputs_schema=schema)
    assert client.read_dataset(dataset_id=strict.id).inputs_schema == schema
    assert [each.name for each in client.list_datasets()] == ["strict", "handbook"]
    assert [each.name for each in client.list_datasets(dataset_name_contains="HAND")] == [
        "handbook"
    ]
    assert [each.name for each in client.list_datasets(data_type="llm")] == ["strict"]
    assert [each.name for each in client.list_datasets(metadata={"team": "a"})] == ["handbook"]
    assert [each.name for each in client.list_datasets(dataset_ids=[strict.id])] == ["strict"]
    with pytest.raises(LangSmithError, match=r"text.* is a required property"):
        client.create_example({"other": 1}, dataset_id=strict.id)
    client.delete_dataset(dataset_name="handbook")
    with pytest.raises(LangSmithNotFoundError):
        client.read_dataset(dataset_id=dataset.id)


def test_examples_are_listed_by_what_is_asked(client: Client, dataset: Dataset) -> None:
    examples = list(client.list_examples(dataset_name="handbook"))
    assert questions(examples) == ["leave?", "휴가?", "pay?"]
    assert examples[1].outputs == {"answer": "25"}
    assert examples[1].metadata == {"language": "ko", "dataset_split": ["test", "train"]}
    assert examples[1].dataset_id == dataset.id

    def found(**arguments: Any) -> list[str]:
        return questions(client.list_examples(dataset_id=dataset.id, **arguments))

    assert found(splits=["test"]) == ["휴가?", "pay?"]
    assert found(metadata={"language": "en"}) == ["leave?", "pay?"]
    assert found(limit=2) == ["leave?", "휴가?"]
    assert found(offset=1) == ["휴가?", "pay?"]
    assert found(example_ids=[examples[2].id]) == ["pay?"]
    assert found(filter='has(metadata, \'{"language": "ko"}\')') == ["휴가?"]
    assert found(filter='not(exists(metadata, "language"))') == []
    with pytest.raises(LangSmithError, match="makes no sense for examples"):
        found(filter='eq(latency, "1")')
    by_id = client.list_examples(example_ids=[examples[0].id, uuid.uuid4()])
    assert questions(by_id) == ["leave?"]
    (bare,) = client.list_examples(
        dataset_id=dataset.id, limit=1, select=["outputs"], exclude_default_fields=True
    )
    assert (bare.id, bare.inputs, bare.outputs) == (examples[0].id, None, {"answer": "25"})


def test_many_examples_come_page_by_page(client: Client) -> None:
    made = client.create_dataset("many")
    client.create_examples(dataset_id=made.id, inputs=[{"question": f"{n}"} for n in range(250)])
    assert questions(client.list_examples(dataset_id=made.id)) == [f"{n}" for n in range(250)]
    assert client.read_dataset(dataset_id=made.id).example_count == 250


def test_examples_are_changed_and_removed_and_earlier_versions_stay(
    client: Client, dataset: Dataset
) -> None:
    first, second, third = client.list_examples(dataset_id=dataset.id)
    before = client.read_dataset_version(dataset_id=dataset.id, tag="latest")
    client.update_example(first.id, outputs={"answer": "26"}, split="test")
    client.update_examples(
        dataset_id=dataset.id,
        updates=[
            {"id": second.id, "inputs": {"question": "휴가 일수?"}},
            {"id": third.id, "metadata": {"language": "fr"}},
        ],
    )
    changed = client.read_example(first.id)
    assert changed.outputs == {"answer": "26"}
    assert changed.inputs == {"question": "leave?"}
    assert changed.metadata == {"language": "en", "dataset_split": ["test"]}
    assert client.read_example(third.id).metadata == {"language": "fr", "dataset_split": ["test"]}
    client.delete_example(first.id)
    client.delete_examples([second.id])
    assert questions(client.list_examples(dataset_id=dataset.id)) == ["pay?"]
    old = list(client.list_examples(dataset_id=dataset.id, as_of=before.as_of))
    assert questions(old) == ["leave?", "휴가?", "pay?"]
    assert client.read_example(first.id, as_of=before.as_of).outputs == {"answer": "25"}
    with pytest.raises(LangSmithNotFoundError):
        client.read_example(first.id)
    with pytest.raises(LangSmithNotFoundError):
        client.delete_example(first.id)
    difference = client.diff_dataset_versions(
        dataset.id, from_version=before.as_of, to_version="latest"
    )
    assert set(difference.examples_removed) == {first.id, second.id}
    assert difference.examples_modified == [third.id]
    assert difference.examples_added == []


def test_versions_are_listed_and_tagged(client: Client, dataset: Dataset) -> None:
    assert len(list(client.list_dataset_versions(dataset_id=dataset.id))) == 2
    filled = client.read_dataset_version(dataset_id=dataset.id, tag="latest")
    client.update_dataset_tag(dataset_id=dataset.id, as_of=filled.as_of, tag="prod")
    client.create_example({"question": "more?"}, dataset_id=dataset.id)
    assert client.read_dataset_version(dataset_id=dataset.id, tag="prod").as_of == filled.as_of
    assert len(list(client.list_examples(dataset_id=dataset.id, as_of="prod"))) == 3
    assert len(list(client.list_examples(dataset_id=dataset.id))) == 4
    versions = list(client.list_dataset_versions(dataset_id=dataset.id))
    assert [each.tags for each in versions] == [["latest"], ["prod"], []]
    later = datetime.now(UTC) + timedelta(days=1)
    assert client.read_dataset_version(dataset_id=dataset.id, as_of=later).tags == ["latest"]
    with pytest.raises(LangSmithError, match="has no version nothing"):
        client.read_dataset_version(dataset_id=dataset.id, tag="nothing")


def test_splits_are_listed_and_changed(client: Client, dataset: Dataset) -> None:
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["test", "train"]
    first, second, _ = client.list_examples(dataset_id=dataset.id)
    client.update_dataset_splits(
        dataset_id=dataset.id, split_name="hard", example_ids=[first.id, second.id]
    )
    assert questions(client.list_examples(dataset_id=dataset.id, splits=["hard"])) == [
        "leave?",
        "휴가?",
    ]
    client.update_dataset_splits(
        dataset_id=dataset.id, split_name="train", example_ids=[first.id], remove=True
    )
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["hard", "test", "train"]
    assert questions(client.list_examples(dataset_id=dataset.id, splits=["train"])) == ["휴가?"]


def test_an_example_is_made_of_a_run(server: Running, client: Client, dataset: Dataset) -> None:
    run_id = uuid.uuid4()
    now = datetime.now(UTC)
    client.create_run(
        "ask",
        {"question": "how?"},
        "chain",
        id=run_id,
        outputs={"answer": "so"},
        start_time=now,
        end_time=now,
    )
    made = client.create_example(
        source_run_id=run_id, use_source_run_io=True, dataset_id=dataset.id
    )
    assert (made.inputs, made.outputs, made.source_run_id) == (
        {"question": "how?"},
        {"answer": "so"},
        run_id,
    )
    copied = client.create_example_from_run(client.read_run(run_id), dataset_id=dataset.id)
    assert copied.inputs == {"question": "how?"}
    with pytest.raises(LangSmithError, match="There is no run"):
        client.create_example(
            source_run_id=uuid.uuid4(), use_source_run_io=True, dataset_id=dataset.id
        )


def test_a_form_with_a_wrong_part_changes_nothing(
    server: Running, client: Client, dataset: Dataset
) -> None:
    before = server.datasets.get(dataset.id).version
    with pytest.raises(LangSmithError, match=r"have no attachments; leave them out"):
        client.create_examples(
            dataset_id=dataset.id,
            examples=[
                {"inputs": {"question": "good?"}},
                {"inputs": {}, "attachments": {"picture": ("image/png", b"x")}},
            ],
        )
    taken = next(iter(client.list_examples(dataset_id=dataset.id))).id
    with pytest.raises(LangSmithError, match=r"with the id .* already"):
        client.create_examples(
            dataset_id=dataset.id,
            examples=[{"inputs": {"question": "good?"}}, {"inputs": {}, "id": taken}],
        )
    with pytest.raises(LangSmithNotFoundError, match="There is no data set"):
        client.create_examples(dataset_id=uuid.UUID(int=404), examples=[{"inputs": {}}])
    assert server.datasets.get(dataset.id).version == before
    with pytest.raises(EvaluationError):
        server.datasets.get("nothing")


# experiments


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    if inputs["question"] == "pay?":
        raise ValueError("pay is private")
    return {"answer": "25"}


def correct(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    return (outputs or {}).get("answer") == reference_outputs["answer"]


def length(run: Run, example: Example) -> dict[str, Any]:
    answer = str((run.outputs or {}).get("answer"))
    return {"key": "length", "score": len(answer), "comment": f"{len(answer)} characters"}


def rate(runs: list[Run], examples: list[Example]) -> dict[str, Any]:
    return {"key": "answered", "score": sum(1 for run in runs if not run.error) / len(examples)}


def test_evaluate_runs_an_experiment_and_scores_it(
    server: Running, client: Client, dataset: Dataset
) -> None:
    results = evaluate(
        target,
        data="handbook",
        evaluators=[correct, length],
        summary_evaluators=[rate],
        experiment_prefix="first",
        metadata={"model": "tiny"},
        client=client,
        max_concurrency=2,
    )
    rows = {row["example"].inputs["question"]: row for row in results}
    assert set(rows) == {"leave?", "휴가?", "pay?"}
    client.flush()

    project = client.read_project(project_name=results.experiment_name, include_stats=True)
    assert project.reference_dataset_id == dataset.id
    assert project.metadata["model"] == "tiny"
    assert project.metadata["dataset_version"]
    assert project.run_count == 3
    assert project.error_rate == pytest.approx(1 / 3)
    assert project.feedback_stats is not None
    assert (project.feedback_stats["correct"]["n"], project.feedback_stats["correct"]["avg"]) == (
        3,
        pytest.approx(2 / 3),
    )
    assert project.feedback_stats["length"]["comments"]
    assert project.session_feedback_stats is not None
    assert project.session_feedback_stats["answered"]["avg"] == pytest.approx(2 / 3, abs=1e-3)
    assert client.read_dataset(dataset_id=dataset.id).session_count == 1
    assert [each.id for each in client.list_projects(reference_dataset_id=dataset.id)] == [
        project.id
    ]
    assert project.id not in [each.id for each in client.list_projects(reference_free=True)]

    answered = server.traces.find(RunFilter(project_ids=[project.id]), limit=10)
    examples = {each.id for each in client.list_examples(dataset_id=dataset.id)}
    assert {run.example for run in answered} == examples
    assert {run.error is None for run in answered} == {True, False}

    found = client.get_experiment_results(name=results.experiment_name)
    assert found["run_stats"]["run_count"] == 3
    assert set(found["feedback_stats"]) == {"correct", "length", "answered"}
    by_question = {each.inputs["question"]: each for each in found["examples_with_runs"]}
    assert by_question["leave?"].runs[0].outputs == {"answer": "25"}
    assert by_question["leave?"].runs[0].feedback_stats["correct"]["avg"] == 1.0  # type: ignore[index]
    assert "pay is private" in str(by_question["pay?"].runs[0].error)


async def test_aevaluate_runs_an_experiment(client: Client, dataset: Dataset) -> None:
    async def answer(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"answer": "25"}

    results = await aevaluate(
        answer, data=dataset.id, evaluators=[correct], client=client, num_repetitions=2
    )
    assert len([row async for row in results]) == 6
    client.flush()
    project = client.read_project(project_name=results.experiment_name, include_stats=True)
    assert project.run_count == 6
    assert project.feedback_stats is not None
    assert project.feedback_stats["correct"]["avg"] == pytest.approx(4 / 6)

    found = [
        each
        async for each in client.datasets.experiment_runs.query(
            str(dataset.id),
            experiment_ids=[str(project.id)],
            page_size=2,
            selects=["OUTPUTS", "STATUS", "FEEDBACK_STATS"],
        )
    ]
    assert [each.inputs["question"] for each in found] == ["leave?", "휴가?", "pay?"]  # type: ignore[index]
    assert all(each.runs is not None and len(each.runs) == 2 for each in found)
    assert found[0].runs is not None
    assert found[0].runs[0].outputs == {"answer": "25"}
    await client._get_langsmith_api().close()


def test_an_experiment_is_scored_again_later(client: Client, dataset: Dataset) -> None:
    first = evaluate(lambda inputs: {"answer": "25"}, data="handbook", client=client)
    client.flush()
    again = evaluate(first.experiment_name, evaluators=[correct], client=client)
    assert len(list(again)) == 3
    client.flush()
    project = client.read_project(project_name=first.experiment_name, include_stats=True)
    assert project.feedback_stats is not None
    assert project.feedback_stats["correct"]["n"] == 3
    assert project.run_count == 3


def test_two_experiments_are_compared(server: Running, client: Client, dataset: Dataset) -> None:
    names = []
    for answer in ("25", "a long answer"):
        result = evaluate(
            lambda inputs, answer=answer: {"answer": answer}, data="handbook", client=client
        )
        names.append(result.experiment_name)
    client.flush()

    def shorter(runs: list[Run], example: Example) -> dict[str, Any]:
        best = min(runs, key=lambda run: len(run.outputs["answer"]))  # type: ignore[index]
        return {"key": "shorter", "scores": {run.id: int(run is best) for run in runs}}

    results = evaluate_comparative(names, evaluators=[shorter], client=client)
    assert len(list(results)) == 3
    client.flush()
    scores = {}
    for name in names:
        runs = client.list_runs(project_name=name, is_root=True)
        scores[name] = [run.feedback_stats["shorter"]["avg"] for run in runs]  # type: ignore[index]
    assert scores == {names[0]: [1.0] * 3, names[1]: [0.0] * 3}
    given = next(iter(client.list_feedback(feedback_key=["shorter"])))
    assert results.comparative_experiment is not None
    assert given.comparative_experiment_id == results.comparative_experiment.id
    assert given.feedback_group_id is not None
    (noted,) = client.request_with_retries("GET", f"/datasets/{dataset.id}/comparative").json()
    assert {each["name"] for each in noted["experiments_info"]} == set(names)


def test_an_experiment_keeps_to_the_examples_it_answered(client: Client, dataset: Dataset) -> None:
    result = evaluate(lambda inputs: {"answer": "25"}, data="handbook", client=client)
    client.flush()
    first = next(iter(client.list_examples(dataset_id=dataset.id)))
    client.delete_example(first.id)
    found = client.get_experiment_results(name=result.experiment_name)
    assert questions(found["examples_with_runs"]) == ["leave?", "휴가?", "pay?"]
    with tracing_context(enabled=False):
        assert client.read_dataset(dataset_id=dataset.id).example_count == 2
