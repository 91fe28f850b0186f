"""Everything wrong with a job, gathered: presence, values, names, arguments, then the rules and the world."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from lfdash.jobs import preflight, secret_arguments
from lfdash.jobs.args import build_args
from lfdash.jobs.argument_checks import bad_arguments, in_todays_names
from lfdash.jobs.converters import SAVES
from lfdash.jobs.cures import EXTRA_PREFIX, cure, whole
from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_ID, BY_KIND_ARG, DATASETS, ROWS, arguments
from lfdash.jobs.job import LARGEST, JobConfig, check, details
from lfdash.jobs.kinds import named
from lfdash.jobs.rules import EXTRA, MODEL_PATH, RULES, Args, Finding, Rule, listed, stage
from lfdash.jobs.stages import PLAIN
from lfdash.outcomes import Problem, Value

# controls, characters that turn a text round or have no width, halves of characters, ends of lines and paragraphs
UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
CHECKPOINT = "top.checkpoint_path"
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters and marks without a shape

def problems(job: JobConfig, facts: Facts) -> tuple[Problem, ...]:
    """Everything wrong with a job: missing values, values, combinations, then what the world says."""
    args = build_args(job)
    meant = in_todays_names(args)
    found = (
        *missing_of(job, args, facts),
        *([facts.target] if facts.target else []),
        *bad_values(job),
        *bad_extra(job),
        *bad_numbers(job, args),
        *bad_secrets(job, args),
        *bad_name(job, facts),
        *leading_out(job, facts),
        *bad_model_name(job),
        *(problem_of(rule, job, meant) for rule in RULES if rule.broken(meant)),
        *bad_arguments(job, facts),
        *(problem_of(found, job, args) for found in preflight.findings(named(job.kind), meant, facts)),
        *preflight.problems(named(job.kind), meant, facts),
    )
    return tuple(whole(job, problem) for problem in found)


def problem_of(rule: Rule | Finding, job: JobConfig, args: Args) -> Problem:
    """A broken rule, or what was found, at its field where this kind of job has it."""
    known = isinstance(rule, Finding) or any(row.id == rule.field for row in ROWS[job.kind])
    changes = rule.fix(args) if callable(rule.fix) else rule.fix
    fix = cure(job, changes) if changes else None
    return Problem(rule.field if known else None, rule.code, rule.params, rule.level, fix)


def missing_of(job: JobConfig, args: Args, facts: Facts) -> Iterator[Problem]:
    """What a job of its kind cannot do without: what LlamaBoard asks for before it starts, and the command itself."""
    for name in named(job.kind).needs:
        yield from NEEDS[name](job, args, facts)


def need_model(_job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """A model."""
    if not args.get("model_name_or_path"):
        yield Problem(MODEL_PATH, "model_missing")


def need_name(job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """A name for the run."""
    is_argument = "output_dir" in BY_KIND_ARG[job.kind]
    if not (args.get("output_dir") if is_argument else job.run_name):
        yield Problem(f"{job.kind}.output_dir", "name_missing")


def need_dataset(job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """Datasets, in the first field that takes any."""
    row = DATASETS[job.kind][0]
    name, older = arguments(row)[0], args.get("dataset")
    if not args.get(name) and older:  # until v0.8.3 evaluation took it, too
        fix = cure(job, {name: older, "dataset": None})
        yield Problem(row.id, "dataset_for_training", {"value": ", ".join(listed(older))}, fix=fix)
    elif not args.get(name):
        yield Problem(row.id, "dataset_missing")


def need_reward(_job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """A reward model for PPO."""
    if stage(args) == "ppo" and not args.get("reward_model"):
        yield Problem("train.reward_model", "reward_missing")


def need_training(_job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """That training is not turned off."""
    if not args.get("do_train"):
        yield Problem("train.do_train", "train_off", fix={"train.do_train": True})


def need_template(job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """A chat template; pre-training reads plain text."""
    if not args.get("template") and not (named(job.kind).trains and stage(args) in PLAIN):
        yield Problem("top.template", "template_missing", level="warning")


def need_generation(_job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """Answers, where predictions are to be saved."""
    if args.get("do_predict") and not args.get("predict_with_generate"):
        yield Problem("eval.predict_with_generate", "predict_generate", fix={"eval.predict_with_generate": True})


def need_export_dir(_job: JobConfig, args: Args, facts: Facts) -> Iterator[Problem]:
    """A folder for the result in which nothing is overwritten."""
    folder = args.get("export_dir")
    if not folder:
        yield Problem("export.export_dir", "export_missing")
    elif export_code(str(folder), facts.roots):
        yield Problem("export.export_dir", export_code(str(folder), facts.roots), {"value": folder})
    elif facts.export_taken:
        yield Problem("export.export_dir", "export_taken", {"value": folder})


def need_weights(job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """Something to be done: an adapter to merge, weights of a run, or a quantization. A model alone is only written
    anew (in other pieces, or to a hub), which is told, since an adapter may have been forgotten."""
    merged = args.get("adapter_name_or_path") or (job.sends(BY_ID[CHECKPOINT]) and job.values.get(CHECKPOINT))
    if not args.get("export_quantization_bit") and not merged:
        yield Problem(CHECKPOINT, "export_nothing", level="warning")


def need_no_adapter(job: JobConfig, args: Args, _facts: Facts) -> Iterator[Problem]:
    """No adapter where the result, or the model that it is merged into, is quantized."""
    if args.get("export_quantization_bit") and args.get("adapter_name_or_path"):
        yield Problem("export.export_quantization_bit", "export_merge_first")
    if args.get("quantization_bit") and args.get("adapter_name_or_path"):
        yield Problem(CHECKPOINT, "export_quantized", fix=cure(job, {"quantization_bit": None}))


# what the rows of `kinds` ask for, by the names that they use
NEEDS: Mapping[str, Callable[[JobConfig, Args, Facts], Iterator[Problem]]] = {
    "model": need_model, "name": need_name, "dataset": need_dataset, "reward": need_reward, "training": need_training,
    "template": need_template, "generation": need_generation, "export_dir": need_export_dir, "weights": need_weights,
    "no_adapter": need_no_adapter,
}


def export_code(folder: str, roots: tuple[str, ...]) -> str:
    """What is wrong with an export folder; "" when nothing is."""
    path = PurePosixPath(folder)
    if ".." in path.parts:
        return "name_dots"
    if path.name in RESERVED or "attempts" in path.parts:
        return "name_reserved"
    if is_invisible(folder) or "\\" in folder or folder.startswith(("-", "~")):
        return "name_bad"
    outside = path.is_absolute() and not any(path.is_relative_to(root) and str(path) != root for root in roots)
    return "name_outside" if outside else ""


def bad_values(job: JobConfig) -> Iterator[Problem]:
    """Values that came from elsewhere than the form and are outside their field's range."""
    for row in ROWS[job.kind]:
        value = job.values.get(row.id)
        code = check(row, value) if value is not None and job.sends(row) else ""
        if code:
            yield Problem(row.id, code, details(row, value))


