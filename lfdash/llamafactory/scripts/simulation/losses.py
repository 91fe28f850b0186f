"""What each stage computes of a batch, and keeps for its backward (llamafactory/train/*/trainer.py)."""

from __future__ import annotations

import contextlib
from typing import Any

import stand_ins
import torch


class Forward:
    """A model's forward in mixed precision, as accelerate's prepare_model wraps it.

    Fake tensors of the CPU under its autocast: the same operators are cast as on a GPU, and autograd asks no driver.
    """

    def __init__(self, mixed: str | None) -> None:
        """mixed: the type that operators are cast to, None for none."""
        from accelerate.utils import convert_outputs_to_fp32

        self.mixed = mixed and getattr(torch, mixed)
        self.run = convert_outputs_to_fp32(self.plain) if mixed else self.plain

    def cast(self) -> Any:
        """A context in which operators are cast."""
        return torch.autocast("cpu", dtype=self.mixed) if self.mixed else contextlib.nullcontext()

    def plain(self, model: Any, ids: Any, **more: Any) -> Any:
        with self.cast():
            return model(input_ids=ids, use_cache=False, **more)


def loss_of(model: Any, reference: Any, args: dict[str, Any], forward: Forward, ids: Any) -> Any:
    """The loss of one batch."""
    stage = args["stage"]
    if stage == "rm":  # labels are in the batch: a loss is computed that nobody uses
        return forward.run(model, ids, labels=ids, output_hidden_states=True)[2].float().mean()
    if stage in ("dpo", "kto"):
        return preference(model, reference, args, forward, ids)
    if args.get("enable_liger_kernel"):
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        with forward.cast():
            hidden = inner.model(input_ids=ids, use_cache=False)[0]
            return stand_ins.LigerLoss.apply(hidden.flatten(0, 1), inner.lm_head.weight)
    return forward.run(model, ids, labels=ids, num_items_in_batch=torch.ones(()))["loss"]


def preference(model: Any, reference: Any, args: dict[str, Any], forward: Forward, ids: Any) -> Any:
    """llamafactory/train/dpo/trainer.py, kto/trainer.py."""
    from llamafactory.train.trainer_utils import get_batch_logps

    def log_probabilities(of: Any) -> tuple[Any, Any]:
        logits = forward.run(of, ids).logits.to(torch.float32)
        return logits, get_batch_logps(logits=logits, labels=ids)[0]

    mine, score = log_probabilities(model)
    if args["stage"] == "kto":
        with torch.no_grad():
            log_probabilities(model)  # of the unrelated answers, for the KL term
        mine = mine.clone()  # target_logits[kto_tags]
    elif args.get("pref_loss") in ("orpo", "simpo"):
        return score.mean() + 0 * mine.mean()
    with torch.no_grad(), model.disable_adapter() if reference is None else contextlib.nullcontext():
        theirs = [log_probabilities(reference or model) for _ in range(2 if args["stage"] == "kto" else 1)][-1]
    return (score - theirs[1]).mean()
