"""The forms that examples have in files, told by their fields and written by name.

    chat         {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}
    preference   {"prompt": […], "chosen": […], "rejected": […]}
    label        {"prompt": […], "completion": […], "label": true}
    alpaca       {"instruction": "…", "input": "…", "output": "…"}
    sharegpt     {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", …}]}

A prompt and an answer may also be plain texts. The first three are TRL's and OpenAI's, and
carry our `source`, `group` and `about` along. Read, too, is what common data sets make of
them: other names of the same fields (Dolly, Orca), pairs that hold the whole conversation
(UltraFeedback) or its text (HH-RLHF), OpenAI's `preferred_output`, LLaMA-Factory's `kto_tag`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from groundling.errors import TuningError
from groundling.tuning.example import Example, RoleName, Turn

Format = Literal["chat", "preference", "label", "alpaca", "sharegpt"]
Fields = Mapping[str, Any]
TALKS = ("messages", "conversations", "conversation")
ASKS = ("instruction", "prompt", "question", "query", "input")
ANSWERS = ("completion", "output", "answer", "response", "generation")
_CHOSEN, _REJECTED = ("chosen", "preferred_output"), ("rejected", "non_preferred_output")
_SYSTEM, _MORE, _LABEL = ("system", "system_prompt"), ("input", "context"), ("label", "kto_tag")
_ROLES: Mapping[str, RoleName] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "ai": "assistant", "gpt": "assistant", "model": "assistant",
    "bot": "assistant",
}  # fmt: skip
_TRUE, _FALSE = ("true", "1", "yes", "good", "up"), ("false", "0", "-1", "no", "bad", "down")
# What other data sets call the parts that nobody learns from.
_HELD_OUT = ("heldout", "held-out", "test", "validation", "valid", "val", "dev", "eval")
_SPOKEN = re.compile(r"\n\n(Human|Assistant):")  # of HH-RLHF
_MAX_TURNS = 400


def parse(value: Any, *, source: str, group: str = "") -> Example:
    """Read one example of any of the forms.

    Args:
        value: decoded JSON, or a row of CSV.
        source: where it comes from, if it does not say so itself.
        group: what it belongs to, if it does not say so itself.

    Raises:
        TuningError: it has none of the forms.
    """
    if not isinstance(value, Mapping):
        raise TuningError("not an object")
    value = {key: each for key, each in value.items() if each is not None}
    about = value.get("about")
    common: dict[str, Any] = {
        "source": str(value.get("source") or source),
        "group": str(value.get("group") or group),
        "about": dict(about) if isinstance(about, Mapping) else {},
    }
    if isinstance(part := value.get("split"), str):
        held = part.strip().casefold() in _HELD_OUT
        common["about"]["split"] = "heldout" if held else part
    if _named(value, _CHOSEN) or _named(value, _REJECTED):
        return _preference(value, common)
    label = _named(value, _LABEL)
    if label is not None:
        common["good"] = _label(value[label])
    if _named(value, TALKS):
        return _conversation(value, common)
    if _named(value, ASKS):
        return _answered(value, common)
    raise TuningError(
        f"its fields are {', '.join(map(str, value)) or 'none'}: no messages, no prompt with "
        "chosen and rejected, no instruction with output"
    )


def _conversation(value: Fields, common: dict[str, Any]) -> Example:
    turns = _talk(value)
    if not turns or turns[-1].role != "assistant":
        raise TuningError("the conversation does not end with an answer")
    if _weightless(value):
        raise TuningError("its answer has the weight 0: it is not to be learnt")
    return Example(tuple(turns[:-1]), turns[-1].text, **common)


def _answered(value: Fields, common: dict[str, Any]) -> Example:
    if (name := _named(value, ANSWERS)) is None:
        known = f"{', '.join(ANSWERS[:-1])} or {ANSWERS[-1]}"
        raise TuningError(f"its {_named(value, ASKS)} has no answer: no {known}")
    return Example(tuple(_question(value)), _one(_said(value[name], "assistant"), name), **common)


def _preference(value: Fields, common: dict[str, Any]) -> Example:
    names = _named(value, _CHOSEN), _named(value, _REJECTED)
    if names[0] is None or names[1] is None:
        raise TuningError("a chosen answer without a rejected one, or the other way round")
    chosen, rejected = (_said(value[name], "assistant") for name in names if name is not None)
    prompt = _question(value) if _named(value, ASKS) else []
    if len(chosen) > 1 and chosen[0].role != "assistant":  # the conversation stands before both
        if rejected[:-1] != chosen[:-1]:
            raise TuningError("the two answers do not end the same conversation")
        system = [turn for turn in prompt[:1] if turn.role == "system"]
        prompt = chosen[:-1] if chosen[0].role == "system" else [*system, *chosen[:-1]]
        chosen, rejected = chosen[-1:], rejected[-1:]
    elif not prompt and _named(value, TALKS):
        prompt = _talk(value)
    if not prompt:
        raise TuningError("there is no prompt, and the two answers have none in common")
    return Example(
        tuple(prompt), _one(chosen, "chosen"), rejected=_one(rejected, "rejected"), **common
    )


def _named(value: Fields, names: Sequence[str]) -> str | None:
    """Return the first of these fields that is there."""
    return next((name for name in names if name in value), None)


def _talk(value: Fields) -> list[Turn]:
    name = _named(value, TALKS) or TALKS[0]
    return _with_system(value, _turns(value[name]))


def _question(value: Fields) -> list[Turn]:
    """Return what is asked: messages, or a text with what belongs to it."""
    name = _named(value, ASKS) or ASKS[0]
    asked = value[name]
    if isinstance(asked, Mapping):  # OpenAI: {"input": {"messages": […]}}
        asked = asked.get("messages")
    turns = _said(asked, "user")
    if isinstance(asked, str) and len(turns) == 1:
        parts = [turns[0].text]
        if name != "prompt":  # which is whole
            parts += [_text(value[each], each) for each in _MORE if each != name and each in value]
        turns = [*_history(value), Turn("user", "\n\n".join(filter(None, parts)))]
    elif turns and turns[-1] == Turn("assistant", ""):  # "…\n\nAssistant:"
        turns.pop()
    return _with_system(value, turns)


def _history(value: Fields) -> list[Turn]:
    turns: list[Turn] = []
    for pair in value.get("history") or []:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise TuningError("its history is not a list of pairs")
        turns += [Turn("user", _text(pair[0], "history"))]
        turns += [Turn("assistant", _text(pair[1], "history"))]
    return turns


def _with_system(value: Fields, turns: list[Turn]) -> list[Turn]:
    name = _named(value, _SYSTEM)
    text = _text(value[name], name) if name is not None else ""
    if not text or (turns and turns[0].role == "system"):
        return turns
    return [Turn("system", text), *turns]


def _said(value: Any, role: RoleName) -> list[Turn]:
    """Read messages, one message, or a plain text, which is a turn of that role."""
    if isinstance(value, Mapping):
        return _turns([value])
    if not isinstance(value, str):
        return _turns(value)
    if value.startswith("[{") and (read := _read_messages(value)) is not None:
        return read
    pieces = _SPOKEN.split(value) if value.startswith("\n\nHuman:") else []
    if pieces:
        sides = zip(pieces[1::2], pieces[2::2], strict=True)
        return [Turn(_ROLES[side.lower()], text.strip()) for side, text in sides]
    return [Turn(role, value)]


def _read_messages(text: str) -> list[Turn] | None:
    try:
        return _turns(text)
    except TuningError:
        return None  # a text that looks like it


def _turns(value: Any) -> list[Turn]:
    if isinstance(value, str):  # a cell of CSV
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise TuningError("its messages are neither a list nor JSON") from None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TuningError("its messages are no list")
    if len(value) > _MAX_TURNS:
        raise TuningError(f"it has {len(value)} turns; at most {_MAX_TURNS} are read")
    turns: list[Turn] = []
    for each in value:
        if not isinstance(each, Mapping):
            raise TuningError("one of its messages is no object")
        if "input" in each and "output" in each:  # Capybara: both sides at once
            turns.append(Turn("user", _text(each["input"], "input")))
            turns.append(Turn("assistant", _text(each["output"], "output")))
            continue
        role, text = ("role", "content") if "role" in each else ("from", "value")
        known = _ROLES.get(str(each.get(role)).casefold())
        if known is None:
            raise TuningError(f"{each.get(role)!r} is no role that can be learnt from")
        if each.get("tool_calls"):
            raise TuningError("it calls tools, which is not learnt from")
        turns.append(Turn(known, _text(each.get(text), text)))
    return turns


def _weightless(value: Fields) -> bool:
    """Tell whether the last message says, in OpenAI's way, that it is not learnt from."""
    said = value[_named(value, TALKS) or TALKS[0]]
    last = said[-1] if isinstance(said, Sequence) and not isinstance(said, str) else {}
    return isinstance(last, Mapping) and last.get("weight") == 0


