"""What the world says of a job: its datasets, its model, the machine, and what lies where it would write."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from lfdash.data.usable import Usable
from lfdash.engine import on_disk
from lfdash.engine.dead_weights import dead_weights
from lfdash.engine.on_target import asked_there, facts_of, gpus_there, target_of
from lfdash.engine.services import Services
from lfdash.engine.target_facts import TargetFacts
from lfdash.engine.unsound import unsound
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_ID, BY_KIND_ARG, DATASETS, arguments
from lfdash.jobs.job import TARGET, JobConfig
from lfdash.jobs.kinds import named
from lfdash.jobs.resources import request_of
from lfdash.jobs.rules import listed
from lfdash.llamafactory.catalogue import fitting
from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Problem, Refused, Value
from lfdash.targets.target import Target
from lfdash.workspace.folders import weights_size

MODEL, PATH = "top.model_name", "top.model_path"
GENERATING = "ppo"  # which takes of a row what predict_with_generate does: the question


def data_folder(job: JobConfig) -> str:
    """The folder that the job's datasets are looked for in."""
    name = f"{job.kind}.dataset_dir"
    return str(job.get(name) or "data") if name in BY_ID else "data"


def of(services: Services, job: JobConfig) -> Facts:
    """What the world says about a job: datasets, devices, what is installed, whether the name is taken; of a job
    for a cluster what is known of that instead of this machine."""
    directory = data_folder(job)
    found = services.datasets(directory)
    online = directory == "ONLINE" or directory.startswith("REMOTE:")  # data/parser.py of LLaMA-Factory
    installed = None if isinstance(services.packages, Refused) else services.packages
    exported = BY_KIND_ARG[job.kind].get("export_dir")
    export_folder = job.get(exported.id) if exported else None
    data = {} if online else looked_at(services, job, directory)
    here = services.launcher_on(job.target).local  # elsewhere nobody knows the devices, the packages and the disk
    args = build_args(job)
    request = request_of(args, build_env(job, args))
    target = target_of(services, job)
    asked = asked_there(target, job, request) if target else request
    told = facts_of(services, target)
    template = model_template(services, job)
    return Facts(
        datasets=None if online else frozenset(found.names),
        dataset_problem=None if online else found.problem,
        unfit=found.unfit,
        ranking=found.ranking,
        run_exists=bool(job.run_name) and os.path.exists(services.workspace.root / job.folder),  # also for no path
        export_taken=bool(export_folder) and holds_something(services.workspace.root / str(export_folder)),
        roots=services.roots.names,
        outside=dict(services.roots.outside({"output_dir": job.folder, **args})),
        missing=on_disk.missing(services, args) if here else {},
        dead_weights=dead_weights(services, args) if here else {},
        unsound=unsound(services, args) if here else {},
        gpus=services.devices.gpu_count if here else gpus_there(told, asked),
        gpu_names=tuple(str(gpu.index) for gpu in services.devices.gpus),
        request=asked,
        nodes=target.nodes if target is not None and named(job.kind).trains else 1,
        packages=installed if here else told.packages if told else None,
        python=python_of(services) if here else told.interpreter if told else "",
        arguments=services.argument_types(),
        templates=frozenset(services.upstream.templates),
        by_version=services.by_version,
        installed=versions(services, target, told),
        target=target_problem(services, job),
        rows={} if online else services.row_counts(directory, wanted_datasets(job)),
        usable={name: found.usable for name, found in data.items() if found.usable is not None},
        data={name: found.problems for name, found in data.items()},
        model_template=template,
        fitting=fitting(services.upstream, template),
        model=on_disk.model_facts(services, args.get("model_name_or_path")),
        model_bytes=model_bytes(services, job.get(PATH)),
        free_disk=services.workspace.free_bytes(),
        reached=on_disk.reached(services, args.get("resume_from_checkpoint")),
    )


def python_of(services: Services) -> str:
    """The interpreter of LLaMA-Factory on this machine; "" where that is not known."""
    return services.cli.python or "" if isinstance(services.cli, Cli) else ""


def versions(services: Services, target: Target | None, told: TargetFacts | None) -> dict[str, str]:
    """The versions that a job runs with, as far as they are known: those that a test has found, else this machine's,
    unless the target names an environment of its own."""
    names = ("llamafactory", "transformers")
    if told is not None and told.packages is not None:
        return {name: told.packages.get(name, "") for name in names}
    if target is not None and target.cli:
        return {}
    return {name: getattr(services.upstream, name) for name in names}


def target_problem(services: Services, job: JobConfig) -> Problem | None:
    """What is wrong with the target that a job names; None where nothing is."""
    name = job.target
    found = services.registry.targets.get(name) if name else None
    field_id = f"{job.kind}.{TARGET}"
    if not isinstance(found, Refused):
        if found is None or found.nodes == 1 or named(job.kind).trains:
            return None
        return Problem(field_id, "target_many_nodes", {"value": name, "nodes": str(found.nodes)})
    if found.code == "target_unknown":
        known = ", ".join(services.registry.targets.read().rows) or "–"
        return Problem(field_id, "target_gone", {**found.params, "value": name, "known": known})
    reasons = services.registry.targets.read().problems
    own = [one for one in reasons if one.params.get("target", name) == name]
    return replace(own[0], field=field_id) if own else Problem(field_id, "target_unread", found.params)


def looked_at(services: Services, job: JobConfig, directory: str) -> dict[str, Usable]:
    """What is known of the rows of a job's datasets; that it is not known yet is a warning."""
    args = build_args(job)
    limit = args.get("max_samples")
    most = limit if isinstance(limit, int) and limit > 0 else None
    found: dict[str, Usable] = {}
    for place, row in enumerate(DATASETS[job.kind]):
        generates = args.get("predict_with_generate") and (place or not named(job.kind).trains)
        stage = GENERATING if generates else str(args.get("stage") or "sft")
        for name in listed(args.get(arguments(row)[0])):
            counting = services.data.usable(directory, name, stage, most)
            if counting is not None:
                found.setdefault(name, counting.found or not_yet(name, counting.share))
    return found


def not_yet(name: str, share: float) -> Usable:
    """Rows that are still looked through."""
    told = {"value": name, "share": f"{share:.0%}"}
    return Usable(problems=(Problem(None, "data_counting", told, "warning"),))


def model_bytes(services: Services, path: Value | None) -> int | None:
    """Bytes of the model's weights, where they lie on this machine and may be looked at."""
    folder = services.roots.readable(str(path)) if path else None
    return weights_size(folder) if folder else None


def wanted_datasets(job: JobConfig) -> list[str]:
    """The datasets that a job trains on."""
    names = job.get(DATASETS[job.kind][0].id) if named(job.kind).trains else None
    return list(names) if isinstance(names, list) else []


def model_template(services: Services, job: JobConfig) -> str:
    """The chat template that the chosen model was trained with; "" when the model is not a known one."""
    found = known_model(services, job.get(PATH))
    name = str(job.get(MODEL) or "") if found is None else found[0]
    model = services.upstream.models.get(name)
    return model.template or "" if model else ""


def holds_something(folder: Path) -> bool:
    """Whether a path is there and is not an empty folder."""
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def known_model(services: Services, path: object) -> tuple[str, bool] | None:
    """Name and multimodality of the model that a path or hub id belongs to; None when unknown."""
    for name, model in services.upstream.models.items():
        if path in model.paths.values():
            return name, model.multimodal
    return None
