"""The model and the optimizer that LLaMA-Factory makes of a job, on fake tensors."""

from __future__ import annotations

from typing import Any

import stand_ins
import torch


def config_of(architecture: dict[str, Any], layers: int) -> Any:
    """transformers' configuration with so many layers. architecture: a config.json; "kind" may name its class."""
    import transformers

    numbers = {**architecture, "num_hidden_layers": layers}
    for name, value in architecture.items():
        if isinstance(value, list) and len(value) == architecture.get("num_hidden_layers"):
            numbers[name] = value[:layers]  # a value a layer
    for name in ("architectures", "auto_map", "transformers_version", "quantization_config", "torch_dtype", "dtype"):
        numbers.pop(name, None)
    kind = numbers.pop("kind", None)
    if kind:
        return getattr(transformers, kind)(**numbers)
    return transformers.AutoConfig.for_model(**numbers)


def only(args: dict[str, Any], kind: Any) -> dict[str, Any]:
    """The arguments that a dataclass has."""
    return {name: value for name, value in args.items() if name in kind.__dataclass_fields__}


def models_of(architecture: dict[str, Any], layers: int, args: dict[str, Any], eager: bool) -> tuple[Any, Any]:
    """The model as llamafactory/model/loader.py:load_model makes it, and a reference model where one is loaded."""
    from llamafactory.hparams import FinetuningArguments, ModelArguments
    from llamafactory.model.adapter import init_adapter
    from llamafactory.model.model_utils.checkpointing import prepare_model_for_training

    config = config_of(architecture, layers)
    model_args = ModelArguments(**{**only(args, ModelArguments), "model_name_or_path": "none"})
    tune_args = FinetuningArguments(**only(args, FinetuningArguments))
    stored = getattr(torch, stored_in(architecture))
    model = bare(config, args, eager, stored)
    prepare_model_for_training(model, model_args)
    model = init_adapter(config, model, model_args, tune_args, True).train()
    for module in model.modules():
        if args.get("quantization_bit") and hasattr(module, "lora_A"):
            module.cast_input_dtype_enabled = False  # peft/tuners/lora/bnb.py: no cast to fp32 under autocast
    if args.get("use_badam"):  # badam/block_optim.py: one layer at a time, so the others are not checkpointed
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(".layers.0." in name)
    if args["stage"] == "rm":
        from trl import AutoModelForCausalLMWithValueHead

        model = AutoModelForCausalLMWithValueHead.from_pretrained(model)
    refers = args["stage"] == "kto" or (args["stage"] == "dpo" and tune_args.use_ref_model)
    apart = refers and (args["finetuning_type"] != "lora" or args.get("ref_model"))  # train/trainer_utils.py
    return model, bare(config, args, eager, stored).requires_grad_(False).eval() if apart else None


def stored_in(architecture: dict[str, Any]) -> str:
    """The type that the weights are loaded in: that of config.json (model/loader.py: torch_dtype "auto")."""
    text = architecture.get("text_config") or {}
    names = (str(at.get(key) or "") for at in (architecture, text) for key in ("dtype", "torch_dtype"))
    known = (name.rpartition(".")[2] for name in names)
    return next((name for name in known if name in ("float32", "float16", "bfloat16")), "bfloat16")


def bare(config: Any, args: dict[str, Any], eager: bool, stored: Any) -> Any:
    """The model before anything is trained. stored: the type of its weights."""
    import transformers

    implementation = "eager" if eager else "sdpa"
    model = transformers.AutoModelForCausalLM.from_config(
        config, dtype=stored, attn_implementation=implementation
    )
    if args.get("quantization_bit"):
        stand_ins.quantize(model, args["quantization_bit"], args.get("double_quantization", True))
    if args.get("enable_liger_kernel"):
        stand_ins.liger(model)
    return model


def optimizer_of(model: Any, args: dict[str, Any]) -> Any:
    """As transformers/trainer.py:get_optimizer_cls_and_kwargs makes it, and llamafactory/train/trainer_utils.py:
    create_custom_optimizer."""
    params = [p for p in model.parameters() if p.requires_grad]
    name = str(args.get("optim") or "adamw_torch_fused")
    wide = {p for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
    if args.get("use_badam"):
        return stand_ins.Bytes(params, lambda p: p.numel() * 12)  # a copy and two moments in fp32
    if args.get("use_apollo") or args.get("use_galore"):
        rank = args.get("apollo_rank", args.get("galore_rank", 16))

        def low_rank(p: Any) -> int:
            whole = p in wide or p.ndim < 2
            return 2 * p.element_size() * (p.numel() if whole else rank * max(p.shape))

        return stand_ins.Bytes(params, low_rank)
    if "8bit" in name:  # bitsandbytes/optim/optimizer.py: a scale in 256; transformers keeps embeddings in 32 bit
        return stand_ins.Bytes(params, lambda p: p.numel() * (8 if p in wide or p.numel() < 4096 else 2 + 8 / 256))
    if name == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(params, lr=1e-5, scale_parameter=False, relative_step=False)
    if name == "sgd":
        return torch.optim.SGD(params, lr=1e-5)
    return torch.optim.AdamW(params, **({"fused": True} if "fused" in name else {"foreach": True}))
