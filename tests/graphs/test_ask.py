import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from groundling.errors import GraphError
from groundling.graphs import ask
from groundling.graphs.resources import Resources
from groundling.settings import Settings
from tests.scripted import ScriptedChat


def build(model: ScriptedChat, **options):
    return ask.build(Resources(Settings(), model=model), **options)


def texts(messages):
    return [(message.type, message.text) for message in messages]


def test_answers_in_one_call():
    model = ScriptedChat(["Forty-two."])
    result = build(model).invoke({"question": "How many?"})
    assert result["answer"] == "Forty-two."
    assert texts(result["messages"]) == [("human", "How many?"), ("ai", "Forty-two.")]
    assert isinstance(model.prompts[0][0], SystemMessage)


def test_a_chat_client_sends_messages_instead():
    model = ScriptedChat(["Hello."])
    result = build(model).invoke({"messages": [{"role": "user", "content": "Hi"}]})
    assert result["answer"] == "Hello."
    assert model.prompts[0][-1].text == "Hi"


def test_examples_come_before_the_question_as_turns():
    model = ScriptedChat(["positive"])
    examples = [{"question": "Bad film.", "answer": "negative"}]
    build(model).invoke({"question": "Good film.", "examples": examples})
    assert texts(model.prompts[0])[1:] == [
        ("human", "Bad film."),
        ("ai", "negative"),
        ("human", "Good film."),
    ]


def test_reasoning_thinks_first_and_then_concludes():
    model = ScriptedChat(["1. 6 × 7 is 42.", "42"])
    result = build(model).invoke({"question": "6 times 7?", "reasoning": True})
    assert result["thoughts"] == "1. 6 × 7 is 42."
    assert result["answer"] == "42"
    assert model.prompts[1][: len(model.prompts[0])] == model.prompts[0]
    assert model.prompts[1][-2] == AIMessage("1. 6 × 7 is 42.")


def test_a_system_prompt_replaces_the_shipped_one():
    model = ScriptedChat(["Arr."])
    build(model).invoke({"question": "Hi", "system": "You are a pirate."})
    assert model.prompts[0][0] == SystemMessage("You are a pirate.")


def test_a_korean_question_gets_the_korean_prompt():
    model = ScriptedChat(["네."])
    build(model).invoke({"question": "연차 휴가는 며칠입니까?"})
    assert "한국어" in model.prompts[0][0].text


@pytest.mark.parametrize("question", ["", "   ", None])
def test_an_empty_question_is_refused(question):
    with pytest.raises(GraphError, match="empty"):
        build(ScriptedChat()).invoke({"question": question})


def test_a_thread_remembers_its_turns():
    model = ScriptedChat(["Hello Mina.", "Mina."])
    graph = build(model, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    graph.invoke({"question": "I am Mina."}, config)
    graph.invoke({"question": "Who am I?"}, config)
    assert [text for _, text in texts(model.prompts[1])[1:]] == [
        "I am Mina.",
        "Hello Mina.",
        "Who am I?",
    ]


def test_the_same_question_twice_on_a_thread_is_asked_twice():
    model = ScriptedChat(["One.", "Two."])
    graph = build(model, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    graph.invoke({"question": "Again?"}, config)
    result = graph.invoke({"question": "Again?"}, config)
    assert result["answer"] == "Two."
    assert [message.type for message in result["messages"]] == ["human", "ai", "human", "ai"]


def test_messages_after_a_question_on_the_same_thread_are_heard():
    model = ScriptedChat(["One.", "Two."])
    graph = build(model, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    graph.invoke({"question": "First?"}, config)
    graph.invoke({"messages": [HumanMessage("Second?")]}, config)
    assert model.prompts[1][-1].text == "Second?"


def test_a_question_after_a_crashed_turn_is_not_lost():
    model = ScriptedChat([RuntimeError("killed"), "Fine."])
    graph = build(model, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    with pytest.raises(RuntimeError):
        graph.invoke({"question": "First?"}, config)
    graph.invoke({"question": "Second?"}, config)
    assert model.prompts[1][-1].text == "Second?"


def test_old_turns_are_dropped_when_the_window_is_full():
    settings = Settings(model={"context": 256, "max_tokens": 64})
    model = ScriptedChat(["ok"])
    turns = [
        message
        for n in range(30)
        for message in (HumanMessage(f"question {n} " + "word " * 10), AIMessage("answer"))
    ]
    graph = ask.build(Resources(settings, model=model))
    graph.invoke({"messages": [*turns, HumanMessage("last")]})
    sent = model.prompts[0]
    assert sent[0].type == "system"
    assert sent[1].type == "human"
    assert sent[-1].text == "last"
    assert model.get_num_tokens_from_messages(sent) <= 256 - 64


async def test_it_runs_in_an_event_loop_both_ways():
    model = ScriptedChat(["one", "two"])
    graph = build(model)
    assert (await graph.ainvoke({"question": "a"}))["answer"] == "one"
    assert graph.invoke({"question": "b"})["answer"] == "two"


def test_tokens_stream_and_thoughts_do_not():
    model = ScriptedChat(["many secret steps", "the answer"])
    stream = build(model).stream({"question": "Why?", "reasoning": True}, stream_mode="messages")
    shown = "".join(chunk.text for chunk, _ in stream if chunk.type == "AIMessageChunk")
    assert shown == "the answer"
