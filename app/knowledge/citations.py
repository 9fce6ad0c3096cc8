"""Citations that are proved by the stored text, not claimed by the model.

Small models forget markers, or put them on the wrong passage. So the model is not asked
for any: each sentence of its answer is compared with every sentence (and pair of
neighbours) of the passages it was shown, and a citation names the exact characters of the
document that carry the sentence. A number in the sentence must stand in the cited text or
in the question; without that, no overlap of words is enough.

What this does not know: whether the cited text *entails* the sentence. It knows that the
words and figures are there, and where.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypedDict

from groundling.knowledge.analyser import analyse
from groundling.knowledge.passage import Passage

SUPPORT = 0.5  # share of a sentence's terms that its proof must hold
TWO_SENTENCES = 0.15  # how much more a pair of sentences must hold than one of them
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# A full stop ends a sentence only before white space: 3.5 and v2.1 stay whole.
SENTENCE = re.compile(
    r"(?:^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+)?"  # a list marker belongs to no sentence
    r"([^\n]+?(?:[.!?。？！…]+[\"'”’)\]]*(?=\s|$)|(?=\n)|$))",
    re.MULTILINE,
)


class Citation(TypedDict):
    """A place in a document that carries a sentence of an answer.

    `start` and `end` are character offsets into the document's stored text, and `quote`
    is that text. `proof` says what connects the two: `text` (terms and numbers agree) or
    `model` (the model named the passage, for answers in another language).
    """

    number: int
    chunk_id: int
    document_id: int
    source: str
    title: str
    page: int | None
    start: int
    end: int
    quote: str
    proof: Literal["text", "model"]
    score: float


@dataclass(frozen=True)
class Sentence:
    """A stretch of a text that makes one statement."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Evidence:
    """The stretch of a passage that carries a sentence best."""

    passage: Passage
    start: int
    end: int
    score: float


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences, list items and table rows of a text, with their offsets."""
    for match in SENTENCE.finditer(text):
        start, end = match.span(1)
        stretch = text[start:end]
        start += len(stretch) - len(stretch.lstrip())
        stretch = stretch.strip()
        if any(character.isalnum() for character in stretch):
            yield Sentence(start, start + len(stretch), stretch)


def numbers(text: str) -> set[str]:
    """Return the numbers of a text, thousands separators and final zeros dropped."""
    found = set()
    for match in NUMBER.finditer(text):
        digits = re.sub(r",(?=\d{3}(?!\d))", "", match[0])
        whole, _, fraction = digits.partition(".")
        found.add(f"{whole}.{fraction.rstrip('0')}".rstrip("."))
    return found


def find_evidence(
    statement: str, passages: Sequence[Passage], *, question: str = ""
) -> Evidence | None:
    """Find the stretch of the passages that carries a statement best.

    Returns:
        The best stretch of one or two neighbouring sentences and the share of the
        statement's terms in it (0 to 1); None when a number of the statement stands
        neither there nor in the question, or nothing agrees at all.
    """
    terms = set(analyse(statement))
    figures = numbers(statement) - numbers(question)
    best: Evidence | None = None
    leading = -1.0
    for passage in passages:
        for start, end, handicap in _stretches(passage.text):
            stretch = passage.text[start:end]
            if not figures <= numbers(stretch):
                continue
            held = terms & set(analyse(f"{passage.heading} {stretch}"))
            score = len(held) / len(terms) if terms else 0.0
            if held and score - handicap > leading:
                leading = score - handicap
                best = Evidence(passage, passage.start + start, passage.start + end, score)
    return best


def cite(number: int, evidence: Evidence, proof: Literal["text", "model"] = "text") -> Citation:
    """Make the citation of a piece of evidence."""
    passage = evidence.passage
    return Citation(
        number=number,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        source=passage.source,
        title=passage.title,
        page=passage.page,
        start=evidence.start,
        end=evidence.end,
        quote=passage.text[evidence.start - passage.start : evidence.end - passage.start],
        proof=proof,
        score=round(evidence.score, 3),
    )


def mark(answer: str, marks: Sequence[tuple[Sentence, Sequence[int]]]) -> str:
    """Write the citation numbers behind their sentences, before the final stop."""
    for sentence, numbers_ in sorted(marks, key=lambda pair: pair[0].end, reverse=True):
        if numbers_:
            text = answer[: sentence.end]
            body = text.rstrip(".!?。？！…")
            brackets = "".join(f"[{number}]" for number in numbers_)
            answer = f"{body} {brackets}{text[len(body) :]}{answer[sentence.end :]}"
    return answer


def _stretches(text: str) -> Iterator[tuple[int, int, float]]:
    """Yield each sentence and each pair of neighbours, with the handicap of being longer."""
    found = list(sentences(text))
    for sentence in found:
        yield sentence.start, sentence.end, 0.0
    for first, second in pairwise(found):
        yield first.start, second.end, TWO_SENTENCES
