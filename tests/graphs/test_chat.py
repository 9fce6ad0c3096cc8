import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from groundling.errors import GraphError
from groundling.graphs import chat
from groundling.graphs.nodes.summarising import (
    FULL,
    compose,
    join,
    room,
    shorten,
    spoken,
    tongue,
)
from groundling.graphs.resources import Resources
from groundling.memory.memories import Memories
from groundling.settings import Settings, load
from tests.scripted import ScriptedChat

CONFIG = {"configurable": {"thread_id": "1"}}


def small(model, context=256, max_tokens=56, summary_tokens=48, **others):
    """Return resources with a window of 200 words, and neither guard nor memories."""
    settings = load(
        {
            "model": {"context": context, "max_tokens": max_tokens},
            "conversation": {"summary_tokens": summary_tokens},
            "memory": {"enabled": False},
            "guard": {"enabled": False},
        }
    )
    return Resources(settings, model=model, **others)


def texts(messages):
    return [(message.type, message.text) for message in messages]


def talk(model, *questions, resources=None):
    graph = chat.build(resources or small(model), InMemorySaver())
    return [graph.invoke({"question": question}, CONFIG) for question in questions]


def test_a_thread_remembers_its_turns_behind_one_system_prompt():
    model = ScriptedChat(["Hello Mina.", "Mina."])
    *_, result = talk(model, "I am Mina.", "Who am I?")
    assert result["answer"] == "Mina."
    assert texts(model.prompts[1])[1:] == [
        ("human", "I am Mina."),
        ("ai", "Hello Mina."),
        ("human", "Who am I?"),
    ]
    assert model.prompts[1][0] == model.prompts[0][0]
    assert isinstance(model.prompts[0][0], SystemMessage)


def test_a_chat_client_sends_messages():
    model = ScriptedChat(["Hello."])
    graph = chat.build(small(model))
    result = graph.invoke({"messages": [{"role": "user", "content": "Hi"}]})
    assert result["answer"] == "Hello."


@pytest.mark.parametrize("question", ["", "  \n", None])
def test_an_empty_question_is_refused(question):
    with pytest.raises(GraphError, match="empty"):
        chat.build(small(ScriptedChat())).invoke({"question": question})


def test_the_system_prompt_stays_in_the_language_of_the_first_turn():
    model = ScriptedChat(["네.", "Yes."])
    talk(model, "안녕하세요, 저는 민아예요.", "And now in English, please.")
    assert "한국어" not in model.prompts[1][0].text
    assert model.prompts[0][0] == model.prompts[1][0]
    assert "조수" in model.prompts[1][0].text


LONG = "word " * 40


def test_the_oldest_turns_are_noted_down_when_the_window_is_full():
    notes = ["Notes:\n* The first is Mina. ", "1. There was more.\n-\n"]
    model = ScriptedChat([f"one {LONG}", f"two {LONG}", *notes, "three"])
    results = talk(model, "I am Mina.", f"More? {LONG}", f"And? {LONG}")
    asked = model.prompts[2]  # for notes: at the end of the turns they are of
    assert texts(asked)[:3] == texts(model.prompts[1])[:3]
    assert "notes" in asked[-1].text
    last = model.prompts[4]
    assert last[0] == model.prompts[0][0]
    assert [turn.type for turn in last] == ["system", "human"]
    assert "<notes>\n- The first is Mina.\n- There was more.\n</notes>" in last[1].text
    assert not any("I am Mina." in turn.text for turn in last)
    # The reader's conversation is whole.
    assert results[-1]["messages"][0].text == "I am Mina."
    assert len(results[-1]["messages"]) == 6


def test_what_the_model_reads_always_fits_and_alternates():
    model = ScriptedChat()
    resources = small(model, context=640, max_tokens=140)
    graph = chat.build(resources, InMemorySaver())
    notes = 0
    for n in range(30):
        # Enough of either kind: what is not taken is dropped again.
        model.replies = []
        before = len(model.prompts)
        model.enqueue(*[f"- fact {n} {m}" for m in range(4)], "unused")
        graph.invoke({"question": f"question {n} {LONG if n % 3 else ''}"}, CONFIG)
        notes += len(model.prompts) - before - 1
        read = model.prompts[-1]
        assert model.get_num_tokens_from_messages(read) <= room(resources)
        assert [turn.type for turn in read[1:]] == ["human", "ai"] * (len(read) // 2 - 1) + [
            "human"
        ]
    assert 2 <= notes < 20  # seldom, but it happened
    state = graph.get_state(CONFIG).values
    assert len(state["messages"]) == 60
    assert "- fact" in state["summary"]
    assert model.get_num_tokens(state["summary"]) <= 48


def test_notes_that_the_model_does_not_write_are_a_notice():
    model = ScriptedChat([f"one {LONG}", f"two {LONG}", "I cannot.", "Nor this.", "three"])
    *_, result = talk(model, "I am Mina.", f"More? {LONG}", f"And? {LONG}")
    assert result["answer"] == "three"
    assert any("notes" in notice for notice in result["notices"])


