"""The forms that examples have in files, read by what is in them and written by name.

    chat         {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}
    preference   {"prompt": […], "chosen": […], "rejected": […]}
    label        {"prompt": […], "completion": […], "label": true}
    alpaca       {"instruction": "…", "input": "…", "output": "…"}
    sharegpt     {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", …}]}

A prompt and an answer may also be plain texts; so they are in CSV, whose columns have the
same names, or `question` and `answer`. The first three are TRL's and OpenAI's, and carry our
`source`, `group` and `about` along.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from groundling.errors import DocumentError, TuningError
from groundling.knowledge.loaders.text import decode
from groundling.tuning.example import Example, RoleName, Turn

Format = Literal["chat", "preference", "label", "alpaca", "sharegpt"]
Found = tuple[int, Example | str]  # its line, and the example or why there is none
_ROLES: Mapping[str, RoleName] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "ai": "assistant", "gpt": "assistant", "model": "assistant",
    "bot": "assistant",
}  # fmt: skip
_TRUE, _FALSE = ("true", "1", "yes", "good", "up"), ("false", "0", "-1", "no", "bad", "down")
_MAX_CELL = 10_000_000  # characters
_MAX_TURNS = 400


def read_file(file: Path) -> Iterator[Found]:
    """Read a file of JSON lines, a JSON list, CSV or TSV; what cannot be read is told by line.

    Raises:
        TuningError: it cannot be read at all, or names no columns that are known.
    """
    try:
        text = decode(file)
    except (OSError, DocumentError) as error:
        raise TuningError(
            f"{file} cannot be read: {error}", hint="Give a file of JSON lines or CSV."
        ) from error
    lines = _rows(file, text) if file.suffix.lower() in (".csv", ".tsv") else _objects(text)
    for line, value in lines:
        if isinstance(value, str):
            yield line, value
            continue
        try:
            yield line, parse(value, source=f"file:{file.name}", group=f"{file.name}:{line}")
        except TuningError as error:
            yield line, str(error)


def parse(value: Any, *, source: str, group: str) -> Example:
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
    source = str(value.get("source") or source)
    about = value.get("about")
    common: dict[str, Any] = {
        "source": source,
        "group": str(value.get("group") or group),
        "about": dict(about) if isinstance(about, Mapping) else {},
    }
    if isinstance(value.get("split"), str):
        common["about"]["split"] = value["split"]
    for name, read in _READERS:
        if name in value:
            return read(value, common)
    raise TuningError(
        f"its fields are {', '.join(map(str, value)) or 'none'}: no messages, no prompt with "
        "chosen and rejected, no instruction with output"
    )


def _messages(value: Mapping[str, Any], common: dict[str, Any]) -> Example:
    turns = _turns(value["messages"], "role", "content")
    return _answered(turns, common, value)


def _conversations(value: Mapping[str, Any], common: dict[str, Any]) -> Example:
    turns = _turns(value["conversations"], "from", "value")
    if isinstance(value.get("system"), str):
        turns = [Turn("system", value["system"]), *turns]
    return _answered(turns, common, value)


def _answered(turns: list[Turn], common: dict[str, Any], value: Mapping[str, Any]) -> Example:
    if not turns or turns[-1].role != "assistant":
        raise TuningError("the conversation does not end with an answer")
    good = _label(value["label"]) if "label" in value else None
    return Example(tuple(turns[:-1]), turns[-1].text, good=good, **common)


def _chosen(value: Mapping[str, Any], common: dict[str, Any]) -> Example:
    if "rejected" not in value:
        raise TuningError("a chosen answer without a rejected one")
    chosen, rejected = _said(value["chosen"]), _said(value["rejected"])
    if "prompt" in value:
        prompt = _said(value["prompt"])
    elif (question := value.get("question")) is not None:
        prompt = [Turn("user", _text(question, "question"))]
    else:  # the conversation stands before both answers
        prompt = chosen[:-1]
        if not prompt or rejected[:-1] != prompt:
            raise TuningError("there is no prompt, and the two answers have none in common")
        chosen, rejected = chosen[-1:], rejected[-1:]
    return Example(
        _asked(prompt), _one(chosen, "chosen"), rejected=_one(rejected, "rejected"), **common
    )


def _completion(value: Mapping[str, Any], common: dict[str, Any]) -> Example:
    good = _label(value["label"]) if "label" in value else None
    prompt = _asked(_said(value["prompt"]))
    if "completion" not in value:
        raise TuningError("a prompt without a completion")
    return Example(prompt, _one(_said(value["completion"]), "completion"), good=good, **common)


def _instruction(value: Mapping[str, Any], common: dict[str, Any]) -> Example:
    asked = _text(value["instruction"], "instruction")
    if more := _text(value.get("input", ""), "input"):
        asked = f"{asked}\n\n{more}"
    turns: list[Turn] = []
    if system := _text(value.get("system", ""), "system"):
        turns.append(Turn("system", system))
    for pair in value.get("history") or []:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise TuningError("its history is not a list of pairs")
        turns += [Turn("user", _text(pair[0], "history"))]
        turns += [Turn("assistant", _text(pair[1], "history"))]
    if "output" not in value:
        raise TuningError("an instruction without an output")
    return Example((*turns, Turn("user", asked)), _text(value["output"], "output"), **common)


def _question(value: Mapping[str, Any], common: dict[str, Any]) -> Example:
    good = _label(value["label"]) if "label" in value else None
    if "answer" not in value:
        raise TuningError("a question without an answer")
    asked = (Turn("user", _text(value["question"], "question")),)
    return Example(asked, _text(value["answer"], "answer"), good=good, **common)


# The first field that is there says which form it is.
_READERS: tuple[tuple[str, Callable[[Mapping[str, Any], dict[str, Any]], Example]], ...] = (
    ("messages", _messages),
    ("conversations", _conversations),
    ("chosen", _chosen),
    ("prompt", _completion),
    ("instruction", _instruction),
    ("question", _question),
)


def _said(value: Any) -> list[Turn]:
    """Read messages, or a plain text as a turn whose role its place tells."""
    if isinstance(value, str):
        return [Turn("user", value)]
    return _turns(value, "role", "content")


def _turns(value: Any, role: str, text: str) -> list[Turn]:
    if isinstance(value, str):  # a cell of CSV
        try:
            value = json.loads(value)
        except ValueError:
            raise TuningError("its messages are neither a list nor JSON") from None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TuningError("its messages are no list")
    if len(value) > _MAX_TURNS:
        raise TuningError(f"it has {len(value)} turns; at most {_MAX_TURNS} are read")
    turns: list[Turn] = []
    for each in value:
        if not isinstance(each, Mapping):
            raise TuningError("one of its messages is no object")
        known = _ROLES.get(str(each.get(role)))
        if known is None:
            raise TuningError(f"{each.get(role)!r} is no role that can be learnt from")
        if each.get("tool_calls"):
            raise TuningError("it calls tools, which is not learnt from")
        turns.append(Turn(known, _text(each.get(text), text)))
    return turns


def _text(value: Any, name: str) -> str:
    if isinstance(value, list) and all(
        isinstance(part, Mapping) and part.get("type") == "text" for part in value
    ):
        value = "".join(str(part.get("text", "")) for part in value)
    if not isinstance(value, str):
        raise TuningError(f"its {name} is no text")
    return value


def _asked(turns: list[Turn]) -> tuple[Turn, ...]:
    return tuple(turns)


def _one(turns: list[Turn], name: str) -> str:
    if len(turns) != 1:
        raise TuningError(f"its {name} has {len(turns)} turns; one is learnt from")
    return turns[0].text


def _label(value: Any) -> bool:
    said = str(value).strip().casefold()
    if said in _TRUE or (isinstance(value, bool) and value):
        return True
    if said in _FALSE:
        return False
    raise TuningError(f"its label {value!r} is neither true nor false")


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    if text.lstrip().startswith("["):
        try:
            for place, value in enumerate(json.loads(text), start=1):
                yield place, "not an object" if isinstance(value, str) else value
            return
        except (ValueError, RecursionError):
            pass  # lines that are lists: each is told below
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            value = json.loads(written)
        except (ValueError, RecursionError) as error:
            yield line, f"not JSON: {error}"
        else:
            yield line, "not an object" if isinstance(value, str) else value


def _rows(file: Path, text: str) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(_MAX_CELL)
    header = text.partition("\n")[0]
    delimiter = "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [str(name).strip().lower() for name in rows.fieldnames or []]
    except csv.Error as error:
        raise TuningError(
            f"The first line of {file} is no header of CSV: {error}.",
            hint="Quotation marks stand round a whole cell, and are doubled within.",
        ) from error
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise TuningError(
            f"{file} has the column {twice[0]} twice.",
            hint="Give each column a name of its own in the first line.",
        )
    if not {name for name, _ in _READERS}.intersection(names):
        raise TuningError(
            f"{file} has no columns that are known: {', '.join(names) or 'none'}.",
            hint="prompt and completion; prompt, chosen and rejected; question and answer; "
            "or instruction, input and output",
        )
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield rows.line_num, f"not CSV: {error}"
            continue
        if row is None:
            return
        if None in row or None in row.values():
            yield rows.line_num, f"it does not have the {len(names)} columns of the header"
            continue
        yield (
            rows.line_num,
            {name.strip().lower(): cell for name, cell in row.items() if name.strip() and cell},
        )


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
