"""Makes .venv and installs lfdash into it; called by make, needs nothing but a bare Python.

    python3 tools/setup.py --extras train,dev [--venv .venv]

A stamp in .venv keeps what was installed from which files, so a second call returns at once. Every expected
failure (old Python, no venv module, no network, full disk) ends in one sentence that says what to do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DECIDING = ("build-system", "project")  # tables of pyproject.toml; [tool.*] but for hatch changes no install
STAMP = "lfdash-setup.json"
OLDEST, NEWEST = (3, 11), (3, 13)
# What the environment takes, measured 6.7 GB with [train]; pip unpacks beside it while it installs.
NEEDED_GB = {"train": 8.0, "": 1.0}
SILENCE = 10.0  # seconds without news after which a sign of life is printed
KEPT = 40  # lines of pip's output shown when it fails without a known cause

# What pip says -> what the user can do. The first pattern that matches decides.
AGAIN = "then run the same command again."
CAUSES = {
    r"No space left on device|Errno 28|Disk quota exceeded": (
        "The disk is full. Free about {need:.0f} GB on the disk of {venv} (pip also unpacks below {tmp}; "
        f"set TMPDIR to a folder on a larger disk), {AGAIN}"
    ),
    (
        r"NameResolutionError|Failed to establish a new connection|Network is unreachable|ConnectTimeout"
        r"|ReadTimeout|Read timed out|ProxyError|ConnectionResetError|Connection aborted|Connection refused"
        r"|Temporary failure in name resolution|NewConnectionError|IncompleteRead"
    ): (
        "The package index could not be reached. Check the network (behind a proxy, set HTTPS_PROXY), "
        f"{AGAIN} What is already downloaded is kept."
    ),
    r"CERTIFICATE_VERIFY_FAILED|SSLError": (
        "The package index answered with a certificate that this machine does not trust. Set PIP_CERT to "
        f"the file with your network's certificates, {AGAIN}"
    ),
    r"requires a different Python": (f"{{venv}} was made with a Python that is not supported. Delete it, {AGAIN}"),
    r"Permission denied|Errno 13|Read-only file system|Errno 30": (
        f"A folder cannot be written to. Check who owns {{venv}}, {AGAIN}"
    ),
    r"No matching distribution found|Could not find a version": (
        "The package index does not offer a package that is needed for Python {python}. A mirror may lag "
        "behind: name another one with PIP_INDEX_URL."
    ),
    r"THESE PACKAGES DO NOT MATCH THE HASHES|BadZipFile|is not a valid wheel": (
        f"A download arrived broken. Run: {{venv}}/bin/python -m pip cache purge; {AGAIN}"
    ),
    r"error: command '.*(gcc|cc|g\+\+).*' failed|Failed building wheel|Python\.h: No such file": (
        "A package had to be compiled and that failed. Install a compiler and Python's headers (Debian and "
        f"Ubuntu: apt-get install -y build-essential python3-dev), {AGAIN}"
    ),
    r"Killed|MemoryError|Errno 12": f"The memory ran out. Close other programs, {AGAIN}",
}


class SetupError(Exception):
    """A failure that we expected: its text says what happened and what to do."""


# --- checks -------------------------------------------------------------------------------------------------


def check_python(version: tuple[int, ...]) -> None:
    """Refuses a Python for which the packages are not known to work."""
    if not OLDEST <= version[:2] <= NEWEST:
        raise SetupError(
            f"Python {'.'.join(map(str, version[:2]))} is not supported; 3.11, 3.12 and 3.13 are. "
            "Install one of them and name it, for example: make run PYTHON=python3.12"
        )


def check_platform(platform: str) -> None:
    """Warns where runs cannot be started: the dashboard opens, Start says why it refuses."""
    if not platform.startswith("linux"):
        say(f"note: runs can only be started on Linux; this is {platform}.")


def check_venv_module() -> None:
    """Debian ships Python without the part of venv that installs pip."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(
            "This Python cannot make virtual environments. On Debian and Ubuntu: "
            f"apt-get install -y python3-venv (or python{version}-venv), then run the same command again."
        ) from None


def needed_gb(extras: Iterable[str]) -> float:
    """Gigabytes to have free before these extras are installed."""
    return NEEDED_GB["train" if "train" in extras else ""]


def check_disk(folder: Path, need: float) -> None:
    """Better to hear it now than after ten minutes of downloading; `folder` need not exist yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    if free < need:
        raise SetupError(
            f"The disk of {there} has {free:.1f} GB free; the installation needs about {need:.0f} GB. "
            "Free some space, or put the environment on another disk: make run VENV=/larger/disk/venv"
        )


# --- the stamp ----------------------------------------------------------------------------------------------


def fingerprint(root: Path) -> str:
    """Names the state of what decides what is installed, and where it lies (the install is editable)."""
    import tomllib  # not at the top: an old Python must get as far as being told so

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    tables = [project.get(name) for name in DECIDING] + [project.get("tool", {}).get("hatch")]
    text = json.dumps([str(root), tables, (root / "constraints.txt").read_text()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def installed(venv: Path, root: Path) -> set[str] | None:
    """The extras that `venv` holds for the present files; None when it must be made or renewed."""
    try:
        stamp = json.loads((venv / STAMP).read_text())
        extras = set(stamp["extras"])
        usable = stamp["inputs"] == fingerprint(root) and (venv / "bin/python").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no stamp, or a damaged one: install again, which is quick when all is there
    return extras if usable else None


def write_stamp(venv: Path, root: Path, extras: set[str]) -> None:
    """Says that the installation ran to its end. Renamed into place: a half one never counts."""
    new = venv / (STAMP + ".new")
    new.write_text(json.dumps({"inputs": fingerprint(root), "extras": sorted(extras)}))
    new.replace(venv / STAMP)


# --- talking ------------------------------------------------------------------------------------------------


class Clock:
    """One line of progress at a time, with the time since the start; a sign of life when nothing is said."""

    def __init__(self, total: int = 0) -> None:
        self.began = self.spoke = time.monotonic()
        self.doing = ""
        self.total = total
        self.seen: set[str] = set()
        self.over = threading.Event()
        threading.Thread(target=self._live, daemon=True).start()

    def say(self, text: str) -> None:
        """Prints `text` after the elapsed minutes and seconds."""
        self.spoke = time.monotonic()
        minutes, seconds = divmod(int(self.spoke - self.began), 60)
        say(f"[{minutes}:{seconds:02d}] {text}")

    def hear(self, line: str) -> None:
        """Shows a line of pip's output if it is news for a person."""
        text = news(line)
        if text is None:
            return
        if text.startswith("collecting"):
            if text in self.seen:
                return
            self.seen.add(text)
            count = len(self.seen)
            text = f"{text} ({count} of about {max(count, self.total)})" if self.total else f"{text} ({count})"
        self.doing = text
        self.say(text)

    def _live(self) -> None:
        while not self.over.wait(1.0):
            if self.doing and time.monotonic() - self.spoke > SILENCE:
                self.say(f"still {self.doing}")


# Small files (kB) are not worth a line, large ones explain the wait.
NEWS = {
    r"Collecting (\S+)": "collecting {}",
    r"Processing \S*/([^/\s-]+-[^-\s]+)-\S*\.whl": "collecting {}",
    r"Downloading (?:\S*/)?(\S+?-[^-\s]+)\S* \(([\d.]+ [MG]B)\)": "downloading {} ({})",
    r"Building wheel for (\S+)": "building {}",
}