def bad_extra(job: JobConfig) -> Iterator[Problem]:
    """Extra arguments that a field of the form already gives."""
    sent = build_args(JobConfig(job.kind, job.values))
    for name in job.extra:
        row = BY_KIND_ARG[job.kind].get(name)
        if name == "output_dir":
            fix = name_fix(job.kind, job.extra[name])
            gone = {EXTRA_PREFIX + name: None}
            yield Problem(EXTRA, "extra_output", {"name": name, "value": job.extra[name]}, fix=fix and {**fix, **gone})
        elif row is not None and name in sent:
            yield Problem(EXTRA, "extra_clash", {"name": name, "field": row.id}, fix={EXTRA_PREFIX + name: None})


def bad_secrets(job: JobConfig, args: Args) -> Iterator[Problem]:
    """Tokens and keys among the arguments: they would be written into the run's files, the preview, the downloads."""
    for name, value in args.items():
        if secret_arguments.is_secret(name) and value:
            yield secret_argument(name, value, job.kind)
        elif secret_arguments.looks_secret(value):
            row = BY_KIND_ARG[job.kind].get(name)
            yield Problem(row.id if row and name not in job.extra else EXTRA, "looks_secret", {"name": name})


def secret_argument(name: str, value: Any, kind: str) -> Problem:
    """An argument that is a secret, with the move into its field as the cure where there is one."""
    row = secret_arguments.field_of(name, kind)
    if row is None:
        return Problem(EXTRA, "extra_secret", {"name": name}, fix={EXTRA_PREFIX + name: None})
    return Problem(EXTRA, "extra_secret_field", {"name": name}, fix={EXTRA_PREFIX + name: None, row.id: str(value)})


