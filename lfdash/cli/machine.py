"""`lfdash machine`: what the machine of the workspace does now."""

from __future__ import annotations

import time

from lfdash.cli.commands import command
from lfdash.cli.terminal import FINE, Terminal
from lfdash.cli.texts import language
from lfdash.engine.machine_words import cells_in
from lfdash.machine.sample import Sample

CPU_S = 0.3  # over which the use of the processors is looked at


@command("machine")
def machine(terminal: Terminal) -> int:
    """A line a device, then processors, memory and disk."""
    services = terminal.open().services
    services.registry.refresh()
    services.machine.look(keep=False)
    time.sleep(CPU_S)
    sample = services.machine.look(keep=False)

    def name_of(run_id: str) -> str:
        view = services.registry.get(run_id)
        return view.name if view is not None else run_id

    if terminal.as_json:
        terminal.give(as_json(sample))
    else:
        terminal.say("\n".join(cell.told for cell in cells_in(language(), sample, sample.time, name_of)))
    return FINE


def as_json(sample: Sample) -> dict[str, object]:
    """A sample for a program."""
    devices = [
        {
            "device": device.key, "name": device.name, "load": device.load, "memory_used": device.memory_used,
            "memory_total": device.memory_total, "temperature": device.temperature, "power": device.power,
            "power_limit": device.power_limit, "runs": device.runs, "processes": device.processes,
            "problem": device.problem or None,
        }
        for device in sample.devices
    ]
    return {
        "devices": devices, "problems": sample.problems, "cpu": sample.cpu, "memory_used": sample.memory_used,
        "memory_total": sample.memory_total, "disk_free": sample.disk_free, "disk_total": sample.disk_total,
    }
