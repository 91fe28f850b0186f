"""Secrets against the real server and a run that prints all it has: in no argument, file, log, page or download."""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState

from lfdash.files import read_json
from lfdash.launchers.base import Launched
from lfdash.launchers.local import LocalLauncher
from lfdash.runs.record import Handle
from lfdash.supervisor import mask
from tests.security.browser import Tab
from tests.security.conftest import Server, Start
from tests.support.runs import plan_for, record_for, wait_for

TYPED = "typed-0123456789/ab"
SERVER = {
    "SERVER_API_KEY": "server-0123456789", "ODD_PROXY": "http://ana:proxypass99@proxy.example:3128",
    "PGPASSWORD": "post/gres-0123", "MYSQL_PWD": "mysqlpwd-0123", "DATABASE_URL": "postgres://ana:dbpass77@db/app",
}
SECRETS = (TYPED, SERVER["SERVER_API_KEY"], "proxypass99", SERVER["PGPASSWORD"], SERVER["MYSQL_PWD"], "dbpass77")
WRITTEN = [  # what a run prints instead (leaky_cli.py)
    written for secret in (TYPED, SERVER["PGPASSWORD"]) for written in (
        quote(secret, safe=""), quote(secret, safe="").replace("%2F", "%2f"), secret.encode().hex(),
        base64.b64encode(f"user:{secret}".encode()).decode(),
    )
]
OWN = "generated_predictions.jsonl"  # what a model answered is not a log: hidden where it is shown


def holders(text: bytes) -> list[str]:
    """The secrets that stand in a text."""
    return [secret for secret in (*SECRETS, *WRITTEN) if secret.encode() in text]


def start_run(server: Server) -> tuple[Tab, Path]:
    """Types a token, starts a run, waits until it has printed everything."""
    before = runs(server)
    tab = Tab(server.url).open()
    tab.run(page__model="models/m", train__dataset=["rows"])
    tab.run(page__filter="hf_token").run(top__hf_token=TYPED).run(page__filter="").run(start=True)
    (folder,) = runs(server) - before
    wait_for(lambda: b"ready\n" in read(folder / "console.log"))
    return tab, folder


def runs(server: Server) -> set[Path]:
    """The folders of all runs."""
    return set(server.workspace.glob("saves/*/*/*"))


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def drafts(server: Server) -> bytes:
    """The forms that are kept, of every browser."""
    kept = list((server.workspace / ".lfdash").glob("draft-train*.json"))
    assert kept
    return b"".join(map(read, kept))


