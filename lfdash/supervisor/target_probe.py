"""A program that looks around where a target's jobs run, and tells of it in a folder of the workspace: what the machine
has, what LLaMA-Factory's environment holds, whether locks are seen, what the clock says. Standard library only, Python
3.9 and newer, and no other module of lfdash: a scheduler starts it by its path.

    python -I -S target_probe.py FOLDER -- [PREFIX ...] LLAMAFACTORY_CLI

PREFIX runs a program in a container. Whoever asks has made the files of the folder: ANSWER and REPORT, empty, and LOCK,
which is held as long as it asks. They are opened anew at each look, since only then a network disk tells what others
wrote (close-to-open), and none is missing at first, since it remembers for a minute which names there are not.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

REPORT = "report.json"  # what is told, as it grows
ANSWER = "answer.json"  # what whoever asks says to the first words: {"time": its clock}
LOCK = "lock"
UNSEEN, UNWRITTEN, MODULES, PYTHON = 71, 72, 73, 74  # exit codes; a script gives the others
SETUP, MOST_SETUP = 76, 50  # the first of those that say which line of a setup failed, up to 125
SETUP_ENDS = f"$(({SETUP} + LFDASH_LINE))"  # as bash reads it: launchers/setup_lines.py
CLOCK_S = 20.0  # in which an answer is waited for
LOOK_S = 0.1
SMI_S = 20.0  # for nvidia-smi
ASK_S = 150.0  # for LLaMA-Factory's environment; on a network disk torch takes long
SAID = 300  # characters of what a program says
SMI = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")

# Run by the interpreter of llamafactory-cli: a line at once, a second one that needs torch. is_bf16_supported is what
# transformers asks (utils/import_utils.py, is_torch_bf16_gpu_available).
ASK = """
import json, platform
from importlib import metadata
found = {str(one.metadata["Name"]).lower(): str(one.version) for one in metadata.distributions()}
print(json.dumps({"python": platform.python_version(), "packages": found}), flush=True)
import torch
told = {"cuda": torch.cuda.is_available(), "gpus": []}
if told["cuda"]:
    for place in range(torch.cuda.device_count()):
        one = torch.cuda.get_device_properties(place)
        told["gpus"].append({"name": one.name, "memory": one.total_memory, "capability": f"{one.major}.{one.minor}"})
    told["bf16"] = torch.cuda.is_bf16_supported()
print(json.dumps({"torch": told}), flush=True)
"""


class Report:
    """What is told, written over itself whenever there is more."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, REPORT)
        self._told: dict[str, Any] = {}

    def tell(self, **more: Any) -> None:
        """Adds to it. OSError when it cannot be written."""
        self._told.update(more)
        text = json.dumps(self._told).encode()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def machine(folder: str) -> dict[str, Any]:
    """What this process has of its machine: memory and disk in bytes."""
    disk = os.statvfs(folder)
    return {
        "host": platform.node(), "supervisor_python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)), "memory": memory(), "disk": disk.f_bavail * disk.f_frsize,
        "smi": gpus_by_smi(),
    }


