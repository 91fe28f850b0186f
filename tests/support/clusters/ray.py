"""A real Ray on the loopback: a head, and a second node on the same machine, in an environment of their own.

Everything is private to a folder: token, ports, sockets, logs. It ends with the process that started it, by its
processes (`ray stop` would end every Ray of this user). Nothing listens elsewhere, and without the token nobody gets
an answer.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfdash.runs.record import Handle
from lfdash.supervisor.processes import descendants, send
from tests.support import ROOT
from tests.support.clusters.slurm import free_ports, until

VARIABLE = "LFDASH_RAY"  # the environment that has ray; made by `make clusters`
CPUS = 8
MEMORY = 8 << 30  # that each node says it has
# `ray start` takes a second node on a machine for a mistake when all is to stay on the loopback; clusters of Ray's own
# tests are made of such nodes, too.
SECOND = """\
import types
from ray._private import ray_constants
from ray.scripts import scripts
scripts.ray_constants = types.SimpleNamespace(**{**vars(ray_constants), "ENABLE_RAY_CLUSTER": True})
scripts.main()
"""


def home() -> Path:
    """The environment that has ray."""
    cache = os.environ.get("LFDASH_TEST_CACHE")
    return Path(os.environ.get(VARIABLE) or (Path(cache) / "ray" if cache else ROOT / ".venv-ray"))


def missing() -> str:
    """Why there can be no Ray here; "" when there can."""
    return "" if (home() / "bin" / "ray").exists() else f"no {home()}/bin/ray: make setup-ray"


@dataclass
class RayCluster:
    """A Ray that is started and stopped. address: of its dashboard. token_file: what holds its token."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")))
    keeper: subprocess.Popen[str] | None = None
    gcs: int = 0
    http: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {
            **kept, "PATH": f"{home() / 'bin'}:{os.environ.get('PATH', '')}", "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_JOB_START_TIMEOUT_SECONDS": "25", "OMP_NUM_THREADS": "1",
            "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_health_check_initial_delay_ms": "1000",
            "RAY_health_check_period_ms": "1000",
        }

    def start(self) -> RayCluster:
        """Starts everything and waits for both nodes."""
        self.token_file.touch(0o600)
        self.token_file.write_text(secrets.token_hex(32))
        self.keeper = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("keeper.py"))], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # what ends the tests as a group is not to end it before the daemons
        )
        self.gcs, self.http = free_ports(2)
        self.start_head()
        self.start_second()
        return self

    def start_head(self) -> None:
        """Starts a head; one that was killed has left nothing to it."""
        self._ray(
            [str(home() / "bin" / "ray")], "--head", f"--port={self.gcs}", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.http}", "--include-dashboard=true", f"--temp-dir={self.folder}/t", workers=20000,
        )
        assert until(self.answers, 60), self.logs()
        assert until(self.takes_jobs, 60), self.logs()

    def start_second(self) -> None:
        """Starts the second node, and waits until Ray has both."""
        self._ray([str(home() / "bin" / "python"), "-c", SECOND], f"--address=127.0.0.1:{self.gcs}", workers=20300)
        found = re.search(r"--node_id=(\w+)", command_line(self.second()))
        assert found is not None and until(lambda: found[1] in self.nodes(), 60), self.logs()

    def _ray(self, program: Sequence[str], *words: str, workers: int) -> None:
        (agent,) = free_ports(1)
        code, out = self.run(
            *program, "start", "--node-ip-address=127.0.0.1", f"--dashboard-agent-listen-port={agent}",
            f"--num-cpus={CPUS}", "--num-gpus=0", f"--memory={MEMORY}", "--object-store-memory=80000000",
            "--disable-usage-stats", f"--min-worker-port={workers}", f"--max-worker-port={workers + 200}", *words,
        )
        assert code == 0, out

    def run(self, *argv: str) -> tuple[int, str]:
        """Runs a program below the keeper; exit code and output."""
        assert self.keeper is not None and self.keeper.stdin is not None and self.keeper.stdout is not None
        self.keeper.stdin.write(json.dumps({"argv": argv, "env": self.env, "cwd": str(self.folder)}) + "\n")
        self.keeper.stdin.flush()
        answer = json.loads(self.keeper.stdout.readline())
        return int(answer["code"]), str(answer["out"])

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """An answer of the dashboard's. OSError."""
        headers = {"Authorization": f"Bearer {self.token_file.read_text()}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return json.loads(answer.read())

    def answers(self) -> bool:
        with suppress(OSError, ValueError):
            return isinstance(self.jobs(), list)
        return False

    def takes_jobs(self) -> bool:
        """Whether a job can be submitted: the head answers before its agent is there."""
        with suppress(OSError, ValueError):
            self.request("POST", "/api/jobs/", {"entrypoint": "true", "submission_id": secrets.token_hex(4)})
            return True
        return False

    def nodes(self) -> list[str]:
        """The ids of the nodes that live."""
        with suppress(OSError, ValueError, KeyError):
            rows = self.request("GET", "/nodes?view=summary")["data"]["summary"]
            return [row["raylet"]["nodeId"] for row in rows if row["raylet"].get("state") == "ALIVE"]
        return []

    def jobs(self, workspace: Path | str = "") -> list[dict[str, Any]]:
        """What Ray says of all submissions, or of those of a workspace: one that was forgotten may come again when its
        last process ends."""
        rows = [row for row in self.request("GET", "/api/jobs/") if row.get("submission_id")]
        return [row for row in rows if str(workspace) in row["entrypoint"]]

    def job(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.request("GET", f"/api/jobs/{job}")
        return found

    def stop_job(self, job: str) -> None:
        """As `ray job stop` does it."""
        self.request("POST", f"/api/jobs/{job}/stop")

    def processes(self, part: str) -> list[int]:
        """The processes of this Ray with that in their command line."""
        assert self.keeper is not None
        return [pid for pid in descendants(self.keeper.pid) if part in command_line(pid)]

    def kill(self, part: str) -> None:
        """SIGKILL to those."""
        found = self.processes(part)
        assert found, f"no {part}"
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def second(self) -> int:
        """The raylet of the second node; 0 for none."""
        return next((pid for pid in self.processes("/raylet/raylet") if "--head" not in command_line(pid)), 0)

    def is_below(self, handle: Handle, raylet: int) -> bool:
        """Whether a run is on the node of a raylet."""
        shim = json.loads(handle.paths.attempt(handle.attempt).child.read_text())["shim"]
        return shim in descendants(raylet)

    @contextmanager
    def paused(self, part: str) -> Iterator[None]:
        """What has that in its command line does nothing meanwhile."""
        found = self.processes(part)
        assert found, f"no {part}"
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in found:
                os.kill(pid, signal.SIGCONT)

    def clear(self) -> None:
        """Ends every job and forgets it, and has both nodes again, with all that they have."""
        if not until(self.answers, 3):
            self.restart()
        for row in self.jobs():
            if row["status"] in ("PENDING", "RUNNING"):
                with suppress(urllib.error.HTTPError):
                    self.stop_job(row["submission_id"])
        if not until(lambda: all(row["status"] not in ("PENDING", "RUNNING") for row in self.jobs()), 25):
            self.restart()
        for row in self.jobs():
            with suppress(urllib.error.HTTPError):
                self.request("DELETE", f"/api/jobs/{row['submission_id']}")
        # Where an id is used again at once, Ray takes the end of the old job for that of the new one, whose place then
        # stays taken.
        if not until(lambda: not self.processes("ray::JobSupervisor"), 20):
            self.restart()
        if not self.second():
            self.start_second()

    def restart(self) -> None:
        """Kills all, and starts it anew."""
        self.kill_all()
        self.start_head()
        self.start_second()

    def kill_all(self) -> None:
        """SIGKILL to every daemon, every worker and what jobs have started, as when a machine loses its power."""
        assert self.keeper is not None
        while left := descendants(self.keeper.pid):
            stop_and_kill(left)

    def kill_node(self, raylet: int) -> None:
        """The same to the node of a raylet alone."""
        stop_and_kill([raylet, *descendants(raylet)])

    def logs(self) -> str:
        """The last lines of the logs that tell why it does not start."""
        texts = []
        for name in ("gcs_server.out", "raylet.out", "dashboard.log"):
            log = self.folder / "t" / "session_latest" / "logs" / name
            if log.exists():
                texts.append(f"--- {name}\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:]))
        return "\n".join(texts)

    def stop(self) -> None:
        """Ends everything, and takes the folder away."""
        if self.keeper is not None and self.keeper.stdin is not None:
            self.keeper.stdin.close()
            self.keeper.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def stop_and_kill(pids: list[int]) -> None:
    """SIGKILL to all in one moment: nobody sees how another one ends."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        send(pids, number)


def command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    return ""


def main(env: Mapping[str, str] = os.environ) -> None:
    """Starts one to play with, until Ctrl-C: python -m tests.support.clusters.ray"""
    cluster = RayCluster().start()
    print(json.dumps({"address": cluster.address, "token_file": str(cluster.token_file)}), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
