"""Questions about one's own documents, written by the chat model and checked.

The model reads one passage with its title and headings, picks a short phrase of it and asks
for that phrase (answer first: a small model asks better for what it already chose). Rules
look at the question (`checks`); then the model answers it from the passage alone, and has to
come to the same place: round-trip consistency, Alberti et al. 2019 (arXiv:1906.05416). What
fails is let go, and another passage is asked about instead.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from groundling.errors import ContextOverflow
from groundling.knowledge.passage import Document, Passage
from groundling.knowledge.preparation import Progress
from groundling.knowledge.tune.cases import Case, Cases
from groundling.knowledge.tune.checks import LONGEST_ANSWER, LONGEST_QUESTION, fault, place
from groundling.knowledge.tune.drawing import draw
from groundling.models.prompts import Prompt, language_of, prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from groundling.knowledge.base import Knowledge

# Passages asked about, for each case wanted: a model that asks badly must not ask for hours.
MOST_ASKED = 5
# Characters of a passage that the model reads; a longer one is cut.
LONGEST_PASSAGE = 1_200


def write_cases(
    knowledge: Knowledge, cases: Cases, model: BaseChatModel, wanted: int, tell: Progress
) -> list[Case]:
    """Write questions until there are as many as wanted, or no passage is left to ask about.

    Args:
        knowledge: its passages are asked about.
        cases: what earlier runs wrote; grows by what this one writes.
        model: writes the questions.
        wanted: how many cases there should be.
        tell: called with what is going on, how much is done, of how much.

    Returns:
        the cases whose answers still stand in the documents, at most as many as wanted.

    Raises:
        Exception: the model's own errors; a reply that is no question, and a passage that is
            longer than the model's context, only lose the passage.
    """
    current = cases.current(knowledge)
    documents = {document.id: document for document in knowledge.documents()}
    asked = {_words(case.question) for case in current}
    passages = [one for known in documents for one in knowledge.chunks(known)]
    kept = Counter(case.language for case in current)
    for passage in draw(passages, kept):
        tell("questions", min(len(current), wanted), wanted)
        if len(current) >= wanted or len(cases.asked) >= MOST_ASKED * wanted:
            break
        document = documents[passage.document_id]
        drawn = f"{document.path}#{passage.start}-{passage.end}"
        if drawn in cases.asked:
            continue
        try:
            case, reason, question = _case(passage, document, drawn, model)
        except ContextOverflow as error:  # this passage's loss, not that of all others
            cases.refuse(drawn, str(error))
            continue
        if case is not None and _words(case.question) not in asked:
            cases.keep(case)
            asked.add(_words(case.question))
            current.append(case)
            kept[case.language] += 1
        else:
            cases.refuse(drawn, reason or "it was asked before", question)
    tell("questions", wanted, wanted)
    return current[:wanted]


def _case(
    passage: Passage, document: Document, drawn: str, model: BaseChatModel
) -> tuple[Case | None, str, str]:
    """Ask about a passage: return the case, or why there is none and what was asked."""
    text = passage.text[:LONGEST_PASSAGE]
    question, answer = ask(passage, text, model)
    if reason := fault(question, answer, text):
        return None, reason, question
    span = place(answer, text)
    assert span is not None  # a fault otherwise
    if not agrees(reply(question, text, model), text, span):
        return None, "read again, the passage gives another answer", question
    start, end = span
    case = Case(
        drawn=drawn,
        language=language_of(question),
        document=document.path,
        question=question,
        answer=text[start:end],
        start=passage.start + start,
        end=passage.start + end,
    )
    return case, "", question


def ask(passage: Passage, text: str, model: BaseChatModel) -> tuple[str, str]:
    """Return a question about a passage and its answer; empty ones if the reply is none."""
    used = prompt("tune_question", language_of(text))
    messages = used.messages(title=passage.title, section=passage.heading, passage=text)
    limits = {"answer": LONGEST_ANSWER, "question": LONGEST_QUESTION}
    written = _written(model, limits, used, messages)
    return written["question"], written["answer"]


def reply(question: str, text: str, model: BaseChatModel) -> str:
    """Return the model's own answer to a question from a passage; empty if there is none."""
    used = prompt("tune_answer", language_of(text))
    messages = used.messages(passage=text, question=question)
    return _written(model, {"answer": LONGEST_ANSWER}, used, messages)["answer"]


def agrees(replied: str, text: str, span: tuple[int, int]) -> bool:
    """Tell whether a reply names what stands at a span, or some of it and what is round it."""
    if found := place(replied, text):
        return found[0] < span[1] and span[0] < found[1]
    wanted = text[span[0] : span[1]]
    return bool(place(replied, wanted) or place(wanted, replied))


def _written(
    model: BaseChatModel, limits: dict[str, int], used: Prompt, messages: list[BaseMessage]
) -> dict[str, str]:
    """Have the model fill in texts, each of so many characters at most; no form: empty ones."""
    from langchain_core.exceptions import OutputParserException

    schema = {
        "title": used.name.partition(".")[0],
        "type": "object",
        "properties": {
            name: {"type": "string", "minLength": 1, "maxLength": most}
            for name, most in limits.items()
        },
        "required": list(limits),
        "additionalProperties": False,
    }
    try:
        written: Any = model.with_structured_output(schema, method="json_schema").invoke(
            messages, used.quiet
        )
    except (OutputParserException, ValueError):
        written = None
    found = written if isinstance(written, dict) else {}
    return {name: str(found.get(name, "")).strip() for name in limits}


def _words(question: str) -> str:
    return " ".join(question.casefold().split())
