"""Runs, feedback and projects through LangSmith's real client; it is the contract."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import zstandard
from langsmith import AsyncClient, Client, traceable, tracing_context
from langsmith._internal._constants import _BOUNDARY
from langsmith.run_trees import RunTree
from langsmith.schemas import Attachment, FeedbackSourceType
from langsmith.utils import (
    LangSmithConflictError,
    LangSmithError,
    LangSmithNotFoundError,
    get_env_var,
)

from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status
from tests.server.conftest import Running, connected, running

# The older half of the client warns that it will go; until then people use it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::langsmith._internal._beta_decorator.LangSmithDeprecationWarning"
)
EVERYTHING = RunFilter(roots=None)


@traceable(run_type="chain", name="graph", tags=["prod", "x"], metadata={"user": "a", "n": 1})
def graph(question: str) -> dict[str, str]:
    found = search(question)
    return {"answer": model(f"{question} {found}")}


@traceable(run_type="retriever")
def search(question: str) -> list[str]:
    if question == "fail":
        raise ValueError("nothing found")
    return [question.upper()]


@traceable(run_type="llm", metadata={"ls_model_name": "tiny", "ls_provider": "here"})
def model(prompt: str) -> dict[str, object]:
    return {
        "content": f"About {prompt}",
        "usage_metadata": {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16},
    }


def trace(client: Client) -> Client:
    """Trace three calls of the graph, one of which fails, into the project `demo`."""
    with tracing_context(enabled=True, client=client, project_name="demo"):
        for question in ("leave", "fail", "휴가"):
            try:
                graph(question)
            except ValueError:
                assert question == "fail"
    client.flush()
    return client


@pytest.fixture
def traced(client: Client) -> Client:
    """Three traces that a test has for itself."""
    return trace(client)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Three traces that are only read."""
    with running(tmp_path_factory.mktemp("library")) as server, connected(server.url) as client:
        yield trace(client)


def test_every_run_of_a_trace_is_stored_with_what_is_known_of_it(
    server: Running, traced: Client
) -> None:
    roots = {run.preview: run for run in server.traces.find(RunFilter(roots=True))}
    assert set(roots) == {"leave", "fail", "휴가"}
    tree = server.traces.trace(roots["leave"].trace)
    assert [(run.name, run.run_type) for run in tree] == [
        ("graph", "chain"),
        ("search", "retriever"),
        ("model", "llm"),
    ]
    assert tree[0].tags == ["prod", "x"]
    assert (tree[0].input_tokens, tree[0].output_tokens, tree[0].model) == (11, 5, "tiny")
    assert server.traces.payload(tree[0]).metadata["user"] == "a"
    assert roots["fail"].status is Status.ERROR
    assert roots["fail"].error is not None
    assert roots["fail"].error.startswith("ValueError('nothing found')")


@pytest.mark.parametrize("disable", ["LANGSMITH_DISABLE_RUN_COMPRESSION", "none"])
def test_runs_come_compressed_or_not(
    server: Running, monkeypatch: pytest.MonkeyPatch, disable: str
) -> None:
    monkeypatch.setenv(disable, "true")
    get_env_var.cache_clear()
    client = Client(api_url=server.url, api_key="any")
    with tracing_context(enabled=True, client=client, project_name="demo"):
        graph("leave")
    client.flush()
    assert (client.compressed_traces is None) is (disable != "none")
    assert server.traces.count(EVERYTHING) == 3
    client.close()
    get_env_var.cache_clear()


def test_runs_come_in_batches_where_forms_are_not_wanted(server: Running) -> None:
    info = {"batch_ingest_config": {"use_multipart_endpoint": False, "size_limit": 100}}
    info["batch_ingest_config"] |= {
        "scale_up_nthreads_limit": 1,
        "scale_up_qsize_trigger": 10,
        "scale_down_nempty_trigger": 4,
        "size_limit_bytes": 1_000_000,
    }
    client = Client(api_url=server.url, api_key="any", info=info)
    with tracing_context(enabled=True, client=client, project_name="demo"):
        graph("leave")
    client.flush()
    assert server.traces.count(EVERYTHING) == 3
    client.close()


