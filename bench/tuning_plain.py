"""Tokens a second of a training, ours and plain transformers' with peft, in one process.

    python -m bench.tuning_plain JOB

A process for `bench.tuning`: JOB is the file that a training run writes. Model, adapter,
batches, optimiser and threads are the same; what differs is the trainer: ours multiplies the
output matrix with the learnt places alone, the plain one with all of them.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from groundling.tuning.training.batches import Padded, row
from groundling.tuning.training.job import TRAIN, Job, read_tokens

TURNS = ("ours", "plain", "plain", "ours")  # warm-up and drift hit both alike


def main() -> None:
    """Train by turns, and print seconds and tokens of each as JSON."""
    import torch
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    from groundling.tuning.training.lora import adapted
    from groundling.tuning.training.supervised import Supervised
    from groundling.tuning.training.weights import load

    job = Job.read(Path(sys.argv[1]))
    recipe, folder = job.recipe, Path(job.folder)
    torch.set_num_threads(recipe.threads or 1)
    examples = list(read_tokens(folder / TRAIN))
    model = adapted(load(Path(job.base), recipe, folder), recipe, None)
    kinds: dict[str, Any] = {"ours": Supervised, "plain": Trainer}
    seconds: dict[str, float] = dict.fromkeys(kinds, 0.0)
    tokens: dict[str, int] = dict.fromkeys(kinds, 0)
    for turn in TURNS:
        trainer = kinds[turn](
            model=model,
            args=TrainingArguments(
                output_dir=str(folder / turn),
                per_device_train_batch_size=recipe.batch,
                max_steps=recipe.steps or 1,
                learning_rate=recipe.learning_rate,
                seed=0,
                report_to="none",
                include_num_input_tokens_seen="non_padding",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(),
                dataloader_pin_memory=False,
                remove_unused_columns=False,
            ),
            train_dataset=Dataset.from_list([row(each) for each in examples]),
            data_collator=Padded(job.pad),
        )
        began = time.perf_counter()
        trainer.train()
        seconds[turn] += time.perf_counter() - began
        tokens[turn] += int(trainer.state.num_input_tokens_seen or 0)
    print(json.dumps({"seconds": seconds, "tokens": tokens}))


if __name__ == "__main__":
    main()