@pytest.mark.parametrize("text", ["word " * 20_000, "가나다 라마바. " * 10_000, "x" * 100_000])
def test_a_message_of_100k_characters_is_cut_with_a_notice(text):
    class Letters(ScriptedChat):
        def get_num_tokens(self, text):
            return (len(text) + 2) // 3

    model = Letters(["Long.", "- A long text was sent.", "Fine."])
    resources = small(model, context=1024, max_tokens=124)
    first, second = talk(model, text, "Still there?", resources=resources)
    assert first["answer"] == "Long."
    assert len(first["notices"]) == 1
    assert second["notices"] == []
    assert len(first["messages"][0].text) == len(text.strip())  # kept for the reader
    for prompt in model.prompts:
        assert model.get_num_tokens_from_messages(prompt) <= 1024


def test_a_question_that_was_never_answered_is_read_with_the_next():
    model = ScriptedChat([RuntimeError("the engine died"), "Fine."])
    graph = chat.build(small(model), InMemorySaver())
    with pytest.raises(RuntimeError, match="died"):
        graph.invoke({"question": "First?"}, CONFIG)
    assert graph.invoke({"question": "Second?"}, CONFIG)["answer"] == "Fine."
    assert texts(model.prompts[1])[1:] == [("human", "First?\n\nSecond?")]


