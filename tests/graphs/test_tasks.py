import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import GraphError
from groundling.graphs import tasks
from groundling.graphs.nodes.tasks.classifying import calibrate
from groundling.graphs.nodes.tasks.comparing import cosine, overlap
from groundling.graphs.nodes.tasks.condensing import whole
from groundling.graphs.nodes.tasks.entities import longest, occurrences
from groundling.graphs.nodes.tasks.pieces import pieces
from groundling.graphs.nodes.tasks.translating import blocks, language, unquoted
from groundling.graphs.resources import Resources
from groundling.models.prompts import fenced
from groundling.settings import Settings
from tests.scripted import ScriptedChat

PROSE = st.text(alphabet="ab 가나.\n,1`", max_size=400)


def run(model, task, text, context=4096, **given):
    settings = Settings(home=Path("nowhere"), model={"context": context, "max_tokens": 64})
    graph = tasks.build(Resources(settings, model=model))
    return graph.invoke({"task": task, "text": text, **given})


def test_classify_takes_the_likeliest_label():
    model = ScriptedChat()
    model.enqueue_choice({"complaint": 0.2, "question": 0.7, "praise": 0.1})
    result = run(model, "classify", "Where is it?", labels=["complaint", "question", "praise"])
    assert result["answer"] == "question"
    assert result["result"]["probabilities"]["question"] == 0.7
    system, question = model.prompts[0]
    assert "complaint, question, praise" in system.text
    assert "Where is it?" not in system.text
    assert '"""\nWhere is it?\n"""' in question.text


def test_korean_texts_are_asked_in_korean():
    model = ScriptedChat()
    model.enqueue_choice("불만")
    result = run(model, "classify", "물건이 깨져서 왔어요.", labels=["문의", "불만"])
    assert result["answer"] == "불만"
    assert "분류" in model.prompts[0][0].text


def test_examples_are_turns_before_the_text():
    model = ScriptedChat()
    model.enqueue_choice("b")
    shots = [{"text": "one", "output": "a"}, {"text": "two", "output": "b"}]
    run(model, "classify", "three", labels=["a", "b"], examples=shots)
    kinds = [(turn.type, turn.text.splitlines()[:2][-1]) for turn in model.prompts[0][1:]]
    assert kinds == [
        ("human", "one"),
        ("ai", "a"),
        ("human", "two"),
        ("ai", "b"),
        ("human", "three"),
    ]


def test_too_many_examples_are_refused():
    shots = [{"text": "word " * 400, "output": "a"}] * 20
    with pytest.raises(GraphError, match="examples have"):
        run(ScriptedChat(), "classify", "x", labels=["a", "b"], examples=shots)


def test_reasoning_thinks_before_it_decides():
    model = ScriptedChat(["It asks where something is."])
    model.enqueue_choice("question")
    result = run(model, "classify", "Where?", labels=["question", "praise"], reasoning=True)
    assert result["thoughts"] == "It asks where something is."
    thinking, deciding = model.prompts
    assert thinking[-1].type == "human"
    assert [turn.text for turn in deciding[: len(thinking)]] == [turn.text for turn in thinking]
    assert deciding[len(thinking)].text == "It asks where something is."


def test_several_labels_are_each_asked_for():
    model = ScriptedChat()
    model.enqueue_choice({"yes": 0.9, "no": 0.1}, {"yes": 0.2, "no": 0.8}, {"yes": 0.6, "no": 0.4})
    result = run(model, "classify", "Broken, and late.", labels=["a", "b", "c"], several=True)
    assert result["result"]["labels"] == ["a", "c"]


def test_calibration_takes_out_what_an_empty_text_would_get():
    model = ScriptedChat()
    model.enqueue_choice({"a": 0.7, "b": 0.3}, {"a": 0.9, "b": 0.1})
    result = run(model, "classify", "text", labels=["a", "b"], calibrated=True)
    assert result["answer"] == "b"


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6))
def test_calibrating_by_equal_weights_changes_nothing(weights):
    total = sum(weights)
    given_ = {str(n): weight / total for n, weight in enumerate(weights)}
    even = dict.fromkeys(given_, 1 / len(given_))
    assert calibrate(given_, even) == pytest.approx(given_)


def test_sentiment_is_named_alike_in_both_languages():
    model = ScriptedChat()
    model.enqueue_choice({"긍정": 0.8, "부정": 0.1, "중립": 0.1})
    result = run(model, "sentiment", "음식이 맛있었어요.")
    assert result["answer"] == "positive"
    assert result["result"]["score"] == 0.7


