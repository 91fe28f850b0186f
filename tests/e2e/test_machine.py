"""The line at the top of every page, in a real browser: on a machine without a GPU, and on one with a stand-in for the
tool of a vendor."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lfdash.runs.paths import RunPaths, marker
from lfdash.supervisor.processes import marked
from tests.e2e.conftest import Server, drawn, end_runs
from tests.support.runs import fake_cli, wait_for
from tests.support.server import start_server

pytestmark = pytest.mark.e2e
PAGES = ("", "runs", "compare", "evaluate", "export", "data", "arguments", "sweep")
TOP_PX = 40  # of the band in which the line stands

TOOL = """#!/bin/sh
cat <<END
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 0     910B3               | OK            | 301.8       53                0    / 0             |
| 0                         | 0000:C1:00.0  | $(cat {folder}/load)          0    / 0          53984/ 65536         |
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
| 0       0                 | $(cat {folder}/pid)       | python                   | 48954                   |
END
"""


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).first.bounding_box()
    assert found is not None, selector
    return dict(found)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [1440, 800])
def test_the_line_is_on_every_page_and_takes_no_room(browser: Browser, server: Server, path: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{server.url}/{path}")
    line = page.locator(".lf-machine")
    expect(line).to_have_attribute("aria-label", "Machine", timeout=60_000)
    expect(line.locator(".lf-cell", has_text="No GPU")).to_have_count(1)
    expect(line.get_by_role("img", name="Main memory:")).to_be_visible()
    expect(line.get_by_role("img", name="Disk of the workspace:")).to_be_visible()
    expect(line).to_contain_text(" %")
    for cell in line.locator(".lf-cell").all():
        found = cell.bounding_box()
        assert found is not None and found["y"] >= 0 and found["y"] + found["height"] <= TOP_PX
        assert found["x"] + found["width"] <= width - 40  # the menu's place
    below = page.locator("[data-testid=stMainBlockContainer] > * > :nth-child(n+4)").first
    assert (below.bounding_box() or {"y": 0})["y"] >= TOP_PX
    page.close()


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """The folder of an `npu-smi`; what it tells is in files beside it."""
    folder = tmp_path / "tools"
    folder.mkdir()
    file = folder / "npu-smi"
    file.write_text(TOOL.format(folder=folder))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    (folder / "load").write_text("7")
    (folder / "pid").write_text(str(os.getpid()))
    return folder


@pytest.fixture
def busy(demo_workspace: Path, tmp_path: Path, tool: Path) -> Iterator[Server]:
    """A server on a machine with an NPU, whose runs take a while and train nothing."""
    workspace = tmp_path / "workspace"
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo_workspace / part, workspace / part)
    env = {
        "PATH": f"{tool}:{os.environ['PATH']}", "LFDASH_CLI": fake_cli(tmp_path),
        "FAKE_ARGS": json.dumps({"steps": 4000, "delay": 0.05}),
    }
    running = start_server(workspace, env=env)
    yield running
    running.end()
    end_runs(workspace)


def test_a_device_is_told_with_its_run_and_the_run_keeps_its_figures(
    busy: Server, browser: Browser, tool: Path
) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(busy.url)
    device = page.locator(".lf-machine .lf-device")
    expect(device).to_have_text("NPU 07 %53/64 GiB · 53 °C", timeout=60_000)
    expect(device).to_have_attribute("title", "NPU 0: 910B3, load 7 %, memory 53/64 GiB, 53 °C, 302 W")
    before = box(page, ".lf-machine .lf-host")
    drawn(page)
    page.click(".st-key-start button")
    (log,) = wait_for(lambda: list(busy.workspace.glob("saves/*/*/*/trainer_log.jsonl")), 60)
    paths = RunPaths(log.parent)
    (tool / "pid").write_text(str(marked(marker(paths, 1))[0]))
    (tool / "load").write_text("100")
    expect(device).to_have_attribute("class", "lf-cell lf-device lf-run", timeout=60_000)
    told = f"NPU 0: 910B3, load 100 %, memory 53/64 GiB, 53 °C, 302 W, used by {paths.root.name}"
    expect(device).to_have_accessible_name(told)
    assert box(page, ".lf-machine .lf-host") == before  # no value moves anything
    (row, *_) = wait_for(lambda: [json.loads(line) for line in lines(paths) if "100.0" in line], 60)
    assert row["devices"]["ascend:0"] == {
        "name": "910B3", "load": 100.0, "memory_used": 53984 << 20, "memory_total": 65536 << 20, "temperature": 53.0,
        "power": 301.8,
    }
    page.get_by_role("radio", name="Curves").click()
    expect(page.locator(".st-key-curves_machine canvas").first).to_be_visible(timeout=60_000)
    expect(page.locator(".st-key-curves_machine")).to_contain_text("GPU load (%)")
    page.close()


def lines(paths: RunPaths) -> list[str]:
    return paths.machine.read_text().splitlines() if paths.machine.exists() else []