def test_what_tools_said_is_left_to_other_graphs():
    call = {"name": "clock", "args": {}, "id": "1", "type": "tool_call"}
    turns = [
        HumanMessage("Time?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("12:00", tool_call_id="1"),
        AIMessage("Noon."),
        HumanMessage("Thanks."),
    ]
    assert texts(spoken(turns)) == [("human", "Time?"), ("ai", "Noon."), ("human", "Thanks.")]
    assert spoken([AIMessage("Hello, I am a bot.")]) == []


def test_notes_say_nothing_twice_and_keep_short_facts_longest():
    resources = small(ScriptedChat(), summary_tokens=32)
    joined = join("- Mina is a nurse.", "- Mina is a nurse.\n- Bori is a dog.", resources)
    assert joined == "- Mina is a nurse.\n- Bori is a dog."
    wordy = "- " + "explanation " * 28
    assert join(joined, wordy, resources) == joined


def test_hidden_and_reordering_characters_stay_text():
    model = ScriptedChat(["Fine."])
    [result] = talk(
        model,
        "a\u202eb\u200bc {question} \ud83d\ude00".encode("utf-16", "surrogatepass").decode(
            "utf-16"
        ),
    )
    assert result["answer"] == "Fine."
    assert "{question}" in model.prompts[0][-1].text


def test_answers_stream_and_notes_do_not():
    model = ScriptedChat(
        [f"one {LONG}", f"two {LONG}", "- A note.", "- And one.", "three little words"]
    )
    graph = chat.build(small(model), InMemorySaver())
    for question in ("I am Mina.", f"More? {LONG}"):
        graph.invoke({"question": question}, CONFIG)

    async def stream():
        events = graph.astream({"question": f"And? {LONG}"}, CONFIG, stream_mode="messages")
        return [chunk.text async for chunk, _ in events if chunk.type == "AIMessageChunk"]

    assert "".join(asyncio.run(stream())) == "three little words"


@given(
    st.lists(
        st.text(alphabet="ab 가나다\n", min_size=1, max_size=400).filter(str.strip), min_size=1
    ),
    st.integers(0, 30),
    st.text(alphabet="abc가 ", max_size=60),
)
def test_compose_keeps_question_notes_and_order(said, summarised, summary):
    kinds = [HumanMessage, AIMessage]
    messages = [kinds[n % 2](text) for n, text in enumerate(said)]
    if isinstance(messages[-1], AIMessage):
        messages.append(HumanMessage("last"))
    resources = Resources(Settings(), model=ScriptedChat())
    state = {"messages": messages, "summarised": summarised, "summary": summary}
    read = compose(state, resources, "before")
    assert read[0].type == "system"
    assert read[-1].type == "human"
    assert messages[-1].text in read[-1].text
    assert "before" in read[-1].text
    assert not summary or summary in read[1].text
    assert compose({"messages": messages}, resources)[0] == read[0]
    assert tongue(state) in ("en", "ko")


@given(st.text(max_size=3000), st.integers(256, 600))
def test_a_shortened_text_fits_and_keeps_its_ends(text, context):
    resources = small(ScriptedChat(), context=context)
    short = shorten(text, resources)
    if short != text:
        assert resources.model.get_num_tokens(short) <= int(0.4 * room(resources))
        assert text.startswith(short.split("\n[…")[0][:1])
    assert FULL < 1


class Rails:
    """A guard that blocks, redacts or passes by a word of the text."""

    async def check(self, text, rail, **_):
        action = "block" if "bomb" in text else "redact" if "4111" in text else "allow"
        return {
            "rail": rail,
            "outcome": "flag" if action != "allow" else "pass",
            "action": action,
            "text": text.replace("4111", "[card]"),
            "notice": "" if action == "allow" else f"{rail}: {action}",
            "reasons": [],
        }


def test_a_blocked_question_is_not_answered_and_the_thread_goes_on():
    model = ScriptedChat(["Hello.", "Fine."])
    resources = small(model, guard=Rails())
    first, blocked, last = talk(model, "Hi", "A bomb?", "Thanks.", resources=resources)
    assert (first["verdict"], blocked["verdict"], last["verdict"]) == (
        "answered",
        "blocked",
        "answered",
    )
    assert blocked["answer"] == "input: block"
    assert last["notices"] == []
    assert not any("bomb" in turn.text for turn in model.prompts[-1])


def test_a_blocked_answer_is_replaced_in_the_conversation():
    model = ScriptedChat(["Build a bomb.", "Fine."])
    resources = small(model, guard=Rails())
    blocked, last = talk(model, "Hi", "Again?", resources=resources)
    assert (blocked["answer"], blocked["verdict"]) == ("output: block", "blocked")
    assert texts(last["messages"])[1] == ("ai", "output: block")


def test_a_redacted_question_is_kept_redacted():
    model = ScriptedChat(["Hello."])
    [result] = talk(model, "My card is 4111.", resources=small(model, guard=Rails()))
    assert texts(model.prompts[0])[1:] == [("human", "My card is [card].")]
    assert texts(result["messages"])[0] == ("human", "My card is [card].")


def test_memories_stand_before_the_question_and_never_in_the_system_prompt(tmp_path):
    memories = Memories.open(tmp_path / "memories.sqlite")
    memories.remember("default", "The person's dog is called Bori.")
    model = ScriptedChat(["Bori.", "Yes."])
    model.enqueue_choice("no", "no")
    settings = load({"guard": {"enabled": False}})
    resources = Resources(settings, model=model, memories=memories)
    talk(model, "What is my dog called?", "Is water wet?", resources=resources)
    answered = [prompt for prompt in model.prompts if "assistant in a conv" in prompt[0].text]
    assert answered[0][0] == answered[1][0]
    assert "Bori" not in answered[0][0].text
    assert "Bori" in answered[0][-1].text
    assert answered[0][-1].text.endswith("What is my dog called?")
    # What was recalled for one question is not kept in the conversation.
    assert answered[1][1].text == "What is my dog called?"


def held(home, name, turns, **model):
    """Hold a conversation with a real model; return its states and the usage of its answers."""
    from groundling.home import Home

    flags = {"memory": {"enabled": False}, "guard": {"enabled": False}}
    with Home(home, model={"name": name, "measure": False, **model}, **flags) as opened:
        resources = Resources(opened.settings, model=opened.model)
        graph = chat.build(resources, InMemorySaver())
        results = [graph.invoke({"question": turn}, CONFIG) for turn in turns]
        return results, graph.get_state(CONFIG).values


@pytest.mark.model
def test_a_real_window_overflows_and_the_beginning_is_not_read_again(home_with_models):
    turns = [f"Tell me about the number {n}, please, in some detail." for n in range(6)]
    results, state = held(home_with_models, "smollm2-135m", turns, context=384, max_tokens=32)
    assert state["summarised"] >= 2
    assert len(state["messages"]) == 12
    details = [result["messages"][-1].usage_metadata for result in results]
    assert all(usage["input_tokens"] <= 352 for usage in details)
    # Between the steps only the last question and the end of the template are new.
    cached = [u["input_token_details"]["cache_read"] / u["input_tokens"] for u in details]
    assert sorted(cached)[len(cached) // 2] > 0.7


@pytest.mark.quality
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("told", "more", "asked", "right"),
    [
        (
            "I am Mina, and my dog is called Bori.",
            "Explain in two sentences how {} is made.",
            "What is my dog called?",
            "Bori",
        ),
        (
            "저는 민아이고, 우리 강아지 이름은 보리예요.",
            "{}을 어떻게 만드는지 두 문장으로 설명해 주세요.",
            "우리 강아지 이름이 뭐죠?",
            "보리",
        ),
    ],
)
def test_what_was_said_first_is_still_known(home_with_models, qwen, told, more, asked, right):
    things = {
        "Bori": ["glass", "paper", "soap", "bread", "cheese", "ink", "steel"],
        "보리": ["유리", "비누", "빵", "치즈", "종이", "잉크"],
    }
    turns = [told, *(more.format(thing) for thing in things[right]), asked]
    results, state = held(home_with_models, "qwen2.5-coder-1.5b", turns, context=384, max_tokens=64)
    assert state["summarised"] >= 2
    assert right in results[-1]["answer"]
