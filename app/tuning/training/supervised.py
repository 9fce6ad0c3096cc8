"""Supervised fine-tuning: the answer's tokens become more likely, those of the prompt do not.

The output matrix is the largest of a small model: with 150,000 tokens of vocabulary it costs
more than several layers. It is multiplied only with the places that are learnt.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from transformers import Trainer

from groundling.tuning.training.batches import IGNORED


class Supervised(Trainer):
    """transformers' trainer, with the loss over the learnt places alone."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean cross entropy of the learnt tokens, over the whole update."""
        labels = inputs["labels"][:, 1:]
        learnt = labels != IGNORED
        wanted = labels[learnt]
        logits = _logits(model, inputs, learnt)
        total = functional.cross_entropy(logits.float(), wanted, reduction="sum")
        count = num_items_in_batch if num_items_in_batch is not None else wanted.numel()
        loss = total / count
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes
        if not return_outputs:
            return loss
        right = (logits.argmax(-1) == wanted).float().mean()
        return loss, {"logits": right.reshape(1)}


def _logits(model: Any, inputs: dict[str, Any], learnt: Any) -> Any:
    """Return the logits of shape (learnt places, vocabulary)."""
    # The forward pass of the whole model keeps what DDP and FSDP hang on it.
    kept: list[Any] = []

    def narrow(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        kept.append(None)
        return (given[0][:, :-1][learnt].unsqueeze(0), *given[1:])

    head = _head(model)
    hook = head.register_forward_pre_hook(narrow)
    try:
        found = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
    finally:
        hook.remove()
    return found.logits[0]


def _head(model: Any) -> torch.nn.Module:
    inner = model
    while hasattr(inner, "module"):
        inner = inner.module
    head = inner.get_output_embeddings()
    assert isinstance(head, torch.nn.Module)
    return head
