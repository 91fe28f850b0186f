"""Cards for a machine that has none: a sample of the machine, and for a real server a stand-in for the package of NVML.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from lfdash.machine.sample import Device, Sample
from tests.support import ROOT

GB = 1 << 30
STAND_IN = """
import importlib.util, json, sys
from types import SimpleNamespace as _Answer
from pathlib import Path as _Path
_HERE = _Path(__file__).parent
_SEARCHED = [entry for entry in sys.path if _Path(entry or ".").resolve() != _HERE]
import importlib.machinery
_spec = importlib.machinery.PathFinder.find_spec("pynvml", _SEARCHED)
_real = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_real)
globals().update({name: value for name, value in vars(_real).items() if not name.startswith("__")})

def _cards(): return json.loads((_HERE / "cards.json").read_text())
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return len(_cards())
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetName(index): return _cards()[index]["name"]
def nvmlDeviceGetUUID(index): return f"GPU-{index}"
def nvmlDeviceGetMigMode(index): raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
def nvmlDeviceGetUtilizationRates(index): return _Answer(gpu=0, memory=0)
def nvmlDeviceGetMemoryInfo(index, *_): return _Answer(**_cards()[index]["memory"])
def nvmlDeviceGetTemperature(index, *_): return 40
def nvmlDeviceGetPowerUsage(index): return 60_000
def nvmlDeviceGetEnforcedPowerLimit(index): return 400_000
def nvmlDeviceGetComputeRunningProcesses(index): return []
def nvmlDeviceGetCudaComputeCapability(index): return (9, 0)
"""


def device(index: int = 0, total: float = 80, used: float = 1) -> Device:
    """A card. total, used: GB of its memory."""
    return Device("nvidia", str(index), "A card", 0.0, int(used * GB), int(total * GB), uuid=f"GPU-{index}")


def sample(*devices: Device) -> Sample:
    """A machine with these devices, looked at."""
    return Sample(time=1.0, devices=devices)


def recorded(path: Path, *used: float, total: float = 80, steps: bool = True, name: str = "") -> None:
    """Writes a run's machine.jsonl: a row a step, from 0 on. used: GB of one card that were in use then. steps: whether
    steps were logged. name: of the card."""
    named = {"name": name} if name else {}
    rows = [
        {"time": time.time() + step, "attempt": 1, "step": step if steps else None,
         "devices": {"nvidia:0": {"memory_used": int(size * GB), "memory_total": int(total * GB), **named}}}
        for step, size in enumerate(used)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def stand_in(folder: Path, *cards: tuple[float, float]) -> dict[str, str]:
    """Writes a `pynvml` that tells of cards, and the environment in which a server takes it. cards: GB in all, and in
    use."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pynvml.py").write_text(STAND_IN)
    told = [
        {"name": "Stand-in", "memory": {"total": int(total * GB), "used": int(used * GB),
                                        "free": int((total - used) * GB)}}
        for total, used in cards
    ]
    (folder / "cards.json").write_text(json.dumps(told))
    return {"PYTHONPATH": f"{folder}:{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
