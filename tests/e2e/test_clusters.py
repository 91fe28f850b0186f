"""A training on a cluster through the page: the real Slurm and the real Ray of the tests, the real LLaMA-Factory, a
real browser.

Run by `make clusters`, not by `make e2e`: it needs a scheduler.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lfdash.targets.store import TargetStore
from lfdash.targets.target import Target
from tests.e2e.conftest import Server, drawn, no_double_click, pick_option, picture, serving
from tests.e2e.test_train import MINUTES, losses, run_folder, run_name, shown_step, wait_state
from tests.support.clusters.ray import CPUS, RayCluster
from tests.support.clusters.slurm import SlurmCluster, until
from tests.support.runs import fake_cli

pytestmark = [pytest.mark.clusters, pytest.mark.train_env]
STRIP = ".st-key-strip"
BODY = "[data-testid=stMain]"


@dataclass(frozen=True)
class Place:
    """A cluster, as the steps below need it. by: who runs jobs there. part: what the form says of the target. preview:
    the title of what it is sent, and words in that; file: where that lies in a run's folder. why: the reason for which
    a job waits while the cluster is held. jobs: the names of all jobs there."""

    target: Target
    by: str
    part: str
    preview: tuple[str, str]
    file: str
    why: str
    hold: Callable[[], None]
    let_go: Callable[[], None]
    jobs: Callable[[], list[str]]


def slurm_place(cluster: SlurmCluster) -> Place:
    target = Target(
        "lab", "slurm", slurm_conf=str(cluster.conf), python=sys.executable, partition="main", cpus=1, gpus=0,
        memory="3000M", time_limit="30", env={"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    return Place(
        target, "Slurm", "Partition: main", ("Batch script for lab", "#SBATCH --partition=main"), "batch.sh",
        "down, drained or reserved", lambda: set_nodes(cluster, "drain"), lambda: set_nodes(cluster, "resume"),
        lambda: [job[2] for job in cluster.jobs()],
    )


def ray_place(cluster: RayCluster) -> Place:
    target = Target(
        "lab", "ray", address=cluster.address, token_file=str(cluster.token_file), python=sys.executable, cpus=2,
        gpus=0, memory="3000M", env={"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    held = [f"hold-{secrets.token_hex(4)}" for _ in range(2)]

    def hold() -> None:
        """Other jobs have all but one CPU of each node."""
        for name in held:
            cluster.request("POST", "/api/jobs/", {
                "entrypoint": "sleep 600", "submission_id": name, "entrypoint_num_cpus": CPUS - 1,
            })
        assert until(lambda: all(cluster.job(name)["status"] == "RUNNING" for name in held), 30)

    def let_go() -> None:
        for name in held:
            with suppress(urllib.error.HTTPError):
                cluster.stop_job(name)

    return Place(
        target, "Ray", "Address of the Ray dashboard: ",
        ("What Ray is sent for lab", "entrypoint_num_cpus: 2"), "ray_job.yaml", "waiting for resources", hold, let_go,
        lambda: [row["submission_id"] for row in cluster.jobs()],
    )


@contextmanager
def on_target(place: Place, demo: Path, workspace: Path, **env: str) -> Iterator[Server]:
    """A dashboard on a copy of the demo workspace that has a target. env: of the dashboard and of what runs there."""
    with serving(demo, workspace, **env) as running:
        more = {key: value for key, value in env.items() if key == "FAKE_ARGS"}
        target = replace(place.target, env={**place.target.env, **more})
        assert TargetStore(workspace / ".lfdash").put(target, None) is None
        yield running


@pytest.fixture
def stand_in(
    cluster: SlurmCluster, demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """With a program that only logs like LLaMA-Factory, for half an hour: what is told of it is the cluster's."""
    folder = tmp_path_factory.mktemp("stand_in")
    env = {"LFDASH_CLI": fake_cli(folder), "FAKE_ARGS": json.dumps({"steps": 9000, "delay": 0.2})}
    with on_target(slurm_place(cluster), demo_workspace, folder / "workspace", **env) as running:
        yield running


@contextmanager
def visited(browser: Browser, server: Server) -> Iterator[Page]:
    """A fresh tab."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=MINUTES)
    yield page
    context.close()


def set_nodes(cluster: SlurmCluster, state: str) -> None:
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", f"state={state}", "reason=test")


def choose_target(page: Page, name: str, part: str = "Partition: main") -> None:
    """Opens the group of the devices and chooses where the job runs."""
    box = page.locator(".st-key-train-target input:visible")
    if not box.count():
        page.locator("section[data-testid=stSidebar] summary").filter(has_text="Devices").click()
    pick_option(page, box, name)
    expect(page.locator(".st-key-group_devices")).to_contain_text(part)


def fill(page: Page, field: str, value: str) -> None:
    """Finds a field by the filter and types its value."""
    page.locator(".st-key-page-filter input").fill(field)
    box = page.locator(f".st-key-train-{field} input:visible")
    box.fill(value)
    box.press("Tab")
    drawn(page)
    page.locator(".st-key-page-filter input").fill("")
    expect(page.locator(".st-key-train-learning_rate input:visible")).to_be_visible()
    drawn(page)


def goes_all_the_way(page: Page, server: Server, place: Place) -> None:
    """Preview, a reason to wait, chart, a stop that saves, the rest of it."""
    pictured = place.by.lower()
    place.hold()
    fill(page, "save_steps", "10")
    choose_target(page, "lab", place.part)
    expect(page.locator(".st-key-foot_job")).to_contain_text("on lab")
    expect(page.locator(".st-key-train-devices")).to_have_count(0)  # this machine's
    expect(page.locator(".st-key-train-gpu_count input:visible")).to_be_visible()
    picture(page, f"{pictured}-form")

    page.click(".st-key-preview button")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(place.preview[0])
    script = dialog.locator("code").first
    expect(script).to_contain_text(place.preview[1])
    previewed = script.inner_text()
    picture(page, f"{pictured}-preview")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    name = run_name(page)
    page.click(".st-key-start button")
    expect(page.locator(f"{STRIP} .lf-name")).to_have_text(name, timeout=MINUTES)
    waits(page, place)

    place.let_go()
    wait_state(page, "RUNNING", 2)
    expect(page.locator(f"{STRIP} .lf-state").first).to_have_attribute(
        "title", re.compile(rf"^{place.by} \S+: RUNNING"), timeout=MINUTES
    )
    page.wait_for_selector(".lf-canvas canvas", timeout=3 * MINUTES)
    page.wait_for_function(
        f"() => parseInt(document.querySelector('{STRIP} .lf-fact b').innerText) >= 12", timeout=4 * MINUTES
    )
    picture(page, f"{pictured}-running", 1)

    page.click(".st-key-stop button")
    wait_state(page, "STOPPED", 3)
    folder = run_folder(server, name)
    assert (folder / "adapter_model.safetensors").exists()
    step = shown_step(page)
    record = json.loads((folder / "run.json").read_text())
    assert (folder / place.file).read_text().strip() == previewed.strip(), "what was shown is what ran"
    assert record["launcher"] == place.target.launcher and step < losses(folder)[-1][0] + 2

    page.click("[class*=st-key-resume_menu_after] button:enabled")
    page.click(".st-key-resume_after button")
    wait_state(page, "SUCCEEDED", 6)
    picture(page, f"{pictured}-finished", 1)
    planned = json.loads((folder / "trainer_log.jsonl").read_text().splitlines()[0])["total_steps"]
    assert losses(folder)[-1][0] == shown_step(page) == planned
    names = " ".join(place.jobs())
    assert all(f"lfdash-{record['run_id']}-{number}" in names for number in (1, 2))
    assert "LFDASH_TARGET=lab" in (folder / "training_args.yaml").read_text(), "a clone runs there, too"


def waits(page: Page, place: Place) -> None:
    """A job that waits in the queue of a cluster is shown as that, with the reason. Ray gives one up after a while."""
    state = page.locator(f"{STRIP} .lf-state").first
    expect(state).to_have_text("IN CLUSTER QUEUE", timeout=MINUTES)
    expect(state).to_have_attribute("title", re.compile(rf"^{place.by} \S+: PENDING"), timeout=MINUTES)
    expect(page.locator(BODY)).to_contain_text(f"Waits in the queue of {place.by} on lab")
    expect(page.locator(BODY)).to_contain_text(place.why)
    expect(page.locator(f"{STRIP} [data-target]")).to_have_text("lab")
    expect(page.locator(BODY)).not_to_contain_text("No checkpoint yet")
    picture(page, f"{place.by.lower()}-pending", 1)
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.locator(".st-key-runs_count")).to_be_visible()
    drawn(page)
    expect(page.locator("[data-testid=stDataFrame]").first).to_contain_text("lab")
    page.get_by_role("link", name="Train", exact=True).click()


def test_a_training_waits_runs_is_stopped_resumed_and_finishes(
    browser: Browser, cluster: SlurmCluster, demo_workspace: Path, tmp_path: Path
) -> None:
    place = slurm_place(cluster)
    with on_target(place, demo_workspace, tmp_path / "workspace") as server, visited(browser, server) as page:
        goes_all_the_way(page, server, place)


def test_the_same_on_ray(
    browser: Browser, ray_cluster: RayCluster, demo_workspace: Path, tmp_path: Path
) -> None:
    place = ray_place(ray_cluster)
    with on_target(place, demo_workspace, tmp_path / "workspace") as server, visited(browser, server) as page:
        goes_all_the_way(page, server, place)


def begin(page: Page, state: str) -> str:
    """Starts another run; its number on the cluster, once the page shows this state of it."""
    name = run_name(page)
    page.click(".st-key-start button")
    expect(page.locator(f"{STRIP} .lf-name")).to_have_text(name, timeout=MINUTES)
    label = page.locator(f"{STRIP} .lf-state").first
    expect(label).to_have_attribute("title", re.compile(rf"^Slurm \d+: {state}"), timeout=MINUTES)
    return str(label.get_attribute("title")).split()[1].rstrip(":")


def test_what_others_do_to_a_job_is_told(browser: Browser, stand_in: Server, cluster: SlurmCluster) -> None:
    """One that still waits is taken back; one is cancelled on the cluster; its scheduler falls silent."""
    with visited(browser, stand_in) as page:
        choose_target(page, "lab")
        set_nodes(cluster, "drain")
        waits = begin(page, "PENDING")
        page.click(".st-key-stop button")
        wait_state(page, "STOPPED", 1)
        assert until(lambda: {job: word for job, word, _ in cluster.jobs()}[waits] == "CANCELLED", 20)

        set_nodes(cluster, "resume")
        no_double_click(page)
        runs = begin(page, "RUNNING")
        page.wait_for_function(
            f"() => parseInt(document.querySelector('{STRIP} .lf-fact b').innerText) >= 2", timeout=MINUTES
        )
        cluster.call("scancel", runs)
        wait_state(page, "STOPPED", 1)
        expect(page.locator(BODY)).to_contain_text("cancelled on the cluster, not from here")
        picture(page, "cancelled")

        set_nodes(cluster, "drain")
        no_double_click(page)
        begin(page, "PENDING")
        cluster.pause("slurmctld")
        expect(page.locator(BODY)).to_contain_text("The scheduler of lab does not answer", timeout=2 * MINUTES)
        expect(page.locator(BODY)).not_to_contain_text("LLaMA-Factory is loading")  # nobody knows
        picture(page, "silent")
        page.get_by_role("link", name="Runs", exact=True).click()
        expect(page.locator("[data-testid=stDataFrame]").first).to_contain_text("unseen", timeout=MINUTES)
        expect(page.locator(BODY)).to_contain_text("Runs there are shown as last seen")
        expect(page.locator(BODY)).not_to_contain_text("nothing is started from the queue")
        picture(page, "silent-runs")
        page.get_by_role("link", name="Train", exact=True).click()
        cluster.go_on("slurmctld")
        expect(page.locator(BODY)).not_to_contain_text("does not answer", timeout=2 * MINUTES)
        page.click(".st-key-stop button")
        wait_state(page, "STOPPED", 1)


def test_the_array_of_a_sweep_is_what_its_dialog_showed(
    browser: Browser, stand_in: Server, cluster: SlurmCluster
) -> None:
    set_nodes(cluster, "drain")
    with visited(browser, stand_in) as page:
        choose_target(page, "lab")
        page.click(".st-key-sweep button")
        dialog = page.get_by_role("dialog")
        pick_option(page, dialog.locator(".st-key-sweep-fields input"), "learning_rate", search=True)
        page.keyboard.press("Tab")  # Esc would close the dialog
        drawn(page)
        box = dialog.locator(".st-key-sweep-values-learning_rate input")
        box.fill("0.001, 0.005, 1e-7")
        box.press("Tab")
        drawn(page)
        dialog.get_by_text("What lab gets", exact=True).click()
        script = dialog.locator("code").filter(has_text="--array=0-2%")
        expect(script).to_be_visible(timeout=MINUTES)
        script.scroll_into_view_if_needed()
        picture(page, "sweep")
        shown = script.inner_text()
        dialog.locator(".st-key-sweep_start button").first.click()
        expect(dialog).to_have_count(0)

        def arrays() -> list[Path]:
            return list((stand_in.workspace / ".lfdash" / "sweeps").glob("*/arrays/*.sh"))

        assert until(lambda: bool(arrays()), 60), "no array was submitted"
        assert [path.read_text().strip() for path in arrays()] == [shown.strip()]
