"""What is whose, and what knowledge bases are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.server.people.people import People
from groundling.server.person import Person, Role
from groundling.server.problems import Problem
from groundling.settings import load
from tests.server.people.conftest import Clock

ANN = Person("ann", Role.MEMBER, "key")
BOB = Person("bob", Role.ADMIN, "key")
LOCAL = Person("default", Role.ADMIN, "local")


def base(people: People, person: Person, name: str) -> str:
    """Make a knowledge base, as the routes do."""
    folder = people.knowledge_folder(person, name)
    load().knowledge_path(folder).mkdir(parents=True)
    people.owners.claim("knowledge", folder, person.id)
    return folder


def test_what_nobody_claimed_is_the_local_users(people: People, clock: Clock) -> None:
    owners = people.owners
    for number in range(5):
        clock.now += 1
        owners.claim("trace", f"t{number}", "ann" if number % 2 else "bob")
    owners.claim("trace", "t1", "bob")  # too late
    assert owners.owner("trace", "t1") == "ann"
    assert owners.owner("trace", "t9") == "default"
    assert owners.owner("dataset", "t1") == "default"
    assert owners.owned("trace", "bob") == ["t4", "t2", "t0"]
    assert owners.owned("trace", "bob", 1, 1) == ["t2"]
    assert owners.count("trace", "ann") == 2
    assert owners.mine("trace", ["t3", "t9", "t2", "t1"], "ann") == ["t3", "t1"]
    assert owners.mine("trace", ["t3", "t9", "t2"], "default") == ["t9"]
    owners.check("trace", "t1", ANN, "trace t1")
    for person in (BOB, LOCAL):
        with pytest.raises(Problem) as told:
            owners.check("trace", "t1", person, "trace t1")
        assert (told.value.status, told.value.message) == (404, "There is no trace t1.")
    owners.release("trace", "t1")
    assert owners.owner("trace", "t1") == "default"


def test_many_ids_are_cut_down_at_once(people: People) -> None:
    ids = [f"t{number}" for number in range(5000)]
    people.owners.claim("trace", "t4999", "ann")
    assert people.owners.mine("trace", ids, "ann") == ["t4999"]
    assert len(people.owners.mine("trace", ids, "default")) == 4999


def test_bases_are_private_until_they_are_shared(people: People) -> None:
    assert base(people, LOCAL, "handbook") == "handbook"
    assert base(people, ANN, "handbook") == "ann--handbook"
    assert people.knowledge(LOCAL, "handbook") == "handbook"
    assert people.knowledge(ANN, "handbook") == "ann--handbook"
    assert people.knowledge(ANN, "ann/handbook", write=True) == "ann--handbook"
    for person, name in ((BOB, "handbook"), (BOB, "ann/handbook"), (BOB, "default/handbook"),
                         (LOCAL, "ann--handbook"), (LOCAL, "ann/handbook"),
                         (ANN, "default/handbook"), (ANN, "ann--handbook")):  # fmt: skip
        with pytest.raises(Problem) as told:
            people.knowledge(person, name)
        assert told.value.status == 404, (person, name)
    assert people.knowledge_shown(BOB) == []
    people.share_knowledge(ANN, "handbook", shared=True)
    assert people.knowledge(BOB, "ann/handbook") == "ann--handbook"
    with pytest.raises(Problem) as told:
        people.knowledge(BOB, "ann/handbook", write=True)
    assert told.value.status == 404
    with pytest.raises(Problem):
        people.share_knowledge(BOB, "ann/handbook", shared=False)
    (seen,) = people.knowledge_shown(BOB)
    assert (seen.name, seen.folder, seen.owner) == ("ann/handbook", "ann--handbook", "ann")
    assert seen.shared
    assert not seen.writable
    assert [(e.name, e.writable) for e in people.knowledge_shown(LOCAL)] == [
        ("handbook", True), ("ann/handbook", False),
    ]  # fmt: skip
    people.share_knowledge(ANN, "handbook", shared=False)
    assert people.knowledge_shown(BOB) == []
    people.forget_knowledge("ann--handbook")
    with pytest.raises(Problem):
        people.knowledge(ANN, "handbook")


def test_a_run_that_names_no_base_gets_none_of_anothers(people: People) -> None:
    assert people.knowledge_default(LOCAL) is None  # there is none yet
    name = load().retrieval.knowledge
    base(people, LOCAL, name)
    assert people.knowledge_default(LOCAL) == name
    assert people.knowledge_default(ANN) is None
    people.share_knowledge(LOCAL, name, shared=True)
    assert people.knowledge_default(ANN) == name
    own = base(people, ANN, name)
    assert people.knowledge_default(ANN) == own == f"ann--{name}"
    assert people.knowledge_default(BOB) == name


@pytest.mark.parametrize(
    "name",
    ["", "..", ".", "a/b", "../x", "/etc", "a\\b", "a--b", " a", "a.", "a\n", "x" * 65, "C:"],
)
def test_a_base_with_a_name_that_leads_elsewhere_is_refused(people: People, name: str) -> None:
    with pytest.raises(Problem) as told:
        people.knowledge_folder(ANN, name)
    assert told.value.status == 422
    with pytest.raises(Problem) as told:
        people.knowledge(ANN, name)
    assert told.value.status == 404


def test_a_folder_of_the_command_line_hides_nobodys(people: People) -> None:
    root = load().knowledge_path("x").parent
    (root / "ann--x").mkdir(parents=True)  # groundling knowledge -k ann--x
    assert people.knowledge(LOCAL, "ann--x") == "ann--x"
    with pytest.raises(Problem) as told:
        people.knowledge(ANN, "x")
    assert told.value.status == 404
    with pytest.raises(Problem) as told:
        people.knowledge_folder(ANN, "X")  # the same on a file system that ignores case
    assert told.value.status == 409
    (root / ".hidden").mkdir()
    (root / "file").write_text("no base")
    assert [entry.name for entry in people.knowledge_shown(LOCAL)] == ["ann--x"]


@given(
    name=st.one_of(
        st.text(max_size=20),
        st.text(alphabet="ab-/.", max_size=20),
        st.sampled_from(["ann/secret", "ann--secret", "ANN/secret", "/ann/secret", "ann//secret"]),
    )
)
def test_no_name_leads_another_to_a_private_base(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    people = People.open(load({"home": tmp_path_factory.mktemp("home")}))
    try:
        root = people._knowledge._root
        (root / "ann--secret").mkdir(parents=True)
        people.owners.claim("knowledge", "ann--secret", "ann")
        for person in (BOB, LOCAL):
            with pytest.raises(Problem) as told:
                people.knowledge(person, name)
            assert told.value.status == 404
    finally:
        people.close()
