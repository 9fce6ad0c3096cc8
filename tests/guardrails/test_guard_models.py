import pytest

from groundling.errors import GuardError
from groundling.guardrails.guard import Guard
from groundling.guardrails.guard_models import (
    GRANITE,
    LLAMA,
    QWEN,
    SHIELD,
    category,
    conversation,
    family_of,
    judged,
)
from tests.scripted import ScriptedChat


class GuardModel(ScriptedChat):
    model: str = "Qwen3Guard-Gen-0.6B-Q8_0.gguf"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("/models/Llama-Guard-3-1B.Q4_K_M.gguf", LLAMA),
        ("meta-llama/LlamaGuard-3-8B", LLAMA),
        ("Qwen3Guard-Gen-4B.gguf", QWEN),
        ("shieldgemma-2b-Q4_K_M.gguf", SHIELD),
        ("ibm-granite_granite-guardian-3.1-2b-Q4_K_M.gguf", GRANITE),
    ],
)
def test_families_by_their_file_names(name, family):
    assert family_of(name) is family


def test_another_model_is_no_guard():
    with pytest.raises(GuardError, match="no guard model") as error:
        family_of("qwen2.5-coder-1.5b.gguf")
    assert "llama-guard" in (error.value.hint or "")


def texts(messages):
    return [(message.type, message.text) for message in messages]


def test_a_request_and_an_answer_are_conversations():
    assert texts(conversation(LLAMA, "Hi", None)) == [("human", "Hi")]
    assert texts(conversation(QWEN, "No.", "Hi")) == [("human", "Hi"), ("ai", "No.")]
    with_context = conversation(GRANITE, "c", None, ["a", "b"])
    assert texts(with_context) == [("human", "a"), ("ai", "b"), ("human", "c")]
    assert texts(conversation(LLAMA, "c", None, ["b"])) == [("human", "c")]


def test_shieldgemma_is_asked_for_a_principle():
    [asked] = conversation(SHIELD, "How are you?", None)
    assert "Human Question: How are you?" in asked.text
    assert "Does the human question violate the above principle?" in asked.text
    [asked] = conversation(SHIELD, "Fine.", "How are you?")
    assert "Chatbot Response: Fine." in asked.text
    assert "The response shall not" in asked.text


@pytest.mark.parametrize(
    ("family", "verdict", "kind"),
    [
        (LLAMA, "unsafe\nS2,S9", "S2"),
        (LLAMA, "\n\nunsafe\nS11", "S11"),
        (LLAMA, "unsafe", "harm"),
        (QWEN, "Safety: Unsafe\nCategories: Non-violent Illegal Acts", "S2"),
        (QWEN, "Safety: Unsafe\nCategories: Violent", "S1"),
        (QWEN, "Safety: Controversial\nCategories: None", "harm"),
    ],
)
def test_verdicts_are_read(family, verdict, kind):
    assert category(family, verdict) == kind


async def test_the_score_is_the_probability_of_harm():
    model = GuardModel(["Safety: Unsafe\nCategories: Suicide & Self-Harm"])
    model.enqueue_choice({"Safety: Safe": 0.1, "Safety: Controversial": 0.4, "Safety: Unsafe": 0.5})
    [reason] = await judged(model, "…")
    assert (reason["kind"], reason["score"]) == ("S11", 0.7)
    model.enqueue_choice("Safety: Safe")
    assert await judged(model, "Hello") == []


async def test_a_guard_asks_its_guard_model_instead_of_the_chat_model():
    model = GuardModel(["Safety: Unsafe\nCategories: Violent"])
    model.enqueue_choice("Safety: Unsafe")
    decision = await Guard(model=ScriptedChat(), guard_model=model).check("…", "input")
    assert decision["action"] == "block"
    assert decision["reasons"][0]["kind"] == "S1"


async def test_a_model_that_is_no_guard_is_an_error_of_the_check():
    other = GuardModel(model="smollm2.gguf")
    decision = await Guard(guard_model=other).check("Hello", "input")
    assert decision["outcome"] == "error"
    assert "no guard model" in decision["reasons"][0]["detail"]
