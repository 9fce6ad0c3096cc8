"""Citations: each quotes what is stored, and they lie where the answer is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundling.errors import KnowledgeError
from groundling.evaluation.evaluators.matching import Span, cites
from groundling.evaluation.evaluators.refusal import should_refuse
from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, not_applicable
from groundling.knowledge.base import Knowledge


class CitationValidity:
    """1 where the quote of every citation is the stored text at its place.

    Args:
        knowledge: the documents that were answered from.
    """

    def __init__(self, knowledge: Knowledge, name: str = "citations") -> None:
        self.name = name
        self._knowledge = knowledge

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Open each citation."""
        given = citations_of(result.outputs)
        if not given:
            return not_applicable(self.name, "nothing is cited")
        wrong = [problem for each in given if (problem := self._problem(each))]
        return Score(self.name, float(not wrong), "; ".join(wrong) or None)

    def _problem(self, citation: Mapping[str, Any]) -> str | None:
        number = citation.get("number")
        try:
            stored = self._knowledge.text(
                citation["document_id"], citation["start"], citation["end"]
            )
        except KeyError as missing:
            return f"[{number}] has no {missing}"
        except KnowledgeError as error:
            return f"[{number}]: {error}"
        if stored != citation.get("quote"):
            return f"[{number}] quotes what does not stand at {citation['start']} of its document"
        return None


class CitedSpan:
    """1 where each of the gold spans is cited.

    A citation of the right document counts when it holds the span, or an accepted answer.
    """

    def __init__(self, name: str = "cited") -> None:
        self.name = name

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Look for a citation of each span."""
        outputs = example.outputs or {}
        spans = [
            Span(str(each["document"]), str(each["quote"]))
            for each in outputs.get("spans") or ()
            if isinstance(each, Mapping) and "document" in each and "quote" in each
        ]
        if not spans:
            why = "there is nothing to cite" if should_refuse(example) else "no gold spans"
            return not_applicable(self.name, why)
        given, accept = citations_of(result.outputs), outputs.get("accept") or ()
        missed = [span for span in spans if not cites(given, span, accept)]
        comment = "; ".join(f"not cited: {span.document}: “{span.quote}”" for span in missed)
        return Score(self.name, float(not missed), comment or None)


def citations_of(outputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the citations in a graph's outputs."""
    given = outputs.get("citations")
    return [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []
