import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import SystemMessage

from groundling.errors import GraphError
from groundling.graphs import chain
from groundling.graphs.nodes.chain_file import load_chain, shipped_chains
from groundling.graphs.resources import Resources
from groundling.models.prompts import fill
from groundling.settings import Settings
from tests.scripted import ScriptedChat

TWO_STEPS = """
description = "Two steps."
[inputs]
topic = "anything"
[[steps]]
name = "draft"
system = "Be brief."
prompt = "Write about {topic}."
[[steps]]
name = "final"
prompt = "Improve: {draft}"
"""
BRANCH = """
description = "One decision."
[inputs]
text = "anything"
[[steps]]
name = "verdict"
prompt = "Is it good? {text}"
options = ["yes", "no"]
next = { yes = "end", no = "mend" }
[[steps]]
name = "mend"
prompt = "Mend: {text}"
"""


def write(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def run(tmp_path, source, model, **inputs):
    graph = chain.build(Resources(Settings(), model=model), chain=write(tmp_path, source))
    return graph.invoke({"inputs": inputs})


def test_each_step_sees_the_results_before_it(tmp_path):
    model = ScriptedChat(["a draft", "a final text"])
    result = run(tmp_path, TWO_STEPS, model, topic="tea")
    assert result["answer"] == "a final text"
    assert result["results"] == {"draft": "a draft", "final": "a final text"}
    assert model.prompts[0][0] == SystemMessage("Be brief.")
    assert model.prompts[0][1].text == "Write about tea."
    assert model.prompts[1][0].text == "Improve: a draft"


@pytest.mark.parametrize(("choice", "steps"), [("yes", ["verdict"]), ("no", ["verdict", "mend"])])
def test_a_decision_takes_its_way(tmp_path, choice, steps):
    model = ScriptedChat(["mended"], choices=[choice])
    result = run(tmp_path, BRANCH, model, text="x")
    assert list(result["results"]) == steps


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(GraphError, match="needs a value for topic") as caught:
        run(tmp_path, TWO_STEPS, ScriptedChat())
    assert "-i topic=" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "final"', 'name = "draft"', "used twice"),
        ('name = "draft"', 'name = "topic"', "used twice"),
        ("{draft}", "{nothing}", "neither an input nor a step before it"),
        ('name = "final"', 'name = "final"\nnext = "gone"', "no step"),
        ('name = "final"', 'name = "final"\nnext = "final"', "never ends"),
        ('name = "draft"', 'name = "draft"\nnext = "end"', "never reached"),
        ('name = "draft"', 'name = "Draft one"', "pattern"),
        ('prompt = "Write', 'promt = "Write', "promt"),
        ("[inputs]", "[inputs", "cannot be read"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, old, new, reason):
    with pytest.raises(GraphError, match=reason) as caught:
        load_chain(write(tmp_path, TWO_STEPS.replace(old, new)))
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('no = "mend"', 'maybe = "mend"', "decides between"),
        ('options = ["yes", "no"]', "", "decides between"),
        ("options =", 'output = { type = "object" }\noptions =', "both options and output"),
        ('options = ["yes", "no"]', 'branch_on = "kind"', "no enum"),
        ("options =", "max_tokens = 4\noptions =", "takes no max_tokens"),
    ],
)
def test_a_wrong_decision_says_what_is_wrong(tmp_path, old, new, reason):
    file = write(tmp_path, BRANCH.replace(old, new))
    with pytest.raises(GraphError, match=reason):
        load_chain(file)


def test_unknown_and_missing_chains(tmp_path):
    with pytest.raises(GraphError, match="no chain nope"):
        load_chain("nope")
    with pytest.raises(GraphError, match="cannot be read"):
        load_chain(str(tmp_path / "gone.toml"))


def test_a_loop_may_go_round_until_it_decides_to_leave(tmp_path):
    loop = BRANCH.replace('prompt = "Mend: {text}"', 'prompt = "Mend: {text}"\nnext = "verdict"')
    model = ScriptedChat(["once", "twice"], choices=["no", "no", "yes"])
    result = run(tmp_path, loop, model, text="x")
    assert result["results"] == {"verdict": "yes", "mend": "twice"}


@pytest.mark.parametrize("name", shipped_chains())
def test_shipped_chains_are_valid_and_drawn(name):
    declared = load_chain(name)
    graph = chain.build(Resources(Settings(), model=ScriptedChat()), chain=name)
    assert {step.name for step in declared.steps} <= set(graph.get_graph().nodes)
    assert graph.name == name


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(), min_size=1))
def test_values_are_filled_in_once_and_left_alone(values):
    template = "|".join(f"{{{name}}}" for name in values)
    assert fill(template, values, "test") == "|".join(values.values())


def test_json_braces_in_a_prompt_are_no_variables():
    assert fill('{"kind": 1} {x}', {"x": "y"}, "test") == '{"kind": 1} y'
    with pytest.raises(GraphError, match=r"\{z\} has no value"):
        fill("{z}", {"x": "y"}, "test")


@pytest.mark.model
def test_a_form_decides_with_the_real_model(tmp_path, smollm2, home):
    from groundling.models.chat import ChatLlama

    model = ChatLlama(model=str(smollm2), context=1024, max_tokens=256)
    graph = chain.build(Resources(Settings(), model=model), chain="triage-reply")
    result = graph.invoke({"inputs": {"message": "Please send me two FX-200 balances."}})
    ticket = result["results"]["ticket"]
    assert ticket["kind"] in {"question", "complaint", "order"}
    assert isinstance(ticket["urgent"], bool)
    assert len(result["results"]) == 2
    assert json.dumps(result["results"])