def processes() -> Iterator[tuple[int, bytes]]:
    """Every process and its command line."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name), read(Path(f"/proc/{name}/cmdline"))


@pytest.fixture(scope="module")
def leaky(serve: Start) -> Server:
    return serve(env={**SERVER, "LEAKY_LINK": "1"})


@pytest.fixture(scope="module")
def leaking(leaky: Server) -> tuple[Tab, Path]:
    """A tab on a run that has printed all its secrets and waits."""
    return start_run(leaky)


def test_the_run_has_the_secrets_and_its_logs_have_them_no_more(leaking: tuple[Tab, Path]) -> None:
    _, folder = leaking
    pid = json.loads((folder / "attempts/001/child.json").read_text())["child"]
    environment = read(Path(f"/proc/{pid}/environ"))
    assert f"HF_TOKEN={TYPED}".encode() in environment
    for name in ("console.log", "running_log.txt"):
        wait_for(lambda name=name: not holders(read(folder / name)))  # type: ignore[misc]
        text = read(folder / name)
        assert b"HF_TOKEN is '" + b"*" * len(TYPED) in text
        assert b"http://ana:***********@proxy.example" in text
        assert b"PGPASSWORD is '" + b"*" * len(SERVER["PGPASSWORD"]) in text
    console = read(folder / "console.log")
    assert console.count(b"?token=**********") == 4 and console.count(b"Authorization: Basic ") == 2


def test_no_command_line_has_them(leaky: Server, leaking: tuple[Tab, Path]) -> None:
    lines = dict(processes())
    assert leaky.process.pid in lines and any(b"/supervisor/" in line for line in lines.values())
    assert {pid: holders(line) for pid, line in lines.items() if holders(line)} == {}


def test_no_file_has_them(leaky: Server, leaking: tuple[Tab, Path]) -> None:
    wait_for(lambda: not holders(read(leaking[1] / "console.log")))
    files = [path for path in leaky.workspace.rglob("*") if path.is_file() and path.name != OWN]
    assert {"run.json", "spec.json", "draft-train.json", "training_args.yaml"} <= {path.name for path in files}
    assert {str(path): holders(path.read_bytes()) for path in files if holders(path.read_bytes())} == {}
    spec = json.loads((leaking[1] / "attempts/001/spec.json").read_text())
    assert {"HF_TOKEN", *SERVER} <= set(spec["secrets"])


def test_no_page_preview_or_download_has_them(leaking: tuple[Tab, Path]) -> None:
    tab, _ = leaking
    for word, shown in (("Log", "HF_TOKEN is"), ("Files", "console.log"), ("Configuration", "model_name_or_path:")):
        tab.run(page__tab_train=[word])
        assert tab.has_shown(shown) and not holders(tab.wire), word
    tab.run(preview=True)
    assert tab.shows('HF_TOKEN="$HF_TOKEN"') and not holders(tab.wire)
    downloads = tab.downloads()
    assert len(downloads) >= 2 and not any(map(holders, downloads))


def test_no_error_has_them(leaky: Server, leaking: tuple[Tab, Path]) -> None:
    tab, folder = leaking
    (folder / "go").touch()
    wait_for(lambda: (folder / "exit.json").exists())
    wait_for(lambda: tab.run().has_shown("401 Client Error"))
    assert not holders(tab.wire)
    assert not holders(read(folder / "console.log"))  # hidden before the end was told
    assert not holders("".join(leaky.said).encode())


def test_where_the_shim_was_killed_the_page_hides_them(leaky: Server, leaking: tuple[Tab, Path]) -> None:
    (leaking[1] / "go").touch()  # one run at a time
    wait_for(lambda: (leaking[1] / "exit.json").exists())
    tab, folder = start_run(leaky)
    shim = json.loads((folder / "attempts/001/child.json").read_text())["shim"]
    os.kill(shim, signal.SIGKILL)
    wait_for(lambda: not read(Path(f"/proc/{shim}/cmdline")))
    (folder / "go").touch()
    wait_for(lambda: b"401 Client Error" in read(folder / "console.log"))
    assert TYPED in holders(read(folder / "console.log"))  # nobody is left to hide it in the file
    wait_for(lambda: tab.run().has_shown("401 Client Error"))
    assert tab.has_shown("•••HF_TOKEN") and not holders(tab.wire)
    assert not holders(Tab(leaky.url).open("evaluate").wire)


UPLOADED = f"model_name_or_path: models/m\nhf_hub_token: {TYPED}\nms_hub_token: {TYPED}\nwandb_api_key: {TYPED}\n"


def test_a_loaded_file_with_tokens_leaves_them_in_memory_only(server: Server) -> None:
    tab = Tab(server.url).open()
    assert tab.upload("config.upload", "job.yaml", UPLOADED.encode()).status == 204
    assert tab.shows("hf\\_hub\\_token, wandb\\_api\\_key") and tab.shows("ms\\_hub")  # what became of them
    assert not holders(tab.wire)
    tab.run(preview=True)
    assert not holders(tab.wire) and not any(map(holders, tab.downloads()))
    files = [path for path in server.workspace.rglob("*") if path.is_file()]
    assert not [path for path in files if holders(path.read_bytes())]


def test_a_typed_argument_that_is_a_token_is_refused_and_not_kept(server: Server) -> None:
    before, tab = runs(server), Tab(server.url).open().run(open_more=opened())
    raw = next(key for key in tab.ids if key.endswith("more.raw"))
    tab.set(raw, f"hub_token: {TYPED}")
    tab.run(start=True)
    assert tab.shows("Use its own field, which keeps it in memory") and not holders(tab.drawn)
    tab.run(preview=True)
    assert not holders(tab.drawn)
    assert runs(server) == before
    assert not holders(drafts(server))


@pytest.fixture
def core_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Core files are wanted, and this process has no secrets of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("core files are forbidden here (ulimit -Hc)")
    for name in mask.names(os.environ):
        monkeypatch.delenv(name)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def run_locally(workspace: Path, secrets: dict[str, str], **args: object) -> Handle:
    """A run with secrets in its environment."""
    workspace.mkdir(exist_ok=True)
    plan = plan_for(workspace, name=f"r{len(list(workspace.glob('saves/m/lora/*')))}", secrets=tuple(secrets), **args)
    outcome = LocalLauncher().submit(plan, record_for(plan), secrets)
    assert isinstance(outcome, Launched)
    return outcome.handle


def core_limits(handle: Handle) -> list[bytes]:
    """The soft and the hard limit of core files of a run's process, which is then ended."""
    child = wait_for(lambda: read_json(handle.paths.attempt(1).child))["child"]
    (line,) = (line for line in read(Path(f"/proc/{child}/limits")).splitlines() if line.startswith(b"Max core"))
    assert LocalLauncher().stop(handle, "kill") is None
    wait_for(handle.paths.exit.exists)
    return line.split()[4:6]


