"""A recorded trace runs again with the same inputs and seed, and what differs is named."""

from __future__ import annotations

from typing import TypedDict
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from groundling import Home
from groundling.errors import EvaluationError, KnowledgeError, ModelNotFound, SettingsError
from groundling.evaluation.remaking import settings_of
from groundling.evaluation.replay import replay
from groundling.graphs import ask
from groundling.graphs.provenance import Provenance
from groundling.knowledge.base import Knowledge
from groundling.models.prompts import Prompt, prompt
from groundling.settings import load
from groundling.tracing import attach
from groundling.tracing.payload import encode
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Patch, Status
from tests.scripted import ScriptedChat

LEAVE = "# Leave\n\nFull-time employees receive 17 days of paid leave a year.\n"
ASKED = {"question": "How many days of leave do employees receive?"}


@pytest.fixture
def opened(home):
    with Home() as found:
        yield found
    attach.detach()


@pytest.fixture
def documents(opened, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    base = Knowledge.open(opened.settings.knowledge_path("default"), None)
    base.add([folder])
    opened._knowledge["default"] = base  # without an embedder: words are enough
    return folder


def last(opened):
    assert attach.flush()
    return opened.traces.find(limit=1)[0]


def metadata(opened, run):
    return opened.traces.payload(run).metadata


def answering(*replies, choices=()):
    return ScriptedChat(list(replies), choices=list(choices))


def test_the_same_replies_make_no_difference(opened):
    opened.graph("ask", model=answering("17 days")).invoke(ASKED)
    run = last(opened)
    model = answering("17 days")
    found = replay(opened, run, model=model)
    assert found.same
    assert found.fork is None
    assert found.warnings == []
    assert found.original.id == run.id
    assert [said.text for said in model.prompts[0]][-1] == ASKED["question"]
    again = opened.traces.run(found.replayed.id)
    assert again.status == Status.SUCCESS
    assert again.tags == ["replay"]
    assert metadata(opened, again)["replay_of"] == str(run.id)
    assert metadata(opened, again)["graph"] == "ask"
    assert found.as_json()["same"]


def test_another_reply_is_shown_line_by_line_with_the_node_that_gave_it(opened):
    opened.graph("ask", model=answering("It is\n17 days\na year")).invoke(ASKED)
    found = replay(opened, last(opened), model=answering("It is\n18 days\na year"))
    assert not found.same
    by_key = {each.key: each for each in found.differences}
    assert set(by_key) == {"answer", "messages"}
    assert by_key["answer"].before == "It is\n17 days\na year"
    lines = by_key["answer"].diff
    assert "-17 days" in lines
    assert "+18 days" in lines
    assert " It is" in lines
    assert "-ai: 17 days" in by_key["messages"].diff
    assert found.fork.node == "answer"
    assert found.as_json()["fork"]["node"] == "answer"


def test_the_first_of_several_nodes_that_differ_is_named(opened, documents):
    model = answering("Employees receive 17 days of leave.", choices=["yes", "yes"])
    opened.graph("rag", model=model).invoke(ASKED)
    run = last(opened)
    same = answering("Employees receive 17 days of leave.", choices=["yes", "yes"])
    assert replay(opened, run, model=same).same

    found = replay(opened, run, model=answering(choices=["no"]))
    assert found.fork.node == "judge"
    assert [each.key for each in found.fork.differences] == ["relevance"]
    assert {"answer", "verdict", "citations"} <= {each.key for each in found.differences}
    assert "-answered" in next(e for e in found.differences if e.key == "verdict").diff

    other = answering("Employees receive 18 days of leave.", choices=["yes", "yes"])
    assert replay(opened, run, model=other).fork.node == "answer"


def test_a_probability_moved_by_rounding_alone_is_no_difference(opened, documents):
    reply = "Employees receive 17 days of leave."
    for first, second in [(0.9, 0.91), (0.9, 0.8)]:
        model = answering(reply, choices=[{"yes": first, "no": 1 - first}, "yes"])
        opened.graph("rag", model=model).invoke(ASKED)
        model = answering(reply, choices=[{"yes": second, "no": 1 - second}, "yes"])
        found = replay(opened, last(opened), model=model)
        assert found.same
        assert (found.fork and found.fork.node) == (None if second > first else "judge")


def test_a_conversation_is_replayed_with_what_was_said_before_and_stays_as_it_is(opened):
    saver = InMemorySaver()
    model = answering("Hello Bo", "Bo", "Sure")
    graph = opened.graph("ask", model=model, checkpointer=saver)
    config = {"configurable": {"thread_id": "t1"}}
    graph.invoke({"question": "I am Bo", "system": "Be brief.", "reasoning": False}, config)
    graph.invoke({"question": "Who am I?"}, config)
    run = last(opened)
    kept = saver.get_tuple(config).checkpoint
    again = answering("Bo")
    found = replay(opened, run, model=again)
    assert found.same, found.differences
    assert [said.text for said in again.prompts[0]] == [said.text for said in model.prompts[1]]
    assert [said.text for said in again.prompts[0]][:2] == ["Be brief.", "I am Bo"]
    assert saver.get_tuple(config).checkpoint == kept
    assert found.replayed.thread is None


def test_what_an_earlier_turn_left_behind_is_no_difference(opened):
    model = answering("steps", "42", "43")
    graph = opened.graph("ask", model=model, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t1"}}
    graph.invoke({"question": "6 times 7?", "reasoning": True}, config)
    graph.invoke({"question": "And one more?", "reasoning": False}, config)
    run = last(opened)
    assert opened.traces.payload(run).outputs["thoughts"] == "steps"
    assert replay(opened, run, model=answering("43")).same


def test_a_conversation_begun_with_messages_is_replayed(opened):
    messages = [
        {"role": "user", "content": "I am Bo"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Who am I?"},
    ]
    model = answering("Bo")
    opened.graph("ask", model=model).invoke({"messages": messages})
    again = answering("Bo")
    assert replay(opened, last(opened), model=again).same
    texts = [[said.text for said in one.prompts[0]] for one in (model, again)]
    assert texts[0] == texts[1]


def test_any_run_of_a_graph_stands_for_the_whole_graph(opened):
    opened.graph("ask", model=answering("17 days")).invoke(ASKED)
    root, *below = opened.traces.trace(last(opened).id)
    for run in below:
        found = replay(opened, run, model=answering("17 days"))
        assert found.original.id == root.id


def test_a_graph_inside_of_another_program_is_replayed_alone(opened):
    class State(TypedDict, total=False):
        question: str
        answer: str

    outer = StateGraph(State)
    outer.add_node("inner", opened.graph("ask", model=answering("17 days")))
    outer.add_edge(START, "inner")
    outer.add_edge("inner", END)
    outer.compile(name="outer").invoke(ASKED)
    root, *below = opened.traces.trace(last(opened).id)
    assert root.name == "outer"
    found = replay(opened, below[-1], model=answering("17 days"))
    assert found.original.name == "ask"
    assert found.same
    with pytest.raises(EvaluationError, match=r"\(outer\) cannot be replayed"):
        replay(opened, root)


def test_errors_are_compared_like_outputs(opened):
    with pytest.raises(ValueError):
        opened.graph("ask", model=answering(ValueError("cold oven"))).invoke(ASKED)
    run = last(opened)
    same = replay(opened, run, model=answering(ValueError("cold oven")))
    assert same.same
    assert same.fork is None
    other = replay(opened, run, model=answering(ValueError("no oven")))
    assert [each.key for each in other.differences] == ["error"]
    mended = replay(opened, run, model=answering("bread"))
    assert {each.key for each in mended.differences} >= {"answer", "error"}
    assert mended.fork.node == "answer"
    assert "failed then" in mended.fork.reason
    assert mended.warnings == ["There are no outputs to compare with: its status is error."]


def test_blacked_out_inputs_are_warned_of(opened):
    graph = opened.graph("ask", model=answering("noted", "noted"))
    graph.invoke({"question": "Write to kim@example.com about [BREAD]."})
    run = last(opened)
    assert run.redacted
    model = answering("noted")
    found = replay(opened, run, model=model)
    assert "blacked out" in found.warnings[0]
    assert "kim@example.com" not in model.prompts[0][-1].text
    graph.invoke({"question": "About [BREAD]."})
    assert replay(opened, last(opened), model=answering("noted")).warnings == []


def test_shortened_inputs_are_warned_of(opened):
    opened.graph("ask", model=answering("long")).invoke({"question": "word " * 300})
    run = last(opened)
    shortened = encode(opened.traces.payload(run).inputs, limit=400)
    opened.traces.write([Patch(id=run.id, inputs=shortened)])
    found = replay(opened, run, model=answering("long"))
    assert found.warnings == ["The inputs were shortened before they were stored."]


def test_a_changed_prompt_is_warned_of(opened, monkeypatch):
    def older(name, language):
        now = prompt(name, language)
        return Prompt(now.name, now.text.replace("You are", "You were"))

    with monkeypatch.context() as patched:
        patched.setattr(ask, "prompt", older)
        opened.graph("ask", model=answering("yes")).invoke(ASKED)
    found = replay(opened, last(opened), model=answering("yes"))
    assert found.warnings == ["The prompt ask.en has changed."]


def test_changed_documents_are_warned_of(opened, documents):
    model = answering("Employees receive 17 days of leave.", choices=["yes", "yes"])
    opened.graph("rag", model=model).invoke(ASKED)
    run = last(opened)
    (documents / "leave.md").write_text(LEAVE.replace("17", "18"), encoding="utf-8")
    opened.knowledge().add([documents])
    model = answering("Employees receive 18 days of leave.", choices=["yes", "yes"])
    found = replay(opened, run, model=model)
    assert "documents of default" in found.warnings[0]
    assert found.fork.node == "retrieve"


def test_a_changed_chain_is_warned_of(opened, tmp_path):
    chain = tmp_path / "tea.toml"
    text = (
        'description = "About tea."\n[inputs]\ntopic = "what"\n'
        '[[steps]]\nname = "write"\nprompt = "Write about {topic}."\n'
    )
    chain.write_text(text, encoding="utf-8")
    opened.graph(f"chain:{chain}", model=answering("tea")).invoke({"inputs": {"topic": "tea"}})
    run = last(opened)
    assert replay(opened, run, model=answering("tea")).warnings == []
    chain.write_text(text.replace("Write about", "Sing of"), encoding="utf-8")
    model = answering("tea")
    assert "has changed" in replay(opened, run, model=model).warnings[0]
    assert model.prompts[0][-1].text == "Sing of tea."


def test_a_knowledge_base_that_is_gone_is_named_and_not_made_anew(opened, documents):
    model = answering("Employees receive 17 days of leave.", choices=["yes", "yes"])
    opened.graph("rag", model=model).invoke(ASKED)
    run = last(opened)
    base = opened._knowledge.pop("default")
    base.close()
    base.path.rename(base.path.with_name("elsewhere"))
    with pytest.raises(KnowledgeError, match="default, which the run answered from, is gone"):
        replay(opened, run, model=answering())
    assert not base.path.exists()


def test_what_is_no_run_of_our_graphs_is_refused(opened):
    opened.record()
    RunnableLambda(lambda given: given, name="theirs").invoke("x")
    foreign = RunnableLambda(lambda given: given, name="theirs")
    for runnable, given in [
        (foreign, "x"),
        (foreign.with_config(metadata={"graph": "their-graph"}), "x"),
        (answering("hi"), "hello"),
    ]:
        runnable.invoke(given)
        run = last(opened)
        with pytest.raises(EvaluationError, match="cannot be replayed") as caught:
            replay(opened, run)
        assert "Runs of the graphs" in caught.value.hint


def test_a_run_that_is_not_over_is_refused(opened):
    id = uuid4()
    extra = encode({"metadata": {"graph": "ask", "seed": 0}})
    opened.traces.write([Patch(id=id, name="ask", started=1, extra=extra, status=Status.RUNNING)])
    with pytest.raises(EvaluationError, match="still running"):
        replay(opened, opened.traces.run(id))


def test_a_run_whose_inputs_were_not_kept_is_refused(opened):
    id = uuid4()
    extra = encode({"metadata": {"graph": "ask", "seed": 0}})
    inputs = encode({"input": "Command(resume='yes')"})
    patch = Patch(id=id, name="ask", started=1, extra=extra, duration=1, inputs=inputs)
    opened.traces.write([patch])
    with pytest.raises(EvaluationError, match="no inputs that ask takes"):
        replay(opened, opened.traces.run(id), model=answering())


def test_a_model_of_the_programs_own_cannot_be_made_again(opened):
    opened.graph("ask", model=answering("17 days")).invoke(ASKED)
    with pytest.raises(EvaluationError, match="ScriptedChat") as caught:
        replay(opened, last(opened))
    assert "--model" in caught.value.hint


def test_without_recording_there_is_nothing_to_compare(opened, monkeypatch):
    opened.graph("ask", model=answering("17 days")).invoke(ASKED)
    run = last(opened)
    monkeypatch.setenv("GROUNDLING_TRACING__ENABLED", "false")
    with Home() as silent, pytest.raises(EvaluationError, match="Recording is off"):
        replay(silent, run)


class TestSettings:
    """What a run says decides; what only this machine can know is the home folder's."""

    def test_the_recorded_ones_win_and_the_others_are_at_their_defaults(self):
        now = load({"model": {"name": "x", "top_k": 7, "seed": 1, "threads": 3}})
        made_of = Provenance(
            "rag",
            model="smollm2-135m",
            seed=5,
            temperature=0.3,
            max_tokens=9,
            context=1024,
            settings={"min_p": 0.2, "retrieval.passages": 4},
        )
        made = settings_of(now, made_of)
        assert (made.model.name, made.model.seed, made.model.temperature) == (
            "smollm2-135m",
            5,
            0.3,
        )
        assert (made.model.max_tokens, made.model.context) == (9, 1024)
        assert (made.model.top_k, made.model.min_p, made.model.threads) == (40, 0.2, 3)
        assert made.retrieval.passages == 4
        assert (now.model.name, now.model.seed) == ("x", 1)
        assert settings_of(now, made_of, "other").model.name == "other"

    def test_a_file_is_found_where_the_settings_have_it(self):
        now = load({"model": {"name": "/models/own.gguf"}})
        assert settings_of(now, Provenance("ask", model="own.gguf")).model.name == (
            "/models/own.gguf"
        )
        assert settings_of(now, Provenance("ask", model="smollm2-135m")).model.name == (
            "smollm2-135m"
        )

    def test_a_server_is_asked_only_if_it_is_configured(self):
        made_of = Provenance("ask", model="m", server="http://10.0.0.7/v1")
        with pytest.raises(EvaluationError, match=r"10\.0\.0\.7"):
            settings_of(load(), made_of)
        now = load({"model": {"base_url": "http://127.0.0.1:8080/v1"}})
        assert settings_of(now, made_of).model.base_url == "http://127.0.0.1:8080/v1"
        assert settings_of(now, Provenance("ask", model="m")).model.base_url is None

    def test_nonsense_is_named(self):
        with pytest.raises(EvaluationError, match="temperature"):
            settings_of(load(), Provenance("ask", model="m", temperature=99.0))


def test_a_model_that_is_not_here_says_how_to_get_it(opened):
    id = uuid4()
    metadata = {"graph": "ask", "model": "smollm2-135m", "seed": 0}
    opened.traces.write(
        [
            Patch(
                id=id,
                name="ask",
                started=1,
                duration=1,
                inputs=encode(ASKED),
                outputs=encode({"answer": "x"}),
                extra=encode({"metadata": metadata}),
            )
        ]
    )
    with pytest.raises(ModelNotFound) as caught:
        replay(opened, opened.traces.run(id))
    assert caught.value.hint == "groundling model pull smollm2-135m"


@pytest.mark.model
class TestSmolLM2:
    """With the real model, from an empty cache as in a process of its own."""

    @pytest.fixture
    def opened(self, home_with_models):
        self.forget()  # an engine of other tests has read other prompts
        settings = {"name": "smollm2-135m", "context": 1024, "max_tokens": 24, "measure": False}
        with Home(model=settings) as found:
            yield found
        attach.detach()

    @staticmethod
    def forget():
        from groundling.models.engines import close_engines

        close_engines()

    def test_temperature_0_replays_identically(self, opened):
        opened.graph("ask").invoke({"question": "Why is the sky blue?"})
        run = last(opened)
        made_of = metadata(opened, run)
        assert (made_of["model"], made_of["seed"], made_of["temperature"]) == (
            "smollm2-135m",
            0,
            0.0,
        )
        assert made_of["model_file"].startswith("sha256-")
        self.forget()
        found = replay(opened, run)
        assert found.same, found.differences
        assert found.fork is None
        assert found.warnings == []
        assert found.replayed.output_tokens == run.output_tokens

    def test_a_seed_draws_the_same_text_again_whatever_the_settings_are_now(self, opened):
        model = opened.model.model_copy(update={"temperature": 1.0, "seed": 11, "top_k": 100})
        opened.graph("ask", model=model).invoke({"question": "Tell a story."})
        run = last(opened)
        self.forget()
        assert replay(opened, run).same
        self.forget()
        other = replay(opened, run, model=model.model_copy(update={"seed": 12}))
        assert not other.same
        assert other.fork.node == "answer"

    def test_a_single_call_is_replayed_with_its_own_settings(self, opened):
        call = [HumanMessage("Count from one to five.")]
        opened.model.invoke(call, temperature=0.9, seed=3, max_tokens=12, stop=["five"])
        run = last(opened)
        assert run.run_type == "llm"
        self.forget()
        found = replay(opened, run)
        assert found.same, found.differences
        again = opened.traces.payload(found.replayed).extra["invocation_params"]
        assert (again["temperature"], again["seed"], again["stop"]) == (0.9, 3, ["five"])


def test_runs_of_graphs_can_be_found_by_what_they_replay(opened):
    opened.graph("ask", model=answering("17 days")).invoke(ASKED)
    run = last(opened)
    replay(opened, run, model=answering("17 days"))
    assert [one.tags for one in opened.traces.find(RunFilter(tag="replay"))] == [["replay"]]


def test_settings_errors_are_not_replay_errors(opened, home):
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text("[model]\nseed = 'x'\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        Home()
