"""A training process tells what it does, one line of JSON for each event."""

from __future__ import annotations

import json
import math
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from groundling.errors import TuningError
from groundling.settings import environment
from groundling.tuning.training.job import Event

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_PROGRESS = 1e-4  # nats that a look has to gain on the best one
_KILO = 1 if sys.platform == "darwin" else 1024


def tell(event: Event) -> None:
    """Write an event; of several processes the first speaks, and any that fails."""
    if environment().get("RANK", "0") == "0" or event["event"] == "failed":
        sys.__stdout__.write(json.dumps(event) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


class Report(TrainerCallback):
    """Tells updates and looks, and ends the training when it does not help any more.

    Args:
        patience: looks without progress; 0: never. Each look that is the best so far is
            followed by a checkpoint, so that there is something to go back to.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._best = self._least = math.inf
        self._worse = 0
        self._began = time.monotonic()
        self.tokens = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say that the first update begins; what was seen before an interruption counts."""
        self._began = time.monotonic()
        for logs in state.log_history:
            if "eval_loss" in logs:
                self._judge(float(logs["eval_loss"]), control)
        tell({"event": "begun", "step": state.global_step, "steps": state.max_steps})

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Tell an update, or a look at held-out examples.

        Raises:
            TuningError: a loss or a gradient is no number: no later update mends that, and no
                checkpoint may follow.
        """
        logs = logs or {}
        for name in ("loss", "grad_norm", "eval_loss"):
            if not math.isfinite(float(logs.get(name, 0.0))):
                raise TuningError(
                    f"The training went astray: at update {state.global_step} {name} is "
                    f"{logs[name]}. The last whole checkpoint is from before that.",
                    hint=f"A smaller learning_rate ({args.learning_rate:g} now), or dtype = "
                    "“float32”; with another recipe the training begins anew.",
                )
        common: Event = {
            "step": state.global_step,
            "steps": state.max_steps,
            "seconds": round(time.monotonic() - self._began, 3),
            "memory": memory(),
        }
        if "loss" in logs:
            tell({**common, "event": "step", "loss": float(logs["loss"]),
                  "rate": float(logs.get("learning_rate", 0.0)),
                  "tokens": int(getattr(state, "num_input_tokens_seen", 0) or 0)})  # fmt: skip
        if "eval_loss" in logs:
            look: Event = {**common, "event": "look", "loss": float(logs["eval_loss"])}
            for name in ("eval_accuracy", "eval_rewards/accuracies"):
                if name in logs:
                    look["accuracy"] = float(logs[name])
            tell(look)
            self._judge(float(logs["eval_loss"]), control)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say that a checkpoint is whole."""
        tell({"event": "saved", "step": state.global_step, "steps": state.max_steps})

    def _judge(self, loss: float, control: Any) -> None:
        if loss < self._least:
            self._least = loss
            control.should_save = control.should_save or self._patience > 0
        if loss < self._best - _PROGRESS:
            self._best, self._worse = loss, 0
            return
        self._worse += 1
        if self._patience and self._worse >= self._patience:
            control.should_training_stop = True


def memory() -> int:
    """Return the largest size of this process so far, in bytes."""
    # What getrusage tells begins with the size of the process that started this one.
    status = Path("/proc/self/status")
    if status.is_file() and (found := _PEAK.search(status.read_text(encoding="ascii"))):
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILO
