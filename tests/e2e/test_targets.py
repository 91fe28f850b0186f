"""A target is made, tested, changed and removed in the page: the real Slurm and Ray of the tests, a real browser.

Run by `make clusters`, not by `make e2e`: it needs a scheduler.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from lfdash.demo.__main__ import make_data
from lfdash.launchers.ray_offers import offered
from lfdash.targets.store import TargetStore
from lfdash.targets.target import Target
from tests.e2e.conftest import Server, drawn, picture, start_server
from tests.support.clusters.ray import RayCluster
from tests.support.clusters.slurm import SlurmCluster, until
from tests.support.models import pretend_model
from tests.support.runs import fake_cli

pytestmark = pytest.mark.clusters
LONG = 60_000  # ms: the machine is shared


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    """A dashboard on a workspace that has no target."""
    make_data(tmp_path / "ws" / "data")
    pretend_model(tmp_path / "ws")
    found = start_server(tmp_path / "ws", env={"LFDASH_CLI": fake_cli(tmp_path)})
    yield found
    found.end()


def fill(page: Page, dialog: Locator, label: str, text: str) -> None:
    box = dialog.get_by_label(label, exact=True).first
    box.fill(text)
    box.press("Tab")
    drawn(page)


def click(page: Page, name: str) -> None:
    page.click(f".st-key-{name} button")
    page.mouse.move(5, 5)  # its help covers what is below
    drawn(page)


def unfold(page: Page, dialog: Locator, group: str, field: str) -> None:
    """Opens a folded group."""
    dialog.get_by_text(group, exact=True).click()
    expect(dialog.get_by_label(field, exact=True).first).to_be_visible(timeout=LONG)
    drawn(page)


def opened(browser: Browser, served: Server) -> Page:
    """A tab whose dialog of targets is open, and empty."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US").new_page()
    page.goto(served.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=LONG)
    drawn(page)
    page.get_by_role("button", name="Run on a cluster…").click()
    expect(page.get_by_role("dialog").get_by_text("There is no target yet")).to_be_visible(timeout=LONG)
    return page


def test_from_no_target_to_one_that_is_tested_and_offered(
    browser: Browser, served: Server, cluster: SlurmCluster, tmp_path: Path
) -> None:
    store = TargetStore(tmp_path / "ws" / ".lfdash")
    page = opened(browser, served)
    dialog = page.get_by_role("dialog")
    click(page, "targets_new_slurm")
    fill(page, dialog, "Name", "my lab")
    fill(page, dialog, "GPUs per node", "none")
    unfold(page, dialog, "More", "slurm.conf on this machine")
    fill(page, dialog, "slurm.conf on this machine", str(cluster.conf))
    click(page, "target_ask_")
    expect(dialog.get_by_text("main *: CPUs free: 16")).to_be_visible(timeout=LONG)
    picture(page, "dialog-slurm")
    click(page, "target_save")
    expect(dialog.get_by_text("“my lab” cannot be the name of a target")).to_be_visible()
    expect(dialog.get_by_text("is not possible. Enter a whole number from 0 to 1024.")).to_be_visible()
    assert not store.read().rows
    fill(page, dialog, "Name", "lab")
    fill(page, dialog, "GPUs per node", "0")
    unfold(page, dialog, "Environment there", "Python of the supervisor there")
    fill(page, dialog, "Python of the supervisor there", sys.executable)
    click(page, "target_save")
    expect(dialog.get_by_text("“lab” was saved.")).to_be_visible(timeout=LONG)
    assert store.read().rows == {"lab": Target(
        "lab", "slurm", slurm_conf=str(cluster.conf), python=sys.executable, gpus=0)}

    click(page, "target_test_lab")
    found = dialog.get_by_text("What was found")
    expect(found).to_be_visible(timeout=LONG)
    found.click()
    expect(dialog.get_by_text("a lock of this machine is seen there")).to_be_visible(timeout=LONG)
    expect(dialog.get_by_text("is seen and written")).to_be_visible()
    expect(dialog.get_by_text("main *: CPUs free: ")).to_be_visible(timeout=LONG)
    picture(page, "list-slurm")

    for node in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    click(page, "target_test_lab")
    expect(dialog.get_by_text("The test waits in the cluster's queue (PENDING,")).to_be_visible(timeout=LONG)
    click(page, "target_cancel_lab")
    expect(found).to_be_visible(timeout=LONG)

    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    drawn(page)
    expect(page.get_by_role("button", name="Targets…")).to_be_visible()
    page.get_by_text("Devices", exact=True).click()
    expect(page.get_by_label("Target", exact=True).first).to_be_visible(timeout=LONG)

    page.get_by_role("button", name="Targets…").click()
    click(page, "target_remove_lab")
    click(page, "targets_sure_yes")
    expect(dialog.get_by_text("“lab” was removed.")).to_be_visible(timeout=LONG)
    assert not store.read().rows
    page.context.close()


def test_a_ray_target_is_asked_and_tested(
    browser: Browser, served: Server, ray_cluster: RayCluster, tmp_path: Path
) -> None:
    """One that asks for a GPU is told that no node has one; it waits, says why, and is canceled."""
    store = TargetStore(tmp_path / "ws" / ".lfdash")
    made = Target(
        "pool", "ray", address=ray_cluster.address, token_file=str(ray_cluster.token_file), python=sys.executable)
    assert until(lambda: offered(made).offers[0].free_cpus == 16, 60), "Ray tells late of a node that is new"
    page = opened(browser, served)
    dialog = page.get_by_role("dialog")
    click(page, "targets_new_ray")
    ask = page.locator(".st-key-target_ask_ button").first
    expect(ask).to_be_disabled()
    fill(page, dialog, "Name", "pool")
    fill(page, dialog, "Address of the Ray dashboard", ray_cluster.address)
    expect(ask).to_be_enabled()
    click(page, "target_ask_")
    expect(dialog.get_by_text("wants one (401)")).to_be_visible(timeout=LONG)
    fill(page, dialog, "Token file on this machine", str(ray_cluster.token_file))
    expect(dialog.get_by_text("wants one (401)")).to_have_count(0)
    click(page, "target_ask_")
    expect(dialog.get_by_text("All nodes: no GPU · CPUs free: 16 of 16 · memory free: 16 of 16 GiB")).to_be_visible(
        timeout=LONG)
    unfold(page, dialog, "Environment there", "Python of the supervisor there")
    fill(page, dialog, "Python of the supervisor there", sys.executable)
    picture(page, "dialog-ray")
    click(page, "target_save")
    expect(dialog.get_by_text("“pool” was saved.")).to_be_visible(timeout=LONG)
    assert store.read().rows == {"pool": made}
    expect(dialog.get_by_text("GPUs per node: 1 > 0")).to_be_visible(timeout=LONG)
    click(page, "target_test_pool")
    expect(dialog.get_by_text("may be waiting for resources")).to_be_visible(timeout=LONG)
    picture(page, "waits-ray", 1)
    click(page, "target_cancel_pool")
    expect(dialog.get_by_text("Not tested yet.")).to_be_visible(timeout=LONG)

    click(page, "target_edit_pool")
    fill(page, dialog, "GPUs per node", "0")
    click(page, "target_save")
    expect(dialog.get_by_text("GPUs per node: 1 > 0")).to_have_count(0)
    click(page, "target_test_pool")
    found = dialog.get_by_text("What was found")
    expect(found).to_be_visible(timeout=LONG)
    found.click()
    expect(dialog.get_by_text("a lock of this machine is seen there")).to_be_visible(timeout=LONG)
    picture(page, "list-ray")
    page.context.close()
