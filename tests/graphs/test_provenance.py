"""A graph that `Home.graph` made is an ordinary one whose runs say what it was made of."""

from __future__ import annotations

import json

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from groundling import ChatLlama, Home
from groundling.graphs.provenance import Provenance, chain_hash, documents_hash, model_file
from groundling.graphs.resources import Resources
from groundling.knowledge.base import Knowledge
from groundling.models.remote import ChatRemote
from groundling.settings import load
from groundling.tracing import attach
from tests.scripted import ScriptedChat


@pytest.fixture
def opened(home):
    with Home() as found:
        yield found
    attach.detach()


async def test_the_graph_is_an_ordinary_one(opened):
    saver = InMemorySaver()
    model = ScriptedChat(["Hello Bo", "Bo", "Yes"])
    graph = opened.graph("ask", model=model, checkpointer=saver)
    assert isinstance(graph, CompiledStateGraph)
    assert (graph.name, graph.checkpointer) == ("ask", saver)
    config = {"configurable": {"thread_id": "t1"}, "metadata": {"mine": 1}}
    assert graph.invoke({"question": "I am Bo"}, config)["answer"] == "Hello Bo"
    chunks = [
        mode
        async for mode, _ in graph.astream(
            {"question": "Who?"}, config, stream_mode=["values", "messages"]
        )
    ]
    assert {"values", "messages"} <= set(chunks)
    assert [said.text for said in graph.get_state(config).values["messages"]] == [
        "I am Bo",
        "Hello Bo",
        "Who?",
        "Bo",
    ]
    assert (await graph.ainvoke({"question": "Sure?"}, config))["answer"] == "Yes"
    assert "answer" in graph.get_graph().nodes
    attach.flush()
    for run in opened.traces.find():
        told = opened.traces.payload(run).metadata
        assert (told["graph"], told["mine"], told["thread_id"]) == ("ask", 1, "t1")
        assert told["model"] == "ScriptedChat"


def test_the_settings_of_the_model_are_told(opened):
    graph = opened.graph("ask", settings=load({"model": {"seed": 4, "temperature": 0.5}}))
    told = graph.config["metadata"]
    assert (told["seed"], told["temperature"], told["max_tokens"]) == (4, 0.5, 512)
    assert told["context"] == 4096
    assert told["model"] == "qwen2.5-coder-1.5b"
    assert "settings" not in told
    assert "server" not in told
    assert json.loads(json.dumps(told)) == told
    assert Provenance.read(told).metadata == told


def test_a_models_own_settings_are_told_and_no_folder(opened):
    model = ChatLlama(model="/home/someone/own.gguf", seed=9, top_k=5, dry_multiplier=0.8)
    told = opened.graph("ask", model=model).config["metadata"]
    assert (told["model"], told["seed"]) == ("own.gguf", 9)
    assert told["settings"] == {"top_k": 5, "dry_multiplier": 0.8}
    assert "someone" not in json.dumps(told)
    adapted = ChatLlama(model="smollm2-135m", adapters=["tuned.gguf"])
    assert opened.graph("ask", model=adapted).config["metadata"]["model_class"] == "ChatLlama"


def test_the_server_of_a_model_is_told_and_not_its_key(opened):
    model = ChatRemote(base_url="http://127.0.0.1:9/v1", model="m", api_key="sk-secret")
    told = opened.graph("ask", model=model).config["metadata"]
    assert (told["server"], told["model"]) == ("http://127.0.0.1:9/v1", "m")
    assert "secret" not in json.dumps(told)


def test_the_hash_of_documents_tells_a_change(opened, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    with Knowledge.open(tmp_path / "knowledge", None) as base:
        hashes = [documents_hash(base, opened.settings)]
        for text in ("one", "two", "one"):
            (folder / "a.md").write_text(text, encoding="utf-8")
            base.add([folder])
            hashes.append(documents_hash(base, opened.settings))
        assert len(set(hashes[:3])) == 3
        assert hashes[1] == hashes[3]
        resources = Resources(
            load({"retrieval": {"passages": 5}}), model=ScriptedChat(), knowledge=base
        )
        told = Provenance.of("rag", resources, "default")
    assert (told.knowledge, told.documents) == ("default", hashes[3])
    assert told.settings == {"retrieval.passages": 5}


def test_chains_are_told_by_their_hash(opened):
    told = opened.graph("chain:triage-reply", model=ScriptedChat()).config["metadata"]
    assert told["graph"] == "chain:triage-reply"
    assert told["chain"] == chain_hash("triage-reply") != chain_hash("draft-critique-revise")


def test_a_file_is_told_by_size_and_time_where_it_has_no_hash(opened, tmp_path):
    assert model_file("smollm2-135m", opened.settings) is None
    assert model_file(str(tmp_path / "none.gguf"), opened.settings) is None


@pytest.mark.model
def test_a_models_file_is_told_without_reading_it(opened, smollm2, home_with_models):
    in_store = model_file("smollm2-135m", opened.settings)
    assert in_store == smollm2.name[: len(in_store)]
    assert in_store.startswith("sha256-")
    copy = home_with_models / "own.gguf"
    copy.symlink_to(smollm2)
    assert model_file(str(copy), opened.settings).startswith(f"{smollm2.stat().st_size} bytes of 2")


@pytest.mark.parametrize("metadata", [{}, {"graph": 3}, {"graph": "x", "settings": "y"}])
def test_what_says_nothing_of_a_graph_is_none(metadata):
    assert Provenance.read(metadata) is None
