"""A file with a `sweep` mapping as the job and the sweep that it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.engine.opening import Config, Opened, not_opened, open_config, source_of
from lfdash.engine.services import Services
from lfdash.errors import ConfigError
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, parted, read_sweep
from lfdash.jobs.yaml_format import dump, load
from lfdash.outcomes import Problem, Refused


@dataclass(frozen=True)
class OpenedSweep:
    """A sweep's file. opened: the job that all trials are made of. problems: why there is no sweep; else empty."""

    opened: Opened
    sweep: Sweep | None
    problems: tuple[Problem, ...] = ()

    @property
    def job(self) -> JobConfig:
        """The job."""
        return self.opened.job


def open_sweep(
    services: Services, config: Config, changes: Mapping[str, Any] | None = None, target: str | None = None
) -> OpenedSweep | Refused:
    """Reads a sweep's file: a path, a mapping, or YAML text. changes: arguments of the job that are set on top. target:
    where its runs are to be; "" this machine, None where the file says.

    Refused: config_unreadable, not_opened, sweep_file (it has no `sweep` mapping).
    """
    source = source_of(config)
    if isinstance(source, Refused):
        return source
    try:
        document = load(source.text)
        args, mapping = parted(document.args)
        text = dump(args, ["a sweep"], document.env)
    except ConfigError as error:
        return not_opened(source.name, error)
    if mapping is None:
        return Refused("sweep_file", {"name": source.name or "YAML"})
    opened = open_config(services, text, changes, target)
    if isinstance(opened, Refused):
        return opened
    sweep = read_sweep(mapping, opened.job)
    return OpenedSweep(opened, sweep) if isinstance(sweep, Sweep) else OpenedSweep(opened, None, sweep)
