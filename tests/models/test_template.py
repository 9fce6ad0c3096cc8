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


CALLS: list[BaseMessage] = [
    HumanMessage("Add."),
    AIMessage(
        "",
        tool_calls=[
            {"name": "add", "args": {"a": 1}, "id": "toolu_01"},
            {"name": "add", "args": {"a": 2}, "id": "123456789"},
        ],
    ),
    ToolMessage("one", tool_call_id="toolu_01"),
    ToolMessage("two", tool_call_id="123456789"),
]
ADD = {"type": "function", "function": {"name": "add", "description": "Adds </s>."}}


def test_a_template_without_tools_is_told_in_words() -> None:
    parts = template().render([SystemMessage("Be brief."), *CALLS], tools=[ADD])
    told = text(parts)
    assert told.startswith("<|im_start|>system\nBe brief.\n\n# Tools")
    assert Part("</s>", markup=False) in parts
    assert (
        '<|im_start|>assistant\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n'
        '<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\none\n</tool_response>\n"
        "<tool_response>\ntwo\n</tool_response><|im_end|>\n"
    ) in told
    assert "# Tools" not in text(template().render(CALLS))


def test_ids_as_mistral_wants_them() -> None:
    source = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}"
        "{% if c.id|length != 9 %}{{ raise_exception('nine characters') }}{% endif %}"
        "{{ c.id }} {% endfor %}{{ m.tool_call_id }};{% endfor %}{{ tools }}"
    )
    _, called, first, second, _ = text(template(source).render(CALLS)).split(";")
    one, two = called.split()
    assert (first, second) == (one, two)
    assert two == "123456789"
    assert one.isalnum()


def test_calls_as_llama_wants_them() -> None:
    source = (
        "{% for m in messages %}{% if 'tool_calls' in m %}{% if m.tool_calls|length != 1 %}"
        "{{ raise_exception('single tool-calls at once') }}{% endif %}"
        "{{ m.tool_calls[0].function.arguments|tojson }}{% else %}"
        "{{ m.role }}:{{ m.content }}{% endif %};{% endfor %}{{ tools }}"
    )
    rendered = text(template(source).render(CALLS))
    assert rendered == 'user:Add.;{"a": 1};tool:one;{"a": 2};tool:two;None'


@pytest.mark.parametrize(
    "written",
    ["'x' + c.function.arguments", "c.function.arguments"],
    ids=["joined to a text", "printed"],
)
def test_arguments_as_text_where_a_template_wants_that(written: str) -> None:
    source = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}"
        "{{ " + written + " }}{% endfor %}{% endfor %}{{ tools }}"
    )
    assert '{"a": 1}' in text(template(source).render(CALLS))
    # And as an object where it does not.
    source = source.replace(written, "c.function.arguments.a + 1")
    assert text(template(source).render(CALLS)) == "23None"


def test_results_carry_the_name_of_their_tool() -> None:
    source = "{% for m in messages %}{{ m.name or '-' }}{% endfor %}{{ tools or '' }}"
    assert text(template(source).render(CALLS)) == "--addadd"


THINKING = (
    "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ m.reasoning_content or '' }};"
    "{% endfor %}{% if enable_thinking is not defined or enable_thinking %}<think>\n{% endif %}"
    "{# </think> #}"
)


def test_thoughts_are_given_back_where_they_are_wanted() -> None:
    thoughtful = AIMessage("Green.", additional_kwargs={"reasoning_content": "(Grass.)"})
    blocks = AIMessage(
        [{"type": "reasoning", "reasoning": "(Sky.)"}, {"type": "text", "text": "B"}]
    )
    rendered = text(template(THINKING).render([thoughtful, blocks]))
    assert rendered == "assistant:Green.(Grass.);assistant:B(Sky.);<think>\n"
    assert "Grass" not in text(template(QUIET).render([thoughtful]))


QUIET = THINKING.replace("{{ m.reasoning_content or '' }}", "")


def test_whether_a_prompt_ends_in_thoughts() -> None:
    made = template(THINKING)
    asked = [HumanMessage("Hi")]
    assert made.opens_thinking(made.render(asked))
    assert not made.opens_thinking(made.render(asked, reasoning=False))
    # A template that always opens them: they are closed again.
    made = template("{{ messages[0].content }}<think>\n{# </think> #}")
    assert text(made.render(asked, reasoning=False)) == "Hi<think>\n\n\n</think>\n\n"


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