@pytest.mark.usefixtures("core_files")
def test_a_run_with_secrets_leaves_no_core_file(tmp_path: Path) -> None:
    """A core file holds the environment. Where the system keeps cores elsewhere, the limit says so."""
    workspace, secrets = tmp_path / "workspace", {"WANDB_API_KEY": TYPED}
    hard = core_limits(run_locally(workspace, {}, load=600))
    assert hard[0] == hard[1]
    assert core_limits(run_locally(workspace, secrets, load=600)) == [b"0", hard[1]]
    left = []
    for given in (secrets, {}):
        handle = run_locally(workspace, given, fail="segfault")
        wait_for(handle.paths.exit.exists)
        assert read_json(handle.paths.exit)["code"] == -signal.SIGSEGV
        left.append([path.name for path in workspace.iterdir() if path.name.startswith("core")])
    pattern = read(Path("/proc/sys/kernel/core_pattern"))
    assert left[0] == [] and (left[1] != [] or not pattern.startswith(b"core"))


def opened() -> WidgetState:
    return WidgetState(bool_value=True)


def test_a_token_in_another_field_is_refused(server: Server) -> None:
    before, looks = runs(server), "hf_" + "a1B2" * 9
    tab = Tab(server.url).open().run(page__model=f"models/{looks}", train__dataset=["rows"]).run(start=True)
    assert tab.shows("looks like a token")
    assert runs(server) == before
    assert looks.encode() not in drafts(server)


def test_a_known_secret_in_a_field_is_refused(leaky: Server, leaking: tuple[Tab, Path]) -> None:
    tab = Tab(leaky.url).open()
    tab.run(page__model="models/server-0123456789", train__dataset=["rows"]).run(start=True)
    assert tab.shows("appears in the settings and would be written to files")
    assert not list(leaky.workspace.glob("saves/*server*"))


def test_a_mistake_of_ours_shows_no_trace_and_no_secret(serve: Start) -> None:
    """An exception in the code, whose message happens to be a secret: neither the page nor the console has it."""
    failing = {"LFDASH_FAILPOINTS": "launch.clicked=error:EIO", "SOME_SECRET": "Input/output error"}
    server = serve(env=failing)
    tab = Tab(server.url).open().run(page__model="models/m", train__dataset=["rows"]).run(start=True)
    assert tab.shows("OSError") and tab.shows("•••SOME")
    assert not tab.shows("Input/output error")
    for text in ("Traceback", "registry.py", "failpoints", "site-packages"):
        assert not tab.shows(text), text
    said = "".join(server.said)
    assert "Traceback" in said and "•••SOME_SECRET" in said and "Input/output error" not in said
