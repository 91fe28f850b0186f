"""How much GPU memory a job will take: its model's shape, its arguments, the processes that it will have."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lfdash.engine import models
from lfdash.engine.context import known_model
from lfdash.engine.on_disk import CONFIG_BYTES, read_mapping
from lfdash.engine.on_target import asked_there, smallest_gpu, target_of
from lfdash.engine.services import Services
from lfdash.files import Absent, Unreadable, read_json_file
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import named
from lfdash.jobs.resources import request_of
from lfdash.llamafactory.ask import ask_json
from lfdash.llamafactory.locate import Cli
from lfdash.memory.architecture import Architecture, from_config
from lfdash.memory.cards import Verdict, fits_on, product_of, verdict
from lfdash.memory.config_numbers import implausible, lacking
from lfdash.memory.estimate import Estimate, estimate
from lfdash.memory.shapes import Shapes, load
from lfdash.memory.simulated import NOT_SHOWN, from_points, payload
from lfdash.memory.subject import Subject
from lfdash.memory.unknown import MEASURED_CARD
from lfdash.outcomes import Refused
from lfdash.workspace.memo import Memo

CONFIG = "config.json"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
SETTINGS_BYTES = 1 << 20  # of DeepSpeed's
DRY_RUN = "simulation/dry_run"
DRY_RUN_S = 120  # seconds that a dry run may take; idle it takes 10, of which the imports take 7
DRY_RUN_BYTES = 8 << 30  # of the machine's memory; it takes one
KEPT = "dry_runs.json"
MOST_SHOWN = 80  # characters of a value that is told
MOST_KEPT = 100  # dry runs that are remembered


@dataclass(frozen=True)
class Model:
    """A model's shape. found: where: the path of its config.json, its name in the table, or the name of a model of
    about its size."""

    architecture: Architecture
    found: str


@dataclass(frozen=True)
class Foretold:
    """What a job will take on each of its GPUs. measured: by a dry run, not by the closed form. devices: GPU of this
    machine -> whether it fits into what is free there now."""

    subject: Subject
    estimate: Estimate
    model: Model
    measured: bool = False
    devices: Mapping[str, Verdict] | None = None


def of_job(
    services: Services, job: JobConfig, *, world: int | None = None, lengths: tuple[int, ...] = (),
    config: Path | None = None,
) -> Foretold | Refused:
    """What a training takes, in closed form; some milliseconds.

    world: processes, one on each GPU; None: as many as the job will get here. lengths: tokens of the dataset's rows, ()
    when they are not known. config: a config.json to be used in place of the model's own.
    Refused: memory_kind (it trains nothing), memory_model (the model's shape is not known), or as `read_config`.
    """
    subject = subject_of(services, job, world=world, lengths=lengths, config=config)
    return subject if isinstance(subject, Refused) else foretell(services, *subject)


def subject_of(
    services: Services, job: JobConfig, *, world: int | None = None, lengths: tuple[int, ...] = (),
    config: Path | None = None,
) -> tuple[Subject, Model] | Refused:
    """What memory is told of a job, and where its model's shape comes from. Arguments and refusals as `of_job`."""
    if not named(job.kind).trains:
        return Refused("memory_kind")
    args = build_args(job)
    model = given_config(config) if config else find_model(services, args)
    if isinstance(model, Refused):
        return model
    named_files = {name: settings(services, args[name]) for name in ("deepspeed", "fsdp_config") if args.get(name)}
    count = world_of(services, job) if world is None else world
    card = card_there(services, job) if job.target else other_card(services)
    subject = Subject(model.architecture, {**args, **named_files}, max(1, count), lengths, card=card)
    return subject, model


def other_card(services: Services) -> str:
    """The product of this machine's cards; with several, of one that is not the measured one. "" where none is known.
    """
    names = {product_of(device.name) or device.name for device in services.machine.seen.devices if device.name}
    return next(iter(sorted(names - {MEASURED_CARD}) or sorted(names)), "")


def card_there(services: Services, job: JobConfig) -> str:
    """The product of a target's cards, as its last test found them; "" where none is known."""
    gpu = smallest_gpu(services, target_of(services, job))
    return "" if gpu is None else product_of(gpu.name) or gpu.name


def foretell(services: Services, subject: Subject, model: Model) -> Foretold:
    """The closed form's answer, and which of the machine's GPUs it fits on."""
    found = estimate(subject)
    return Foretold(subject, found, model, devices=fits_here(services, found))


def fits_here(services: Services, found: Estimate) -> dict[str, Verdict]:
    """GPU -> whether it fits into what is free there, of those whose memory was read."""
    sample = services.machine.seen
    devices = sample.devices if sample is not None else ()
    return {
        device.key: verdict(found, int(device.memory_total - device.memory_used))
        for device in devices
        if device.memory_total is not None and device.memory_used is not None
    }


def world_of(services: Services, job: JobConfig) -> int:
    """How many processes a job has: one on each of its GPUs (llamafactory/launcher.py), one without any; on a target
    as many as that says."""
    args = build_args(job)
    request = request_of(args, build_env(job, args))
    if request.cpu:
        return 1
    target = target_of(services, job)
    if target is not None:
        return asked_there(target, job, request).count or 1
    return len(request.devices) or request.count or services.devices.gpu_count or 1


# -- a dry run --------------------------------------------------------------------------------------------


def measure(services: Services, foretold: Foretold, stop: threading.Event | None = None) -> Foretold | Refused:
    """The same by a dry run of LLaMA-Factory's own code on a few layers, outside of this process, on no GPU. What it
    answers is kept in the workspace by the model's configuration, the arguments and the packages' versions. stop: ends
    it once it is set.

    Refused: memory_no_dry_run (it does not show such a training; `params["codes"]` say why), memory_config_needed (only
    the size of the model is known), memory_time, and as `ask`; the cli's own refusal where there is none.
    """
    subject = foretold.subject
    codes = [code for code in foretold.estimate.unknown if code in NOT_SHOWN]
    if codes:
        return Refused("memory_no_dry_run", {"codes": ", ".join(codes)})
    if subject.architecture.source == "name":
        return Refused("memory_config_needed")
    if isinstance(services.cli, Refused):
        return services.cli
    points = points_of(services, services.cli, payload(subject), stop)
    if isinstance(points, Refused):
        return points
    found = from_points(subject, estimate(subject), points)
    return replace(foretold, estimate=found, measured=True, devices=fits_here(services, found))


def points_of(
    services: Services, cli: Cli, job: Mapping[str, Any], stop: threading.Event | None = None
) -> list[dict[str, Any]] | Refused:
    """What the dry run answers; a kept answer where there is one."""
    memo = Memo(services.workspace.private / KEPT, services.registry.identity.is_here)
    versions = [services.upstream.llamafactory, services.upstream.transformers, cli.path]
    key = hashlib.sha256(json.dumps([versions, job], sort_keys=True, default=str).encode()).hexdigest()[:32]
    kept = memo.load()
    if isinstance(kept.get(key), list):
        return list(kept[key])
    answer = ask_json(cli, DRY_RUN, {**job, "memory": DRY_RUN_BYTES}, timeout=DRY_RUN_S, stop=stop)
    if isinstance(answer, Refused):
        return Refused("memory_time", {"seconds": DRY_RUN_S}) if answer.code == "asked_time" else answer
    points: list[dict[str, Any]] = answer["points"]
    memo.save(dict([*memo.load().items(), (key, points)][-MOST_KEPT:]))
    return points


# -- the model --------------------------------------------------------------------------------------------


def find_model(services: Services, args: Mapping[str, Any]) -> Model | Refused:
    """The shape of a job's model: of the config.json on this disk or in a hub's cache, else of the table, else of a
    model whose size its name says. Only model_name_or_path is asked: the name that a job has besides may be that of the
    folder it writes to. Refused: memory_model, or as `read_config`: only what a file lacks may be known otherwise."""
    path = str(args.get("model_name_or_path") or "")
    refused = Refused("memory_model", {"model": path or "–"})
    for file in config_files(services, path, args.get("cache_dir")):
        found = read_config(file)
        if isinstance(found, Refused) and found.code == "memory_config":
            refused = found
        elif found is not None:
            return found
    known = known_model(services, path)
    listed = known[0] if known else models.like(services, path).name
    table = shapes(services.project.configs / "architectures.json")
    if listed in table.by_name:
        return Model(table.by_name[listed], listed)
    billions = models.parameters(listed)[1] or models.parameters(models.last(path))[1]
    shape = table.nearest(billions)
    return refused if shape is None else Model(shape, listed or path)


def config_files(services: Services, path: str, cache: object) -> list[Path]:
    """Where a model's config.json may lie: in the folder that a path names, or in the cache of a hub."""
    if not path:
        return []
    folder = services.roots.readable(path)
    found = [folder / CONFIG] if folder else []
    if not REPOSITORY.fullmatch(path) or ".." in path:
        return found
    hugging_face = [Path(str(cache))] if cache else []
    hugging_face.append(hub_cache())
    for root in hugging_face:
        snapshots = root / f"models--{path.replace('/', '--')}" / "snapshots"
        try:
            found += sorted(snapshots.glob(f"*/{CONFIG}"), key=lambda file: file.lstat().st_mtime, reverse=True)
        except OSError:
            continue  # a cache that cannot be read says nothing
    scope = Path(os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope" / "hub")
    owner, _, name = path.partition("/")
    return [*found, *(scope / part / owner / name.replace(".", "___") / CONFIG for part in ("", "models"))]


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded (huggingface_hub/constants.py)."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home) / "hub")


def read_config(path: Path) -> Model | Refused | None:
    """The shape that a config.json says; None where there is no such file. Refused: memory_unread (it cannot be read,
    or is no JSON object), memory_number (one of its numbers is none that a model has: the others say nothing then, and
    the model's name would say something else), memory_config (it lacks some)."""
    config = read_json_file(path, limit=CONFIG_BYTES, follow=True)
    if isinstance(config, Absent):
        return None
    if isinstance(config, Unreadable):
        return Refused("memory_unread", {"path": str(path), "reason": config.reason})
    lacks = lacking(config)
    odd = implausible(config) or next((pair for pair in lacks if pair[1] is not None), None)
    if odd is not None:
        return Refused("memory_number", {"path": str(path), "name": odd[0], "value": str(odd[1])[:MOST_SHOWN]})
    shape = from_config(config)
    if shape is None:
        return Refused("memory_config", {"path": str(path), "names": ", ".join(name for name, _ in lacks)})
    return Model(shape, str(path))


def given_config(path: Path) -> Model | Refused:
    """As `read_config`, of a file that was asked for."""
    absent = Refused("memory_unread", {"path": str(path), "reason": os.strerror(errno.ENOENT)})
    return read_config(path) or absent


@lru_cache(maxsize=4)
def shapes(path: Path) -> Shapes:
    """The table of published shapes, read once."""
    return load(path)


def settings(services: Services, value: Any) -> Any:
    """What the file holds that `deepspeed` or `fsdp_config` names; the value itself where it cannot be read."""
    path = services.roots.readable(value) if isinstance(value, str) else None
    return (read_mapping(path, SETTINGS_BYTES) if path else {}) or value


# -- for programs -----------------------------------------------------------------------------------------


def as_json(foretold: Foretold) -> dict[str, Any]:
    """The answer for a program; bytes, of one GPU."""
    found, model, learned = foretold.estimate, foretold.model, foretold.subject.learned
    return {
        "allocated": found.allocated, "reserved": found.reserved, "driver": found.driver,
        "terms": dict(found.terms), "unknown": list(found.unknown), "fits": fits_on(found),
        "devices": dict(foretold.devices or {}), "band": found.band, "world_size": foretold.subject.world_size,
        "trained": found.trained, "parameters": model.architecture.total,
        "model": {"source": model.architecture.source, "found": model.found}, "measured": foretold.measured,
        "learned": None if learned is None or learned.differs else {
            "run": learned.run, "runs": learned.runs, "compared": learned.compared,
            **{name: off and off.ratio for name, off in learned.figures.items()},
        },
    }
