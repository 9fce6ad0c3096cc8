"""Attribution: which passage carries which sentence of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.language_models import BaseChatModel

from groundling.knowledge.citations import (
    SUPPORT,
    Citation,
    Evidence,
    Sentence,
    TextOf,
    cite,
    find_evidence,
    mark,
    renumber,
    sentences,
    unmark,
    verified,
)
from groundling.knowledge.passage import Passage
from groundling.models.decide import decide
from groundling.models.prompts import Prompt

NO_PASSAGE = "none"


async def attribute(
    answer: str,
    passages: Sequence[Passage],
    *,
    question: str,
    model: BaseChatModel,
    prompt: Prompt,
    values: dict[str, str],
) -> tuple[str, list[Citation]]:
    """Prove each sentence and mark it.

    The stored text decides wherever its terms and numbers can. Where they cannot (an
    answer in another language than its source), the model is asked which passage it was,
    and the citation says so (`proof: model`).

    Args:
        answer: the model's answer; markers that it holds are taken out.
        passages: what the model was shown, in that order.
        question: the numbers of the question need no proof.
        model: who is asked when the text does not decide.
        prompt: the question to ask it, with the variables of `values` and `{statement}`.
        values: the common beginning of all prompts over these passages.

    Returns:
        The answer with markers, and the citations in their order; the same stretch of
        text is cited once.
    """
    answer = unmark(answer)
    citations: list[Citation] = []
    marks: list[tuple[Sentence, list[int]]] = []
    for sentence in sentences(answer):
        evidence = find_evidence(sentence.text, passages, question=question)
        proved = evidence is not None and evidence.score >= SUPPORT
        if not proved:
            evidence = await _ask(sentence.text, passages, question, model, prompt, values)
        if evidence is not None:
            citation = cite(len(citations) + 1, evidence, "text" if proved else "model")
            marks.append((sentence, [_add(citations, citation)]))
    return mark(answer, marks), citations


def prove(
    marked: str, citations: Sequence[Citation], passages: Sequence[Passage], text_of: TextOf
) -> tuple[str, list[Citation], int]:
    """Keep the citations that the stored text bears out, and count them anew.

    Args:
        marked: the answer with markers, as `attribute` returns it.
        citations: the citations that go with it.
        passages: what the model was shown.
        text_of: see `verified`.

    Returns:
        Answer and citations, and how many were removed from both.
    """
    kept, removed = verified(citations, passages, text_of)
    if not removed:
        return marked, kept, 0
    return (*renumber(marked, kept), len(removed))


async def _ask(
    statement: str,
    passages: Sequence[Passage],
    question: str,
    model: BaseChatModel,
    prompt: Prompt,
    values: dict[str, str],
) -> Evidence | None:
    messages = prompt.messages(**values, statement=statement)
    options = [*(str(number) for number in range(1, len(passages) + 1)), NO_PASSAGE]
    weights = await decide(model, messages, options, prompt.config)
    choice = max(weights, key=lambda option: weights[option])
    if choice == NO_PASSAGE:
        return None
    return find_evidence(statement, [passages[int(choice) - 1]], question=question)


def _add(citations: list[Citation], new: Citation) -> int:
    for known in citations:
        place = (known["document_id"], known["start"], known["end"])
        if place == (new["document_id"], new["start"], new["end"]):
            return known["number"]
    citations.append(new)
    return new["number"]