def test_runs_come_one_by_one(server: Running) -> None:
    client = Client(api_url=server.url, api_key="any", auto_batch_tracing=False)
    run_id = uuid.uuid4()
    client.create_run("alone", {"q": 1}, "chain", id=run_id, project_name="demo")
    stored = server.traces.run(run_id)
    assert stored is not None
    assert stored.status is Status.RUNNING
    client.update_run(run_id, outputs={"a": 2}, end_time=datetime.now(UTC))
    stored = server.traces.run(run_id)
    assert stored is not None
    assert (stored.status, stored.project) == (Status.SUCCESS, "demo")
    client.close()


def test_attachments_come_and_go_back(server: Running, client: Client) -> None:
    picture = bytes(range(256)) * 100

    @traceable
    def look(picture: Attachment) -> str:
        return "seen"

    with tracing_context(enabled=True, client=client, project_name="demo"):
        look(Attachment("image/png", picture))
    client.flush()
    (run,) = client.list_runs(project_name="demo")
    attached = run.attachments["picture"]
    assert attached["mime_type"] == "image/png"
    assert attached["reader"].read() == picture
    (again,) = server.traces.find(EVERYTHING)
    assert client.read_run(again.id).attachments["picture"]["reader"].read() == picture


def test_runs_are_listed_as_they_were_sent(library: Client) -> None:
    runs = list(library.list_runs(project_name="demo", is_root=True))
    assert [run.inputs["question"] for run in runs] == ["휴가", "fail", "leave"]
    newest = runs[0]
    assert newest.name == "graph"
    assert newest.run_type == "chain"
    assert newest.status == "success"
    assert newest.tags == ["prod", "x"]
    assert newest.metadata["user"] == "a"
    assert newest.metadata["n"] == 1
    assert newest.outputs is not None
    assert newest.outputs["answer"]["content"] == "About 휴가 ['휴가']"
    assert (newest.prompt_tokens, newest.completion_tokens, newest.total_tokens) == (11, 5, 16)
    assert newest.end_time is not None
    assert newest.trace_id == newest.id
    assert newest.parent_run_id is None
    assert newest.session_id == library.read_project(project_name="demo").id
    assert runs[1].status == "error"
    assert runs[1].error is not None
    assert "nothing found" in runs[1].error


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"run_type": "llm"}, ["model", "model"]),
        ({"error": True}, ["search", "graph"]),
        ({"error": False, "is_root": True}, ["graph", "graph"]),
        ({"filter": 'and(eq(run_type, "llm"), gt(total_tokens, 15))'}, ["model", "model"]),
        ({"filter": 'and(has(tags, "prod"), eq(name, "graph"))'}, ["graph"] * 3),
        ({"filter": 'eq(name, "search")', "trace_filter": 'eq(status, "error")'}, ["search"]),
        ({"filter": "eq(is_root, true)", "tree_filter": "neq(error, null)"}, ["graph"]),
        ({"query": "휴가", "is_root": True}, ["graph"]),
        ({"start_time": datetime.now(UTC) + timedelta(hours=1)}, []),
        ({"start_time": datetime.now(UTC) - timedelta(hours=1), "is_root": True}, ["graph"] * 3),
        (
            {"filter": 'and(eq(metadata_key, "ls_model_name"), eq(metadata_value, "tiny"))'},
            ["model", "model"],
        ),
    ],
)
def test_runs_are_found_by_what_is_asked(
    library: Client, arguments: dict[str, object], names: list[str]
) -> None:
    found = library.list_runs(project_name="demo", **arguments)  # type: ignore[arg-type]
    assert [run.name for run in found] == names


def test_runs_are_found_by_id_parent_and_trace(library: Client) -> None:
    root = next(iter(library.list_runs(project_name="demo", filter='search("휴가")', is_root=True)))
    children = list(library.list_runs(parent_run_id=root.id))
    assert {run.name for run in children} == {"search", "model"}
    assert {run.id for run in library.list_runs(trace_id=root.id)} == {
        root.id,
        *(run.id for run in children),
    }
    assert {run.id for run in library.list_runs(run_ids=[run.id for run in children])} == {
        run.id for run in children
    }


