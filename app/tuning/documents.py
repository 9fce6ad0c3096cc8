"""Examples that the model writes from one's own documents; each is checked before it is kept.

    from_documents(knowledge, model, 60, tell, phrasings=4)

The questions are those of `groundling knowledge tune`: a short phrase of a passage and a
question for it, to which the model, reading the passage alone, gives the same phrase. What is
learnt is a sentence that the model writes from the passage, and only if the phrase stands in
it; else the phrase itself. What a gate accepts is the phrase.

Asked in several ways, a question holds its last way out: what is tried then is whether the
fact is known, and not the sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from groundling.errors import ContextOverflow
from groundling.evaluation.evaluators.matching import holds
from groundling.graphs.nodes.augmenting import lines
from groundling.knowledge.base import TUNING
from groundling.knowledge.passage import Passage, numbered
from groundling.knowledge.tune.cases import Case, Cases
from groundling.knowledge.tune.checks import LONGEST_QUESTION
from groundling.knowledge.tune.journal import Journal
from groundling.knowledge.tune.questions import agrees, reply, write_cases
from groundling.models.prompts import language_of, prompt
from groundling.tuning.example import Example, RoleName, Turn, plain
from groundling.tuning.sources import Asked

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.knowledge.base import Knowledge
    from groundling.knowledge.preparation import Progress

FILE = "answers.jsonl"
_ANSWER, _LINES = 96, 96  # tokens
_LONGEST = 400  # characters of a sentence that is learnt
_ENDS = (".", "!", "?", "。", "”", '"', ")")
_ROLES: dict[str, RoleName] = {"system": "system", "human": "user", "ai": "assistant"}


def from_documents(
    knowledge: Knowledge,
    model: BaseChatModel,
    wanted: int,
    tell: Progress,
    *,
    asked_as: Asked = "question",
    phrasings: int = 1,
) -> list[Example]:
    """Have the model ask about documents, answer, and ask again in other words.

    What is written is kept in the knowledge base: interrupted, the same call goes on from
    there, and the questions serve `knowledge tune`, too.

    Args:
        wanted: questions; there may be fewer, for a passage is asked about once.
        tell: called with what is going on, how much is done, of how much.
        asked_as: `question`: what is learnt is known without the documents; `prompt`: the
            passage stands in front, as the graph `rag` shows it.
        phrasings: ways to ask each question, 1 to 4; of several the last is held out.
    """
    folder = knowledge.path / TUNING
    cases = write_cases(knowledge, Cases(folder), model, wanted, tell)
    passages = _passages(knowledge, cases)
    written = _Written(folder)
    made: list[Example] = []
    for number, case in enumerate(cases):
        tell("answers", number, len(cases))
        passage = passages[case.drawn]
        answer, asked = written.of(case, passage, model, phrasings)
        for place, question in enumerate(asked):
            about: dict[str, Any] = {
                "document": case.document, "start": case.start, "end": case.end,
                "accept": [case.answer],
            }  # fmt: skip
            if len(asked) > 1:
                about["split"] = "heldout" if place == len(asked) - 1 else "train"
            made.append(
                Example(
                    _prompt(question, passage, asked_as),
                    answer,
                    source=f"documents:{knowledge.path.name}",
                    group=f"{knowledge.path.name}/{case.document}",
                    about=about,
                )
            )
    tell("answers", len(cases), len(cases))
    return made


class _Written:
    """What was written of cases before, so that an interruption loses one case at most.

    Args:
        folder: holds `answers.jsonl`, beside the cases.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder / FILE)
        self._known = {str(row.get("case")): row for row in self._journal.rows()}

    def of(
        self, case: Case, passage: Passage, model: BaseChatModel, most: int
    ) -> tuple[str, list[str]]:
        """Return the answer and the ways to ask of a case, written anew if they must be."""
        key = f"{case.document}#{case.start}-{case.end} {case.question}"
        row = self._known.get(key)
        if row is None or row["most"] < most:
            answer = row["answer"] if row else _sentence(case, passage, model)
            asked = _phrasings(case, passage, model, most)
            row = {"case": key, "answer": answer, "asked": asked, "most": most}
            self._journal.append(row)
            self._known[key] = row
        return str(row["answer"]), [str(each) for each in row["asked"][:most]]


def _passages(knowledge: Knowledge, cases: list[Case]) -> dict[str, Passage]:
    """Return the passage in which each case stands, however the text is cut by today's recipe."""
    ids = {document.path: document.id for document in knowledge.documents()}
    by_document = {path: knowledge.chunks(ids[path]) for path in {one.document for one in cases}}
    return {
        case.drawn: max(
            by_document[case.document],
            key=lambda one, case=case: (  # type: ignore[misc]
                min(one.end, case.end) - max(one.start, case.start), -len(one.text)
            ),
        )
        for case in cases
    }  # fmt: skip


def _sentence(case: Case, passage: Passage, model: BaseChatModel) -> str:
    """Return what the model answers from the passage if it has the phrase; else the phrase."""
    used = prompt("answer", language_of(case.question))
    messages = used.messages(passages=numbered([passage]), question=case.question)
    try:
        said = model.invoke(messages, used.quiet, temperature=0.0, max_tokens=_ANSWER).text.strip()
    except ContextOverflow:  # the question was made of the passage's beginning alone
        return case.answer
    whole = said.endswith(_ENDS) and len(said) <= _LONGEST
    return said if whole and holds(said, case.answer) else case.answer


def _phrasings(case: Case, passage: Passage, model: BaseChatModel, most: int) -> list[str]:
    """Return the question and other wordings to which the passage gives the same answer."""
    found = [case.question]
    if most < 2:
        return found
    used = prompt("augment_multi_query", language_of(case.question))
    written = model.invoke(
        used.messages(question=case.question), used.quiet, temperature=0.0, max_tokens=_LINES
    ).text
    start = max(0, case.start - passage.start)
    span = (start, start + len(case.answer))
    for line in lines(written):
        known = {plain(one) for one in found}
        if len(found) >= most or plain(line) in known or len(line) > LONGEST_QUESTION:
            continue
        if language_of(line) != language_of(case.question) or holds(line, case.answer):
            continue
        try:
            said = reply(line, passage.text, model)
        except ContextOverflow:  # what cannot be checked is not kept
            break
        if agrees(said, passage.text, span):
            found.append(line)
    return found


def _prompt(question: str, passage: Passage, asked_as: Asked) -> tuple[Turn, ...]:
    if asked_as == "question":
        return (Turn("user", question),)
    used = prompt("answer", language_of(question))
    return tuple(map(_turn, used.messages(passages=numbered([passage]), question=question)))


def _turn(message: BaseMessage) -> Turn:
    return Turn(_ROLES[message.type], message.text)
