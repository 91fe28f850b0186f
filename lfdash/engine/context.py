"""What the world says of a job: its datasets, its model, the machine, and what lies where it would write."""

from __future__ import annotations

from pathlib import Path

from lfdash.engine.services import Services
from lfdash.jobs.args import build_args
from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_ID, BY_KIND_ARG, DATASETS
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import named
from lfdash.outcomes import Value
from lfdash.workspace.folders import weights_size

MODEL, PATH = "top.model_name", "top.model_path"


def data_folder(job: JobConfig) -> str:
    """The folder that the job's datasets are looked for in."""
    name = f"{job.kind}.dataset_dir"
    return str(job.get(name) or "data") if name in BY_ID else "data"


def of(services: Services, job: JobConfig) -> Facts:
    """What the world says about a job: datasets, devices, what is installed, whether the name is taken."""
    directory = data_folder(job)
    found = services.datasets(directory)
    online = directory == "ONLINE" or directory.startswith("REMOTE:")  # data/parser.py of LLaMA-Factory
    installed = services.upstream.packages if services.upstream.source == "installed" else None
    exported = BY_KIND_ARG[job.kind].get("export_dir")
    target = job.get(exported.id) if exported else None
    here = services.launcher.local  # elsewhere nobody knows the devices and the packages
    return Facts(
        datasets=None if online else frozenset(found.names),
        dataset_problem=None if online else found.problem,
        unfit=found.unfit,
        ranking=found.ranking,
        run_exists=bool(job.run_name) and (services.workspace.root / job.folder).exists(),
        export_taken=bool(target) and holds_something(services.workspace.root / str(target)),
        roots=services.roots.names,
        outside=dict(services.roots.outside({"output_dir": job.folder, **build_args(job)})),
        gpus=services.devices.gpu_count if here else None,
        packages=installed if here else None,
        arguments=services.argument_types(),
        templates=frozenset(services.upstream.templates),
        rows={} if online else services.row_counts(directory, wanted_datasets(job)),
        model_template=model_template(services, job),
        model_bytes=model_bytes(services, job.get(PATH)),
        free_disk=services.workspace.free_bytes(),
    )


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