@pytest.mark.parametrize("together", [False, True])
def test_pages_of_runs_are_complete_and_without_repeats(
    client: Client, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    if together:  # a page ends where its payloads become too many
        monkeypatch.setattr("groundling.server.langsmith.runs._ANSWER", 1)
    now = datetime.now(UTC)
    runs = []
    for n in range(230):
        id = uuid.uuid4()
        order = f"{now:%Y%m%dT%H%M%S%f}Z{id}"
        # Many began in the same instant.
        start = now + timedelta(seconds=n // 50)
        runs.append(
            {
                "id": str(id),
                "trace_id": str(id),
                "dotted_order": order,
                "name": f"run {n}",
                "run_type": "chain",
                "start_time": start,
                "end_time": start,
                "inputs": {"n": n},
                "session_name": "pages",
            }
        )
    client.batch_ingest_runs(create=runs)
    found = [run.inputs["n"] for run in client.list_runs(project_name="pages")]
    assert sorted(found) == list(range(230))
    assert found[0] >= 200
    upwards = [run.inputs["n"] for run in client.list_runs(project_name="pages", order="asc")]
    assert upwards == found[::-1]
    assert len(list(client.list_runs(project_name="pages", limit=150))) == 150


def test_a_run_is_read_with_its_children(library: Client) -> None:
    root = next(iter(library.list_runs(project_name="demo", is_root=True)))
    run = library.read_run(root.id, load_child_runs=True)
    assert run.child_runs is not None
    assert [child.name for child in run.child_runs] == ["search", "model"]
    assert run.child_runs[1].outputs is not None
    with pytest.raises(LangSmithNotFoundError, match="There is no run"):
        library.read_run(uuid.UUID(int=404))


async def test_the_newer_client_reads_runs(library: Client) -> None:
    project = library.read_project(project_name="demo")
    found = [
        run
        async for run in library.runs.query(
            project_ids=[str(project.id)],
            is_root=True,
            page_size=2,
            selects=["ID", "NAME", "STATUS", "INPUTS", "OUTPUTS", "ERROR", "LATENCY_SECONDS"],
        )
    ]
    assert [run.inputs["question"] for run in found if run.inputs] == ["휴가", "fail", "leave"]
    assert [run.status for run in found] == ["SUCCESS", "ERROR", "SUCCESS"]
    assert all(run.latency_seconds is not None for run in found)
    assert found[0].tags is None
    run_id = found[0].id
    assert run_id is not None
    one = await library.runs.retrieve(
        run_id, project_id=str(project.id), selects=["RUN_TYPE", "METADATA", "TAGS", "IS_ROOT"]
    )
    assert one.run_type == "CHAIN"
    assert one.metadata is not None
    assert one.metadata["user"] == "a"
    assert one.is_root
    tree = await library.traces.list_runs(run_id, project_id=str(project.id), selects=["NAME"])
    assert tree.items is not None
    assert [run.name for run in tree.items] == ["graph", "search", "model"]
    await library._get_langsmith_api().close()


def test_threads_are_read(client: Client) -> None:
    with tracing_context(
        enabled=True, client=client, project_name="demo", metadata={"session_id": "thread 1"}
    ):
        model("one")
        model("two")
    client.flush()
    runs = list(client.read_thread(thread_id="thread 1", project_name="demo"))
    assert [run.inputs["prompt"] for run in runs] == ["one", "two"]
    (thread,) = client.list_threads(project_name="demo")
    assert (thread["thread_id"], thread["count"]) == ("thread 1", 2)


def test_a_filter_that_makes_no_sense_is_explained(library: Client) -> None:
    with pytest.raises(LangSmithError, match="Runs have no field nom"):
        list(library.list_runs(project_name="demo", filter='eq(nom, "x")'))


def test_runs_are_summed_up(library: Client) -> None:
    stats = library.get_run_stats(project_names=["demo"], is_root=True)
    assert stats["run_count"] == 3
    assert stats["total_tokens"] == 32
    assert stats["error_rate"] == pytest.approx(1 / 3)
    assert stats["latency_p50"] <= stats["latency_p99"]


# feedback


def test_feedback_is_kept_changed_and_taken_back(server: Running, traced: Client) -> None:
    run = next(iter(traced.list_runs(project_name="demo", is_root=True)))
    given = traced.create_feedback(
        run.id,
        "correct",
        score=0.5,
        value="fair",
        comment="half of it",
        correction={"answer": "25"},
        source_info={"who": "a person"},
        session_id=run.session_id,
        extra={"note": 1},
    )
    read = traced.read_feedback(given.id)
    assert (read.run_id, read.key, read.score, read.value) == (run.id, "correct", 0.5, "fair")
    assert (read.comment, read.correction) == ("half of it", {"answer": "25"})
    assert read.feedback_source is not None
    assert (read.feedback_source.type, read.feedback_source.metadata) == (
        "api",
        {"who": "a person"},
    )
    assert read.extra == {"note": 1}
    traced.update_feedback(given.id, score=1.0, comment="all of it")
    changed = traced.read_feedback(given.id)
    assert (changed.score, changed.comment, changed.value) == (1.0, "all of it", "fair")
    assert changed.modified_at > read.modified_at
    assert traced.read_run(run.id).feedback_stats["correct"]["avg"] == 1.0  # type: ignore[index]
    assert [each.id for each in traced.list_feedback(run_ids=[run.id])] == [given.id]
    assert list(traced.list_feedback(run_ids=[run.id], feedback_key=["other"])) == []
    traced.delete_feedback(given.id)
    assert server.traces.read("SELECT count(*) FROM feedback")[0][0] == 0
    with pytest.raises(LangSmithNotFoundError):
        traced.read_feedback(given.id)


def test_feedback_comes_with_the_runs(server: Running, traced: Client) -> None:
    run = next(iter(traced.list_runs(project_name="demo", is_root=True)))
    for score in (1, 0, 0.5):
        traced.create_feedback(
            key="helpful", score=score, trace_id=run.id, session_id=run.session_id
        )
    traced.create_feedback(key="kind", value="good", trace_id=run.id, session_id=run.session_id)
    traced.flush()
    stats = traced.read_run(run.id).feedback_stats
    assert stats is not None
    assert (stats["helpful"]["n"], stats["helpful"]["avg"]) == (3, 0.5)
    assert (stats["helpful"]["min"], stats["helpful"]["max"]) == (0.0, 1.0)
    assert stats["kind"]["values"] == {"good": 1}
    assert len(list(traced.list_feedback(feedback_source_type=[FeedbackSourceType.API]))) == 4
    assert list(traced.list_feedback(feedback_source_type=[FeedbackSourceType.MODEL])) == []
    found = traced.list_runs(
        project_name="demo", filter='and(eq(feedback_key, "helpful"), gt(feedback_score, 0.9))'
    )
    assert [each.id for each in found] == [run.id]


def test_feedback_may_come_before_its_run(server: Running, client: Client) -> None:
    tree = RunTree(name="late", client=client, project_name="demo")
    client.create_feedback(tree.id, "thumbs", score=1, session_id=uuid.uuid4())
    tree.post()
    tree.end(outputs={"a": 1})
    tree.patch()
    client.flush()
    assert client.read_run(tree.id).feedback_stats["thumbs"]["avg"] == 1.0  # type: ignore[index]


# projects


def test_projects_are_made_read_listed_changed_and_deleted(server: Running, traced: Client) -> None:
    made = traced.create_project("plans", description="what is to come", metadata={"team": "a"})
    read = traced.read_project(project_name="plans")
    assert (read.id, read.description, read.metadata) == (made.id, "what is to come", {"team": "a"})
    assert traced.read_project(project_id=str(made.id)).name == "plans"
    assert traced.has_project("plans")
    assert not traced.has_project("nothing")
    with pytest.raises(LangSmithConflictError, match="There is a project plans already"):
        traced.create_project("plans")
    assert traced.create_project("plans", upsert=True, description="soon").id == made.id
    assert [each.name for each in traced.list_projects()] == ["plans", "demo"]
    assert [each.name for each in traced.list_projects(name_contains="EM")] == ["demo"]
    assert [each.name for each in traced.list_projects(metadata={"team": "a"})] == ["plans"]
    assert [each.name for each in traced.list_projects(project_ids=[made.id])] == ["plans"]
    ended = datetime(2030, 1, 1, tzinfo=UTC)
    changed = traced.update_project(made.id, name="plans 2", end_time=ended, metadata={"team": "b"})
    assert (changed.name, changed.end_time, changed.metadata) == ("plans 2", ended, {"team": "b"})
    with pytest.raises(LangSmithConflictError):
        traced.update_project(made.id, name="demo")
    traced.delete_project(project_name="demo")
    assert server.traces.count(EVERYTHING) == 0
    assert server.traces.read("SELECT count(*) FROM terms")[0][0] == 0
    assert [each.name for each in traced.list_projects()] == ["plans 2"]
    with pytest.raises(LangSmithNotFoundError):
        traced.read_project(project_id=str(uuid.UUID(int=404)))


def test_runs_go_into_a_project_that_was_deleted_or_renamed(
    server: Running, traced: Client
) -> None:
    project = traced.read_project(project_name="demo")
    traced.update_project(project.id, name="old")
    traced.delete_project(project_name="old")
    with tracing_context(enabled=True, client=traced, project_name="demo"):
        graph("leave")
    traced.flush()
    assert len(list(traced.list_runs(project_name="demo"))) == 3
    assert server.traces.drops() == {}


def test_a_project_is_summed_up(traced: Client) -> None:
    run = next(iter(traced.list_runs(project_name="demo", is_root=True)))
    traced.create_feedback(run.id, "correct", score=1, session_id=run.session_id)
    project = traced.read_project(project_name="demo", include_stats=True)
    traced.create_feedback(key="pass rate", score=0.7, project_id=project.id)
    project = traced.read_project(project_name="demo", include_stats=True)
    assert (project.run_count, project.total_tokens) == (3, 32)
    assert (project.prompt_tokens, project.completion_tokens) == (22, 10)
    assert project.error_rate == pytest.approx(1 / 3)
    assert project.latency_p50 is not None
    assert project.latency_p99 is not None
    assert project.latency_p50 <= project.latency_p99
    assert project.last_run_start_time == run.start_time
    assert project.feedback_stats is not None
    assert project.feedback_stats["correct"]["n"] == 1
    assert project.session_feedback_stats is not None
    assert project.session_feedback_stats["pass rate"]["avg"] == 0.7


def test_a_refused_request_is_logged_by_the_client_with_the_reason(
    server: Running, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    body = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="feedback.{uuid.uuid4()}"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps({'score': 1})}\r\n--{_BOUNDARY}--\r\n"
    ).encode()
    with caplog.at_level(logging.WARNING, "langsmith.client"):
        client._send_compressed_multipart_req(io.BytesIO(zstandard.compress(body)), None)
    assert "feedback needs a key" in caplog.text
    assert server.traces.drops() == {"parts of requests that could not be read": 1}


async def test_the_asynchronous_client_works_too(server: Running) -> None:
    async with AsyncClient(api_url=server.url, api_key="any") as client:
        run_id = uuid.uuid4()
        await client.create_run("later", {"q": 1}, "chain", id=run_id, project_name="demo")
        await client.update_run(run_id, outputs={"a": 2}, end_time=datetime.now(UTC).isoformat())
        run = await client.read_run(run_id)
        assert (run.name, run.outputs, run.status) == ("later", {"a": 2}, "success")
        assert [each.id async for each in client.list_runs(project_name="demo")] == [run_id]
        given = await client.create_feedback(run_id, key="good", score=1, session_id=run.session_id)
        assert [each.id async for each in client.list_feedback(run_ids=[run_id])] == [given.id]
        dataset = await client.create_dataset("handbook")
        await client.create_example({"q": 1}, {"a": 2}, dataset_id=dataset.id)
        examples = [each async for each in client.list_examples(dataset_id=dataset.id)]
        assert [each.outputs for each in examples] == [{"a": 2}]
        await client.delete_dataset(dataset_id=dataset.id)
        await client.delete_project(project_name="demo")
    assert server.traces.count(EVERYTHING) == 0
