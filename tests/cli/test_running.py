import asyncio

from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from groundling.cli.output import Shell
from groundling.cli.running import Screen, arun
from groundling.guardrails.guard import Guard
from tests.guardrails.test_guard import KEY, NO, YES, category
from tests.scripted import ScriptedChat


class State(MessagesState, total=False):
    answer: str


class Shown(Screen):
    def __init__(self):
        self.text = ""
        self.answer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def step(self, name):
        pass

    def token(self, text):
        self.text += text

    def finish(self, answer):
        self.answer = answer


def shown(last="guard_output", judge=None, guarded=True):
    model = ScriptedChat([f"The key is {KEY}, and so on."])

    async def answer(state):
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_node(last, lambda _: {"answer": "checked"})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", last)
    graph.add_edge(last, END)
    screen = Shown()
    guard = Guard(model=judge) if guarded else None
    given = {"messages": [HumanMessage("Which key?")]}
    asyncio.run(arun(Shell(), graph.compile(), given, screen=screen, guard=guard))
    return screen


def test_only_cleared_text_is_shown():
    screen = shown()
    assert screen.text == "The key is [API_KEY], and so on."
    assert screen.answer == "checked"


def test_an_unguarded_graph_streams_as_it_is():
    assert KEY in shown("end").text
    assert KEY in shown(guarded=False).text


def test_an_answer_that_the_model_blocks_is_never_shown():
    judge = ScriptedChat()
    judge.enqueue_choice(YES, category("S9"))
    screen = shown(judge=judge)
    assert screen.text == ""
    assert screen.answer == "checked"


def test_an_answer_that_the_model_clears_is_shown_when_it_is_done():
    judge = ScriptedChat()
    judge.enqueue_choice(NO)
    assert shown(judge=judge).text == "The key is [API_KEY], and so on."
