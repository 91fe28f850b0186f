"""Settings whose package LLaMA-Factory's environment does not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.lacking import Lack, lacking
from lfdash.engine.services import Services, find_project
from lfdash.llamafactory.locate import Cli
from lfdash.memory.knobs import KNOBS, WITH_PACKAGE
from lfdash.outcomes import Refused


@pytest.fixture
def services(tmp_path: Path) -> Services:
    made = Services(find_project(), tmp_path / "ws")
    made.cli = Cli("/env/bin/llamafactory-cli", "/env/bin/python")
    return made


def having(services: Services, **packages: str) -> dict[str, Lack] | None:
    """What lacks in an environment with these packages."""
    installed = {name.replace("_", "-"): version for name, version in packages.items()}
    services.upstream = replace(services.upstream, source="installed", packages={"torch": "2.11.0", **installed})
    found = lacking(services)
    return None if found is None else dict(found)


def test_each_knob_tells_what_it_lacks_and_what_installs_it(services: Services) -> None:
    found = having(services)
    assert found is not None and set(found) == set(WITH_PACKAGE) <= set(KNOBS)
    assert found["liger"] == Lack("liger-kernel", "/env/bin/python -m pip install liger-kernel")
    assert {found[name].package for name in ("optimizer_8bit", "quantize_4bit")} == {"bitsandbytes"}
    assert {found[name].package for name in ("zero2", "zero3", "offload")} == {"deepspeed"}


def test_what_is_there_lacks_nothing_and_what_is_too_old_is_told_as_such(services: Services) -> None:
    found = having(services, liger_kernel="0.8.5", deepspeed="0.19.8", bitsandbytes="0.30.0")
    assert found is not None and set(found) == {"optimizer_8bit", "quantize_4bit"}
    assert found["quantize_4bit"].version == "0.30.0"
    assert having(services, liger_kernel="0.8.5", deepspeed="0.19.8", bitsandbytes="0.50.2") == {}


def test_an_environment_that_was_not_asked_is_not_known(services: Services) -> None:
    services.upstream = replace(services.upstream, source="snapshot")
    assert lacking(services) is None
    services.cli = Refused("no_cli")
    assert lacking(services) is None
