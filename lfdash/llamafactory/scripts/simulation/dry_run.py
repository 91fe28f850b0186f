"""A program for LLaMA-Factory's own interpreter: the first steps of a training on fake tensors: the real code of
transformers, peft, trl and LLaMA-Factory, without weights and without a GPU.

Reads JSON from stdin: {"architecture": a config.json, "arguments": LLaMA-Factory's, "layers": [4, 8], "sequences": of a
forward, "length": tokens of each, "eager": bool, "sharding": "", "z2" or "z3", "memory": bytes it may use}. Prints
{"points": [{"layers": 4, "trained": parameters, "phases": {"loaded": bytes, "forward": ..., ...}}, ...]}.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import warnings
from typing import Any


def main() -> None:
    document, sys.stdout = sys.stdout, sys.stderr  # what the imports print does not mix with the document
    job = json.load(sys.stdin)
    os.nice(10)
    if job.get("memory"):
        resource.setrlimit(resource.RLIMIT_DATA, (job["memory"], job["memory"]))
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    json.dump({"points": [measure(job, layers) for layers in job["layers"]]}, document)


def measure(job: dict[str, Any], layers: int, steps: int = 2) -> dict[str, Any]:
    """Peaks by phase of a model with so many layers.

    Under ZeRO gradients are taken away as they come and no step is made: what DeepSpeed holds is not run here.
    """
    import stand_ins
    import torch
    import transformers.masking_utils
    from build import models_of, optimizer_of
    from losses import Forward, loss_of
    from meter import Meter
    from torch._subclasses.fake_tensor import FakeTensorMode

    args, sharding = dict(job["arguments"]), job["sharding"]
    if sharding:
        args["pure_bf16"] = True
    torch.nn.functional.scaled_dot_product_attention = stand_ins.attend
    if sharding == "z3":
        torch.nn.functional.linear = stand_ins.Zero3Linear.apply
    transformers.masking_utils.is_tracing = lambda *_args: False  # fake inputs pass for a trace, which makes a mask
    torch.nn.Module.to = lambda self, *_args, **_more: self  # all is in its place; fake parameters cannot be swapped
    with FakeTensorMode(allow_non_fake_inputs=True), Meter() as meter:
        model, reference = models_of(job["architecture"], layers, args, job["eager"])
        params = [p for p in model.parameters() if p.requires_grad]
        for p in params if sharding else ():
            p.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
            if sharding == "z2":
                p.data = p.data.to(torch.bfloat16)  # deepspeed/runtime/engine.py: module.bfloat16()
        optimizer = optimizer_of(model, args)
        types = {"fp16": "float16", "bf16": "bfloat16"}
        forward = Forward(next((types[name] for name in types if args.get(name) and not sharding), None))
        ids = torch.zeros(job["sequences"], job["length"], dtype=torch.long)
        meter.lap()
        phases = {"loaded": meter.live}
        for _ in range(1 if sharding else steps):
            for _ in range(min(2, int(args.get("gradient_accumulation_steps") or 1))):
                loss = loss_of(model, reference, args, forward, ids)
                phases["forward"] = max(phases.get("forward", 0), meter.lap())
                loss.backward()
                phases["backward"] = max(phases.get("backward", 0), meter.lap())
                del loss
            if not sharding:
                torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
                optimizer.step()
                phases["optimizer"] = meter.lap()
                optimizer.zero_grad()
    return {"layers": layers, "trained": sum(p.numel() for p in params), "phases": phases}


if __name__ == "__main__":
    main()
