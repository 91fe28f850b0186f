"""What the memory-saving optimizers of LLaMA-Factory cannot do: llamafactory/train/trainer_utils.py."""

from __future__ import annotations

from collections.abc import Iterator

from lfdash.jobs.environment import Facts
from lfdash.jobs.rules import Args, Finding, number, zero3

OPTIM = "train.optim"
# the optimizers whose settings each of them takes; of all others it says "Unknown optim", or dies of a setting
KNOWN = {
    "use_galore": ("adamw_torch", "adamw_bnb_8bit", "adamw_8bit", "paged_adamw_8bit", "adafactor"),
    "use_apollo": ("adamw_torch",),
    "use_badam": ("adamw_torch", "adamw_apex_fused", "sgd", "adagrad", "rmsprop"),  # in its ratio mode
}
NAMES = {"use_galore": "GaLore", "use_apollo": "APOLLO", "use_badam": "BAdam"}
SMALL = 1_000_000_000  # bytes of weights up to which GaLore's first step is no matter of minutes


def findings(args: Args, facts: Facts) -> Iterator[Finding]:
    """Everything of this kind."""
    yield from unknown_optim(args, facts)
    yield from several_processes(args, facts)
    if args.get("use_galore") and not 0 < (facts.model_bytes or 0) < SMALL:
        yield Finding("train.use_galore", "galore_slow", level="warning")


def unknown_optim(args: Args, facts: Facts) -> Iterator[Finding]:
    """An `optim` that GaLore, APOLLO or BAdam's ratio mode does not know; also the one that is taken by default."""
    known = (facts.arguments or {}).get("optim")
    optim = args.get("optim") or (known.default if known else None)
    for use, taken in KNOWN.items():
        asked = args.get(use) and (use != "use_badam" or args.get("badam_mode") == "ratio")
        if asked and optim is not None and optim not in taken:
            params = {"name": NAMES[use], "value": optim, "known": ", ".join(taken)}
            yield Finding(OPTIM, "optim_unknown", params, fix={"optim": "adamw_torch"})


def several_processes(args: Args, facts: Facts) -> Iterator[Finding]:
    """Updates layer by layer, which several processes cannot do, and BAdam, which needs ZeRO-3 there.

    With DeepSpeed torchrun starts the training, also on one GPU.
    """
    for use in ("galore", "apollo"):
        if not (args.get(f"use_{use}") and args.get(f"{use}_layerwise")):
            continue
        params = {"name": NAMES[f"use_{use}"]}
        if facts.gpus_used > 1:
            yield Finding(f"train.use_{use}", "layerwise_gpus", params, fix={f"{use}_layerwise": None})
        elif number(args, "gradient_accumulation_steps") > 1:
            yield Finding(
                "train.gradient_accumulation_steps", "layerwise_accumulation", params,
                fix={"gradient_accumulation_steps": 1},
            )
    if str(args.get("optim", "")).endswith("_layerwise") and facts.gpus_used > 1:
        yield Finding(OPTIM, "layerwise_gpus", {"name": args["optim"]})
    if args.get("use_badam") and (facts.gpus_used > 1 or args.get("deepspeed")):
        if args.get("badam_mode") == "ratio":
            yield Finding("train.badam_mode", "badam_ratio_gpus", fix={"badam_mode": "layer"} if zero3(args) else None)
        elif not zero3(args):
            yield Finding("train.use_badam", "badam_gpus")
