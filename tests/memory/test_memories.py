"""Facts in the file: kept once, found, put right, bounded, and gone when forgotten."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import MemoriesError, UnknownMemory
from groundling.memory.memories import Memories
from groundling.memory.memory import LONGEST, clean, plain
from groundling.memory.recall import lexical, overlap
from tests.processes import interruptible


class Letters:
    """An embedder of a few topics: enough to find what shares no word."""

    fingerprint = {"model": "letters", "languages": "en"}  # noqa: RUF012
    groups = (("physician", "doctor", "medicine"), ("sea", "ocean", "beach"), ("bike", "cycles"))

    def __init__(self) -> None:
        self.embedded = 0

    def embed_query(self, text: str) -> list[float]:
        words = text.casefold()
        return [float(any(word in words for word in group)) for group in self.groups] + [0.1]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded += len(texts)
        return [self.embed_query(text) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "memories.sqlite"


@pytest.fixture
def memories(file: Path) -> Iterator[Memories]:
    with Memories.open(file) as opened:
        yield opened


def test_a_fact_is_found_by_its_words(memories: Memories) -> None:
    memories.remember("ada", "The user keeps two canaries.")
    fact = memories.remember("ada", "The user is allergic to peanuts.", kind="food")
    [found] = memories.recall("ada", "Is there peanut in it?")
    assert (found.id, found.text, found.kind) == (fact.id, fact.text, "food")
    assert 0 < found.score <= 1


@pytest.mark.parametrize(
    ("text", "kind", "question"),
    [
        ("사용자는 부산에 산다.", "home", "내가 어디 살아?"),
        ("사용자의 이름은 민수입니다.", "name", "내 이름이 뭐야?"),
        ("사용자는 간호사입니다.", "work", "제 직업이 뭐죠?"),
        ("사용자는 부산에 산다.", "home", "Which city do I live in?"),
        ("The user has twins.", "family", "제 아이들 기억해요?"),
    ],
)
def test_topics_find_what_shares_no_word(
    memories: Memories, text: str, kind: str, question: str
) -> None:
    for other in (
        "사용자는 초록색을 고릅니다.",
        "The user dislikes wind.",
        "사용자는 9시에 잡니다.",
    ):
        memories.remember("ada", other)
    fact = memories.remember("ada", text, kind=kind)
    assert memories.recall("ada", question)[0].id == fact.id


def test_meaning_finds_what_words_do_not(file: Path) -> None:
    with Memories.open(file) as plain_ones:
        fact = plain_ones.remember("ada", "The user is a physician.")
        assert plain_ones.recall("ada", "Am I trained in medicine?") == []
    embedder = Letters()
    with Memories.open(file, embedder) as opened:  # the vector is made when it is missed
        assert [one.id for one in opened.recall("ada", "Am I trained in medicine?")] == [fact.id]
        opened.recall("ada", "medicine")
        assert embedder.embedded == 1
        assert opened.recall("ada", "의학?") == []  # no language of this embedder


def test_nobody_sees_the_facts_of_another(memories: Memories) -> None:
    fact = memories.remember("ada", "The user lives in Busan.")
    assert memories.recall("bob", "Busan") == []
    assert memories.list("bob") == []
    for attempt in (
        lambda: memories.get("bob", fact.id),
        lambda: memories.edit("bob", fact.id, "The user lives in Rome."),
        lambda: memories.forget("bob", fact.id),
        lambda: memories.history("bob", fact.id),
        lambda: memories.remember("bob", "x lives in Rome", supersedes=fact.id),
    ):
        with pytest.raises(UnknownMemory, match="bob"):
            attempt()
    assert memories.forget_all("bob") == 0
    assert memories.get("ada", fact.id) == fact
    assert memories.list("bob") == []


def test_the_same_is_kept_once(memories: Memories) -> None:
    first = memories.remember("ada", "The user lives in Busan.")
    assert memories.remember("ada", "the user  lives in BUSAN").id == first.id
    assert len(memories.list("ada")) == 1
    assert memories.remember("bob", "The user lives in Busan.").id != first.id


def test_what_is_superseded_is_history_and_not_recalled(memories: Memories) -> None:
    old = memories.remember("ada", "The user lives in Seoul.", kind="home")
    new = memories.remember("ada", "The user lives in Busan.", kind="home", supersedes=old.id)
    assert [one.id for one in memories.recall("ada", "Do I live in Seoul?")] == [new.id]
    assert [one.id for one in memories.list("ada")] == [new.id]
    assert [one.id for one in memories.history("ada", new.id)] == [old.id]
    assert memories.similar("ada", "The user lives in Seoul.")[0].id == new.id
    back = memories.remember("ada", "The user lives in Seoul.", kind="home", supersedes=new.id)
    assert back.id not in (old.id, new.id)
    assert memories.forget("ada", back.id) == 3
    assert memories.list("ada", superseded=True) == []


def test_recalling_counts_and_the_least_used_go(file: Path) -> None:
    with Memories.open(file, most=3) as memories:
        for city in ("Rome", "Oslo", "Lima"):
            memories.remember("ada", f"The user has seen {city}.")
        memories.recall("ada", "Rome")
        memories.recall("ada", "Lima", count=False)
        memories.remember("ada", "The user has seen Kyiv.")
        memories.remember("bob", "The user has seen Bonn.")
        assert [one.text[18:-1] for one in memories.list("ada")] == ["Kyiv", "Lima", "Rome"]
        assert memories.list("ada")[-1].uses == 1


def test_editing_puts_right(memories: Memories, file: Path) -> None:
    fact = memories.remember("ada", "The user lives in Zanzibartown.")
    other = memories.remember("ada", "The user plays the oboe.")
    fresh = memories.edit("ada", fact.id, "The user lives in Busan.", kind="home")
    assert (fresh.text, fresh.kind) == ("The user lives in Busan.", "home")
    assert memories.recall("ada", "Zanzibartown") == []
    assert b"anzibartown" not in everything(file)
    with pytest.raises(MemoriesError, match="says that already"):
        memories.edit("ada", other.id, "the user lives in busan")


def everything(file: Path) -> bytes:
    return b"".join(one.read_bytes() for one in file.parent.glob(file.name + "*"))


def test_nothing_of_what_is_forgotten_is_in_the_files(file: Path) -> None:
    embedder = Letters()
    with Memories.open(file, embedder) as memories:
        for n in range(300):  # many pages, cells moved between them
            memories.remember("ada", f"The user met Zebulon{n} at the sea {'again ' * (n % 30)}.")
        old = memories.remember("ada", "The user fears quagmires.")
        kept = memories.remember("ada", "The user fears xylophones.", supersedes=old.id)
        memories.recall("ada", "sea")
        for one in memories.list("ada"):
            if one.id % 50 == 0:
                memories.forget("ada", one.id)
        assert b"ylophone" in everything(file)
        memories.forget("ada", kept.id)
        left = everything(file).lower()
        assert b"ylophone" not in left
        assert b"quagmire" not in left
        assert b"zebulon" in left
        memories.forget_all("ada")
        assert b"zebulon" not in everything(file).lower()
        assert list(memories.check()) == []


def test_a_kill_before_the_file_is_written_anew_is_made_up_for(file: Path) -> None:
    with Memories.open(file) as memories:
        fact = memories.remember("ada", "The user fears xylophones.")
        memories.remember("ada", "The user likes figs.")
    db = sqlite3.connect(file)
    db.execute("PRAGMA secure_delete = OFF")
    db.execute("DELETE FROM memories WHERE id = ?", (fact.id,))
    db.execute("INSERT INTO chores (name) VALUES ('scrub')")
    db.commit()
    db.close()
    assert b"ylophone" in everything(file)
    with Memories.open(file) as memories:
        assert b"ylophone" not in everything(file)
        assert len(memories.list("ada")) == 1


def test_two_threads_with_files_of_their_own_lose_nothing(file: Path) -> None:
    def write(name: str) -> None:
        with Memories.open(file) as memories:
            for n in range(20):
                memories.remember("ada", f"The user knows {name} {n}.")
                memories.remember("ada", f"The user knows both {n}.")

    threads = [Thread(target=write, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Memories.open(file) as memories:
        assert len(memories.list("ada")) == 60


def test_a_process_that_is_killed_loses_nothing_committed(file: Path) -> None:
    script = f"""
