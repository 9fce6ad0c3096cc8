"""Citations that are proved by the stored text, not claimed by the model.

Small models forget markers, or put them on the wrong passage. So the model is not asked
for any: each sentence of its answer is compared with every sentence (and pair of
neighbours) of the passages it was shown, and a citation names the exact characters of the
document that carry the sentence. A number in the sentence must stand in the cited text or
in the question; without that, no overlap of words is enough.

At the end each citation is held against the stored text once more (`verified`), and what
does not hold is taken out of the list and of the answer. Markers that the model wrote of
its own accord are taken out before (`unmark`), so that only proved ones remain.

What this does not know: whether the cited text *entails* the sentence. It knows that the
words and figures are there, and where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from typing_extensions import TypedDict

from groundling.errors import KnowledgeError
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
MARKERS = re.compile(r" ?((?:\[\d+\])+)")  # as `mark` writes them
# As models write them: [3], [1, 2], [2-4].
CLAIMED = re.compile(r"[ \t]*\[\s*\d+(?:\s*[,;–-]\s*\d+)*\s*\]")

TextOf = Callable[[int, int, int], str]


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


def unmark(text: str) -> str:
    """Take out the citation markers that a model has written: nothing proves them."""
    while (without := CLAIMED.sub("", text)) != text:
        text = without
    return text


def verified(
    citations: Sequence[Citation], passages: Sequence[Passage], text_of: TextOf
) -> tuple[list[Citation], list[Citation]]:
    """Hold citations against the stored text, as it is now.

    Args:
        citations: of one answer.
        passages: what stood in the prompt.
        text_of: returns the text of a document, by id, from one offset to another; as
            `Knowledge.text` does.

    Returns:
        Those whose quote is the stored text, character for character, inside a passage that
        was in the prompt; and the others.
    """
    kept: list[Citation] = []
    removed: list[Citation] = []
    for citation in citations:
        (kept if _holds(citation, passages, text_of) else removed).append(citation)
    return kept, removed


def renumber(answer: str, kept: Sequence[Citation]) -> tuple[str, list[Citation]]:
    """Take out the markers of citations that were removed, and count the others anew.

    Args:
        answer: as `mark` wrote it.
        kept: the citations that stay, in order.
    """
    places = {citation["number"]: place for place, citation in enumerate(kept, start=1)}

    def again(match: re.Match[str]) -> str:
        found = [int(number) for number in re.findall(r"\d+", match[1])]
        left = "".join(f"[{places[number]}]" for number in found if number in places)
        return f" {left}" if left else ""

    counted = [
        Citation(**{**citation, "number": place}) for place, citation in enumerate(kept, start=1)
    ]
    return MARKERS.sub(again, answer), counted


def _holds(citation: Citation, passages: Sequence[Passage], text_of: TextOf) -> bool:
    start, end = citation["start"], citation["end"]
    shown = any(
        passage.document_id == citation["document_id"]
        and passage.start <= start < end <= passage.end
        for passage in passages
    )
    if not shown:
        return False
    try:
        return text_of(citation["document_id"], start, end) == citation["quote"]
    except KnowledgeError:  # the document was removed while the answer was written
        return False


def _stretches(text: str) -> Iterator[tuple[int, int, float]]:
    """Yield each sentence and each pair of neighbours, with the handicap of being longer."""
    found = list(sentences(text))
    for sentence in found:
        yield sentence.start, sentence.end, 0.0
    for first, second in pairwise(found):
        yield first.start, second.end, TWO_SENTENCES