def _text(value: Any, name: str) -> str:
    if isinstance(value, list) and all(
        isinstance(part, Mapping) and part.get("type") == "text" for part in value
    ):
        value = "".join(str(part.get("text", "")) for part in value)
    if not isinstance(value, str):
        raise TuningError(f"its {name} is no text")
    return value


def _one(turns: list[Turn], name: str) -> str:
    if len(turns) != 1:
        raise TuningError(f"its {name} has {len(turns)} turns; one is learnt from")
    if turns[0].role != "assistant":
        raise TuningError(f"its {name} is no answer of a model")
    return turns[0].text


def _label(value: Any) -> bool:
    said = str(value).strip().casefold()
    if said in _TRUE or (isinstance(value, bool) and value):
        return True
    if said in _FALSE:
        return False
    raise TuningError(f"its label {value!r} is neither true nor false")


def as_json(example: Example, form: Format | None = None) -> dict[str, Any]:
    """Write an example in a form; default: its kind's own, which loses nothing.

    Raises:
        TuningError: the form has no place for it.
    """
    form = form or example.kind
    prompt = [{"role": turn.role, "content": turn.text} for turn in example.prompt]
    answer = {"role": "assistant", "content": example.answer}
    ours = {"source": example.source, "group": example.group, "about": dict(example.about)}
    match form:
        case "chat" if example.good is not False:
            return {"messages": [*prompt, answer], **ours}
        case "preference" if example.rejected is not None:
            worse = {"role": "assistant", "content": example.rejected}
            return {"prompt": prompt, "chosen": [answer], "rejected": [worse], **ours}
        case "label" if example.good is not None:
            return {"prompt": prompt, "completion": [answer], "label": example.good, **ours}
        case "alpaca" if example.good is not False:
            return _as_alpaca(example)
        case "sharegpt" if example.good is not False:
            names = {"user": "human", "assistant": "gpt", "system": "system"}
            said = [*example.prompt, Turn("assistant", example.answer)]
            return {
                "conversations": [{"from": names[turn.role], "value": turn.text} for turn in said]
            }
    raise TuningError(f"The form {form} has no place for a {example.kind} example.")


def _as_alpaca(example: Example) -> dict[str, Any]:
    turns = list(example.prompt)
    system = turns.pop(0).text if turns[0].role == "system" else None
    said = [turn.text for turn in turns[:-1]]
    written: dict[str, Any] = {
        "instruction": example.question,
        "input": "",
        "output": example.answer,
    }
    if system is not None:
        written["system"] = system
    if said:
        written["history"] = [list(pair) for pair in zip(said[::2], said[1::2], strict=True)]
    return written


def write_lines(examples: Iterable[Example], form: Format | None = None) -> str:
    """Write examples as JSON lines. Raises as `as_json`."""
    lines = (json.dumps(as_json(each, form), ensure_ascii=False) for each in examples)
    return "".join(f"{line}\n" for line in lines)
