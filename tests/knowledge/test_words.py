"""Full text: what is looked up, and that a common word does not cost the rare ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge import words
from groundling.knowledge.base import Knowledge

COUNTS = st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 50_000), max_size=40)


@given(COUNTS)
def test_rarest_first_and_within_bounds(counts: dict[str, int]) -> None:
    chosen = words.rarest(counts)
    assert bool(chosen) == bool(counts)
    assert [counts[t] for t in chosen] == sorted(counts.values())[: len(chosen)]
    assert len(chosen) <= 1 or sum(counts[t] for t in chosen) <= words.MOST_POSTINGS


def test_the_rare_word_decides(
    base: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "MOST_POSTINGS", 10)
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(60):
        rare = " and the sluice" if number == 41 else ""
        (folder / f"{number}.txt").write_text(f"Valve {number} near the pump{rare}.", "utf-8")
    base.add([folder])
    assert base.search_lexical("Which valve and pump has a sluice?")[0].source == "notes/41.txt"
    # All words are common: those that stand together are found.
    assert len(base.search_lexical("valve pump", k=5)) == 5
    assert base.search_lexical("valve") != []


def test_counts_follow_changes(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    index = base._store.words
    assert index.counts(["leav", "zebra"]) == {"leav": 2}
    base.remove("documents/rules/leave.md")
    assert index.counts(["leav", "zebra"]) == {}


@pytest.mark.parametrize("term", ['"', "''", "a*", "NEAR(", "^x", "x:y", "한글", "\U00020000"])
def test_terms_are_never_syntax(base: Knowledge, documents: Path, term: str) -> None:
    base.add([documents])
    assert base._store.words.search([term, "leav"], 3)
