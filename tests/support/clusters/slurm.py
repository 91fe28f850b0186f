"""A real Slurm on the loopback: Debian's slurmctld, munged and two slurmd, which are two nodes on one machine.

Everything is private to a folder: key, socket, ports, state, logs. Nothing of a Slurm that the machine has is touched.
Where the kernel lets it, a job is tracked by its cgroup, as clusters do; else by its parents (linuxproc), and then
whoever daemonises itself gets away.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "scancel", "sinfo", "srun")
NODES = ("n1", "n2")
PR_SET_PDEATHSIG = 1
CONF = """\
ClusterName=lfdash
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/{tracking}
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/{gather}
JobAcctGatherFrequency=1
AccountingStorageType=accounting_storage/none
MinJobAge={memory_s}
KillWait=5
UnkillableStepTimeout=60
SlurmdTimeout=15
SlurmctldTimeout=15
InactiveLimit=0
SlurmdParameters=config_overrides
{gres}{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
PartitionName=short Nodes={names} MaxTime=2 State=UP OverSubscribe=NO
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=4000{gres} State=UNKNOWN"
)


@cache
def turn(names: tuple[str, ...]) -> IO[bytes]:
    """Waits until no other process has nodes of these names here, and keeps them until this one ends: the kernel's
    groups of processes are called by them, and two such clusters would end each other's jobs."""
    lock = Path(tempfile.gettempdir(), f"lfdash-slurm-{'-'.join(names)}.lock").open("wb")  # noqa: SIM115, it stays open
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def missing() -> str:
    """Why there can be no Slurm here; "" when there can."""
    lacking = [name for name in PROGRAMS if find(name) is None]
    if lacking:
        packages = "slurmctld slurmd slurm-client munge"
        return f"no {', '.join(lacking)}: apt-get install -y --no-install-recommends {packages}"
    return ""


