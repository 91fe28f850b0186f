"""FIELDS: every setting of the form, one row a line. Widget, check, argument and files derive from it.

Names, defaults, ranges and choices of the rows with `board` are LlamaBoard's (llamafactory 0.9.5,
webui/components/top.py and train.py); the others are arguments its users had to type by hand.
"""

from __future__ import annotations

from lfdash.jobs import converters
from lfdash.jobs.field import KIND, Field, Group, given, is_
from lfdash.jobs.kinds import DEFAULT, KINDS
from lfdash.jobs.stages import BY_CODE, METHODS
from lfdash.jobs.stages import PREFERENCE as PREFERENCE_STAGES

LORA = is_("top.finetuning_type", "lora")
FREEZE = is_("top.finetuning_type", "freeze")
OFT = is_("top.finetuning_type", "oft")
PRO_LORA = LORA & is_("train.use_llama_pro", True)
PREFERENCE = is_("train.training_stage", *PREFERENCE_STAGES)
PPO = is_("train.training_stage", "ppo")
RUNS_MODEL = is_(KIND, *(kind.name for kind in KINDS if kind.runs_model))
QUANTIZED = given("top.quantization_bit")
QUANTIZER = QUANTIZED | is_(KIND, *(kind.name for kind in KINDS if kind.quantizer))
MULTIMODAL = is_("top.multimodal", True)
GALORE = is_("train.use_galore", True)
APOLLO = is_("train.use_apollo", True)
BADAM = is_("train.use_badam", True)
SWANLAB = is_("train.use_swanlab", True)
TRACKIO = is_("train.report_to", "trackio", "all")
WANDB = is_("train.report_to", "wandb", "all")
NAMED = is_("train.report_to", "wandb", "trackio", "mlflow", "all")
DEEPSPEED = given("train.ds_stage")
HERE = ~given("train.target")  # on this machine
VLLM = is_("chat.infer_backend", "vllm")

SCHEDULERS = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
    "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay", "greedy",
)
PREFERENCE_LOSSES = ("sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo")
LOGGERS = ("none", "wandb", "mlflow", "neptune", "tensorboard", "trackio", "swanlab", "all")

GROUPS = (
    Group("run"), Group("model"), Group("method"), Group("data"), Group("hyper"), Group("generation"), Group("export"),
    Group("chat"),
    Group("lora", LORA), Group("freeze", FREEZE | PRO_LORA), Group("oft", OFT),
    Group("preference", PREFERENCE), Group("ppo", PPO), Group("multimodal", MULTIMODAL),
    Group("evaluation"), Group("saving"), Group("optimization"), Group("samples"), Group("loading"),
    Group("optimizers"), Group("devices"), Group("tracking"), Group("advanced"),
)


