"""A conversation of any length inside the model's window.

What the model reads of a conversation is, from what never changes to what changes most:

    system prompt │ notes of the oldest turns │ the turns since │ memories, question

When that grows past `FULL` of the room, the oldest turns are noted down until no more than
`AFTER` of it is left. The steps are big so that they are rare: each changes the beginning,
and all that follows is read again. The notes are asked for at the end of the very turns
they are of, which the model's cache holds already, so that little more is read than the
request. New notes are added to the old ones, which stay as they were written: a small
model that rewrites its summary again and again loses what was said first. Where they
outgrow `conversation.summary_tokens`, lines that say the same are dropped, and then the
longest: a fact is short, an explanation is long.

`messages` keeps everything; `summarised` says how many of them the notes cover.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    merge_message_runs,
)

from groundling.graphs.nodes.conversation import Conversation
from groundling.graphs.nodes.remembering import known
from groundling.graphs.resources import Resources
from groundling.models.prompts import Language, Prompt, language_of, prompt

FULL = 0.9  # of the room for a prompt: above it the oldest turns are noted down
AFTER = 0.5  # of the room, that are left then
LONGEST = 0.4  # of the room, for one message: beyond it, its middle is left out
NOTES = 0.25  # of the room, for all notes, however many the settings allow
BEFORE = 0.2  # of the room, for what stands before the question
MARKUP = 8  # tokens that a chat template puts around a message
SAME = 0.9  # of a line's words, in another line: it says nothing new
ITEM = re.compile(r"\s*(?:[-*•·]|\d{1,2}[.)])\s+(\S.*?)\s*$")
WORD = re.compile(r"\w+")
GAP: dict[Language, str] = {
    "en": "[… {count} characters left out …]",
    "ko": "[… {count}자 생략 …]",
}
CUT: dict[Language, str] = {
    "en": "The message is longer than the model's window: it reads the beginning and the end.",
    "ko": "메시지가 모델의 창보다 길어서 처음과 끝만 읽습니다.",
}
LOST: dict[Language, str] = {
    "en": "The oldest turns no longer fit, and the model made no notes of them.",
    "ko": "가장 오래된 대화가 창에 들어가지 않으며, 모델이 그 메모를 쓰지 못했습니다.",
}


class Summarised(Conversation, total=False):
    """The keys of a conversation that is kept within the window.

    Args:
        summary: notes of the oldest messages, a line for each fact.
        summarised: how many of `messages` they cover.
        notices: what the reader is told.
    """

    summary: str
    summarised: int
    notices: list[str]


def room(resources: Resources) -> int:
    """Return how many tokens a prompt may have, the answer's own left free."""
    model = resources.settings.model
    return model.context - min(model.max_tokens, model.context // 2)


def tongue(state: Summarised) -> Language:
    """Return the language of the conversation's first message: the prompts keep to it."""
    for message in state.get("messages") or []:
        if isinstance(message, HumanMessage):
            return language_of(message.text)
    return language_of(state.get("question") or "")


def compose(state: Summarised, resources: Resources, before: str = "") -> list[BaseMessage]:
    """Put together what the model reads of the conversation.

    Args:
        before: what stands before the question: recalled memories, delimited.
    """
    covered = min(state.get("summarised", 0), _last_question(state))
    turns = spoken((state.get("messages") or [])[covered:])
    before = shorten(before, resources, BEFORE)
    return [*_system(state), *_opened(state, _shortened(turns, resources), before)]


async def make_room(state: Summarised, resources: Resources) -> Summarised:
    """Note down the oldest turns, if the conversation has outgrown the window."""
    language = tongue(state)
    notices = list(state.get("notices") or [])
    if (question := state["messages"][-1].text) != shorten(question, resources):
        notices.append(CUT[language])
    update = Summarised(
        summary=state.get("summary", ""),
        summarised=min(state.get("summarised", 0), _last_question(state)),
        notices=notices,
    )
    if _tokens(compose(state, resources, known(state, resources)), resources) <= FULL * room(
        resources
    ):
        return update
    while (upto := _oldest({**state, **update}, resources)) > update["summarised"]:
        part: Summarised = {**state, **update, "messages": state["messages"][:upto]}
        notes = await _notes(part, resources)
        if not notes and LOST[language] not in notices:
            notices.append(LOST[language])
        update["summary"] = join(update["summary"], notes, resources)
        update["summarised"] = upto
    return update


def spoken(messages: Sequence[AnyMessage]) -> list[BaseMessage]:
    """Return the turns of person and model as plain text, by turns, a person's first.

    What tools were asked and said belongs to other graphs; questions that were never
    answered are joined with the next one, since most chat templates want the two by turns.
    """
    plain = [
        type(message)(message.text)
        for message in messages
        if isinstance(message, HumanMessage | AIMessage) and message.text
    ]
    while plain and isinstance(plain[0], AIMessage):
        del plain[0]
    return merge_message_runs(plain, chunk_separator="\n\n") if plain else []


def shorten(text: str, resources: Resources, share: float = LONGEST) -> str:
    """Leave out the middle of a text that takes more than a share of the room."""
    most = int(share * room(resources))
    if len(text.encode()) <= most:  # no token is shorter than a byte
        return text
    count = resources.model.get_num_tokens(text)
    if count <= most:
        return text
    keep = len(text)
    while count > most and keep > 2:
        # Korean and English, prose and numbers differ within one text: it is measured again.
        keep = max(2, min(keep - 2, int(keep * most / count * 0.95)))
        gap = GAP[language_of(text)].format(count=len(text) - keep)
        short = f"{text[: keep // 2]}\n{gap}\n{text[len(text) - keep // 2 :]}"
        count = resources.model.get_num_tokens(short)
    return short


def _system(state: Summarised) -> list[BaseMessage]:
    return prompt("chat", tongue(state)).messages(question="")[:-1]


def _shortened(turns: Sequence[BaseMessage], resources: Resources) -> list[BaseMessage]:
    return [type(turn)(shorten(turn.text, resources)) for turn in turns]


def _opened(state: Summarised, turns: Sequence[BaseMessage], before: str) -> list[BaseMessage]:
    """Put the notes before the first turn and the memories before the last one.

    They go into the messages themselves: a template may not take two of a person in a row.
    """
    opened = list(turns)
    if before and opened:
        opened[-1] = HumanMessage(f"{before}\n\n{opened[-1].text}")
    if (summary := state.get("summary")) and opened:
        [notes] = prompt("chat_context", tongue(state)).messages(notes=summary)
        opened[0] = HumanMessage(f"{notes.text}\n\n{opened[0].text}")
    return opened


def _last_question(state: Summarised) -> int:
    """Return the place of the question: it and what follows it are never noted down."""
    return max(0, len(state.get("messages") or []) - 1)


def _tokens(messages: Sequence[BaseMessage], resources: Resources) -> int:
    return resources.model.get_num_tokens_from_messages(list(messages))


def _oldest(state: Summarised, resources: Resources) -> int:
    """Return up to which message is noted down next; where it is already, nothing is.

    That is as far as is needed to come down to `AFTER`, and no further than the model can
    read together with the request for notes. A turn is not torn from its answer.
    """
    covered, messages = state["summarised"], state["messages"]
    begins = [n for n in range(covered + 1, len(messages)) if _begins_turn(messages, n)]
    request = _tokens(prompt("chat_notes", tongue(state)).messages(), resources)
    head = _tokens([*_system(state), HumanMessage(state["summary"])], resources)
    sizes = {}
    for n in range(covered, len(messages)):
        sizes[n] = resources.model.get_num_tokens(shorten(messages[n].text, resources)) + MARKUP
    left = head + sum(sizes.values())
    context = resources.settings.model.context
    readable = context - _longest_notes(resources) - request - MARKUP
    upto, read = covered, head
    for begin in begins:
        if left <= AFTER * room(resources):
            break
        passed = sum(sizes[n] for n in range(upto, begin))
        if upto > covered and read + passed > readable:
            break
        upto, read, left = begin, read + passed, left - passed
    return upto


def _begins_turn(messages: Sequence[BaseMessage], n: int) -> bool:
    return isinstance(messages[n], HumanMessage) and not isinstance(messages[n - 1], HumanMessage)


async def _notes(part: Summarised, resources: Resources) -> str:
    """Ask for notes at the end of the turns they are of."""
    used = prompt("chat_notes", tongue(part))
    turns = spoken(part["messages"][part["summarised"] :])
    if not turns:
        return ""
    messages = [*_system(part), *_opened(part, _shortened(turns, resources), "")]
    if isinstance(turns[-1], HumanMessage):
        messages.append(AIMessage("…"))  # it was never answered
    return await _written([*messages, *used.messages()], used, resources)


def join(old: str, new: str, resources: Resources) -> str:
    """Add new notes to the old ones, within what notes may take."""
    lines: list[str] = []
    for line in [*old.splitlines(), *new.splitlines()]:
        words = _words(line)
        if not any(len(words & _words(other)) >= SAME * len(words) for other in lines):
            lines.append(line)
    most = _longest_notes(resources)
    while lines and resources.model.get_num_tokens("\n".join(lines)) > most:
        lines.remove(max(lines, key=len))
    return "\n".join(lines)


def _longest_notes(resources: Resources) -> int:
    return min(resources.settings.conversation.summary_tokens, int(NOTES * room(resources)))


def _words(line: str) -> set[str]:
    return set(WORD.findall(line.casefold()))


async def _written(messages: Sequence[BaseMessage], used: Prompt, resources: Resources) -> str:
    """Have notes written; return the items of the list that came, a line each."""
    most = _longest_notes(resources)
    reply = await resources.model.ainvoke(list(messages), used.quiet, max_tokens=most)
    found = (ITEM.match(line) for line in reply.text.splitlines())
    return "\n".join(f"- {line[1]}" for line in found if line)