def find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def die_with_parent() -> None:
    """In a child: a test that is killed leaves no daemon behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def cgroup_conf() -> str | None:
    """cgroup.conf for what this machine has; None where its cgroups cannot be written."""
    if os.geteuid() != 0:
        return None
    if os.access("/sys/fs/cgroup/freezer", os.W_OK):
        return "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n"
    if os.access("/sys/fs/cgroup/cgroup.subtree_control", os.W_OK):
        return "CgroupPlugin=cgroup/v2\nIgnoreSystemd=yes\n"
    return None


@dataclass
class SlurmCluster:
    """A Slurm that is started and stopped. memory_s: how long the controller remembers a job that is over.

    gpus: of a node; the devices are plain files, so nothing computes on them. conf: its slurm.conf, which says
    everything to whoever wants to talk to it. tracking: how jobs are tracked. names: of its nodes. gather: how
    what jobs use is counted.
    """

    memory_s: int = 300
    cpus: int = 8
    gpus: int = 0
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="slurm-")))
    tracking: str = "linuxproc"
    names: tuple[str, ...] = NODES
    gather: str = "none"
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.conf)}

    def start(self) -> SlurmCluster:
        """Starts everything and waits for both nodes; with cgroups first, where the machine has them."""
        turn(self.names)
        for name in ("state", "spool", "log"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        self._munge()
        cgroups = cgroup_conf()
        for tracking in ("cgroup", "linuxproc") if cgroups else ("linuxproc",):
            self.tracking = tracking
            self._write_conf(cgroups or "")
            self.start_controller()
            for name in self.names:
                self.start_node(name)
            if self.wait_idle(20):
                return self
            self._end("slurmctld", *self.names)
        raise RuntimeError(f"Slurm does not start:\n{self.logs()}")

    def _munge(self) -> None:
        names = {
            "key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "log/munged.log",
            "seed-file": "munge.seed",
        }
        options = [f"--{option}={self.folder / name}" for option, name in names.items()]
        self._run("munged", "munged", "--foreground", "--force", "--num-threads=2", *options)
        until(lambda: (self.folder / "munge.sock").exists(), 10)

    def _write_conf(self, cgroups: str) -> None:
        host = socket.gethostname().split(".")[0]
        port, *ports = free_ports(1 + len(self.names))
        nodes = "\n".join(
            NODE.format(
                name=name, host=host, port=own, cpus=self.cpus, gres=f" Gres=gpu:tiny:{self.gpus}" if self.gpus else "",
            ) for name, own in zip(self.names, ports, strict=True)
        )
        user = os.environ.get("USER") or ("root" if os.geteuid() == 0 else str(os.geteuid()))
        self.conf.write_text(CONF.format(
            host=host, user=user, folder=self.folder, port=port, tracking=self.tracking, memory_s=self.memory_s,
            nodes=nodes, names=",".join(self.names), gather=self.gather, gres="GresTypes=gpu\n" if self.gpus else "",
        ))
        devices = [self.folder / f"gpu{place}" for place in range(self.gpus)]
        for device in devices:
            device.touch()
        (self.folder / "gres.conf").write_text("".join(f"Name=gpu Type=tiny File={one}\n" for one in devices))
        (self.folder / "cgroup.conf").write_text(cgroups)

    def _run(self, name: str, program: str, *words: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                [str(find(program)), *words], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent, start_new_session=True,
            )

    def start_controller(self) -> None:
        """Starts slurmctld; it takes up what an earlier one has saved."""
        self._run("slurmctld", "slurmctld", "-D")

    def start_node(self, name: str) -> None:
        """Starts the slurmd of a node."""
        self._run(name, "slurmd", "-D", "-N", name)

    def kill(self, name: str) -> None:
        """SIGKILL to a daemon: slurmctld, or the slurmd of a node."""
        daemon = self.daemons[name]
        daemon.kill()
        daemon.wait(10)

    def pause(self, name: str) -> None:
        self.daemons[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        self.daemons[name].send_signal(signal.SIGCONT)

    def call(self, *words: str, seconds: float = 30) -> str:
        """What one of Slurm's programs prints. RuntimeError when it fails."""
        done = subprocess.run(
            [str(find(words[0])), *words[1:]], env=self.env, capture_output=True, text=True, timeout=seconds
        )
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr}")
        return done.stdout

    def wait_idle(self, seconds: float = 30) -> bool:
        """Whether both nodes take jobs and have none, within so many seconds."""

        def idle() -> bool:
            with suppress(RuntimeError, subprocess.TimeoutExpired):
                return self.call("sinfo", "-h", "-N", "-p", "main", "-o", "%T", seconds=5).split() == ["idle"] * 2
            return False

        return until(idle, seconds)

    def jobs(self, *options: str) -> list[tuple[str, str, str]]:
        """(id, state, name) of every job that the controller remembers."""
        rows = self.call("squeue", "-h", "-r", "-t", "all", "-o", "%i|%T|%j", *options).splitlines()
        return [(job, state, name) for job, state, name in (row.split("|") for row in rows)]

    def show(self, job: str) -> str:
        """All that the controller says of a job."""
        return self.call("scontrol", "show", "job", "-dd", job)

    def step_daemons(self, job: str) -> list[int]:
        """The processes that hold a job on its nodes."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                    if re.match(rf"slurmstepd: \[{job}\.", words):
                        found.append(int(entry.name))
        return found

    def clear(self) -> None:
        """Ends every job, and makes the nodes ready again."""
        for name in [name for name in ("slurmctld", *self.names) if name in self.daemons]:
            if self.daemons[name].poll() is not None:
                self.start_controller() if name == "slurmctld" else self.start_node(name)
            self.go_on(name)
        until(self._answers, 20)
        mine = [job for job, state, _ in self.jobs("-t", "pending,running,suspended,completing,configuring")]
        if mine:
            self.call("scancel", *mine)
        for name in self.names:
            with suppress(RuntimeError):  # where it is in that state
                self.call("scontrol", "update", f"nodename={name}", "state=resume")
        assert self.wait_idle(40), self.logs()

    def _answers(self) -> bool:
        with suppress(RuntimeError, subprocess.TimeoutExpired):
            return "UP" in self.call("scontrol", "ping", seconds=5)
        return False

    def logs(self) -> str:
        """The last lines of every log."""
        texts = []
        for log in sorted((self.folder / "log").glob("*.log")):
            texts.append(f"--- {log.name}\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:]))
        return "\n".join(texts)

    def _end(self, *names: str) -> None:
        for name in names:
            daemon = self.daemons.pop(name, None)
            if daemon is not None and daemon.poll() is None:
                daemon.send_signal(signal.SIGCONT)
                daemon.terminate()
                try:
                    daemon.wait(10)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait(10)

    def stop(self) -> None:
        """Ends every job and every daemon, and takes the folder away."""
        if "slurmctld" in self.daemons:
            with suppress(AssertionError, RuntimeError, subprocess.TimeoutExpired):
                self.clear()
        self._end(*self.names, "slurmctld", "munged")
        shutil.rmtree(self.folder, ignore_errors=True)


def until(look: object, seconds: float) -> bool:
    """Whether `look()` becomes true within so many seconds."""
    assert callable(look)
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def main(words: Sequence[str] = (), env: Mapping[str, str] = os.environ) -> None:
    """Starts one to play with, until Ctrl-C: python -m tests.support.clusters.slurm [NODE...]"""
    cluster = SlurmCluster(names=tuple(words) or NODES).start()
    print(json.dumps({"SLURM_CONF": str(cluster.conf), "tracking": cluster.tracking}), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        cluster.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
