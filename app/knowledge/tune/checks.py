"""What makes a written question fit to tune by; everything here is a rule, no model.

A question that has the answer's words, copies the passage's, or could be asked of any text
measures nothing: some search finds it for the wrong reason, or none can.
"""

from __future__ import annotations

import re

from groundling.knowledge.analyser import analyse, content_words
from groundling.models.prompts import language_of

LONGEST_QUESTION = 200
LONGEST_ANSWER = 80
# Content words that say what a question is about, besides the one that asks.
LEAST_WORDS = 2
# Share of a question's runs of three words that the passage may have.
MOST_COPIED = 0.5

_WORD = re.compile(r"\w+")
_POINTS = re.compile(
    r"\b(?:passages?|this (?:document|text|section|table|article|policy|rule)"
    r"|(?:the|above) (?:text|document|section) (?:above|say|state|mention)\w*"
    r"|according to the (?:text|document|section|table))\b"
    r"|(?:이|위|본|해당|다음) ?(?:글|문서|본문|문장|지문|표|조항)(?:에|의|은|는|이|가|을|를|,|\s)"
    r"|본문|제시된",
    re.IGNORECASE,
)
# A Korean statement with a question mark: a small model writes such.
_STATES = re.compile(r"[다함음임]\s*[?？]$")


def place(answer: str, text: str) -> tuple[int, int] | None:
    """Return where an answer stands in a text; None if nowhere, or if more than once.

    White space may differ. An answer is not found inside of a longer word or number: "5
    days" does not stand in "15 days"; a Korean particle may follow it.
    """
    words = answer.split()
    if not words:
        return None
    pattern = r"\s+".join(map(re.escape, words))
    if re.match(r"\w", answer.strip()):
        pattern = rf"(?<![^\W_])(?<!\d[.,]){pattern}"
    if re.search(r"[A-Za-z0-9]$", answer.strip()):
        pattern = rf"{pattern}(?![A-Za-z0-9])(?![.,]\d)"
    found = [match.span() for match in re.finditer(pattern, text)]
    return found[0] if len(found) == 1 else None


def fault(question: str, answer: str, text: str) -> str | None:
    """Return why a question about a passage's text is of no use; None if it is of use."""
    if not answer or len(answer) > LONGEST_ANSWER or not _WORD.search(answer):
        return "no short answer"
    if place(answer, text) is None:
        return "the answer does not stand in the passage, or more than once"
    if len(question) > LONGEST_QUESTION or "\n" in question or not question.endswith(("?", "？")):
        return "no single question"
    if _STATES.search(question):
        return "a statement, not a question"
    if language_of(question) != language_of(text):
        return "another language than the passage"
    if _POINTS.search(question):
        return "it points at the passage"
    if len(content_words(question)) < LEAST_WORDS:
        return "it does not say what it is about"
    if _gives_away(question, answer):
        return "the answer is in the question"
    if _copied(question, text) > MOST_COPIED:
        return "it copies the passage"
    return None


def _gives_away(question: str, answer: str) -> bool:
    """Tell whether a question has all the terms of the answer."""
    if "".join(answer.casefold().split()) in "".join(question.casefold().split()):
        return True
    terms = set(analyse(answer))
    return bool(terms) and terms <= set(analyse(question))


def _copied(question: str, text: str) -> float:
    asked, said = _runs(question), _runs(text)
    return sum(run in said for run in asked) / len(asked) if asked else 0.0


def _runs(text: str) -> set[tuple[str, ...]]:
    words = [word.casefold() for word in _WORD.findall(text)]
    return set(zip(words, words[1:], words[2:], strict=False))
