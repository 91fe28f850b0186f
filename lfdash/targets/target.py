"""What a target is: a place where jobs run, with what its scheduler is to be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["local", "slurm", "ray"]
KINDS: tuple[Kind, ...] = ("local", "slurm", "ray")
LOCAL = "local"  # this machine: a target that nobody makes, and no row may have its name


@dataclass(frozen=True)
class Target:
    """A row of targets.toml. Texts that are "" and numbers that are None leave the choice to the cluster.

    name: letters, digits, - and _. kind: who starts the jobs. cli: the llamafactory-cli there, absolute, or a name that
    is found after `modules` and `setup`; "" the dashboard's own. python: what runs the supervisor there, 3.9 or newer;
    "" the one beside `cli`. workspace: where the workspace lies there, absolute; "" under the same path. modules: for
    `module load`. setup: lines of bash, which every job there begins with, each a command of its own. container,
    runner: an image, and what runs it. address: of a Ray dashboard. token_file: what holds its token, on this machine.
    slurm_conf: the cluster's configuration file on this machine; "" the one that Slurm finds itself. partition,
    account, qos, constraint, time_limit, memory (of a node): as sbatch takes them. cpus, gpus: of a node; gpu_type: as
    in --gres=gpu:TYPE:N. nodes: how many. env: variables of every job there, without secrets; what a job sets itself
    wins. save_s: seconds before the time limit at which a training is told to save and stop; on Ray, those that it has
    after somebody has stopped its job there. resume: attempts that are started by themselves after a training was ended
    by its time limit or for another job (0: none). extra: more options of sbatch, each as in a line `#SBATCH OPTION`.
    """

    name: str
    kind: Kind
    cli: str = ""
    python: str = ""
    workspace: str = ""
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    container: str = ""
    runner: str = ""
    address: str = ""
    token_file: str = ""
    slurm_conf: str = ""
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    time_limit: str = ""
    memory: str = ""
    cpus: int | None = None
    gpus: int | None = None
    gpu_type: str = ""
    nodes: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    save_s: int = 120
    resume: int = 0
    extra: tuple[str, ...] = ()

    @property
    def launcher(self) -> str:
        """The name of its launcher, which the records of its runs carry."""
        return LOCAL if self.kind == LOCAL else f"{self.kind}:{self.name}"
