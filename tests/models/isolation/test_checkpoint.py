"""A graph whose model dies goes on from its checkpoint."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TypedDict

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from groundling.errors import EngineCrashed
from groundling.models.calls import EngineSettings, Request
from groundling.models.isolation.supervised import SupervisedEngine

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are a POSIX matter"),
]


class State(TypedDict, total=False):
    question: str
    prompt: str
    answer: str


def test_a_crash_costs_the_step_that_it_happened_in(smollm2: Path, tmp_path: Path) -> None:
    engine = SupervisedEngine.open(smollm2, EngineSettings(context=256))
    prepared: list[str] = []
    crashing = [True]

    def prepare(state: State) -> State:
        prepared.append(state["question"])
        return {"prompt": f"{state['question']} The answer is"}

    def answer(state: State) -> State:
        tokens = engine.vocabulary.tokenize(state["prompt"])
        text = ""
        for chunk in engine.generate(Request(tokens, max_tokens=12), timeout=60):
            text += chunk.text
            if crashing:
                crashing.clear()
                assert engine.pid
                os.kill(engine.pid, signal.SIGSEGV)
        return {"answer": text}

    wiring = StateGraph(State)
    wiring.add_node("prepare", prepare)
    wiring.add_node("answer", answer)
    wiring.add_edge(START, "prepare")
    wiring.add_edge("prepare", "answer")
    wiring.add_edge("answer", END)
    database = str(tmp_path / "state.sqlite")
    thread = {"configurable": {"thread_id": "one"}}

    with SqliteSaver.from_conn_string(database) as saver:
        graph = wiring.compile(checkpointer=saver)
        with pytest.raises(EngineCrashed):
            graph.invoke({"question": "What is 6 times 7?"}, thread)

    # Nothing but the file is left of the run.
    with SqliteSaver.from_conn_string(database) as saver:
        graph = wiring.compile(checkpointer=saver)
        kept = graph.get_state(thread)
        assert kept.next == ("answer",)
        assert "answer" not in kept.values
        result = graph.invoke(None, thread)
    assert result["answer"]
    assert prepared == ["What is 6 times 7?"]
    engine.close()