def bad_numbers(job: JobConfig, args: Args) -> Iterator[Problem]:
    """Numbers from a file that are none: the form refuses them, LLaMA-Factory trains into NaN or dies late."""
    for name, value in args.items():
        number_wanted = isinstance(value, int | float) and not isinstance(value, bool)
        endless = name == "max_grad_norm" and value == math.inf  # torch: measure the norm, clip nothing
        if number_wanted and not endless and not abs(value) <= LARGEST:
            row = BY_KIND_ARG[job.kind].get(name)
            if row is None or name in job.extra:  # the value of a field is told by bad_values
                told = value if isinstance(value, float) else "2^63…"
                yield Problem(EXTRA, "argument_type", {"name": name, "value": told, "kind": "number"})


def bad_name(job: JobConfig, facts: Facts) -> Iterator[Problem]:
    """A run name that is no name, a path outside the allowed folders, a folder that exists."""
    name = job.run_name
    if not name:
        return
    code = name_code(name, facts.roots)
    if code:
        fix = name_fix(job.kind, name)
        changes = fix if fix != {f"{job.kind}.output_dir": name} else None
        yield Problem(f"{job.kind}.output_dir", code, {"value": name}, fix=changes)
    elif facts.run_exists:
        yield Problem(f"{job.kind}.output_dir", "name_taken", {"value": name})


def name_fix(kind: str, path: Any) -> dict[str, Value | None] | None:
    """Another's output folder as a run's name: the path from saves/ on, else its last part; None when that is none."""
    if not isinstance(path, str):
        return None
    parts = [part for part in path.replace("\\", "/").split("/") if part.strip(" .~")]
    if SAVES in parts[:-1]:
        whole = "/".join(parts[parts.index(SAVES) :])
        if not name_code(whole, ()):
            return {f"{kind}.output_dir": whole}
    name = parts[-1].strip().lstrip("-.~") if parts else ""
    return {f"{kind}.output_dir": name} if name and not name_code(name, ()) else None


def leading_out(job: JobConfig, facts: Facts) -> Iterator[Problem]:
    """Paths that lead out of the allowed folders once links are followed; what is told elsewhere is left out."""
    told = {"output_dir": name_code(job.run_name, facts.roots)}
    told["export_dir"] = export_code(facts.outside.get("export_dir", ""), facts.roots)
    for name, path in facts.outside.items():
        if not told.get(name):
            row = BY_KIND_ARG[job.kind].get(name)
            own = f"{job.kind}.output_dir" if name == "output_dir" else row.id if row else EXTRA
            yield Problem(EXTRA if name in job.extra else own, "path_outside", {"name": name, "value": path})


def bad_model_name(job: JobConfig) -> Iterator[Problem]:
    """A model's name that cannot be a folder's, or leads the run's folder out of saves/.

    Names may have slashes (LLaMA-Factory itself has such a model); `save_dir` takes spaces out of them.
    """
    name = job.model_name or str(job.values.get("top.model_path") or "")
    if not name or not job.run_name or "/" in job.run_name:
        return
    parts = name.replace(" ", "").split("/")
    if any(not part or part.startswith(("-", ".", "~")) or "\\" in part or is_invisible(part) for part in parts):
        yield Problem("top.model_name", "model_name_bad", {"value": name})


def is_invisible(name: str) -> bool:
    """Whether a name has characters that cannot be seen, or turn it round: it would look like another one."""
    return any(char in BLANK or unicodedata.category(char) in UNSEEN_CATEGORIES for char in name)


# names by which a folder is known to be a run (runs/places.py); one of them would be taken for that
LONGEST_NAME, LONGEST_PATH = 200, 1000  # bytes: file systems take 255 and 4,096, and checkpoints lie below
RESERVED = frozenset({"run.json", "trainer_log.jsonl"})


def name_code(name: str, roots: tuple[str, ...]) -> str:
    """What is wrong with a run name or path; "" when nothing is."""
    path = PurePosixPath(name)
    if ".." in path.parts:
        return "name_dots"
    if path.name in RESERVED or "attempts" in path.parts:
        return "name_reserved"
    if is_invisible(name) or "\\" in name or name != name.strip() or name.startswith(("-", ".", "~")):
        return "name_bad"
    if any(len(part.encode()) > LONGEST_NAME for part in path.parts) or len(name.encode()) > LONGEST_PATH:
        return "name_long"
    if "/" not in name:
        return ""
    if path.is_absolute():
        return "" if any(path.is_relative_to(root) and str(path) != root for root in roots) else "name_outside"
    return "" if path.parts[0] == SAVES and len(path.parts) > 1 else "name_separator"
