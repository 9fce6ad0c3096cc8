"""Adapters through the server: by name, by promotion, many at once, over one loaded model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from groundling import Home
from groundling.errors import AdapterError, SettingsError
from groundling.evaluation.replay import replay
from groundling.models import engines
from groundling.models.adapter_shelf import AdapterCard, AdapterShelf, fingerprint
from groundling.server.graphs import Graphs, Wishes
from groundling.server.person import Person, Role
from groundling.tracing import attach
from groundling.tuning.export import export_adapter
from tests.scripted import ScriptedChat
from tests.server import live
from tests.server.live import Live
from tests.server.runs.conftest import opened
from tests.tuning.adapters import peft_folder

MODEL = "smollm2-135m"
QUESTION = "Write three words about the sea."
HI = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def files(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of SmolLM2 that change what it writes, so little that it is no near tie."""
    folder = tmp_path_factory.mktemp("adapters")
    made = {}
    for name, layers, scale in (("one", 4, 0.005), ("two", 30, 0.006)):
        peft = peft_folder(folder / name, smollm2, scale=scale, layers=layers)
        made[name] = folder / f"{name}.gguf"
        export_adapter(peft, smollm2, made[name])
    return made


@pytest.fixture
def shelf(home_with_models: Path, smollm2: Path, files: dict[str, Path]) -> AdapterShelf:
    """A shelf with both, and one of another base."""
    shelf = AdapterShelf(home_with_models / "adapters")
    card = AdapterCard("", fingerprint(smollm2), MODEL, "2026-11-26T08:00:00+00:00")
    for name, file in files.items():
        shelf.add(file, replace(card, name=name))
    shelf.add(files["one"], replace(card, name="other", base="b" * 64, base_name="qwen"))
    return shelf


@pytest.fixture
def server(shelf: AdapterShelf) -> Iterator[Live]:
    """A server of SmolLM2, which has read nothing yet."""
    engines.close_engines()
    model = {"name": MODEL, "context": 1024, "max_tokens": 12, "isolated": False}
    with Home(model=model, server={"grace": 2.0}) as home, live.serving(home) as running:
        yield running


