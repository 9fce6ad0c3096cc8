"""Examples are read whatever form they have, and written without loss."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import TuningError
from groundling.tuning.example import Example, Turn
from groundling.tuning.formats import as_json, parse

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
Q = {"role": "user", "content": "Wie?"}
A = {"role": "assistant", "content": "So."}
B = {"role": "assistant", "content": "Nein."}
HUMAN, GPT = {"from": "human", "value": "Wie?"}, {"from": "gpt", "value": "So."}
OTHER = {"from": "gpt", "value": "Nein."}


def read(value: object) -> Example:
    return parse(value, source="file:x")


@st.composite
def examples(draw: st.DrawFn) -> Example:
    turns = [Turn("system", draw(TEXTS))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        turns += [Turn("user", draw(TEXTS)), Turn("assistant", draw(TEXTS))]
    turns.append(Turn("user", draw(TEXTS)))
    kind = draw(st.sampled_from(["chat", "preference", "label"]))
    return Example(
        tuple(turns),
        draw(TEXTS),
        rejected=draw(TEXTS) if kind == "preference" else None,
        good=draw(st.booleans()) if kind == "label" else None,
        source=draw(TEXTS),
        group=draw(TEXTS),
        about={"created": 1},
    )


@given(examples())
def test_what_is_written_is_read_again(example: Example) -> None:
    assert read(json.loads(json.dumps(as_json(example)))) == example


@given(examples(), st.sampled_from(["alpaca", "sharegpt"]))
def test_other_peoples_forms_keep_the_conversation(example: Example, form: str) -> None:
    if example.good is False:
        with pytest.raises(TuningError, match="no place"):
            as_json(example, form)  # type: ignore[arg-type]
        return
    again = read(as_json(example, form))  # type: ignore[arg-type]
    assert (again.prompt, again.answer) == (example.prompt, example.answer)


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [Q, A]},
        {"prompt": "Wie?", "completion": "So."},
        {"prompt": [Q], "completion": [A]},
        {"instruction": "Wie?", "input": "", "output": "So."},
        {"question": "Wie?", "answer": "So."},
        {"conversations": [{"from": "human", "value": "Wie?"}, {"from": "gpt", "value": "So."}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Wie?"}]}, A]},
        {"messages": json.dumps([Q, A])},
        {"messages": [Q, {**A, "weight": 1, "tool_calls": None}], "tools": None},
        {"conversations": [Q, A]},
        {"conversation": [HUMAN, GPT]},
        {"conversation": [{"input": "Wie?", "output": "So."}]},  # Capybara
        {"instruction": "Wie?", "context": "", "response": "So.", "category": "qa"},  # Dolly
        {"system_prompt": "", "question": "Wie?", "response": "So."},  # OpenOrca
        {"instruction": "Wie?", "generation": "So."},  # distilabel
        {"prompt": "### Wie?", "instruction": "Wie?", "input": "", "output": "So."},
        {"prompt": "Wie?", "response": "So."},
        {"query": "Wie?", "response": "So."},
        {"input": "Wie?", "output": "So."},
        {"messages": [Q, A], "chosen": None, "rejected": None},
    ],
)
def test_every_form_of_a_conversation(value: object) -> None:
    found = read(value)
    assert (found.question, found.answer, found.kind) == ("Wie?", "So.", "chat")


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": [Q], "chosen": [A], "rejected": [B]},
        {"prompt": "Wie?", "chosen": "So.", "rejected": "Nein."},
        {"question": "Wie?", "chosen": "So.", "rejected": "Nein."},
        {"chosen": [Q, A], "rejected": [Q, B]},
        # UltraFeedback, as Zephyr learnt from it: the conversation three times over
        {"prompt": "Wie?", "chosen": [Q, A], "rejected": [Q, B], "messages": [Q, A]},
        {"conversation": [{"input": "Wie?", "output": "So."}], "chosen": [Q, A],
         "rejected": [Q, B]},
        {"chosen": "\n\nHuman: Wie?\n\nAssistant: So.",
         "rejected": "\n\nHuman: Wie?\n\nAssistant: Nein."},  # HH-RLHF
        {"prompt": "\n\nHuman: Wie?\n\nAssistant:", "chosen": "So.", "rejected": "Nein."},
        {"instruction": "Wie?", "input": "", "chosen": "So.", "rejected": "Nein."},
        {"conversations": [HUMAN], "chosen": GPT, "rejected": OTHER},  # LLaMA-Factory
        {"input": {"messages": [Q], "tools": []}, "preferred_output": [A],
         "non_preferred_output": [B]},  # OpenAI
        {"prompt": json.dumps([Q]), "chosen": json.dumps([A]), "rejected": json.dumps([B])},
    ],
)  # fmt: skip
def test_every_form_of_a_preference(value: object) -> None:
    found = read(value)
    assert found.prompt == (Turn("user", "Wie?"),)
    assert (found.answer, found.rejected) == ("So.", "Nein.")


@pytest.mark.parametrize(
    "value",
    [
        {"system": "Kurz.", "question": "Wie?", "chosen": "So.", "rejected": "Nein."},
        {"system": "Kurz.", "input": "Wie?", "chosen": "So.", "rejected": "Nein."},
        {"system": "Kurz.", "prompt": "Wie?", "chosen": [Q, A], "rejected": [Q, B]},
        {"system": "Kurz.", "conversations": [HUMAN, GPT]},
        {"system_prompt": "Kurz.", "question": "Wie?", "response": "So."},
        {"system": "Kurz.", "instruction": "Wie?", "output": "So."},
    ],
)
def test_a_system_text_is_not_lost(value: object) -> None:
    assert read(value).prompt == (Turn("system", "Kurz."), Turn("user", "Wie?"))


def test_what_belongs_to_a_question_stands_below_it() -> None:
    assert read({"instruction": "Wie?", "input": "Da.", "output": "So."}).question == "Wie?\n\nDa."
    assert read({"question": "Wie?", "context": "Da.", "answer": "So."}).question == "Wie?\n\nDa."
    assert read({"instruction": "", "input": "Da.", "output": "So."}).question == "Da."


@pytest.mark.parametrize("name", ["test", "validation", "dev", "Heldout"])
def test_parts_that_nobody_learns_from_are_held_out(name: str) -> None:
    assert read({"question": "Wie?", "answer": "So.", "split": name}).about["split"] == "heldout"
    assert read({"question": "Wie?", "answer": "So.", "split": "train"}).about["split"] == "train"


@pytest.mark.parametrize(("said", "good"), [(True, True), ("0", False), (1, True), ("up", True)])
def test_labels(said: object, good: bool) -> None:
    assert read({"prompt": "Wie?", "completion": "So.", "label": said}).good is good
    assert read({"conversations": [HUMAN, GPT], "kto_tag": said}).good is good


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "not an object"),
        ({}, "its fields are none"),
        ({"text": "x"}, "its fields are text"),
        ({"messages": [Q]}, "does not end with an answer"),
        ({"messages": [A, A]}, "does not end with a person's turn"),
        ({"messages": [Q, Q, A]}, "do not take turns"),
        ({"messages": [Q, {"role": "tool", "content": "x"}]}, "'tool' is no role"),
        ({"messages": [Q, {"role": "assistant", "content": None}]}, "is no text"),
        ({"messages": [Q, {**A, "tool_calls": [{}]}]}, "calls tools"),
        ({"messages": [Q, A, {"role": "system", "content": "x"}, Q, A]}, "elsewhere than first"),
        ({"prompt": "x", "chosen": "y"}, "without a rejected"),
        ({"chosen": [A], "rejected": [A]}, "no prompt"),
        ({"prompt": "x"}, "prompt has no answer: no completion"),
        ({"prompt": "x", "completion": "y", "label": "perhaps"}, "neither true nor false"),
        ({"instruction": "x"}, "instruction has no answer"),
        ({"instruction": "x", "output": "y", "history": "z"}, "list of pairs"),
        ({"messages": "[not json"}, "neither a list nor JSON"),
        ({"messages": [Q] * 1000}, "1000 turns"),
        ({"messages": [Q, {**A, "weight": 0}]}, "weight 0"),
        ({"chosen": [Q, A], "rejected": [A, Q, B]}, "do not end the same conversation"),
        ({"prompt": "x", "chosen": [A, Q, A], "rejected": [B]}, "chosen has 3 turns"),
        ({"prompt": [Q], "chosen": [Q], "rejected": [B]}, "chosen is no answer"),
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, "no prompt"),
        ({"prompt": "x", "chosen": "y", "rejected": "z", "label": 1}, None),
    ],
)
def test_what_is_no_example_says_why(value: object, reason: str | None) -> None:
    if reason is None:
        assert read(value).kind == "preference"
        return
    with pytest.raises(TuningError, match=reason):
        read(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "prompt", "chosen", "rejected", "role", "content",
                             "instruction", "input", "output", "label", "history", "system",
                             "conversations", "from", "value", "split", "about"]),
            inner, max_size=4,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_json_is_an_example_or_a_clear_error(value: object) -> None:
    with suppress(TuningError):
        assert read(value).texts