FIELDS = (
    # run
    Field("output_dir", None, "run", arg="output_dir", to_args=converters.output_to, from_args=converters.output_from, wide=True),
    # model
    Field("model_name", None, "model", "top", "choice", choices="models", open=True, arg="", to_args=converters.nothing_to, from_args=converters.name_from, wide=True),
    Field("model_path", None, "model", "top", arg="model_name_or_path", wide=True),
    Field("multimodal", None, "model", "top", "bool", arg="", to_args=converters.nothing_to, from_args=converters.multimodal_from, hidden=True, board=False),
    Field("template", "default", "model", "top", "choice", choices="templates", open=True),
    Field("as_lists", None, "model", "top", "choices", arg="", to_args=converters.nothing_to, from_args=converters.lists_from, hidden=True, board=False),
    # method
    Field("training_stage", "sft", "method", kind="choice", choices=tuple(BY_CODE), arg="stage", absent="sft"),
    Field("finetuning_type", "lora", "method", "top", "choice", choices=METHODS, absent="lora"),
    # data
    Field("dataset", None, "data", kind="choices", choices="datasets", open=True, arg="dataset", to_args=converters.listed_to("dataset"), from_args=converters.listed_from("dataset"), wide=True),
    Field("cutoff_len", 2048, "data", kind="int", min=4, max=131072),
    Field("max_samples", 100000, "data", kind="int", min=1),
    # hyper-parameters
    Field("learning_rate", 5e-5, "hyper", kind="float", min=0, max=1),
    Field("num_train_epochs", 3.0, "hyper", kind="float", min=0, max=10000),
    Field("batch_size", 2, "hyper", kind="int", min=1, max=1024, arg="per_device_train_batch_size"),
    Field("gradient_accumulation_steps", 8, "hyper", kind="int", min=1, max=1024),
    Field("lr_scheduler_type", "cosine", "hyper", kind="choice", choices=SCHEDULERS),
    Field("compute_type", "bf16", "hyper", kind="choice", choices=("bf16", "fp16", "fp32", "pure_bf16"), arg="bf16", to_args=converters.compute_to, from_args=converters.compute_from, absent="fp32"),
    # LoRA
    Field("lora_rank", 8, "lora", kind="int", min=1, max=1024, when=LORA),
    Field("lora_alpha", 16, "lora", kind="int", min=1, max=2048, when=LORA),
    Field("lora_dropout", 0.0, "lora", kind="float", min=0, max=1, when=LORA),
    Field("loraplus_lr_ratio", None, "lora", kind="float", min=0, max=64, when=LORA),
    Field("lora_target", "all", "lora", when=LORA),
    Field("additional_target", None, "lora", when=LORA),
    Field("create_new_adapter", False, "lora", kind="bool", when=LORA),
    Field("use_rslora", False, "lora", kind="bool", when=LORA),
    Field("use_dora", False, "lora", kind="bool", when=LORA),
    Field("use_pissa", False, "lora", kind="bool", arg="pissa_init", when=LORA),
    Field("pissa_convert", False, "lora", kind="bool", when=LORA, board=False),
    # freeze
    Field("freeze_trainable_layers", 2, "freeze", kind="int", min=-128, max=128, when=FREEZE | PRO_LORA),
    Field("freeze_trainable_modules", "all", "freeze", when=FREEZE),
    Field("freeze_extra_modules", None, "freeze", when=FREEZE),
    # OFT
    Field("oft_rank", None, "oft", kind="int", min=0, max=1024, when=OFT, board=False),
    Field("oft_block_size", None, "oft", kind="int", min=0, max=1024, when=OFT, board=False),
    Field("module_dropout", None, "oft", kind="float", min=0, max=1, when=OFT, board=False),
    Field("oft_target", None, "oft", when=OFT, board=False),
    # preference training
    Field("pref_beta", 0.1, "preference", kind="float", min=0, max=1, when=PREFERENCE),
    Field("pref_ftx", 0.0, "preference", kind="float", min=0, max=10, when=PREFERENCE),
    Field("pref_loss", "sigmoid", "preference", kind="choice", choices=PREFERENCE_LOSSES, when=PREFERENCE),
    # PPO
    Field("reward_model", None, "ppo", kind="choices", choices="checkpoints", open=True, arg="reward_model", to_args=converters.names_to("reward_model"), from_args=converters.names_from("reward_model"), when=PPO, wide=True),
    Field("reward_model_type", "lora", "ppo", kind="choice", choices=("lora", "full", "api"), when=PPO, board=False),
    Field("ppo_score_norm", False, "ppo", kind="bool", when=PPO),
    Field("ppo_whiten_rewards", False, "ppo", kind="bool", when=PPO),
    Field("top_k", 0, "ppo", kind="int", min=0, when=PPO, board=False),
    Field("top_p", 0.9, "ppo", kind="float", min=0, max=1, when=PPO, board=False),
    # multimodal
    Field("freeze_vision_tower", True, "multimodal", kind="bool", when=MULTIMODAL),
    Field("freeze_multi_modal_projector", True, "multimodal", kind="bool", when=MULTIMODAL),
    Field("freeze_language_model", False, "multimodal", kind="bool", when=MULTIMODAL),
    Field("image_max_pixels", "768*768", "multimodal", to_args=converters.pixels_to("image_max_pixels"), from_args=converters.pixels_from("image_max_pixels"), when=MULTIMODAL),
    Field("image_min_pixels", "32*32", "multimodal", to_args=converters.pixels_to("image_min_pixels"), from_args=converters.pixels_from("image_min_pixels"), when=MULTIMODAL),
    Field("video_max_pixels", "256*256", "multimodal", to_args=converters.pixels_to("video_max_pixels"), from_args=converters.pixels_from("video_max_pixels"), when=MULTIMODAL),
    Field("video_min_pixels", "16*16", "multimodal", to_args=converters.pixels_to("video_min_pixels"), from_args=converters.pixels_from("video_min_pixels"), when=MULTIMODAL),
    # evaluation during training
    Field("val_size", None, "evaluation", kind="float", min=0),
    Field("eval_dataset", None, "evaluation", kind="choices", choices="datasets", open=True, arg="eval_dataset", to_args=converters.listed_to("eval_dataset"), from_args=converters.listed_from("eval_dataset"), wide=True, board=False),
    Field("eval_strategy", None, "evaluation", kind="choice", choices=("no", "steps", "epoch"), board=False),
    Field("eval_steps", None, "evaluation", kind="float", min=0, board=False),
    Field("per_device_eval_batch_size", None, "evaluation", kind="int", min=1, max=1024, board=False),
    Field("early_stopping_steps", None, "evaluation", kind="int", min=1, board=False),
    Field("load_best_model_at_end", None, "evaluation", kind="bool", board=False),
    Field("metric_for_best_model", None, "evaluation", board=False),
    # saving and logging
    Field("logging_steps", 5, "saving", kind="float", min=0, max=1000000),
    Field("save_steps", 100, "saving", kind="float", min=0, max=1000000),
    Field("save_strategy", None, "saving", kind="choice", choices=("no", "steps", "epoch", "best"), board=False),
    Field("save_total_limit", None, "saving", kind="int", min=1, board=False),
    Field("save_only_model", None, "saving", kind="bool", board=False),
    Field("overwrite_output_dir", None, "saving", kind="bool", board=False),
    Field("resume_from_checkpoint", None, "saving", wide=True, board=False),
    Field("plot_loss", True, "saving", kind="bool", board=False),
    # optimization
    Field("max_grad_norm", 1.0, "optimization", kind="float", min=0),
    Field("warmup_steps", 0, "optimization", kind="float", min=0),
    Field("warmup_ratio", None, "optimization", kind="float", min=0, max=1, board=False),
    Field("weight_decay", None, "optimization", kind="float", min=0, board=False),
    Field("max_steps", None, "optimization", kind="int", min=-1, board=False),
    Field("optim", "adamw_torch", "optimization", kind="choice", choices="optim", open=True, board=False),
    Field("neftune_alpha", None, "optimization", kind="float", min=0, max=10, arg="neftune_noise_alpha"),
    Field("seed", None, "optimization", kind="int", min=0, board=False),
    # samples
    Field("dataset_dir", "data", "samples"),
    Field("preprocessing_num_workers", None, "samples", kind="int", min=1, max=512, board=False),
    Field("dataloader_num_workers", None, "samples", kind="int", min=0, max=512, board=False),
    Field("packing", False, "samples", kind="bool"),
    Field("neat_packing", False, "samples", kind="bool"),
    Field("train_on_prompt", False, "samples", kind="bool"),
    Field("mask_history", False, "samples", kind="bool"),
    Field("resize_vocab", False, "samples", kind="bool"),
    Field("enable_thinking", True, "samples", kind="bool"),
    # how the model is loaded
    Field("checkpoint_path", None, "loading", "top", "choices", choices="checkpoints", open=True, arg="adapter_name_or_path", to_args=converters.checkpoint_to, from_args=converters.checkpoint_from, wide=True),
    Field("quantization_bit", None, "loading", "top", "choice", choices=("4", "8", "1", "2", "3", "5", "6"), to_args=converters.bits_to, from_args=converters.bits_from, when=RUNS_MODEL),
    Field("quantization_method", "bnb", "loading", "top", "choice", choices=("bnb", "hqq", "eetq"), when=QUANTIZER),
    Field("double_quantization", True, "loading", "top", "bool", when=QUANTIZED, board=False),
    Field("rope_scaling", None, "loading", "top", "choice", choices=("linear", "dynamic", "yarn", "llama3"), when=RUNS_MODEL),
    Field("booster", "auto", "loading", "top", "choice", choices=tuple(converters.BOOSTERS), arg="flash_attn", to_args=converters.booster_to, from_args=converters.booster_from, when=RUNS_MODEL),
    Field("disable_gradient_checkpointing", None, "loading", kind="bool", board=False),
    Field("trust_remote_code", None, "loading", "top", "bool", board=False),
    Field("cache_dir", None, "loading", "top", wide=True, board=False),
    Field("hub_name", None, "loading", "top", "choice", choices=("huggingface", "modelscope", "openmind"), arg="", env="hub", to_args=converters.nothing_to, board=False),
    Field("hf_token", None, "loading", "top", arg="", secret="HF_TOKEN", to_args=converters.nothing_to, board=False),
    # memory-saving optimizers
    Field("use_llama_pro", False, "optimizers", kind="bool", absent=False),
    Field("use_galore", False, "optimizers", kind="bool", absent=False),
    Field("galore_rank", 16, "optimizers", kind="int", min=1, max=1024, when=GALORE),
    Field("galore_update_interval", 200, "optimizers", kind="int", min=1, max=2048, when=GALORE),
    Field("galore_scale", 2.0, "optimizers", kind="float", min=0, max=100, when=GALORE),
    Field("galore_target", "all", "optimizers", when=GALORE),
    Field("use_apollo", False, "optimizers", kind="bool", absent=False),
    Field("apollo_rank", 16, "optimizers", kind="int", min=1, max=1024, when=APOLLO),
    Field("apollo_update_interval", 200, "optimizers", kind="int", min=1, max=2048, when=APOLLO),
    Field("apollo_scale", 32.0, "optimizers", kind="float", min=0, max=100, when=APOLLO),
    Field("apollo_target", "all", "optimizers", when=APOLLO),
    Field("use_badam", False, "optimizers", kind="bool", absent=False),
    Field("badam_mode", "layer", "optimizers", kind="choice", choices=("layer", "ratio"), when=BADAM),
    Field("badam_switch_mode", "ascending", "optimizers", kind="choice", choices=("ascending", "descending", "random", "fixed"), when=BADAM),
    Field("badam_switch_interval", 50, "optimizers", kind="int", min=1, max=1024, when=BADAM),
    Field("badam_update_ratio", 0.05, "optimizers", kind="float", min=0, max=1, when=BADAM),
    # devices
    Field("target", None, "devices", kind="choice", choices="targets", open=True, arg="", env="LFDASH_TARGET", to_args=converters.nothing_to, wide=True, board=False),
    Field("devices", None, "devices", kind="choices", choices="gpus", open=True, arg="", env="CUDA_VISIBLE_DEVICES", to_args=converters.nothing_to, when=HERE, wide=True, board=False),
    Field("gpu_count", None, "devices", kind="int", min=1, max=1024, arg="", env="LFDASH_GPUS", to_args=converters.nothing_to, when=~given("train.devices"), board=False),
    Field("gpu_fits", None, "devices", kind="bool", arg="", env="LFDASH_FITS", to_args=converters.nothing_to, when=HERE & ~given("train.devices") & ~is_("train.use_cpu", True), board=False),
    Field("use_cpu", None, "devices", kind="bool", board=False),
    Field("ds_stage", None, "devices", kind="choice", choices=("2", "3"), arg="deepspeed", to_args=converters.deepspeed_to, from_args=converters.deepspeed_from),
    Field("ds_offload", False, "devices", kind="bool", arg="", to_args=converters.offload_to, from_args=converters.offload_from, when=DEEPSPEED),
    Field("ddp_timeout", 180000000, "devices", kind="int", min=1, board=False),
    # tracking
    Field("report_to", "none", "tracking", kind="choice", choices=LOGGERS, open=True, absent="none", wide=True),
    Field("run_name", None, "tracking", when=NAMED, board=False),
    Field("wandb_api_key", None, "tracking", arg="", secret="WANDB_API_KEY", to_args=converters.nothing_to, when=WANDB, board=False),
    Field("wandb_project", None, "tracking", arg="", env="WANDB_PROJECT", to_args=converters.nothing_to, when=WANDB, board=False),
    Field("project", None, "tracking", when=TRACKIO),
    Field("trackio_space_id", None, "tracking", when=TRACKIO),
    Field("hub_private_repo", None, "tracking", kind="bool", when=TRACKIO),
    Field("use_swanlab", False, "tracking", kind="bool", absent=False),
    Field("swanlab_project", "llamafactory", "tracking", when=SWANLAB),
    Field("swanlab_run_name", None, "tracking", when=SWANLAB),
    Field("swanlab_workspace", None, "tracking", when=SWANLAB),
    Field("swanlab_mode", "cloud", "tracking", kind="choice", choices=("cloud", "local"), when=SWANLAB),
    Field("swanlab_api_key", None, "tracking", arg="", secret="SWANLAB_API_KEY", to_args=converters.nothing_to, when=SWANLAB),
    # advanced
    Field("do_train", True, "advanced", kind="bool", board=False),
    Field("include_num_input_tokens_seen", True, "advanced", kind="bool", board=False),
    # evaluation and prediction as a job of its own
    Field("output_dir", None, "run", "eval", arg="output_dir", to_args=converters.output_to, from_args=converters.output_from, wide=True),
    Field("stage", "sft", "advanced", "eval", hidden=True, board=False),
    Field("dataset", None, "data", "eval", "choices", choices="datasets", open=True, arg="eval_dataset", to_args=converters.listed_to("eval_dataset"), from_args=converters.listed_from("eval_dataset"), wide=True),
    Field("cutoff_len", 1024, "data", "eval", "int", min=4, max=131072),
    Field("max_samples", 100000, "data", "eval", "int", min=1),
    Field("batch_size", 2, "generation", "eval", "int", min=1, max=1024, arg="per_device_eval_batch_size"),
    Field("max_new_tokens", 512, "generation", "eval", "int", min=1, max=131072),
    Field("top_p", 0.7, "generation", "eval", "float", min=0.01, max=1),
    Field("temperature", 0.95, "generation", "eval", "float", min=0.01, max=10),
    Field("predict", True, "generation", "eval", "bool", arg="do_predict", to_args=converters.predict_to, from_args=converters.predict_from),
    Field("predict_with_generate", True, "generation", "eval", "bool", board=False),
    Field("dataset_dir", "data", "samples", "eval"),
    Field("preprocessing_num_workers", None, "samples", "eval", "int", min=1, max=512, board=False),
    Field("seed", None, "advanced", "eval", "int", min=0, board=False),
    Field("target", None, "devices", "eval", "choice", choices="targets", open=True, arg="", env="LFDASH_TARGET", to_args=converters.nothing_to, wide=True, board=False),
    Field("devices", None, "devices", "eval", "choices", choices="gpus", open=True, arg="", env="CUDA_VISIBLE_DEVICES", to_args=converters.nothing_to, when=~given("eval.target"), wide=True, board=False),
    Field("gpu_count", None, "devices", "eval", "int", min=1, max=1024, arg="", env="LFDASH_GPUS", to_args=converters.nothing_to, when=~given("eval.devices"), board=False),
    Field("report_to", "none", "advanced", "eval", "choice", choices=LOGGERS, open=True, board=False),
    Field("ddp_timeout", 180000000, "advanced", "eval", "int", min=1, board=False),
    # export: merge an adapter, or convert
    Field("output_dir", None, "run", "export", arg="", to_args=converters.nothing_to, wide=True, board=False),
    Field("export_dir", None, "export", "export", wide=True),
    Field("export_size", 5, "export", "export", "int", min=1, max=100),
    Field("export_device", "cpu", "export", "export", "choice", choices=("cpu", "auto")),
    Field("export_quantization_bit", None, "export", "export", "choice", choices=("8", "4", "3", "2"), to_args=converters.export_bits_to, from_args=converters.export_bits_from),
    Field("export_quantization_dataset", "data/c4_demo.jsonl", "export", "export"),
    Field("export_legacy_format", False, "export", "export", "bool"),
    Field("export_hub_model_id", None, "export", "export", wide=True),
    Field("target", None, "devices", "export", "choice", choices="targets", open=True, arg="", env="LFDASH_TARGET", to_args=converters.nothing_to, wide=True, board=False),
    # a chat: what is decided when the model is loaded; the rest goes with each question
    Field("output_dir", None, "run", "chat", arg="", to_args=converters.nothing_to, wide=True, board=False),
    Field("infer_backend", "huggingface", "chat", "chat", "choice", choices=("huggingface", "vllm", "sglang"), board=False),
    Field("infer_dtype", "auto", "chat", "chat", "choice", choices=("auto", "float16", "bfloat16", "float32"), board=False),
    Field("enable_thinking", None, "chat", "chat", "bool", board=False),
    Field("skip_special_tokens", None, "chat", "chat", "bool", board=False),
    Field("top_k", None, "chat", "chat", "int", min=0, max=100000, board=False),
    Field("vllm_maxlen", None, "chat", "chat", "int", min=1, max=10000000, when=VLLM, board=False),
    Field("vllm_gpu_util", None, "chat", "chat", "float", min=0.01, max=1, when=VLLM, board=False),
    Field("devices", None, "devices", "chat", "choices", choices="gpus", open=True, arg="", env="CUDA_VISIBLE_DEVICES", to_args=converters.nothing_to, wide=True, board=False),
    Field("gpu_count", None, "devices", "chat", "int", min=1, max=1024, arg="", env="LFDASH_GPUS", to_args=converters.nothing_to, when=~given("chat.devices"), board=False),
)


