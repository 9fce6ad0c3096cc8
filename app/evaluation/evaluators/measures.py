"""What a run cost: seconds and tokens, as the trace has them."""

from __future__ import annotations

from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, not_applicable


class Latency:
    """Seconds from the question to the answer; lower is better."""

    measures = True

    def __init__(self, name: str = "latency") -> None:
        self.name = name

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Read the duration."""
        return Score(self.name, result.trace.seconds, better="lower")


class Tokens:
    """Tokens that the models of a run read and wrote; lower is better."""

    measures = True

    def __init__(self, name: str = "tokens") -> None:
        self.name = name

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Add up what was read and written."""
        root = result.trace.root
        if root.input_tokens is None and root.output_tokens is None:
            return not_applicable(self.name, "no model said how many tokens it took", "lower")
        read, written = root.input_tokens or 0, root.output_tokens or 0
        detail = {"input": read, "output": written, "cached": root.cached_tokens}
        return Score(self.name, float(read + written), better="lower", detail=detail)
