"""What will be run: one value that is both the preview and the launch."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

ARGS_FILE = "training_args.yaml"
END = "END_OF_FILE"  # of the text in the preview; no line of a configuration is this

# Variables that must not leak from the dashboard's environment into a run: they switch the whole CLI to
# another implementation (launcher.py, cli.py) or make it believe that it is a rank of another job
# (torch, extras/misc.py). What a job sets itself wins.
UNSET = (
    "LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT", "NNODES", "NODE_RANK", "NPROC_PER_NODE", "RDZV_ID",
    "FORCE_TORCHRUN", "USE_V1", "USE_RAY", "USE_KT", "USE_MCA",
)


@dataclass(frozen=True)
class LaunchPlan:
    """One launch, complete: `str(plan)` is what the user previews, the same object is submitted.

    argv, cwd (absolute): what is started where. env: set besides the inherited; unset: removed from it;
    secrets: names whose values are added at launch. output_dir: relative to cwd (or absolute).
    files: path relative to output_dir -> text, written before the start. path: folder put before PATH, or "":
    llamafactory-cli starts `torchrun` by name (launcher.py), which is found only beside it when its
    environment is not activated. script: the name in `files` of the batch script that a scheduler is given; "" where
    there is none.
    """

    run_id: str
    attempt: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    unset: tuple[str, ...]
    secrets: tuple[str, ...]
    cwd: str
    output_dir: str
    files: Mapping[str, str]
    path: str = ""
    script: str = ""

    def without_script(self) -> LaunchPlan:
        """The plan before a scheduler's launcher has seen it."""
        return replace(self, files={name: text for name, text in self.files.items() if name != self.script}, script="")

    def __str__(self) -> str:
        """Shell text that does the same when pasted: the file that is run is written by the text itself; of a run that
        a scheduler starts, its batch script.

        Secrets appear as names, to be set in that shell; in a batch script they do not appear.
        """
        if self.script:
            return self.files[self.script]
        folder, file = shlex.quote(self.output_dir), shlex.quote(f"{self.output_dir}/{ARGS_FILE}")
        words = ["env", *(f"-u {name}" for name in self.unset)]
        if self.path:
            words.append(f'PATH={shlex.quote(self.path)}:"$PATH"')
        words += [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        words += [f'{name}="${name}"' for name in self.secrets]
        return (
            f"cd {shlex.quote(self.cwd)} && mkdir -p {folder} && cat > {file} <<'{END}' &&\n"
            f"{self.files[ARGS_FILE].rstrip()}\n{END}\n{' '.join(words)} {shlex.join(self.argv)}"
        )


def make_plan(
    *,
    run_id: str,
    args: Mapping[str, Any],
    env: Mapping[str, str],
    secrets: Sequence[str],
    files: Mapping[str, str],
    cli: str,
    cwd: str,
    output_dir: str,
    attempt: int = 1,
    command: str = "train",
) -> LaunchPlan:
    """The plan of one `llamafactory-cli train`. Pure.

    args: LLaMA-Factory's arguments; they become training_args.yaml unless `files` brings that file.
    command: of llamafactory-cli, "train" (evaluation too) or "export". cli: its path or name.
    LLAMABOARD_ENABLED makes LLaMA-Factory stop gracefully on SIGABRT and needs LLAMABOARD_WORKDIR
    (train/callbacks.py, LogCallback).
    """
    full = {**env, "LLAMABOARD_ENABLED": "1", "LLAMABOARD_WORKDIR": output_dir}
    texts = {ARGS_FILE: "", **files}
    if ARGS_FILE not in files:
        texts[ARGS_FILE] = yaml.safe_dump(dict(args), sort_keys=False, allow_unicode=True)
    return LaunchPlan(
        run_id=run_id,
        attempt=attempt,
        argv=(cli, command, f"{output_dir}/{ARGS_FILE}"),
        env=full,
        unset=tuple(name for name in UNSET if name not in full),
        secrets=tuple(secrets),
        cwd=cwd,
        output_dir=output_dir,
        files=texts,
        path=posixpath.dirname(cli),
    )
