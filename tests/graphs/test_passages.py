from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import GraphError, ModelNotFound
from groundling.graphs.nodes.passages import merge, numbered, pack, retrieved, room, with_use
from groundling.graphs.nodes.reranking import RERANKED, rerank
from groundling.graphs.resources import Resources
from groundling.knowledge.base import Knowledge
from groundling.knowledge.passage import Passage
from groundling.models.prompts import prompt
from groundling.settings import Settings
from tests.scripted import ScriptedChat


class Weighing(ScriptedChat):
    """Says yes to each text by how often it names apples."""

    def choose_many(self, prompts, options):
        counts = [messages[-1].text.count("apple") for messages in prompts]
        return [{"yes": count / 10, "no": 1 - count / 10} for count in counts]


def passage(number: int, text: str = "text") -> Passage:
    return Passage(
        chunk_id=number,
        document_id=number,
        source=f"{number}.md",
        title="",
        heading="",
        page=None,
        start=0,
        end=len(text),
        text=text,
    )


def ids(passages) -> list[int]:
    return [each.chunk_id for each in passages]


def test_what_the_model_made_up_counts_as_much_as_one_query():
    question = [passage(1), passage(2)]
    made_up = [[passage(3), passage(2)], [passage(3), passage(2)], [passage(3), passage(2)]]
    assert ids(merge([question], made_up)) == [2, 1, 3]
    assert ids(merge([question])) == [1, 2]
    assert merge([[]]) == []


@given(
    sizes=st.lists(st.integers(1, 60), max_size=12),
    most=st.integers(1, 8),
    budget=st.integers(1, 120),
    space=st.integers(1, 200),
)
def test_what_is_shown_fits_and_what_is_dropped_does_not(sizes, most, budget, space):
    model = ScriptedChat()
    ranked = [passage(number, "word " * size) for number, size in enumerate(sizes)]
    packed = pack(ranked, model, most=most, budget=budget, room=space)
    tokens = model.get_num_tokens(numbered(packed.shown))
    assert tokens <= space
    assert tokens <= budget or len(packed.shown) == 1
    assert len(packed.shown) <= most
    assert ids(packed.shown) == sorted(ids(packed.shown))
    told = retrieved(ranked, packed)
    assert [each["chunk_id"] for each in told] == sorted(ids(packed.shown + packed.dropped))
    # Nothing of the best is lost without being told of.
    if len(packed.shown) < most:
        assert set(ids(ranked[:most])) <= {each["chunk_id"] for each in told}


def test_a_shorter_passage_takes_the_place_of_one_that_does_not_fit():
    ranked = [passage(1, "a " * 20), passage(2, "b " * 50), passage(3, "c " * 20)]
    packed = pack(ranked, ScriptedChat(), most=2, budget=60, room=1000)
    assert (ids(packed.shown), ids(packed.dropped)) == ([1, 3], [2])
    told = with_use(retrieved(ranked, packed), {3})
    assert [(each["shown"], each["used"]) for each in told] == [
        (True, False),
        (False, False),
        (True, True),
    ]


@pytest.mark.parametrize("question", ["How much leave?", "휴가는 며칠입니까?"])
def test_prompt_passages_and_a_whole_answer_fit_into_the_context(question):
    model = ScriptedChat()
    settings = Settings(model={"context": 512, "max_tokens": 100})
    space = room(question, Resources(settings, model=model))
    language = "ko" if "휴" in question else "en"
    messages = prompt("verify", language).messages(
        passages="word " * space, question=question, answer="word " * 100
    )
    assert 480 < model.get_num_tokens_from_messages(messages) <= 512


def test_a_model_of_a_shorter_context_leaves_less_room():
    settings = Settings(model={"context": 4096, "max_tokens": 100})
    wide = room("Why?", Resources(settings, model=ScriptedChat()))
    short = ScriptedChat(profile={"max_input_tokens": 2048})
    assert wide - room("Why?", Resources(settings, model=short)) == 2048


@pytest.fixture
def knowledge(tmp_path: Path):
    with Knowledge.open(tmp_path / "knowledge", None) as opened:
        yield opened


async def test_a_reranker_changes_the_order_alone(knowledge):
    texts = ["pear", "apple", "apple apple", "pear", *["apple " * 9] * RERANKED]
    ranked = [passage(number, text) for number, text in enumerate(texts)]
    settings = Settings(retrieval={"rerank": "model"})
    resources = Resources(settings, model=Weighing(), knowledge=knowledge)
    found = await rerank(ranked, "Which fruit?", resources)
    assert ids(found) == [*range(4, RERANKED), 2, 1, 0, 3, *range(RERANKED, len(ranked))]
    resources = Resources(Settings(), model=Weighing(), knowledge=knowledge)
    assert await rerank(ranked, "Which fruit?", resources) == ranked


async def test_a_model_that_weighs_nothing_cannot_rerank(knowledge):
    settings = Settings(retrieval={"rerank": "model"})
    resources = Resources(settings, model=ScriptedChat(), knowledge=knowledge)
    with pytest.raises(GraphError, match="ScriptedChat cannot rerank"):
        await rerank([passage(1)], "Which?", resources)


async def test_a_reranker_that_is_not_there_is_named(tmp_path: Path, knowledge):
    settings = Settings(home=tmp_path, retrieval={"rerank": "bge-reranker-v2-m3"})
    resources = Resources(settings, model=ScriptedChat(), knowledge=knowledge)
    with pytest.raises(ModelNotFound, match="bge-reranker-v2-m3"):
        await rerank([passage(1)], "Which?", resources)
