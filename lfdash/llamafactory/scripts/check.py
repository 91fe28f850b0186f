"""A program for LLaMA-Factory's own interpreter: what its parser says to jobs. Loads no model, writes nothing.

Reads a JSON list of argument mappings from stdin, prints a JSON list: "" for a job that it takes, else the
exception's type and text. It stands in for one rank of torchrun where a job has DeepSpeed or several GPUs are
visible, so that the rules about the launcher, which the real run obeys, do not misfire.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any


def main() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    document, sys.stdout = sys.stdout, sys.stderr  # what the imports print does not mix with the document
    jobs = json.load(sys.stdin)
    from llamafactory.hparams import parser
    from transformers import TrainingArguments
    from transformers.training_args import ParallelMode

    logging.disable(logging.CRITICAL)
    real = TrainingArguments.parallel_mode

    def one_rank(args: Any) -> Any:
        several = real.fget(args) == ParallelMode.NOT_DISTRIBUTED
        return ParallelMode.DISTRIBUTED if args.deepspeed or several else real.fget(args)

    TrainingArguments.parallel_mode = property(one_rank)
    json.dump([verdict(parser, args) for args in jobs], document)


def verdict(parser: Any, args: dict[str, Any]) -> str:
    """What the parser says to one job; "" when it takes it."""
    try:
        parser.get_train_args(args)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is the verdict
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    main()