from pathlib import Path
from groundling.memory.memories import Memories
memories = Memories.open(Path({str(file)!r}))
for n in range(100000):
    memories.remember("ada", f"The user counts {{n}}.")
    if n == 20:
        print("ready", flush=True)
"""
    with interruptible([sys.executable, "-c", script]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    with Memories.open(file) as memories:
        numbers = sorted(int(one.text[16:-1]) for one in memories.list("ada"))
        assert len(numbers) > 20
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert list(memories.check()) == []


@pytest.mark.parametrize("text", ["", "   \n", "\u200b\u202e", "x" * (LONGEST + 1)])
def test_what_cannot_be_remembered_is_said(memories: Memories, text: str) -> None:
    with pytest.raises(MemoriesError) as caught:
        memories.remember("ada", text)
    assert caught.value.hint
    assert memories.list("ada") == []


def test_wrong_kinds_users_and_numbers_are_said(memories: Memories) -> None:
    with pytest.raises(MemoriesError, match="no kind of fact 'mood'"):
        memories.remember("ada", "x y", kind="mood")
    with pytest.raises(MemoriesError, match="user's name"):
        memories.remember(" ", "x y")
    with pytest.raises(UnknownMemory):
        memories.get("ada", 10**30)


@pytest.mark.parametrize("question", ["", " ", '"', "x" * 100_000, "a' OR 1=1 --", "\ud800"])
def test_hostile_questions_find_nothing(memories: Memories, question: str) -> None:
    memories.remember("ada", "The user lives in Busan.")
    assert memories.recall("ada", question) == []


def test_a_damaged_file_is_named(file: Path) -> None:
    file.write_bytes(b"no database at all" * 400)
    with pytest.raises(MemoriesError, match=r"memories\.sqlite cannot be used") as caught:
        Memories.open(file)
    assert "mv" in (caught.value.hint or "")


def test_a_newer_file_is_left_alone(file: Path) -> None:
    Memories.open(file).close()
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(MemoriesError, match="99"):
        Memories.open(file)


def test_the_file_is_its_owners_alone(memories: Memories, file: Path) -> None:
    assert file.stat().st_mode & 0o077 == 0
    assert json.dumps(memories.remember("ada", "A fact.").as_json())


@given(st.text(max_size=60))
def test_cleaning_is_done_once(text: str) -> None:
    try:
        cleaned = clean(text)
    except MemoriesError:
        return
    assert clean(cleaned) == cleaned
    assert cleaned.isprintable() or any(one.isspace() for one in cleaned)
    assert plain(plain(cleaned)) == plain(cleaned)
    cleaned.encode()


@given(st.dictionaries(st.integers(1, 9), st.lists(st.sampled_from("abc#"), max_size=5)))
def test_ranking_holds_what_has_a_term_and_nothing_else(facts: dict[int, list[str]]) -> None:
    ranked = lexical(["a", "#"], facts)
    assert {number for number, _ in ranked} == {
        number for number, terms in facts.items() if {"a", "#"} & set(terms)
    }
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_overlap_is_a_symmetric_share(left: list[str], right: list[str]) -> None:
    assert overlap(left, right) == overlap(right, left)
    assert 0 <= overlap(left, right) <= 1
