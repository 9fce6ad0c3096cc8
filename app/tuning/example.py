"""What a model learns from: one conversation and what is to be said, or not, at its end.

Three kinds, as the methods want them: `chat` for supervised fine-tuning, `preference` for
DPO (Rafailov et al. 2023, arXiv:2305.18290), `label` for KTO (Ethayarajh et al. 2024,
arXiv:2402.01306). Knows nothing of files, models or training.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, get_args

from groundling.errors import TuningError

Kind = Literal["chat", "preference", "label"]
RoleName = Literal["system", "user", "assistant"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Turn(NamedTuple):
    """What one side said."""

    role: RoleName
    text: str


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        prompt: the conversation up to a person's turn, which is its last.
        answer: what is to be said: the right, chosen or judged one.
        rejected: of a preference, the answer that is worse.
        good: of a label, whether the answer is wanted.
        source: where it comes from, such as `feedback` or `documents:handbook`.
        group: what it must not be parted from: a document, a conversation. Training and
            held-out examples share none, but where they say themselves which part is theirs.
        about: what else is known of it, such as the run it was made of.
    """

    prompt: tuple[Turn, ...]
    answer: str
    rejected: str | None = None
    good: bool | None = None
    source: str = "file"
    group: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that it is one of the three kinds, and that the prompt ends with a person's turn.

        Raises:
            TuningError: it is none; the message says why.
        """
        if not self.prompt or self.prompt[-1].role != "user":
            raise TuningError("the conversation does not end with a person's turn")
        if self.rejected is not None and self.good is not None:
            raise TuningError("it is a preference and a label at once")
        roles = [turn.role for turn in self.prompt]
        if "system" in roles[1:]:
            raise TuningError("a system text stands elsewhere than first")
        spoken = roles[1:] if roles[0] == "system" else roles
        if spoken != ["user", "assistant"] * (len(spoken) // 2) + ["user"]:
            raise TuningError("person and model do not take turns")

    @property
    def kind(self) -> Kind:
        """Which method can learn from it."""
        if self.rejected is not None:
            return "preference"
        return "chat" if self.good is None else "label"

    @property
    def question(self) -> str:
        """The person's last turn."""
        return self.prompt[-1].text

    @property
    def texts(self) -> list[str]:
        """Everything in it that somebody wrote."""
        said = [*(turn.text for turn in self.prompt), self.answer]
        return said if self.rejected is None else [*said, self.rejected]

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that tell what is learnt, not where it comes from."""
        told = [[list(turn) for turn in self.prompt], self.answer, self.rejected, self.good]
        written = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def with_texts(self, texts: Sequence[str]) -> Example:
        """Return it with other texts in the order of `texts`."""
        turns = len(self.prompt)
        prompt = tuple(
            Turn(turn.role, text) for turn, text in zip(self.prompt, texts[:turns], strict=True)
        )
        answer, *rejected = texts[turns:]
        return replace(self, prompt=prompt, answer=answer, rejected=next(iter(rejected), None))


def plain(text: str) -> str:
    """Return a text as texts are compared: composed, small letters, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
