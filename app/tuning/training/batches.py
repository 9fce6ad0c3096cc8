"""Examples of tokens as batches: padded on the right, the prompt and the padding not learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundling.tuning.tokens import Tokens

IGNORED = -100  # torch's own mark for what a loss leaves out


def row(example: Tokens) -> dict[str, list[int]]:
    """Return an example as the trainer keeps it."""
    ids = [*example.prompt, *example.answer]
    return {"input_ids": ids, "labels": [IGNORED] * len(example.prompt) + example.answer}


class Padded:
    """Makes a batch of rows.

    Args:
        pad: the token that fills up.
    """

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
        """Return tensors of shape (rows, tokens of the longest)."""
        import torch

        longest = max(len(each["input_ids"]) for each in rows)

        def filled(name: str, value: int) -> Any:
            return torch.tensor(
                [[*each[name], *[value] * (longest - len(each[name]))] for each in rows]
            )

        mask = [[1] * len(each["input_ids"]) for each in rows]
        return {
            "input_ids": filled("input_ids", self._pad),
            "labels": filled("labels", IGNORED),
            "attention_mask": torch.tensor([[*one, *[0] * (longest - len(one))] for one in mask]),
        }
