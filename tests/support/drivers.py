"""A stand-in for CUDA's driver below the installed torch: devices by their number, and who has asked it."""

from __future__ import annotations

from pathlib import Path

# Written as `sitecustomize`: it is there before torch is. As with the real one, CUDA_VISIBLE_DEVICES is read once, and
# a process whose parent has asked gets no device (torch/csrc/utils/device_lazy_init.h).
TEXT = '''
import importlib.util
import os
import sys
from types import SimpleNamespace

MAJOR = {"0": 9, "1": 9, "2": 7}  # device -> compute capability; 7 has no bfloat16
STATE = {}


def visible():
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return list(MAJOR) if named is None else [name for name in named.split(",") if name in MAJOR]


def touch(what):
    with open(os.path.join(os.path.dirname(__file__), "asked"), "a") as file:
        file.write(f"{os.getpid()} {what}\\n")
    STATE.setdefault("pid", os.getpid())
    return STATE.setdefault("devices", visible())


def stand_in(torch):
    cuda = torch.cuda
    torch._C._cuda_getDeviceCount = lambda: len(touch("count"))
    torch._C._cuda_init = lambda: touch("init")
    torch._C._cuda_getDevice = lambda: 0
    torch._C._cuda_getArchFlags = lambda: "sm_70 sm_90"
    cuda._cudart = cuda._cudart or object()
    cuda._get_device_properties = lambda n: SimpleNamespace(major=MAJOR[touch("properties")[n]], minor=0, name="a GPU")
    cuda._is_in_bad_fork = lambda: STATE.get("pid", os.getpid()) != os.getpid()
    cuda._device_count_nvml = lambda: len(visible())
    cuda._check_bf16_tensor_supported = lambda device: False


class Loader:
    def __init__(self, real):
        self.create_module, self.real = real.create_module, real

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.real
        self.real.exec_module(module)
        stand_in(module)


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "torch" or STATE.get("looking"):
            return None
        STATE["looking"] = True
        spec = importlib.util.find_spec(name)
        STATE["looking"] = False
        spec.loader = Loader(spec.loader)
        return spec


sys.meta_path.insert(0, Finder())
'''


def make_driver(folder: Path) -> Path:
    """Writes it; a process with that folder in PYTHONPATH has the devices 0, 1 (alike) and 2 (an older one)."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(TEXT)
    (folder / "asked").touch()
    return folder


def who_asked(folder: Path) -> set[int]:
    """The processes that have asked it."""
    return {int(line.split()[0]) for line in (folder / "asked").read_text().splitlines()}
