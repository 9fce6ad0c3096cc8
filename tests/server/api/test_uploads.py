"""Names of uploaded files: whatever a client says, one plain part of a path."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import given
from hypothesis import strategies as st

from groundling.server.api.uploads import free_name, plain_name


@given(st.text() | st.text(alphabet="./\\ \x00a:"))
def test_a_name_is_one_plain_part_of_a_path(given_name: str) -> None:
    name = plain_name(given_name)
    assert name
    assert name not in (".", "..")
    assert PurePosixPath(name).parts == (name,)
    assert PureWindowsPath(name).parts == (name,)
    assert not name.startswith(".")
    assert name.isprintable()
    assert len(name.encode()) <= 255
    assert plain_name(name) == name


def test_names_keep_what_says_what_they_are() -> None:
    assert plain_name("휴가 규정.md") == "휴가 규정.md"
    assert plain_name("C:\\Users\\ann\\plan.v2.docx") == "plan.v2.docx"
    assert plain_name("x" * 400 + ".pdf").endswith(".pdf")
    assert plain_name("가" * 400 + ".pdf").endswith(".pdf")


@given(st.lists(st.sampled_from(["a.md", "A.md", "a", "b.md"]), max_size=8))
def test_no_two_files_get_one_name(names: list[str]) -> None:
    taken: list[str] = []
    for name in names:
        taken.append(free_name(name, taken))
    assert len({each.casefold() for each in taken}) == len(taken)