def memory() -> int:
    """Bytes of main memory that the job may use: the least of what the scheduler says, its cgroup's limit and what the
    machine has; 0 when none can be read."""
    # MB (sbatch(1), OUTPUT ENVIRONMENT VARIABLES); by CPU where the partition has DefMemPerCPU
    names = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")
    node, cpu, cpus = (whole(os.environ.get(name)) for name in names)
    found = [node << 20, cpu * cpus << 20]
    with suppress(OSError):
        lines = open_text("/proc/meminfo").splitlines()
        found += [whole(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:")]
    with suppress(OSError):
        for line in open_text("/proc/self/cgroup").splitlines():
            controllers, _, path = line.partition(":")[2].partition(":")
            found += limits(controllers, path)
    return min((size for size in found if size > 0), default=0)


def limits(controllers: str, path: str) -> list[int]:
    """The limits of a cgroup and of those above it."""
    root, name = ("/sys/fs/cgroup", "memory.max") if not controllers else (
        "/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    if controllers and "memory" not in controllers.split(","):
        return []
    found = []
    while True:
        with suppress(OSError):
            found.append(whole(open_text(f"{root}{path}/{name}")))
        if path in ("", "/"):
            return found
        path = os.path.dirname(path)


def open_text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 20)


def whole(text: str | None) -> int:
    """The number that a text is; 0 for none."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text.strip()) else 0


def gpus_by_smi() -> list[dict[str, Any]]:
    """The GPUs that nvidia-smi lists; maybe more than the job may use."""
    found = []
    for line in output(list(SMI), SMI_S)[0].splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3:
            found.append({"name": parts[0], "memory": whole(parts[1]) << 20, "capability": parts[2]})
    return found


def clock(folder: str, report: Report) -> dict[str, Any]:
    """What this clock says after whoever asks has said what its own does: behind its answer and before it reads this,
    so the difference lies between the two. {} when nobody answers in time."""
    report.tell(asked=True)
    end = time.monotonic() + CLOCK_S
    while time.monotonic() < end:
        with suppress(OSError, ValueError):
            answered = json.loads(open_text(os.path.join(folder, ANSWER)))["time"]
            return {"answered": answered, "time": time.time()}
        time.sleep(LOOK_S)
    return {}


def locks(folder: str) -> str:
    """Whether the lock of whoever asks is seen here: "seen", "unseen", or why that is not known."""
    try:
        descriptor = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return error.strerror or repr(error)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # either says that another one has it (fcntl(2))
        return "seen" if error.errno in (errno.EACCES, errno.EAGAIN) else error.strerror or repr(error)
    finally:
        os.close(descriptor)
    return "unseen"


def environment(words: list[str]) -> dict[str, Any]:
    """What the environment of llamafactory-cli holds. words: its name or path, behind what starts a container."""
    if len(words) > 1:
        command, cli = [*words[:-1], "python3"], words[-1]  # an image has one environment
    else:
        cli = shutil.which(words[0]) or ""
        if not cli:
            return {"cli": "", "error": f"{words[0]} was not found"}
        command = [interpreter(cli)]
    text, error = output([*command, "-c", ASK], ASK_S)
    told: dict[str, Any] = {"cli": cli, "interpreter": command[-1] if len(words) == 1 else "", "error": error}
    for line in text.splitlines():
        with suppress(ValueError):
            found = json.loads(line)
            told.update(found if isinstance(found, dict) else {})
    return told


def interpreter(cli: str) -> str:
    """What runs a script: as its first lines say, also in the form that installers write for long paths; else the
    python beside it."""
    with suppress(OSError):
        lines = open_text(cli).splitlines()[:2]
        long = re.match(r"'''exec' \"?([^\"]+?)\"? \"\$0\"", lines[1]) if len(lines) > 1 else None
        if long:
            return long[1]
        words = lines[0].removeprefix("#!").split() if lines and lines[0].startswith("#!") else []
        if len(words) > 1 and os.path.basename(words[0]) == "env":
            return words[-1]
        if words and "python" in os.path.basename(words[0]):
            return words[0]
    return os.path.join(os.path.dirname(os.path.abspath(cli)), "python")


def output(command: list[str], seconds: float) -> tuple[str, str]:
    """What a program prints, and why it is not all; "" when it is."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=env, check=False
        )
    except subprocess.TimeoutExpired as late:
        return text_of(late.output), f"{command[0]} did not end within {seconds:.0f} s"
    except OSError as error:
        return "", f"{command[0]}: {error.strerror}"
    said = text_of(done.stderr).strip().splitlines()
    failed = done.returncode != 0
    return text_of(done.stdout), (said[-1][:SAID] if said else f"exit code {done.returncode}") if failed else ""


def text_of(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


def main(argv: list[str]) -> int:
    folder, words = argv[0], argv[2:]
    report = Report(folder)
    try:
        report.tell(**machine(folder))
        report.tell(locks=locks(folder), **clock(folder, report))
        report.tell(done=True, **environment(words))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return UNSEEN if error.errno == errno.ENOENT else UNWRITTEN
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
