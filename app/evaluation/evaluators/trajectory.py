"""Tool trajectory: the tools that ran are the ones that should have.

The example's outputs have `trajectory`: names, or objects with `name` and, where they matter,
`args`. What ran is read from the trace. Modes are those of agentevals: `strict` (the same
calls in the same order), `unordered`, `subset` (nothing besides), `superset` (nothing missing).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from groundling.errors import EvaluationError
from groundling.evaluation.example import Example
from groundling.evaluation.recorded import ToolCall
from groundling.evaluation.score import RunResult, Score, not_applicable

Mode = Literal["strict", "unordered", "subset", "superset"]


class Trajectory:
    """1 where the tools that ran fit those of the example.

    Args:
        mode: how they are compared.

    Raises:
        EvaluationError: there is no such mode.
    """

    def __init__(self, mode: str = "strict", name: str = "trajectory") -> None:
        if mode not in get_args(Mode):
            raise EvaluationError(
                f"Trajectories cannot be compared by {mode}.",
                hint=f"One of: {', '.join(get_args(Mode))}.",
            )
        self.name = name
        self._mode = mode

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Compare what ran with what should have."""
        listed = (example.outputs or {}).get("trajectory")
        if not isinstance(listed, list):
            return not_applicable(self.name, "the example has no trajectory")
        wanted = [_wanted(each) for each in listed]
        made = result.trace.tool_calls
        fits = _fits(self._mode, made, wanted)
        comment = None if fits else f"ran {_shown(made)}; wanted {_shown(wanted)}"
        return Score(self.name, float(fits), comment)


def _fits(mode: str, made: Sequence[ToolCall], wanted: Sequence[ToolCall]) -> bool:
    if mode == "strict":
        return len(made) == len(wanted) and all(map(_same, made, wanted))
    paired = matched(made, wanted)
    nothing_besides = paired == len(made)
    nothing_missing = paired == len(wanted)
    return {
        "unordered": nothing_besides and nothing_missing,
        "subset": nothing_besides,
        "superset": nothing_missing,
    }[mode]


def matched(made: Sequence[ToolCall], wanted: Sequence[ToolCall]) -> int:
    """Return how many calls can be paired off at most, each with one that is wanted.

    A wanted call without arguments fits several, so that the first pair found need not be
    the one to keep: augmenting paths (Kuhn 1955) find the most.
    """
    taken: dict[int, int] = {}

    def place(call: int, tried: set[int]) -> bool:
        for slot, want in enumerate(wanted):
            if slot in tried or not _same(made[call], want):
                continue
            tried.add(slot)
            if slot not in taken or place(taken[slot], tried):
                taken[slot] = call
                return True
        return False

    return sum(place(call, set()) for call in range(len(made)))


def _same(made: ToolCall, wanted: ToolCall) -> bool:
    return made.name == wanted.name and (_ANY in wanted.args or made.args == wanted.args)


_ANY = "\0any"


def _wanted(listed: Any) -> ToolCall:
    if isinstance(listed, str):
        return ToolCall(listed, {_ANY: True})
    if isinstance(listed, Mapping) and isinstance(name := listed.get("name"), str):
        args = listed.get("args", {_ANY: True})
        if isinstance(args, Mapping):
            return ToolCall(name, args)
    raise EvaluationError(
        f"{listed!r} is no call in a trajectory.",
        hint='A tool\'s name, or {"name": "…", "args": {…}}.',
    )


def _shown(calls: Sequence[ToolCall]) -> str:
    return (
        ", ".join(
            call.name if _ANY in call.args else f"{call.name}({_arguments(call.args)})"
            for call in calls
        )
        or "nothing"
    )


def _arguments(args: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in args.items())
