"""The store: what one person keeps there, and that no other comes near it."""

from __future__ import annotations

import asyncio
import string
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from groundling.errors import MemoriesError
from groundling.server.langgraph.items import Items, checked_filter, label
from groundling.server.problems import Problem

# What SQLite's LIKE and GLOB, regular expressions and the store's own separator could trip over.
NAMES = st.text("ab_%*?[]-^$", min_size=1, max_size=4)
LABELS = st.text(string.ascii_lowercase[:3] + "AB_%*?[]^$\\|'\" é", min_size=1, max_size=3)
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)


@pytest.fixture
async def items(tmp_path: Path):
    async with Items.open(tmp_path / "store.sqlite") as items:
        yield items


async def test_an_item_is_kept_changed_and_removed(tmp_path: Path):
    async with Items.open(tmp_path / "store.sqlite") as items:
        await items.put("ann", ("a", "b"), "k", {"n": 1})
        await items.put("ann", ("a", "b"), "k", {"n": 2})
    async with Items.open(tmp_path / "store.sqlite") as items:
        item = await items.get("ann", ("a", "b"), "k")
        assert item is not None
        assert (item["namespace"], item["key"], item["value"]) == (["a", "b"], "k", {"n": 2})
        assert item["created_at"].endswith("+00:00")
        await items.delete("ann", ("a", "b"), "k")
        assert await items.get("ann", ("a", "b"), "k") is None


def test_the_file_is_its_owners_alone(tmp_path: Path):
    async def made() -> None:
        async with Items.open(tmp_path / "store.sqlite"):
            pass

    asyncio.run(made())
    assert (tmp_path / "store.sqlite").stat().st_mode & 0o077 == 0


async def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    (tmp_path / "store.sqlite").write_text("not a database, but long enough to be read as one" * 9)
    with pytest.raises(MemoriesError, match="cannot be opened"):
        async with Items.open(tmp_path / "store.sqlite"):
            pass


async def test_an_item_with_a_time_to_live_ends(items: Items):
    await items.put("ann", ("a",), "soon", {}, ttl=1e-9)
    await items.put("ann", ("a",), "later", {}, ttl=60)
    await asyncio.sleep(1.1)  # SQLite's clock has seconds
    await items.store.sweep_ttl()
    assert [item["key"] for item in await items.search("ann", ())] == ["later"]


@pytest.mark.parametrize(
    "wanted", [{"a' OR 1": 1}, {"a..b": 1}, {"": 1}, {"a": {"$in": [1]}}, {"a": {"$gt": [1]}}]
)
def test_a_filter_that_sqlite_cannot_be_asked_is_refused(wanted: dict[str, Any]):
    with pytest.raises(Problem) as told:
        checked_filter(wanted)
    assert told.value.status == 422


async def test_all_that_a_person_has_is_forgotten_and_nothing_else(items: Items):
    for name in ("ann", "anna", "an"):
        await items.put(name, ("a",), "k", {})
    assert await items.forget("ann") == 1
    assert await items.search("ann", ()) == []
    assert len(await items.search("anna", ())) == len(await items.search("an", ())) == 1


@given(st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]))
def test_no_label_begins_another(names: tuple[str, str]):
    first, second = (label(name) for name in names)
    assert not first.startswith(second)
    assert not second.startswith(first)
    assert set(first) <= set("0123456789abcdefpz")


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    people=st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]),
    theirs=st.lists(NAMESPACES, min_size=1, max_size=4),
    asked=st.lists(LABELS, max_size=3),
    limit=st.integers(1, 1000),
    offset=st.integers(0, 3),
)
def test_nobody_reaches_what_is_anothers(
    tmp_path: Path,
    people: tuple[str, str],
    theirs: list[tuple[str, ...]],
    asked: list[str],
    limit: int,
    offset: int,
):
    """Neither by a prefix, a wildcard, the other's label, nor by asking for very much."""
    ann, bob = people
    tried = [tuple(asked), (label(ann), *asked), ("*", *asked), ("..", *asked), *theirs]

    async def look() -> None:
        path = tmp_path / f"{uuid4()}.sqlite"
        async with Items.open(path) as items:
            for n, namespace in enumerate(theirs):
                await items.put(ann, namespace, f"k{n}", {"secret": n})
            for namespace in tried:
                whole = tuple(part for part in namespace if "." not in part)
                found = await items.search(bob, whole, limit=limit, offset=offset)
                named = await items.namespaces(bob, prefix=whole, limit=limit, offset=offset)
                ending = await items.namespaces(bob, suffix=whole, limit=limit)
                assert (found, named, ending) == ([], [], [])
                for n in range(len(theirs)):
                    if whole:
                        assert await items.get(bob, whole, f"k{n}") is None
                        await items.delete(bob, whole, f"k{n}")
            await items.forget(bob)
            assert len(await items.search(ann, (), limit=1000)) == len(theirs)

    asyncio.run(look())


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    kept=st.lists(NAMESPACES, min_size=1, max_size=5, unique=True),
    prefix=st.lists(LABELS | st.just("*"), max_size=2),
    suffix=st.lists(LABELS | st.just("*"), max_size=2),
    depth=st.none() | st.integers(1, 3),
)
def test_namespaces_and_prefixes_are_those_of_langgraphs_own_store(
    tmp_path: Path,
    kept: list[tuple[str, ...]],
    prefix: list[str],
    suffix: list[str],
    depth: int | None,
):
    model = InMemoryStore()
    for n, namespace in enumerate(kept):
        model.put(namespace, f"k{n}", {"n": n})

    async def look() -> None:
        path = tmp_path / f"{uuid4()}.sqlite"
        async with Items.open(path) as items:
            for n, namespace in enumerate(kept):
                await items.put("ann", namespace, f"k{n}", {"n": n})
            named = await items.namespaces(
                "ann", prefix=prefix, suffix=suffix, max_depth=depth, limit=1000
            )
            expected = model.list_namespaces(
                prefix=tuple(prefix) or None, suffix=tuple(suffix) or None, max_depth=depth,
                limit=1000,
            )  # fmt: skip
            assert sorted(map(tuple, named)) == sorted(expected)
            below = tuple(part for part in prefix if part != "*")
            found = await items.search("ann", below, limit=1000)
            model_found = model.search(below, limit=1000)
            assert {item["key"] for item in found} == {item.key for item in model_found}

    asyncio.run(look())
