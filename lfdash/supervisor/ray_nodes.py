"""Runs a program on several nodes of a Ray cluster, as srun does on one of Slurm's: a bundle of a placement group on
each, and in it the supervisor of that node's part (nodes.py, NodeShim).

    python3 ray_nodes.py --folder=ATTEMPT_DIR --nodes=N --gpus=N --cpus=N [--memory=BYTES] [--path=FOLDER] -- COMMAND...

It is a job's entry point, which the first node's supervisor starts; `ray` is the cluster's. USE_RAY of LLaMA-Factory is
not used: it reserves the whole cluster, and leaves the graceful stop out. The output of all nodes goes to the file that
is this process's own. Secrets go by files of mode 0600, one a node, which its supervisor takes away.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

START = "RAY_JOB_START_TIMEOUT_SECONDS"  # what Ray's head takes for it, too (job_manager.py)
START_S = 900.0
OTHERS_S = 5.0  # for the others to end by themselves once one has failed
RANK = "LFDASH_NODE_RANK"  # nodes.py


def asked(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What the command line asks for, and the command."""
    split = words.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--path", default="")
    return parser.parse_args(words[:split]), words[split + 1 :]


def bundle(wanted: argparse.Namespace) -> dict[str, float]:
    """What a node is asked for."""
    found = {"CPU": float(wanted.cpus), "GPU": float(wanted.gpus), "memory": float(wanted.memory)}
    return {name: value for name, value in found.items() if value}


def address() -> tuple[str, int]:
    """Where this node is, and a port that nobody has there just now. Runs on a node."""
    import ray.util

    host = ray.util.get_node_ip_address()
    with socket.socket() as one:
        one.bind((host, 0))
        return host, int(one.getsockname()[1])


def part(command: list[str], env: dict[str, str], path: str, log: str, folder: str) -> int:
    """A node's part, to its end; its exit code. Runs on a node."""
    full = {**os.environ, **env}
    if path:
        full["PATH"] = f"{path}:{full.get('PATH', '')}"
    with open(log, "ab", buffering=0) as out:
        return subprocess.call(command, env=full, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)


def leave_secrets(folder: str, rank: int) -> None:
    """Leaves the secrets of this process for a node."""
    with open(os.path.join(folder, "spec.json"), encoding="utf-8") as file:
        names = json.load(file).get("sealed") or []
    if names:
        path = os.path.join(folder, f"secrets.{rank}")  # remote.py, sealed_of
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump({name: os.environ[name] for name in names if name in os.environ}, out)


def reserved(ray: Any, wanted: argparse.Namespace) -> Any:
    """A placement group with a bundle on each node; ends this process when Ray has none in time."""
    from ray.util.placement_group import placement_group

    group = placement_group([bundle(wanted)] * wanted.nodes, strategy="STRICT_SPREAD")
    text = ", ".join(f"{name} {value:g}" for name, value in bundle(wanted).items())
    print(f"Ray: waiting for {wanted.nodes} nodes with {text} each", flush=True)
    seconds = float(os.environ.get(START) or START_S)
    if not group.wait(seconds):
        alive = sum(bool(node["Alive"]) for node in ray.nodes())
        sys.exit(
            f"Ray: there were no {wanted.nodes} nodes with {text} each within {seconds:.0f} s; the cluster has "
            f"{alive} nodes"
        )
    return group


def run(ray: Any, wanted: argparse.Namespace, command: list[str], log: str) -> int:
    """All parts, to their end; the first exit code that is not 0."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = reserved(ray, wanted)

    def on(rank: int) -> dict[str, Any]:
        place = PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=rank)
        return {
            "num_cpus": wanted.cpus, "num_gpus": wanted.gpus, "memory": wanted.memory or None,
            "scheduling_strategy": place, "max_retries": 0,
        }

    remote_part, remote_address = ray.remote(part), ray.remote(address)
    host, port = ray.get(remote_address.options(**on(0)).remote())
    parts = []
    for rank in range(wanted.nodes):
        env = {
            RANK: str(rank), "FORCE_TORCHRUN": "1", "NNODES": str(wanted.nodes), "MASTER_ADDR": host,
            "NPROC_PER_NODE": str(max(wanted.gpus, 1)), "MASTER_PORT": str(port),
        }
        leave_secrets(wanted.folder, rank)
        parts.append(remote_part.options(**on(rank)).remote(command, env, wanted.path, log, wanted.folder))
    return first_failure(ray, parts)


def first_failure(ray: Any, parts: list[Any]) -> int:
    """The first exit code that is not 0. When one fails, the others are not waited for for long."""
    end, code = None, 0
    while parts:
        done, parts = ray.wait(parts, timeout=1.0)
        for one in done:
            try:
                code = code or int(ray.get(one))
            except ray.exceptions.RayError as error:
                print(f"Ray: a node's part is lost: {type(error).__name__}: {error}", flush=True)
                code = code or 1
        if code and end is None:
            end = time.monotonic() + OTHERS_S
        if end is not None and time.monotonic() > end:
            break
    return code


def main() -> None:
    """From the command line to the exit code; Ray ends what is left of the other parts when this process ends."""
    wanted, command = asked(sys.argv[1:])
    try:
        import ray
    except ImportError:
        sys.exit(f"Ray: {sys.executable} has no ray; several nodes need a python3 in PATH that has the cluster's")
    ray.init(log_to_driver=False, logging_level="warning")
    log = os.path.normpath(os.path.join(wanted.folder, "..", "..", "console.log"))
    try:
        code = run(ray, wanted, command, log)
    finally:
        for rank in range(wanted.nodes):
            with suppress(OSError):
                os.unlink(os.path.join(wanted.folder, f"secrets.{rank}"))
    sys.exit(code)


if __name__ == "__main__":
    main()