def entities(*pairs):
    return json.dumps({"entities": [{"text": text, "type": kind} for text, kind in pairs]})


def test_entities_stand_where_they_say():
    text = "Tim Cook met Ann.\nTim  Cook left Seoul."
    model = ScriptedChat([entities(("Tim Cook", "person"), ("Seoul", "place"), ("Bob", "person"))])
    result = run(model, "entities", text)["result"]
    assert [text[one["start"] : one["end"]] for one in result["entities"]] == [
        "Tim Cook",
        "Tim  Cook",
        "Seoul",
    ]
    assert result["dropped"] == 1  # Bob is not in the text


def test_entities_of_examples_are_written_as_the_model_writes_them():
    model = ScriptedChat([entities()])
    shots = [{"text": "Bob ran.", "output": [{"text": "Bob", "type": "person"}]}]
    run(model, "entities", "Nobody ran.", examples=shots)
    assert json.loads(model.prompts[0][2].text) == json.loads(entities(("Bob", "person")))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("Ann", "Anna saw Ann", ["Ann"]),
        ("김민수", "김민수는 김민수가", ["김민수", "김민수"]),
        ("$5", "It costs $5, not $55", ["$5"]),
        ("", "text", []),
        ("a.b", "axb a.b", ["a.b"]),
    ],
)
def test_names_are_found_as_whole_words(name, text, found):
    assert [text[start:end] for start, end in occurrences(name, text)] == found


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=20))
def test_kept_entities_do_not_overlap(spans):
    listed = [
        {"text": "", "type": "x", "start": start, "end": start + length} for start, length in spans
    ]
    kept = longest(listed)
    assert all(one["end"] <= other["start"] for one, other in pairwise(kept))
    assert bool(kept) == bool(listed)


def test_a_long_text_is_summarised_piece_by_piece():
    text = "\n\n".join(f"Paragraph {number}. " + "word " * 80 for number in range(6))
    model = ScriptedChat(["Short one."] * 40)
    result = run(model, "summarize", text, context=512)
    assert result["result"]["pieces"] > 2
    assert result["result"]["rounds"] >= 1
    read = "".join(prompt[-1].text for prompt in model.prompts)
    assert all(f"Paragraph {number}." in read for number in range(6))


def test_a_summary_that_does_not_get_shorter_ends():
    text = "\n\n".join("word " * 80 for _ in range(6))
    model = ScriptedChat(["longer than before " * 200] * 60)
    assert run(model, "summarize", text, context=512)["result"]["rounds"] <= 2


@pytest.mark.parametrize(
    ("text", "count", "kept"),
    [
        ("One. Two. Three.", 2, "One. Two."),
        ("One. Two and then it was c", 3, "One."),
        ("하나입니다. 둘입니다. 셋", 3, "하나입니다. 둘입니다."),
        ("only this", 3, "only this"),
    ],
)
def test_summaries_end_with_whole_sentences(text, count, kept):
    assert whole(text, count) == kept


def test_translation_keeps_code_and_layout():
    text = "Hello.\n\n```\nprint('hi')\n```\n\nBye."
    model = ScriptedChat(["안녕.", "잘 가."])
    result = run(model, "translate", text)
    assert result["answer"] == "안녕.\n\n```\nprint('hi')\n```\n\n잘 가."
    assert result["result"]["to"] == "Korean"


def test_korean_is_translated_into_english():
    assert run(ScriptedChat(["Hello."]), "translate", "안녕하세요.")["result"]["to"] == "English"


@given(PROSE)
def test_blocks_joined_are_the_text(text):
    assert "".join(block for block, _ in blocks(text)) == text


def test_quotation_marks_of_the_model_are_taken_off():
    assert unquoted('"""\n안녕\n"""', "Hi") == "안녕"
    assert unquoted('"안녕"', "Hi") == "안녕"
    assert unquoted('"안녕"', '"Hi"') == '"안녕"'


def test_languages_by_code_or_name():
    assert language("ko") == "Korean"
    assert language("ko-KR") == "Korean"
    assert language("Klingon") == "Klingon"


def test_an_answer_is_proved_by_the_text():
    text = "The shop is closed. It opens at 9 am."
    model = ScriptedChat(["9 am"])
    model.enqueue_choice("yes")
    result = run(model, "answer", text, question="When does it open?")["result"]
    assert text[result["quote"]["start"] : result["quote"]["end"]] == "9 am"


