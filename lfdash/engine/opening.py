"""A configuration of any form as the job that would be run, and what was made of it: what a page fills in by its form,
a program gets here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lfdash.engine.defaults import Note, fit_to_machine, fresh_name, with_model_name, with_model_path
from lfdash.engine.services import Services
from lfdash.errors import ConfigError
from lfdash.files import open_plain
from lfdash.jobs import kinds
from lfdash.jobs.args import build_args
from lfdash.jobs.changes import difference, with_arguments
from lfdash.jobs.fields import BY_ID, ROWS, arguments
from lfdash.jobs.importing import Loaded, few, read_config
from lfdash.jobs.job import TARGET, JobConfig
from lfdash.jobs.presets import Preset
from lfdash.jobs.rules import MODEL_PATH
from lfdash.jobs.secret_arguments import clean
from lfdash.jobs.yaml_format import MAX_BYTES, load, text_of
from lfdash.outcomes import Problem, Refused

Config = str | os.PathLike[str] | Mapping[str, Any]
LONGEST_STEM = 60  # characters of a file's name that become part of a run's
NAMED = "cli.note_name"  # key of the note on a fresh name
TRAINING_ARGS = "training_args.yaml"  # LlamaBoard's name of a run's arguments
TOLD = ("bf16", "fp16", "pure_bf16")  # what fit_to_machine says itself


@dataclass(frozen=True)
class Opened:
    """A configuration as a job. notes: what was filled in, moved or left out, as (key of a text, its parameters).
    stem: what the run's fresh name begins with; "" where the configuration names the run."""

    job: JobConfig
    notes: tuple[Note, ...] = ()
    stem: str = ""


@dataclass(frozen=True)
class Source:
    """A configuration's text. name: of its file, for messages; stem: what a run made from it is called after; folder:
    where the file lies, and with it what a command in it names."""

    text: str
    name: str = ""
    stem: str = ""
    folder: Path | None = None


def open_config(
    services: Services, config: Config, changes: Mapping[str, Any] | None = None, target: str | None = None
) -> Opened | Refused:
    """Reads a configuration and makes it ready, as the page does when a person opens it.

    config: a path, a mapping, or a text: LLaMA-Factory's arguments, LlamaBoard's saved form, a file of ours, or a
    shell command that starts LLaMA-Factory. A text is no path when it has a line break, `: ` or ` --` in it. changes:
    arguments that are set on top; None takes one out. target: a cluster that the job is to run on instead of where the
    configuration says, "" this machine; None as it says. A preset, whatever its file is called, is fitted to where it
    runs. Without an output folder the run gets a fresh name.
    Refused: config_unreadable, not_opened, target_serves.
    """
    source = source_of(config)
    if isinstance(source, Refused):
        return source
    loaded = load_config(services, source)
    if isinstance(loaded, Refused):
        return loaded
    notes = [*account(loaded)]
    preset = preset_of(services, loaded)
    job = loaded.job
    if target is not None:
        if target and f"{job.kind}.{TARGET}" not in BY_ID:
            return Refused("target_serves", {"name": target})
        job = job.on(target)
    if preset is not None:
        job, fitted = fitted_to_machine(services, job)
        notes += fitted
    if changes:
        cleaned = clean(with_arguments(job, changes))
        job = with_model_name(services, cleaned.job)
        notes += secrets_told(cleaned.moved, cleaned.dropped)
    hide_secrets(services, job)
    if job.run_name:
        return Opened(job, tuple(notes))
    stem = preset.name if preset else source.stem
    return named(services, Opened(job, tuple(notes), stem or kinds.named(job.kind).stem))


def load_config(services: Services, source: Source) -> Loaded | Refused:
    """Reads a configuration's text; its model has both name and path, where it is a known one. Refused("not_opened").
    """
    def read_file(path: str) -> str | None:
        try:
            with open_plain((source.folder or Path()) / Path(path).expanduser(), follow=True) as file:
                return text_of(file.read(MAX_BYTES + 1))
        except (OSError, ValueError, ConfigError):
            return None

    try:
        reader = read_file if source.folder else no_file
        loaded = read_config(source.text, partial(takes_images, services), services.upstream.arguments, reader)
    except ConfigError as error:
        return not_opened(source.name, error)
    job = with_model_path(services, with_model_name(services, loaded.job))
    return with_model_beside(replace(loaded, job=job), reader)


def with_model_beside(loaded: Loaded, read_file: Callable[[str], str | None]) -> Loaded:
    """A LlamaBoard form with the model's path of the training_args.yaml that LlamaBoard writes beside it: the form has
    none where the model is not one that LLaMA-Factory knows."""
    text = read_file(TRAINING_ARGS) if loaded.kind == "llamaboard" and MODEL_PATH not in loaded.job.values else None
    try:
        path = None if text is None else load(text).args.get("model_name_or_path")
    except ConfigError:
        path = None
    if not isinstance(path, str) or not path:
        return loaded
    job = replace(loaded.job, values={**loaded.job.values, MODEL_PATH: path})
    return replace(loaded, job=job, beside=path)


def no_file(_path: str) -> str | None:
    """What a command's file is where there is no folder to look in."""
    return None


def not_opened(name: str, error: ConfigError) -> Refused:
    """Why a configuration cannot be read."""
    params = {"line": error.line, **error.params}
    return Refused("not_opened", {"name": name or "YAML", "cause": error.code, "params": params})


