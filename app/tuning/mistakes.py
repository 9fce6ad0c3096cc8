"""Preferences from a model's own mistakes: the right answer over what it says instead.

The model is asked what is known the answer of; where its answer does not have it, there is a
pair (on-policy pairs, as in SPIN: Chen et al. 2024, arXiv:2401.01335, but of wrong answers
alone). With an adapter that was trained on the same examples, what is left are the facts that
it binds wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from groundling.errors import ContextOverflow
from groundling.tuning.example import Example
from groundling.tuning.gate import messages_of
from groundling.tuning.marking import frequent, right

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.tuning.dataset import TrainingData

WRONG = 0.5  # from `right` on, an answer counts as right
_ROOM = 96  # tokens
_CUT = "\ufffd"
Tell = Callable[[str, int, int], None]


def from_mistakes(data: TrainingData, model: BaseChatModel, tell: Tell) -> list[Example]:
    """Ask the model what a data set asks; return a preference for each wrong answer.

    Args:
        data: its examples of the kind `chat` are asked; those held out stay held out.
        model: with the adapter that is to be improved, if there is one.
        tell: called with what is going on, how much is done, of how much.
    """
    parts: list[tuple[str, Iterable[Example]]] = [
        ("train", data.train()),
        ("heldout", data.heldout()),
    ]
    asked = [(part, each) for part, some in parts for each in some if each.kind == "chat"]
    common = frequent(each.answer for _, each in asked)
    made: list[Example] = []
    for number, (part, example) in enumerate(asked):
        tell("mistakes", number, len(asked))
        try:
            reply = model.invoke(messages_of(example), temperature=0.0, max_tokens=_ROOM).text
        except ContextOverflow:
            continue  # longer than what the model can be asked; of that nothing is known
        said = reply.rstrip(_CUT).strip()  # the last token may be a part of a character
        if right(example, said, common) >= WRONG:
            continue
        made.append(
            Example(
                example.prompt,
                example.answer,
                rejected=said,
                source=f"mistakes:{data.card.name}",
                group=example.group,
                about={**example.about, "split": part},
            )
        )
    tell("mistakes", len(asked), len(asked))
    return made
