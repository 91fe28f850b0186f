"""A program for LLaMA-Factory's own interpreter: how many tokens the rows of a job's datasets have. Trains nothing.

Reads LLaMA-Factory's arguments as JSON from stdin, prints {"lengths": [...]}: tokens of each row as its stage
sees it (of pairs the longer answer counts; of PPO the prompt, since the model writes the answer), cut nowhere and
packed nowhere.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from typing import Any

UNCUT = 1 << 20  # tokens; longer than any context
# What get_dataset is told of a stage (llamafactory/train/*/workflow.py).
STAGES = {"dpo": "rm"}


def main() -> None:
    document, sys.stdout = sys.stdout, sys.stderr  # what the imports print does not mix with the document
    args = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        json.dump({"lengths": lengths({**args, "output_dir": folder, "cutoff_len": UNCUT})}, document)


def lengths(args: dict[str, Any]) -> list[int]:
    """Tokens of every row, by LLaMA-Factory's own way from file to sample."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    logging.disable(logging.WARNING)
    stage = args.get("stage", "sft")
    # a reward model decides nothing here; pre-training packs where nobody says that it shall not
    args = {**args, "stage": "sft" if stage == "ppo" else stage, "packing": False}
    model_args, data_args, training_args, _, _ = get_train_args(args)
    tokenizer = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizer["tokenizer"], data_args)
    told = STAGES.get(stage, stage)
    rows = get_dataset(template, model_args, data_args, training_args, stage=told, **tokenizer)["train_dataset"]
    columns = [name for name in rows.column_names if name in ("input_ids", "chosen_input_ids", "rejected_input_ids")]
    return [max(len(row[name]) for name in columns) for row in rows]


if __name__ == "__main__":
    main()
