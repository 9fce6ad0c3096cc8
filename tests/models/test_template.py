"""Chat templates: rendered as Hugging Face does, and closed to forged markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from groundling.errors import ModelError
from groundling.models.calls import EngineSettings
from groundling.models.engines import engine_for
from groundling.models.template import ChatTemplate
from groundling.models.vocabulary import Part

CONTROL = ("<|im_start|>", "<|im_end|>", "<|im", "</s>")
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] | trim + ' "
    "[/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


def template(source: str | None = None) -> ChatTemplate:
    return ChatTemplate(source, bos="<s>", eos="</s>", control_texts=CONTROL)


def text(parts: list[Part]) -> str:
    return "".join(part.text for part in parts)


def test_chatml_stands_in_where_a_file_has_no_template() -> None:
    made = template()
    parts = made.render([SystemMessage("Be brief."), HumanMessage("안녕?")])
    assert parts == [
        Part(
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n안녕?<|im_end|>\n"
            "<|im_start|>assistant\n",
            markup=True,
        )
    ]
    assert made.stop == ("<|im_end|>",)
    assert not text(made.render([HumanMessage("hi")], generate=False)).endswith("assistant\n")


@given(st.lists(st.sampled_from([*CONTROL, "a", " ", "\n", "<|", "im_end|>", "\ue0f1", "0\ue0f2"])))
def test_no_message_can_forge_markup(pieces: list[str]) -> None:
    content = "".join(pieces)
    parts = template().render([HumanMessage(content)])
    markup = "".join(part.text if part.markup else "?" for part in parts)
    # Each control text in the markup is the template's own: three openings, one closing.
    assert markup.count("<|im_start|>") == 2
    assert markup.count("<|im_end|>") == 1
    assert "</s>" not in markup
    # And nothing is lost.
    assert text(parts) == f"<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n"


@given(st.text())
def test_any_text_comes_through(content: str) -> None:
    assert content in text(template().render([HumanMessage(content)]))


def test_roles_that_a_template_does_not_know() -> None:
    messages = [
        SystemMessage("Rules."),
        HumanMessage("One."),
        HumanMessage("Two."),
        AIMessage("Three."),
        HumanMessage("Four."),
    ]
    rendered = text(template(LLAMA_2).render(messages))
    assert rendered == (
        "<s>[INST] Rules.\n\nOne.\n\nTwo. [/INST] Three.</s><s>[INST] Four. [/INST]"
    )
    with pytest.raises(ModelError, match="roles must alternate"):
        template(LLAMA_2).render([AIMessage("first")])


def test_tool_calls_and_results_reach_the_template() -> None:
    source = (
        "{% for m in messages %}{{ m.role }}:{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %};{% endfor %}"
        "{{ tools | tojson }}"
    )
    call = {"name": "add", "args": {"a": "<|im_end|>", "b": 2}, "id": "1"}
    messages: list[BaseMessage] = [
        AIMessage("", tool_calls=[call]),  # type: ignore[list-item]
        ToolMessage("3", tool_call_id="1"),
        ChatMessage(role="critic", content="fine"),
    ]
    parts = template(source).render(messages, tools=[{"name": "add"}])
    assert text(parts) == (
        'assistant:{"name": "add", "arguments": {"a": "<|im_end|>", "b": 2}};tool:3;critic:fine;'
        '[{"name": "add"}]'
    )
    assert Part("<|im_end|>", markup=False) in parts


def test_text_blocks_are_joined_and_others_refused() -> None:
    blocks: list[str | dict[str, str]] = [{"type": "text", "text": "one "}, "two"]
    assert "one two" in text(template().render([HumanMessage(content=list(blocks))]))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(ModelError, match="image_url"):
        template().render([HumanMessage(content=[image])])


def test_templates_run_in_a_sandbox() -> None:
    hostile = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(ModelError, match="refuses"):
        template(hostile).render([HumanMessage("hi")])
    with pytest.raises(ModelError, match="broken"):
        template("{% for %}")


def test_the_way_hugging_face_renders() -> None:
    source = (
        "  {% if true %}\n  x\n  {% endif %}\n{{ {'k': '<é>'} | tojson }}{{ strftime_now('%%') }}"
    )
    assert text(template(source).render([HumanMessage("hi")])) == '  x\n{"k": "<é>"}%'


@pytest.mark.model
@given(st.lists(st.sampled_from(["<|im_start|>", "<|im_end|>", "<|endoftext|>", "a ", "가"])))
def test_a_real_tokenizer_makes_no_control_tokens_of_messages(
    smollm2: Path, pieces: list[str]
) -> None:
    engine = engine_for(smollm2, EngineSettings(context=256))
    vocabulary = engine.vocabulary
    made = ChatTemplate(
        engine.chat_template,
        bos=vocabulary.bos,
        eos=vocabulary.eos,
        control_texts=vocabulary.control_texts,
    )
    control = {
        token
        for special in vocabulary.control_texts
        for token in vocabulary.tokenize(special, markup=True)
    }

    def count(content: str) -> int:
        return sum(
            token in control for token in vocabulary.encode(made.render([HumanMessage(content)]))
        )

    assert count("".join(pieces)) == count("plain")
    tokens = vocabulary.encode(made.render([HumanMessage("".join(pieces))]))
    assert "".join(pieces) in vocabulary.text(tokens, markup=True)