def source_of(config: Config) -> Source | Refused:
    """The text of a configuration. Refused("config_unreadable"), also for a path that leads to a pipe or a device."""
    if isinstance(config, Mapping):
        return Source(json.dumps(config, default=str, ensure_ascii=False))
    if isinstance(config, str) and ("\n" in config or ": " in config or " --" in config):
        return Source(config)
    path = Path(config).expanduser()
    try:
        with open_plain(path, follow=True) as file:
            text = text_of(file.read(MAX_BYTES + 1))  # one more than is read: it is said that it is too large
    except ConfigError as error:
        return not_opened(path.name, error)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Refused("config_unreadable", {"name": str(config), "reason": reason})
    return Source(text, path.name, stem_of(path), path.parent)


def stem_of(path: Path) -> str:
    """A file's name as the beginning of a run's name."""
    return re.sub(r"[^\w.-]+", "_", path.stem).strip("._-~")[:LONGEST_STEM]


def takes_images(services: Services, name: str) -> bool:
    """Whether a model, by LlamaBoard's name, is a multimodal one."""
    model = services.upstream.models.get(name)
    return model is not None and model.multimodal


def preset_of(services: Services, loaded: Loaded) -> Preset | None:
    """The preset that a file is, unchanged, wherever it lies."""
    if loaded.kind != "llamafactory":
        return None
    args = build_args(loaded.job)
    return next((preset for preset in services.presets.values() if preset.args == args), None)


def fitted_to_machine(services: Services, job: JobConfig) -> tuple[JobConfig, list[Note]]:
    """The job as the page fits a preset to this machine, and each argument that this changed."""
    fitted, notes = fit_to_machine(services, job)
    changed = difference(build_args(job), build_args(fitted))
    more = [("cli.note_fitted", {"name": name, "value": value}) for name, value in changed.items() if name not in TOLD]
    return fitted, [*notes, *more]


def account(loaded: Loaded) -> list[Note]:
    """What is to be said of a file that was read."""
    notes: list[Note] = []
    if loaded.kind == "llamaboard":
        notes += [("cli.note_board", {}), *board_told(loaded)]
    if loaded.kind == "command":
        notes += command_told(loaded)
    notes += older_told(loaded)
    notes += [unfit_told(loaded, problem, "cli.note_unfit") for problem in loaded.unfit]
    if loaded.unknown:
        notes.append(("ui.loaded_unknown", {"names": ", ".join(few(loaded.unknown))}))
    return [*notes, *secrets_told(loaded.secrets, loaded.left_out)]


def unfit_told(loaded: Loaded, problem: Problem, kept: str) -> Note:
    """What became of a value that its field does not take. kept: key of the text for one that is sent all the same."""
    row = BY_ID.get(str(problem.field))
    name = row.name if row else str(problem.field).rpartition(".")[2]
    sent = row is not None and any(argument in loaded.extra for argument in arguments(row))
    return (kept if sent else "ui.loaded_not_taken", {"name": name, "value": problem.params["value"]})


def board_told(loaded: Loaded) -> list[Note]:
    """What LlamaBoard sends or knows beside its saved form: the code of the model's own, and where the model is."""
    if loaded.kind != "llamaboard":
        return []
    notes: list[Note] = [] if "trust_remote_code" in build_args(loaded.job) else [("ui.loaded_trust", {})]
    if loaded.beside:
        return [("ui.loaded_model_beside", {"path": loaded.beside}), *notes]
    lost = MODEL_PATH not in loaded.job.values
    return [*([("ui.loaded_no_model", {"name": loaded.job.model_name or "–"})] if lost else []), *notes]


def command_told(loaded: Loaded) -> list[Note]:
    """What a shell command said that its job does not hold."""
    command = loaded.command
    if command is None:
        return []
    told = (
        ("ui.loaded_unset", ", ".join(few(command.unset))), ("ui.loaded_unread", ", ".join(few(command.unread))),
        ("ui.loaded_launcher", " ".join(command.launcher)), ("ui.loaded_variables", ", ".join(few(loaded.variables))),
        ("ui.loaded_others", "; ".join(few(command.others))),
    )
    return [(key, {"names": names}) for key, names in told if names]


def older_told(loaded: Loaded) -> list[Note]:
    """The words of an older LlamaBoard, in those of today."""
    words = ", ".join(f"{name} {older} → {word}" for name, older, word in loaded.older)
    return [("ui.loaded_older", {"words": words})] if words else []


def secrets_told(moved: tuple[str, ...], dropped: tuple[str, ...]) -> list[Note]:
    """What became of arguments that hold a token."""
    told = (("cli.note_secrets", moved), ("ui.loaded_left_out", dropped))
    return [(key, {"names": ", ".join(few(names))}) for key, names in told if names]


def hide_secrets(services: Services, job: JobConfig) -> None:
    """Keeps the job's tokens out of whatever is shown from now on. Runs get them only when it is started."""
    for row in ROWS[job.kind]:
        value = job.values.get(row.id)
        if row.secret and value:
            services.registry.secret_store.hide(row.secret, str(value))


def named(services: Services, opened: Opened) -> Opened:
    """The job under a fresh name, which no run of the registry's snapshot has."""
    job = opened.job
    values = {**job.values, f"{job.kind}.output_dir": fresh_name(services, opened.stem)}
    job = JobConfig(job.kind, values, job.extra)
    notes = [note for note in opened.notes if note[0] != NAMED]
    return Opened(job, (*notes, (NAMED, {"folder": job.folder})), opened.stem)
