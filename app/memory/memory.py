"""One thing that is known of a person, and the form in which it may be kept."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass

from groundling.errors import MemoriesError
from groundling.memory.topics import KINDS

LONGEST = 500  # characters of a fact
# Controls, invisible and bidirectional characters, lone surrogates: nobody could see them.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


@dataclass(frozen=True, slots=True)
class Memory:
    """A fact about a person.

    Args:
        id: its number, never given twice.
        user: whose it is.
        text: the fact, one line.
        kind: what it is about: one of `groundling.memory.topics.KINDS`.
        source: where it was said, such as a thread's id.
        created_at: when it was first remembered, ISO 8601 in UTC; `changed_at`: last written.
        used_at: when it was last recalled; None: never.
        uses: how often it was recalled.
        superseded_by: the number of the fact that took its place; such a one is not recalled.
        score: how well it fits what was searched, 1 at best; 0 where nothing was searched.
    """

    id: int
    user: str
    text: str
    kind: str
    source: str | None
    created_at: str
    changed_at: str
    used_at: str | None
    uses: int
    superseded_by: int | None
    score: float = 0.0

    def as_json(self) -> dict[str, str | int | float | None]:
        """Return its fields."""
        return asdict(self)


def clean(text: str) -> str:
    """Return a fact as one line without characters that cannot be seen.

    Raises:
        MemoriesError: nothing is left, or more than `LONGEST` characters.
    """
    seen = "".join(
        character
        if unicodedata.category(character) not in _UNSEEN
        else " "
        if character.isspace()
        else ""
        for character in unicodedata.normalize("NFC", text)
    )
    line = " ".join(seen.split())
    if not line:
        raise MemoriesError(
            "There is nothing to remember: the fact is empty.",
            hint='groundling memory add "lives in Busan"',
        )
    if len(line) > LONGEST:
        raise MemoriesError(
            f"The fact has {len(line):,} characters; at most {LONGEST} are remembered. "
            "Nothing was stored.",
            hint="Say it in a sentence or two; longer texts belong into documents: "
            "groundling knowledge add FILE",
        )
    return line


def plain(text: str) -> str:
    """Return what makes two facts the same: no case, no punctuation, no double spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (one if one.isalnum() or one.isspace() else " " for one in folded)
    return " ".join("".join(kept).split()) or folded


def check_kind(kind: str) -> str:
    """Return a kind of fact.

    Raises:
        MemoriesError: there is no such kind.
    """
    if kind not in KINDS:
        raise MemoriesError(
            f"There is no kind of fact {kind!r}.", hint=f"The kinds are {', '.join(KINDS)}."
        )
    return kind


def check_user(user: str) -> str:
    """Return a user's name.

    Raises:
        MemoriesError: it is empty or longer than 200 characters.
    """
    name = unicodedata.normalize("NFC", user).strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise MemoriesError(
            "A user's name has 1 to 200 visible characters.",
            hint="--user NAME, or memory.user in the settings",
        )
    return name
