"""Questions and histories, whichever way a run was started.

A run begins with `{"question": "…"}` from a script or a shell, or with `{"messages": […]}`
from a chat client; every graph takes both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, trim_messages
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from groundling.errors import GraphError


class Conversation(TypedDict, total=False):
    """The keys every conversational graph has."""

    question: str
    messages: Annotated[list[AnyMessage], add_messages]


async def receive(state: Conversation, _: object) -> Conversation:
    """Take the question from wherever it stands and put it into both places.

    Raises:
        GraphError: there is neither a question nor a message from a person.
    """
    messages = state.get("messages") or []
    question = (state.get("question") or "").strip()
    # A chat client leaves the last turn's question standing: it is among the messages.
    known = any(isinstance(turn, HumanMessage) and turn.text == question for turn in messages)
    if messages and isinstance(messages[-1], HumanMessage) and (known or not question):
        question = messages[-1].text.strip()
        update: Conversation = {"question": question}
    else:
        update = {"question": question, "messages": [HumanMessage(question)]}
    if not question:
        raise GraphError(
            "The question is empty.",
            hint='Give the graph {"question": "…"} or {"messages": [{"role": "user", …}]}.',
        )
    return update


def history(state: Conversation) -> list[AnyMessage]:
    """Return the messages before the present question."""
    return list(state.get("messages") or [])[:-1]


def transcript(state: Conversation, turns: int = 6) -> str:
    """Write the last turns before the question as lines of text."""
    names = {"human": "User", "ai": "Assistant"}
    return "\n".join(
        f"{names.get(message.type, message.type)}: {message.text}"
        for message in history(state)[-turns:]
    )


def fit(messages: Sequence[BaseMessage], model: BaseChatModel, budget: int) -> list[BaseMessage]:
    """Drop the oldest turns until the rest fits into `budget` tokens of the model.

    The system message stays, and what is left begins with a person's message.
    """
    return trim_messages(
        messages,
        max_tokens=budget,
        token_counter=model,
        strategy="last",
        include_system=True,
        start_on="human",
    )
