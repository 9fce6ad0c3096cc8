from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.passage import Passage
from groundling.knowledge.tune.drawing import draw, worth_asking
from groundling.models.prompts import language_of

TEXTS = {"en": "many words of plain English " * 5, "ko": "한국어로 쓰인 글이 여기에 있다 " * 5}


def passage(number: int, document: int, text: str) -> Passage:
    return Passage(number, document, f"{document}.md", "", "", None, 0, len(text), text)


def passages(counts: dict[int, tuple[str, int]]) -> list[Passage]:
    made: list[Passage] = []
    for document, (language, count) in counts.items():
        made += [passage(len(made) + n, document, TEXTS[language]) for n in range(count)]
    return made


@given(
    st.dictionaries(
        st.integers(0, 20), st.tuples(st.sampled_from(["en", "ko"]), st.integers(1, 9)), max_size=8
    )
)
def test_each_passage_is_drawn_once_and_the_same_each_time(
    counts: dict[int, tuple[str, int]],
) -> None:
    given_ = passages(counts)
    drawn = list(draw(given_))
    assert sorted(one.chunk_id for one in drawn) == sorted(one.chunk_id for one in given_)
    assert drawn == list(draw(given_))


def test_documents_and_languages_take_turns() -> None:
    drawn = list(draw(passages({1: ("en", 200), 2: ("en", 10), 3: ("en", 10), 4: ("ko", 20)})))
    first = Counter(one.document_id for one in drawn[:40])
    # Korean has a twelfth of the passages and, by the square root, near a quarter of the draws.
    assert 8 <= first[4] <= 11
    assert first[2] == first[3] == 10


def test_a_language_in_which_few_questions_are_kept_is_asked_about_more() -> None:
    given_ = passages({1: ("en", 40), 2: ("ko", 40)})
    kept = Counter({"en": 0})
    drawn: list[str] = []
    for one in draw(given_, kept):
        drawn.append(language_of(one.text))
        kept["en"] += drawn[-1] == "en"  # every English question is kept, no Korean one
    first = Counter(drawn[:30])
    assert first["ko"] > 2 * first["en"]
    # And yet English has its turns.
    assert first["en"] >= 4


def test_short_passages_are_not_asked_about() -> None:
    assert not worth_asking(passage(1, 1, "# Contents\n\n1. Leave"))
    assert worth_asking(passage(1, 1, TEXTS["ko"]))