BY_ID = {field.id: field for field in FIELDS}
ARGS = {
    "top.booster": ("flash_attn", "use_unsloth", "enable_liger_kernel"),
    "train.compute_type": ("bf16", "fp16", "pure_bf16"),
    "eval.predict": ("do_predict", "do_eval"),
}  # rows that set several arguments


def arguments(field: Field) -> tuple[str, ...]:
    """The arguments that a row may set; none for a row that goes to the environment or nowhere."""
    if field.id in ARGS:
        return ARGS[field.id]
    name = field.name if field.arg is None else field.arg
    return (name,) if name else ()


def rows(kind: str) -> tuple[Field, ...]:
    """The rows of a kind of job, by its name: those of all jobs and its own."""
    return tuple(field for field in FIELDS if field.scope in ("top", kind))


ROWS = {kind.name: rows(kind.name) for kind in KINDS}
BY_KIND_ARG = {kind: {name: field for field in some for name in arguments(field)} for kind, some in ROWS.items()}
BY_ARG = BY_KIND_ARG[DEFAULT.name]  # of training
DATASETS = {kind: tuple(field for field in some if field.choices == "datasets") for kind, some in ROWS.items()}
WATCHED = frozenset().union(*(row.when.names for row in (*FIELDS, *GROUPS)))
