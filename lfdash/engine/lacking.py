"""Which settings that take less GPU memory ask for a package that LLaMA-Factory's environment does not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lfdash.engine.on_target import facts_of, target_named
from lfdash.engine.services import Services
from lfdash.jobs.environment import Facts
from lfdash.jobs.kinds import DEFAULT
from lfdash.jobs.packages import missing
from lfdash.llamafactory.locate import Cli
from lfdash.memory.knobs import WITH_PACKAGE
from lfdash.outcomes import Refused


@dataclass(frozen=True)
class Lack:
    """A package that is not there. command: what installs it; version: of one that is there and too old, "" without."""

    package: str
    command: str
    version: str = ""


def lacking(services: Services, target: str = "") -> Mapping[str, Lack] | None:
    """Knob (`memory.knobs.WITH_PACKAGE`) -> what it lacks, of those that lack something. None: which packages are there
    is not known; no job starts here, LLaMA-Factory was not asked, or the target was not tested. target: where the job
    is to run; "" here."""
    if target:
        found_there = facts_of(services, target_named(services, target))
        if found_there is None or found_there.packages is None:
            return None
        facts = Facts(packages=found_there.packages, python=found_there.interpreter)
    elif not services.launcher.local or isinstance(services.packages, Refused):
        return None
    else:
        python = services.cli.python or "" if isinstance(services.cli, Cli) else ""
        facts = Facts(packages=services.packages, python=python)
    found = {}
    for name, args in WITH_PACKAGE.items():
        for problem in missing(DEFAULT, args, facts):
            params = problem.params
            found[name] = Lack(params["package"], params["command"], params.get("version", ""))
    return found
