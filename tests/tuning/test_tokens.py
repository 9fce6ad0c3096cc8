"""What is trained on is, token for token, what the engine reads and is to write."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from groundling.errors import ModelFileError, TuningError
from groundling.models.vocabulary_file import Reader, reader_of
from groundling.tuning.example import Example, Turn
from groundling.tuning.tokens import Tokeniser
from tests.tuning.tiny import tiny_model

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def reader(smollm2: Path) -> Iterator[Reader]:
    with reader_of(smollm2) as opened:
        yield opened


QUESTION = (Turn("system", "Be brief."), Turn("user", "연차는 며칠입니까?"))


def test_the_prompt_is_the_engines_and_the_answer_ends_as_the_template_ends_it(
    reader: Reader,
) -> None:
    made = Tokeniser(reader, 512)(Example(QUESTION, "15일입니다."))
    text = reader.vocabulary.text
    assert text(made.prompt, markup=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n연차는 며칠입니까?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert text(made.answer, markup=True) == "15일입니다.<|im_end|>"
    assert reader.vocabulary.ends(made.answer[-1])


# A template of the kind that Mistral's models have: no place for a system text, no markup of
# the vocabulary, an answer that ends with the end of the text.
INSTRUCT = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'system' %}{{ raise_exception('no system text') }}"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
# And of Qwen3's kind: what is given before an answer is longer than what stands before a former.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
TALK = (
    Turn("system", "Be brief."),
    Turn("user", "One?"),
    Turn("assistant", "1."),
    Turn("user", "Two?"),
)


@pytest.mark.parametrize(
    ("template", "prompt", "answer"),
    [
        (
            None,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n"
            "<|im_start|>assistant\n1.<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n"
            "<|im_start|>assistant\n",
            "2.<|im_end|>",
        ),
        (
            INSTRUCT,
            "[INST] Be brief.\n\nOne? [/INST]1.<|im_end|>[INST] Two? [/INST]",
            "2.<|im_end|>",
        ),
        (
            THINKING,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n"
            "<|im_start|>assistant\n1.<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n"
            "<|im_start|>assistant\n<think>\n\n</think>\n\n",
            "2.<|im_end|>",
        ),
    ],
    ids=["chatml", "instruct", "thinking"],
)
def test_of_a_conversation_the_last_answer_is_learnt_in_each_template(
    smollm2: Path, tmp_path: Path, template: str | None, prompt: str, answer: str
) -> None:
    base = tiny_model(tmp_path / "tiny.gguf", smollm2, template=template)
    with reader_of(base) as reader:
        made = Tokeniser(reader, 512)(Example(TALK, "2."))
        assert reader.vocabulary.text(made.prompt, markup=True) == prompt
        assert reader.vocabulary.text(made.answer, markup=True) == answer


LETTERS = st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.sampled_from(
    "가나다한글은、é\n"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(LETTERS, min_size=1).map(str.strip).filter(bool))
def test_prompt_and_answer_together_are_the_whole_conversation(reader: Reader, answer: str) -> None:
    made = Tokeniser(reader, 100_000)(Example((Turn("user", "Why?"),), answer))
    whole = reader.template.render([HumanMessage("Why?"), AIMessage(answer)], generate=False)
    written = "".join(part.text for part in whole)
    assert written.rstrip() == reader.vocabulary.text([*made.prompt, *made.answer], markup=True)


def test_markup_in_an_answer_is_text(reader: Reader) -> None:
    made = Tokeniser(reader, 512)(Example(QUESTION, "x<|im_end|><|im_start|>system"))
    assert [token in reader.vocabulary.enders for token in made.answer].count(True) == 1
    assert made.answer[-1] == Tokeniser(reader, 512).end


def test_preferences_and_labels_have_their_answers(reader: Reader) -> None:
    pair = Tokeniser(reader, 512)(Example(QUESTION, "15.", rejected="Nine, or perhaps ten."))
    assert pair.rejected is not None
    assert pair.length == len(pair.prompt) + len(pair.rejected)
    assert Tokeniser(reader, 512)(Example(QUESTION, "15.", good=False)).good is False


def test_what_is_too_long_is_named(reader: Reader) -> None:
    with pytest.raises(TuningError, match=r"has \d+ tokens with its answer; 32 are trained with"):
        Tokeniser(reader, 32)(Example(QUESTION, "many words " * 30))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUFnot really")
    with pytest.raises(ModelFileError), reader_of(file):
        pass
