"""Files that are no job: those of other programs, and those that LLaMA-Factory or a run has for something else. Pure.

Each is known by names that a job cannot have; what has names that only LLaMA-Factory's jobs have is one, whatever
else it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.errors import ConfigError
from lfdash.jobs.kinds import OF_A_JOB, OF_A_RUN

Args = Mapping[str, Any]
OF_NEXT_VERSION = ("peft_config", "dist_config", "kernel_config", "quant_config", "train_dataset", "model_class")
MOST_NAMES = 500  # LLaMA-Factory and transformers have some 350 arguments together
HARDLY = 10  # one name of so many at least is an argument, in a job
MOST_STRANGE = 100  # names that are no argument: other versions have some 30 of them
ENTRY = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")


@dataclass(frozen=True)
class Foreign:
    """A kind of file that is no job.

    code: of its text in the locales' [config]. program: the name that fills the text; "" where that needs none.
    any_of: names of which one is enough. all_of: names that must all be there. asks: another question, "" of none.
    """

    code: str
    program: str = ""
    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    asks: Callable[[Args], bool] | None = None

    def fits(self, args: Args) -> bool:
        """Whether a document is of this kind."""
        if self.asks is not None:
            return self.asks(args)
        return any(name in args for name in self.any_of) or (bool(self.all_of) and all(n in args for n in self.all_of))


def is_of_next_version(args: Args) -> bool:
    """A job of LLaMA-Factory 1.0, which shares names with those of before."""
    return "model" in args and "model_name_or_path" not in args and any(name in args for name in OF_NEXT_VERSION)


def is_dataset_info(args: Args) -> bool:
    """LLaMA-Factory's list of datasets."""
    return all(isinstance(entry, dict) and any(name in entry for name in ENTRY) for entry in args.values())


def is_torchtune(args: Args) -> bool:
    """A recipe of torchtune: its parts name the class that makes them."""
    return any(isinstance(value, dict) and "_component_" in value for value in args.values())


def is_benchmark(args: Args) -> bool:
    """A configuration of `llamafactory-cli eval`."""
    return "task" in args and ("lang" in args or "n_shot" in args) and not OF_A_RUN & args.keys()


OF_LLAMAFACTORY = (
    Foreign("not_job", "LLaMA-Factory 1.0", asks=is_of_next_version),
    Foreign("not_job_benchmark", asks=is_benchmark),
)
FOREIGN = (
    Foreign("not_job_user_config", any_of=("path_dict",)),
    Foreign("not_job_user_config", all_of=("lang", "last_model")),
    Foreign("not_job_datasets", asks=is_dataset_info),
    Foreign("not_job_deepspeed", any_of=("zero_optimization", "train_micro_batch_size_per_gpu")),
    Foreign("not_job", "Accelerate", any_of=("compute_environment", "distributed_type", "main_training_function")),
    Foreign("not_job_adapter", any_of=("peft_type",)),
    Foreign("not_job_model", any_of=("architectures", "hidden_size", "tokenizer_class", "weight_map", "eos_token_id")),
    Foreign("not_job_results", any_of=("log_history", "train_runtime", "predict_runtime", "eval_runtime")),
    Foreign("not_job", "Axolotl", all_of=("base_model", "datasets")),
    Foreign("not_job", "Axolotl", any_of=("sequence_len", "micro_batch_size", "load_in_8bit")),
    Foreign("not_job", "TRL", any_of=("dataset_name", "use_peft", "lora_target_modules", "dataset_text_field")),
    Foreign("not_job", "vLLM", any_of=("served_model_name", "served-model-name", "max-model-len")),
    Foreign("not_job", "vLLM", any_of=("tensor_parallel_size", "tensor-parallel-size", "gpu-memory-utilization")),
    Foreign("not_job", "torchtune", asks=is_torchtune),
    Foreign("not_job", "mergekit", any_of=("merge_method",)),
    Foreign("not_job", "LitGPT", all_of=("checkpoint_dir", "out_dir")),
    Foreign("not_job", "Unsloth", all_of=("max_seq_length", "load_in_4bit")),
    Foreign("not_job", "ms-swift", any_of=("sft_type", "tuner_type", "train_type", "rlhf_type")),
    Foreign("not_job", "verl", any_of=("actor_rollout_ref",)),
    Foreign("not_job", "lm-evaluation-harness", any_of=("output_type", "doc_to_text")),
    Foreign("not_job", "Docker Compose", any_of=("services",)),
    Foreign("not_job", "Kubernetes", all_of=("apiVersion", "kind")),
    Foreign("not_job", "GitHub Actions", all_of=("jobs", "name")),
    Foreign("not_job", "Weights & Biases Sweep", all_of=("parameters", "method")),
)


def refuse_foreign(args: Args) -> None:
    """ConfigError, with one sentence, for a document that is no job."""
    kinds = OF_LLAMAFACTORY if OF_A_JOB & args.keys() else (*OF_LLAMAFACTORY, *FOREIGN)
    kind = next((kind for kind in kinds if kind.fits(args)), None)
    if kind is not None:
        raise ConfigError(kind.code, "this is no job of LLaMA-Factory: {program}", program=kind.program)


def refuse_many(args: Args) -> None:
    """ConfigError for a document with more names than a job can have."""
    if len(args) > MOST_NAMES:
        raise ConfigError("names_many", "it has {count} names, which no job has", count=len(args))


def refuse_unknown(args: Args, known: Container[str]) -> None:
    """ConfigError for a document of which no name is an argument, or hardly any is, or a hundred are none. known: names
    of all arguments there are."""
    several = len(args) > 2 or any(isinstance(value, dict) for value in args.values())
    strange = [name for name in args if name not in known]
    names = ", ".join(strange[:3])
    if several and len(strange) == len(args):
        raise ConfigError("not_job_any", "no name in it is an argument: {names}", names=names)
    ours = len(args) - len(strange)
    if several and (ours * HARDLY < len(args) or len(strange) > MOST_STRANGE):
        what = "only {known} of {count} names are arguments, not {names}"
        raise ConfigError("not_job_few", what, known=ours, count=len(args), names=names)