def asked(server: Live, **context: Any) -> tuple[str, UUID]:
    """Return what the graph `ask` answers, and the run."""
    body = {"assistant_id": "ask", "input": {"question": QUESTION}, "context": context}
    with server.client() as http:
        answer = http.post("/runs/wait", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["answer"], UUID(answer.headers["Content-Location"].split("/")[-1])


def completed(server: Live, model: str, **more: Any) -> dict[str, Any]:
    """Return a chat completion."""
    with server.client() as http:
        answer = http.post("/v1/chat/completions", json={"model": model, "messages": HI, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def text(completion: dict[str, Any]) -> str:
    return str(completion["choices"][0]["message"]["content"])


def cached(completion: dict[str, Any]) -> int:
    return int(completion["usage"]["prompt_tokens_details"]["cached_tokens"])


def command(home: Path, *arguments: str) -> None:
    """Run a command of Groundling in a process of its own."""
    program = "import sys; from groundling.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--home", str(home), "--model", MODEL, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def told(server: Live, run: UUID) -> tuple[dict[str, Any], list[Any]]:
    """Return the metadata of a run, and the adapters that its calls of the model name."""
    assert attach.flush()
    traces = server.app.home.traces
    stored = traces.run(run)
    assert stored is not None
    calls = [each for each in traces.trace(stored.trace) if each.run_type == "llm"]
    said = [traces.payload(each).outputs["generations"][0][0]["message"] for each in calls]
    kept = [(each.get("kwargs") or each)["response_metadata"].get("adapters") for each in said]
    return traces.payload(stored).metadata, kept


@pytest.mark.model
def test_a_run_names_adapters_and_the_model_is_loaded_once(server: Live):
    bare, _ = asked(server)
    loaded = engines.shared()
    found = {name: asked(server, adapter=name)[0] for name in ("one", "two", "one+two")}
    assert len({bare, *found.values()}) == 4
    assert asked(server, adapter="none")[0] == bare
    assert asked(server, adapter="promoted")[0] == bare
    assert asked(server)[0] == bare
    assert engines.shared() == loaded
    with server.client() as http:  # where older clients put it, and as a part of an assistant
        body = {"graph_id": "ask", "config": {"configurable": {"adapter": "one"}}}
        assistant = http.post("/assistants", json=body).json()["assistant_id"]
        run = {"assistant_id": assistant, "input": {"question": QUESTION}}
        assert http.post("/runs/wait", json=run).json()["answer"] == found["one"]


@pytest.mark.model
def test_adapters_answer_at_the_same_time(server: Live):
    names = ["none", "one", "two", "one+two"] * 3
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda name: asked(server, adapter=name), names))
    for name, (_, run) in zip(names, runs, strict=True):
        assert told(server, run)[1] == [None if name == "none" else name.split("+")]
    assert len({answer for answer, _ in runs}) >= 4


@pytest.mark.model
@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        ("three", "There is no adapter three."),
        ("one+three", "There is no adapter three."),
        ("other", "The adapter other was trained on qwen"),
        ("one+", "There is no adapter ."),
        ("../adapters/one", "There is no adapter ../adapters/one."),
        ("x.gguf", "There is no adapter x.gguf."),
        ("", "adapter"),
        ("x" * 500, "adapter"),
        (["one"], "adapter"),
        (1, "adapter"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_refused_before_the_run(
    server: Live, adapter: Any, said: str
):
    with server.client() as http:
        run = {"assistant_id": "ask", "input": {"question": QUESTION}}
        for place in ({"context": {"adapter": adapter}},
                      {"config": {"configurable": {"adapter": adapter}}}):  # fmt: skip
            answer = http.post("/runs/wait", json={**run, **place})
            assert answer.status_code == 422
            assert said in answer.json()["detail"]
            assistant = {"graph_id": "ask", **place}
            assert http.post("/assistants", json=assistant).status_code == 422
    assert server.app.home.traces.find() == []


@pytest.mark.model
def test_a_promotion_is_live_in_graphs_and_for_the_model_itself(
    server: Live, home_with_models: Path
):
    bare, before = asked(server)
    model = completed(server, MODEL)
    kept = server.services.graphs._made
    assert len(kept) == 1
    command(home_with_models, "tune", "promote", "one")
    answer, after = asked(server)
    assert answer == asked(server, adapter="one")[0] != bare
    assert len(kept) == 2  # the two ways to say so have one graph, which is not that of before
    promoted = completed(server, MODEL)
    assert text(promoted) == text(completed(server, f"{MODEL}@one")) != text(model)
    assert asked(server, adapter="none")[0] == bare
    assert text(completed(server, f"{MODEL}@none")) == text(model)
    command(home_with_models, "tune", "rollback")
    assert asked(server)[0] == bare
    assert text(completed(server, MODEL)) == text(model)

    metadata, calls = told(server, before)
    assert ("adapter" in metadata, calls) == (False, [None])
    metadata, calls = told(server, after)
    assert (metadata["adapter"], calls) == ("one", [["one"]])
    assert metadata["adapter_made"] == "2026-11-26T08:00:00+00:00"
    run = UUID(promoted["choices"][0]["message"]["groundling"]["run_id"])
    metadata, calls = told(server, run)
    assert (metadata["adapter"], calls) == ("one", [["one"]])


@pytest.mark.model
def test_a_run_keeps_to_what_was_promoted_when_it_began(server: Live, shelf: AdapterShelf):
    graphs, person = server.services.graphs, server.services.people.local
    begun = graphs.get("ask", person)

    def answer(graph: Any, thread: str) -> str:
        found = graph.invoke({"question": QUESTION}, {"configurable": {"thread_id": thread}})
        return str(found["answer"])

    bare = answer(begun, "1")
    shelf.promote("one")
    assert answer(begun, "2") == bare
    assert answer(graphs.get("ask", person), "3") != bare


@pytest.mark.model
async def test_what_says_the_same_is_one_graph_and_a_damaged_pointer_stops_answers_alone(
    shelf: AdapterShelf,
):
    async with opened(None, model={"name": MODEL}) as services:
        graphs, person = services.graphs, services.people.local

        def graph(adapter: str | None = None) -> Any:
            return graphs.get("ask", person, Wishes(adapter=adapter))

        def named(graph: Any) -> str | None:
            name: str | None = graph.config["metadata"].get("adapter")
            return name

        bare = graph()
        assert named(bare) is None
        assert graph("none") is graph("promoted") is bare
        shelf.promote("one")
        assert graph() is graph("promoted") is graph("one")
        assert graph("none") is bare
        assert (named(graph()), named(graph("one+two"))) == ("one", "one+two")
        card = replace(shelf.get("two").card, created="2026-11-27T08:00:00+00:00")
        before = graph("two")
        shelf.add(shelf.get("one").file, card)
        assert graph("two") is not before
        (shelf.get("one").path.parent / "promoted.json").write_text("[]")
        assert named(graph()) is None  # a state is read by it all the same
        with pytest.raises(AdapterError, match="is damaged"):
            graphs.chat()


@pytest.mark.model
def test_no_adapter_reads_what_another_one_read(server: Live):
    first = completed(server, MODEL, max_tokens=2)
    assert cached(first) == 0
    again = completed(server, MODEL, max_tokens=2)
    whole = again["usage"]["prompt_tokens"] - 1
    assert cached(again) == whole
    for name in ("one", "two", "one+two"):
        assert cached(completed(server, f"{MODEL}@{name}", max_tokens=2)) == 0
        assert cached(completed(server, f"{MODEL}@{name}", max_tokens=2)) == whole
    assert cached(completed(server, MODEL, max_tokens=2)) == whole


@pytest.mark.model
def test_models_are_listed_with_their_adapters(server: Live, shelf: AdapterShelf):
    with server.client() as http:
        listed = {each["id"]: each for each in http.get("/v1/models").json()["data"]}
        assert next(iter(listed)) == MODEL
        assert {id for id in listed if "@" in id} == {f"{MODEL}@one", f"{MODEL}@two"}
        one = listed[f"{MODEL}@one"]
        assert one == http.get(f"/v1/models/{MODEL}@one").json()
        assert one["parent"] == MODEL
        assert one["groundling"] == {"kind": "model", "adapter": "one"}
        assert one["created"] == 1795680000
        assert one["max_model_len"] == 1024
        assert listed[MODEL]["groundling"] == {"kind": "model"}
        shelf.promote("two")
        (shelf.get("one").path / "card.json").write_text("{")
        listed = {each["id"]: each for each in http.get("/v1/models").json()["data"]}
        assert listed[MODEL]["groundling"] == {"kind": "model", "adapter": "two"}
        assert f"{MODEL}@one" not in listed


@pytest.mark.model
def test_any_id_that_answers_takes_an_adapter(server: Live):
    assert text(completed(server, "ask@one")) == asked(server, adapter="one")[0]
    assert text(completed(server, "ask@one+two")) == asked(server, adapter="one+two")[0]
    assert completed(server, f"{MODEL}@one")["model"] == f"{MODEL}@one"
    with server.client() as http:
        body = {"model": f"{MODEL}@one", "input": QUESTION, "max_output_tokens": 12}
        answer = http.post("/v1/responses", json=body).json()
        assert answer["output"][0]["content"][0]["text"] == text(completed(server, f"{MODEL}@one"))
        for model in ("ask@three", f"{MODEL}@other", f"{MODEL}@", "ask@../one", "minilm-l6@one",
                      "nothing@one", "rag:nothing@one", "@one"):  # fmt: skip
            answer = http.post("/v1/chat/completions", json={"model": model, "messages": HI})
            assert answer.status_code == 404, model
            error = answer.json()["error"]
            assert (error["code"], error["param"]) == ("model_not_found", "model")
        body = {"model": f"{MODEL}@other", "messages": HI}
        error = http.post("/v1/chat/completions", json=body).json()["error"]
        assert "was trained on qwen" in error["message"]


@pytest.mark.model
def test_a_replay_has_the_adapter_of_its_run(server: Live, shelf: AdapterShelf, files: Any):
    home = server.app.home
    _, run = asked(server, adapter="one")
    call = UUID(completed(server, f"{MODEL}@one")["choices"][0]["message"]["groundling"]["run_id"])
    shelf.promote("two")
    attach.flush()
    for id in (run, call):
        found = replay(home, home.traces.run(id))
        assert told(server, found.replayed.id)[1] == [["one"]]
        assert found.same or "It rounds differently" in found.warnings[0]
    card = shelf.get("one").card
    shelf.add(files["two"], replace(card, created="2026-11-27T08:00:00+00:00"))
    found = replay(home, home.traces.run(run))
    assert not found.same
    assert "The adapter one was trained anew since." in found.warnings
    shelf.remove("one")
    with pytest.raises(AdapterError, match="There is no adapter one"):
        replay(home, home.traces.run(run))


def test_a_model_that_is_not_run_here_takes_no_adapter(home: Path):
    home.mkdir()
    with live.serving(None, ScriptedChat(["Hello", "Hello"])) as server:
        assert asked(server, adapter="none")[0] == "Hello"
        with server.client() as http:
            run = {"assistant_id": "ask", "input": {"question": QUESTION}}
            answer = http.post("/runs/wait", json={**run, "context": {"adapter": "one"}})
            assert answer.status_code == 422
            assert "The adapter one cannot be used" in answer.json()["detail"]


def test_an_impossible_wish_is_an_error_of_settings(home: Path):
    with Home() as opened:
        graphs = Graphs(opened, None, ScriptedChat())
        with pytest.raises(SettingsError, match="temperature: "):
            graphs.get("ask", Person("ann", Role.MEMBER, "key"), Wishes(temperature=-1.0))
        graphs.close()