def test_an_answer_that_the_text_does_not_have_is_refused():
    model = ScriptedChat()
    model.enqueue_choice("no")
    result = run(model, "answer", "그 가게는 닫혔다.", question="언제 엽니까?")
    assert result["answer"] == "이 글에는 없는 내용입니다."
    assert result["result"]["answer"] is None


def test_an_invented_answer_has_no_quotation():
    model = ScriptedChat(["On 24 December"])
    model.enqueue_choice("yes")
    result = run(model, "answer", "It opens at 9 am.", question="When does it open?")
    assert result["result"]["quote"] is None


def test_similarity_is_the_expected_grade():
    model = ScriptedChat()
    model.enqueue_choice({"0": 0, "1": 0, "2": 0, "3": 0.5, "4": 0.5, "5": 0})
    result = run(model, "similarity", "a red car", other="a red bus")
    assert result["result"]["judged"] == 0.7
    assert 0 < result["result"]["words"] < 1
    assert result["result"]["vectors"] is None  # no embedding model in this home


def test_vectors_and_words():
    assert cosine([1.0, 0.0], [1.0, 0.0]) == 1
    assert cosine([0.0, 0.0], [1.0, 0.0]) == 0
    assert overlap("", "") == 0
    assert overlap("the same words", "the same words") == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"task": "dance", "text": "x"}, "no task dance"),
        ({"task": "sentiment", "text": " \n"}, "empty"),
        ({"task": "sentiment", "text": "\u200b "}, "empty"),
        ({"task": "classify", "text": "x"}, "needs labels"),
        ({"task": "classify", "text": "x", "labels": ["a", "a "]}, "One label"),
        ({"task": "classify", "text": "x", "labels": [" "]}, "labels are empty"),
        ({"task": "answer", "text": "x"}, "needs question"),
        ({"task": "similarity", "text": "x"}, "needs other"),
    ],
)
def test_what_is_missing_is_named(given, reason):
    graph = tasks.build(Resources(Settings(), model=ScriptedChat()))
    with pytest.raises(GraphError, match=reason):
        graph.invoke(given)


def test_a_hundred_thousand_characters_are_read_in_part_where_one_look_decides():
    model = ScriptedChat()
    model.enqueue_choice("positive")
    assert run(model, "sentiment", "good " * 20_000)["answer"] == "positive"
    assert len(model.prompts[0][-1].text.split()) < 4096


@given(PROSE, st.integers(1, 30))
def test_pieces_hold_every_word_at_its_place(text, most):
    model = ScriptedChat()
    parts = pieces(text, model, most)
    assert all(text[part.start : part.end] == part.text for part in parts)
    assert all(model.get_num_tokens(part.text) <= most for part in parts)
    outside = text
    for part in reversed(parts):
        outside = outside[: part.start] + outside[part.end :]
    assert not outside.strip()


@given(st.text(alphabet='"a\n', max_size=60))
def test_a_fence_is_longer_than_any_in_the_text(text):
    fence = fenced(text).partition("\n")[0]
    assert fence not in text
    assert set(fence) == {'"'}


@pytest.mark.model
def test_with_a_real_model(home_with_models):
    from groundling.home import Home

    with Home(model={"name": "smollm2-135m", "context": 1024}) as home:
        graph = home.graph("tasks")
        result = graph.invoke({"task": "sentiment", "text": "A wonderful, happy day!"})
        assert sum(result["result"]["probabilities"].values()) == pytest.approx(1, abs=0.01)
        found = graph.invoke({"task": "entities", "text": "Tim Cook lives in Berlin."})
        assert isinstance(found["result"]["entities"], list)


@pytest.mark.quality
def test_what_the_larger_model_makes_of_them(qwen, tmp_path):
    from groundling.models.chat import ChatLlama

    model = ChatLlama(model=str(qwen), context=2048)
    graph = tasks.build(Resources(Settings(), model=model))

    def ask(task, text, **given):
        return graph.invoke({"task": task, "text": text, **given})

    assert ask("sentiment", "The food was cold and the waiter rude.")["answer"] == "negative"
    assert ask("sentiment", "음식이 정말 맛있었어요.")["answer"] == "positive"
    labels = ["sport", "politics", "cooking"]
    assert ask("classify", "Boil the pasta for 9 minutes.", labels=labels)["answer"] == "cooking"
    names = ask("entities", "김민수는 수원에서 로봇을 점검했다.")["result"]["entities"]
    assert "김민수" in {one["text"] for one in names}