def news(line: str) -> str | None:
    """What a line of pip's output tells a person, or None.

    >>> news("Collecting torch==2.14.1 (from lfdash)")
    'collecting torch==2.14.1'
    >>> news("  Downloading torch-2.14.1-cp311-cp311-manylinux_2_28_x86_64.whl (900.1 MB)")
    'downloading torch-2.14.1 (900.1 MB)'
    """
    line = line.strip()
    for pattern, text in NEWS.items():
        found = re.match(pattern, line)
        if found:
            return text.format(*filter(None, found.groups()))
    if line.startswith("Installing collected packages:"):
        count = line.count(",") + 1
        return f"installing {count} packages (a minute or two; pip is silent meanwhile)"
    return None


def say(text: str) -> None:
    """Prints at once, also into a pipe."""
    print(text, flush=True)


# --- the work -----------------------------------------------------------------------------------------------


def make_venv(venv: Path) -> None:
    """Creates the environment, over what a broken attempt may have left."""
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if done.returncode:
        raise SetupError(explain(done.stdout.splitlines() + done.stderr.splitlines(), venv, 1.0))


def explain(lines: list[str], venv: Path, need: float) -> str:
    """Says in plain words why pip (or venv) failed; with its own last lines when the cause is unknown."""
    text = "\n".join(lines)
    tmp = os.environ.get("TMPDIR", "/tmp")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for pattern, advice in CAUSES.items():
        if re.search(pattern, text):
            errors = [line.strip() for line in lines if line.lstrip().startswith("ERROR:")]
            said = f"\n  pip said: {errors[0][:300]}" if errors else ""
            return advice.format(venv=venv, need=need, tmp=tmp, python=python) + said
    shown = "\n".join(f"  {line}" for line in lines[-KEPT:])
    return f"The installation failed; its last lines were:\n{shown}\nRun the same command again to go on."


def pip_lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """The child's output, line by line."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")


def install(venv: Path, root: Path, extras: set[str]) -> None:
    """Runs pip, tells what it does, and raises SetupError with the remedy if it fails."""
    wanted = f".[{','.join(sorted(extras))}]" if extras else "."
    pins = (root / "constraints.txt").read_text().splitlines()
    clock = Clock(sum("==" in pin for pin in pins) if "train" in extras else 0)
    what = " and ".join(["the page", *sorted(extras)])
    clock.say(f"installing lfdash ({what}) into {venv}; the first time takes a few minutes")
    # Plain lines, English texts: they are read by news() and explain().
    env = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [str(venv / "bin/python"), "-m", "pip", "install", "--progress-bar", "off", "--no-input"]
    command += ["-c", str(root / "constraints.txt"), "-e", wanted]
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=root, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in pip_lines(process):
            lines.append(line)
            clock.hear(line)
    clock.over.set()
    if process.returncode:
        lines += ["Killed"] if process.returncode == -9 else []
        raise SetupError(explain(lines, venv, needed_gb(extras)))
    clock.say("installed")


def set_up(venv: Path, root: Path, extras: set[str]) -> None:
    """Brings `venv` to the state that the project's files ask for."""
    check_python(tuple(sys.version_info[:3]))
    there = installed(venv, root)
    if there is not None and extras <= there:
        return
    check_platform(sys.platform)
    if not all((venv / "bin" / name).exists() for name in ("python", "pip")):
        check_venv_module()
        check_disk(venv, needed_gb(extras))
        say(f"making {venv}")
        make_venv(venv)
    # What an earlier call installed stays in the stamp: `make run` after `make test` must not drop it.
    extras = extras | (there or set())
    install(venv, root, extras)
    write_stamp(venv, root, extras)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Makes the environment that lfdash runs in.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where to make it (.venv)")
    parser.add_argument("--extras", default="train", help="what to install: train, dev, or both with a comma")
    options = parser.parse_args(argv)
    try:
        set_up(options.venv.absolute(), ROOT, set(filter(None, options.extras.split(","))))
    except SetupError as error:
        say(f"\nSet-up stopped. {error}")
        return 1
    except OSError as error:
        say(f"\nSet-up stopped. {explain([str(error)], options.venv, 8.0)}")
        return 1
    except KeyboardInterrupt:
        say("\nSet-up interrupted. Run the same command again to go on; what is downloaded is kept.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
