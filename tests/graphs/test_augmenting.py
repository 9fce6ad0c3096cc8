from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver

from groundling.errors import SettingsError
from groundling.graphs import rag
from groundling.graphs.nodes.augmenting import lines
from groundling.graphs.resources import Resources
from groundling.knowledge.base import Knowledge
from groundling.models.prompts import prompt
from groundling.settings import Settings, load


@pytest.fixture
def knowledge(tmp_path: Path):
    yield from opened(
        tmp_path,
        {
            "leave.md": "Full-time employees receive 17 days of leave.",
            "vacation.md": "Interns have a vacation of 9 days.",
        },
    )


@pytest.fixture
def korean(tmp_path: Path):
    yield from opened(
        tmp_path,
        {
            "travel.md": "국내 출장의 숙박비는 1박에 95,000원까지 지급합니다.",
            "leave.md": "정규직의 연차는 17일입니다.",
        },
    )


def opened(folder: Path, documents: dict[str, str]):
    for name, text in documents.items():
        (folder / name).write_text(text, encoding="utf-8")
    with Knowledge.open(folder / "knowledge", None) as knowledge:
        knowledge.add([folder / name for name in documents])
        yield knowledge


def built(model, knowledge, *augment: str, saver=None):
    settings = Settings(retrieval={"augment": list(augment)})
    return rag.build(Resources(settings, model=model, knowledge=knowledge), saver)


def steps(graph, question: str) -> dict[str, dict]:
    done = graph.stream({"question": question}, stream_mode="updates")
    return {name: update for each in done for name, update in each.items()}


def test_other_words_find_what_the_question_does_not(scripted, knowledge):
    graph = built(scripted, knowledge, "multi_query")
    scripted.enqueue("1. Interns' vacation\n2. How long is the vacation of interns?\n", "9 days.")
    scripted.enqueue_choice("yes", "yes", "none")
    done = steps(graph, "Which holidays do trainees get?")
    assert done["multi_query"]["augmented"] == {
        "multi_query": ["Interns' vacation", "How long is the vacation of interns?"]
    }
    assert [Path(each["source"]).name for each in done["retrieve"]["retrieved"]] == ["vacation.md"]
    # The words of a query that the model made up say nothing about the question.
    assert done["retrieve"]["coverage"] == 0
    assert done["retrieve"]["queries"] == ["Which holidays do trainees get?"]


def test_each_technique_is_a_step_of_its_own_and_all_count(scripted, knowledge):
    graph = built(scripted, knowledge, "step_back", "hyde", "multi_query")
    scripted.enqueue("What are the rules for leave?", "Employees\nreceive leave.", "Days of leave")
    scripted.enqueue_choice({"yes": 0.0, "no": 1.0})
    done = steps(graph, "How many days of leave do full-time employees receive?")
    assert list(done)[:5] == ["receive", "step_back", "hyde", "multi_query", "retrieve"]
    assert done["multi_query"]["augmented"] == {
        "step_back": ["What are the rules for leave?"],
        "hyde": ["Employees receive leave."],
        "multi_query": ["Days of leave"],
    }


def test_what_says_nothing_new_is_no_query(scripted, knowledge):
    graph = built(scripted, knowledge, "multi_query", "hyde")
    scripted.enqueue('"Which leave?"\n---\n', "  ")
    scripted.enqueue_choice("no")
    done = steps(graph, "Which leave?")
    assert done["hyde"]["augmented"] == {"multi_query": [], "hyde": []}


def test_korean_questions_are_augmented_in_korean(scripted, korean):
    graph = built(scripted, korean, "hyde")
    scripted.enqueue("국내 출장 숙박비는 1박에 8만 원까지 지급한다.")
    scripted.enqueue_choice("no")
    done = steps(graph, "회사 일로 지방에 가면 방값은 얼마까지 나와요?")
    assert "문서" in scripted.prompts[0][0].text
    assert Path(done["retrieve"]["retrieved"][0]["source"]).name == "travel.md"


def test_queries_of_a_technique_that_is_off_again_are_not_searched_with(scripted, knowledge):
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "1"}}
    scripted.enqueue("Interns' vacation", "Is the leave paid?")
    scripted.enqueue_choice("no", "no")
    built(scripted, knowledge, "hyde", saver=saver).invoke({"question": "Which leave?"}, config)
    later = built(scripted, knowledge, saver=saver).invoke({"question": "Is it paid?"}, config)
    assert [Path(each["source"]).name for each in later["retrieved"]] == ["leave.md"]


def test_nothing_is_augmented_unless_it_is_asked_for(scripted, knowledge):
    nodes = set(built(scripted, knowledge).get_graph().nodes)
    assert not nodes & {"multi_query", "hyde", "step_back"}


def test_an_unknown_technique_is_named():
    with pytest.raises(SettingsError, match=r"retrieval\.augment"):
        load({"retrieval": {"augment": ["guess"]}})


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("technique", ["multi_query", "hyde", "step_back"])
def test_prompts_end_with_the_question(technique, language):
    messages = prompt(f"augment_{technique}", language).messages(question="{Q}?")
    assert [message.type for message in messages] == ["system", "human", "ai", "human"]
    assert messages[-1].text == "{Q}?"


@given(st.text(max_size=200))
def test_lines_are_distinct_and_say_something(text):
    found = lines(text)
    assert len(set(found)) == len(found)
    assert all(any(map(str.isalnum, line)) and "\n" not in line for line in found)
