"""The tools that a client of the Model Context Protocol sees: what each takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import mcp_types as types
from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]
_LONGEST = 1_000_000  # characters; what is too long for the model is refused there
_KNOWLEDGE = "the knowledge base to use, as `search` names it; default: the configured one"


class Arguments(BaseModel):
    """What a tool takes."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Turn(Arguments):
    """One message of the conversation so far."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=_LONGEST)


class Question(Arguments):
    """A question to a graph."""

    question: str = Field(min_length=1, max_length=_LONGEST, description="what is asked")
    history: list[Turn] = Field(
        default_factory=list, max_length=1000, description="what was said before, oldest first"
    )


class Documented(Question):
    """A question to a graph that reads documents."""

    knowledge: str | None = Field(None, max_length=200, description=_KNOWLEDGE)
    strict: bool | None = Field(None, description="refuse what the documents do not answer")


class Verify(Arguments):
    """A text whose claims are checked."""

    text: str = Field(min_length=1, max_length=_LONGEST, description="the text")
    question: str | None = Field(None, max_length=_LONGEST, description="what the text answers")
    knowledge: str | None = Field(None, max_length=200, description=_KNOWLEDGE)
    refuted: Literal["mark", "correct", "off"] | None = Field(
        None, description="what is done with claims that are refuted"
    )


class Guard(Arguments):
    """A text that the guard reads."""

    text: str = Field(max_length=_LONGEST, description="the text")
    rail: Literal["input", "retrieved", "tool", "output"] | None = Field(
        None, description="where it stands; default: input"
    )
    question: str | None = Field(None, max_length=_LONGEST, description="what the text answers")


class Tasks(Arguments):
    """A text and what is to be done with it."""

    task: Literal[
        "classify", "entities", "sentiment", "summarize", "translate", "answer", "similarity"
    ]
    text: str = Field(min_length=1, max_length=_LONGEST, description="the text")
    labels: list[str] | None = Field(
        None, max_length=100, description="of classify, at least two; of entities, the types"
    )
    several: bool | None = Field(None, description="classify may give several labels")
    question: str | None = Field(None, description="of the task answer")
    other: str | None = Field(None, max_length=_LONGEST, description="similarity's second text")
    to: str | None = Field(None, max_length=50, description="translate's language")
    sentences: int | None = Field(None, ge=1, le=50, description="of the summary")


class Search(Arguments):
    """A search in documents."""

    query: str = Field(min_length=1, max_length=10_000, description="a question, or words")
    knowledge: str | None = Field(
        None, max_length=200, description="the knowledge base; default: all that you may read"
    )
    k: int = Field(6, ge=1, le=50, description="how many passages")


@dataclass(frozen=True)
class Tool:
    """One tool.

    Args:
        name: of the graph, or `search`.
        title, description: for people and models.
        takes: its arguments.
        gives: what its structured result has besides `answer` and `run_id`.
        reads_only: whether it leaves everything as it is.
        open_world: whether it may reach beyond this machine, where its owner allows that.
        reads_documents: whether it takes a knowledge base.
    """

    name: str
    title: str
    description: str
    takes: type[Arguments]
    gives: Json = field(default_factory=dict)
    reads_only: bool = True
    open_world: bool = False
    reads_documents: bool = False

    def told(self) -> types.Tool:
        """Return it as the protocol writes tools."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.takes.model_json_schema(),
            output_schema=self._output(),
            annotations=types.ToolAnnotations(
                title=self.title,
                read_only_hint=self.reads_only,
                destructive_hint=False,
                idempotent_hint=self.reads_only,
                open_world_hint=self.open_world,
            ),
        )

    def _output(self) -> Json:
        if self.name == "search":
            return {"type": "object", "properties": self.gives, "required": ["passages"]}
        properties = {"answer": _TEXT, "run_id": _TEXT, **self.gives}
        return {"type": "object", "properties": properties, "required": ["answer", "run_id"]}


_TEXT: Json = {"type": "string"}
_LIST: Json = {"type": "array", "items": {"type": "object"}}
_TEXTS: Json = {"type": "array", "items": {"type": "string"}}
_CITED: Json = {
    "verdict": {"type": "string", "enum": ["answered", "unproved", "refused", "blocked"]},
    "citations": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "number": {"type": "integer"},
                "source": _TEXT,
                "page": {"type": ["integer", "null"]},
                "start": {"type": "integer"},
                "end": {"type": "integer"},
                "quote": _TEXT,
            },
        },
    },
    "notices": _TEXTS,
    "claims": _LIST,
    "steps": _LIST,
    "closest": _LIST,
    "waiting": _LIST,
}
_PASSAGES: Json = {
    "passages": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "knowledge": _TEXT,
                "document": {"type": "integer"},
                "source": _TEXT,
                "heading": _TEXT,
                "page": {"type": ["integer", "null"]},
                "start": {"type": "integer"},
                "end": {"type": "integer"},
                "text": _TEXT,
                "score": {"type": "number"},
            },
            "required": ["knowledge", "source", "start", "end", "text"],
        },
    },
    "unread": {"type": "object", "additionalProperties": _TEXT},
}

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "search",
            "Search documents",
            "Find passages in the documents of this machine, by words and by meaning. Each names "
            "its document and its characters there.",
            Search,
            _PASSAGES,
        ),
        Tool(
            "rag",
            "Answer from documents",
            "Answer a question from the documents alone, with citations that are checked against "
            "their text. What they do not answer is refused.",
            Documented,
            _CITED,
            reads_documents=True,
        ),
        Tool(
            "agent",
            "Ask the agent",
            "Answer a question with documents, tools and memory, by the agent's own decision; "
            "guarded, cited and fact-checked. Calls that could do something are not made without "
            "a person's approval.",
            Documented,
            _CITED,
            reads_only=False,
            open_world=True,
            reads_documents=True,
        ),
        Tool(
            "toolbox",
            "Answer with tools",
            "Answer a question with the tools of this machine, such as a calculator, units, dates "
            "and tables. Calls that could do something are not made without a person's approval.",
            Documented,
            {"steps": _LIST, "notices": _TEXTS, "waiting": _LIST},
            reads_only=False,
            open_world=True,
            reads_documents=True,
        ),
        Tool(
            "chat",
            "Chat",
            "Go on with a conversation, guarded, with what is remembered of the person.",
            Question,
            {"verdict": _CITED["verdict"], "notices": _TEXTS, "waiting": _LIST},
            reads_only=False,
        ),
        Tool("ask", "Ask the model", "Put a question to the local model alone.", Question),
        Tool(
            "verify",
            "Check claims",
            "Hold the claims of a text against sources: arithmetic, units, documents. Returns the "
            "mended text and each claim with its verdict and evidence.",
            Verify,
            {
                "claims": _LIST,
                "verdicts": {"type": "object"},
                "notices": _TEXTS,
                "missing": {"type": "object"},
            },
            open_world=True,
            reads_documents=True,
        ),
        Tool(
            "guard",
            "Check a text",
            "Check a text for personal data, secrets, injections and harm, as the policy says. "
            "The answer is the text to go on with, empty where it is withheld.",
            Guard,
            {"outcome": _TEXT, "action": _TEXT, "notice": _TEXT, "reasons": _LIST},
        ),
        Tool(
            "tasks",
            "Work on a text",
            "Classify, summarise, translate or compare texts, find names, tell the sentiment, "
            "or answer a question from a text.",
            Tasks,
            {"result": {"type": "object"}},
        ),
    )
}
