"""Groundedness: how much of the answer stands in what was retrieved.

A sentence is grounded when a sentence of the passages (or two neighbours) holds half of its
terms and all of its numbers: `groundling.knowledge.citations`, the rule that citations follow.
What this does not see: an answer in another language than its source has no terms in common
with it, and is not grounded by this rule however true it is.
"""

from __future__ import annotations

from groundling.evaluation.evaluators.refusal import has_refused
from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, answer_of, asked_of, not_applicable
from groundling.knowledge.base import Knowledge
from groundling.knowledge.citations import SUPPORT, find_evidence, sentences
from groundling.knowledge.passage import Passage


class Groundedness:
    """The share of the answer's sentences that have evidence in the retrieved passages.

    Args:
        knowledge: the documents that were answered from; None: only what LangChain retrievers
            returned counts.
    """

    def __init__(self, knowledge: Knowledge | None = None, name: str = "grounded") -> None:
        self.name = name
        self._knowledge = knowledge

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Look for evidence of each sentence."""
        if has_refused(result.outputs):
            return not_applicable(self.name, "refused")
        said = list(sentences(answer_of(result.outputs)))
        if not said:
            return not_applicable(self.name, "the answer says nothing")
        passages = self._passages(result)
        question = asked_of(example)
        bare = []
        for sentence in said:
            evidence = find_evidence(sentence.text, passages, question=question)
            if evidence is None or evidence.score < SUPPORT:
                bare.append(sentence.text)
        comment = f"no evidence: “{bare[0]}”" if bare else None
        if not passages:
            comment = "nothing was retrieved"
        return Score(self.name, 1 - len(bare) / len(said), comment)

    def _passages(self, result: RunResult) -> list[Passage]:
        found: list[Passage] = []
        if self._knowledge is not None:
            found += self._knowledge.passages(result.trace.passage_ids)
        for text in result.trace.retrieved_texts:
            found.append(Passage(-1, -1, "retriever", "", "", None, 0, len(text), text))
        return found
