"""lfdash as a package, in the browser: what was installed from a wheel or a source distribution draws its pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support import ROOT
from tests.support.install import KINDS, build, install

pytestmark = pytest.mark.e2e
PRIMARY = "rgb(22, 104, 199)"  # #1668c7, the primaryColor of .streamlit/config.toml


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_installed_dashboard_opens_in_an_empty_folder(
    browser: Browser, built: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    server = install(built[kind], tmp_path).serve("python", "-m", "lfdash")
    context = browser.new_context(color_scheme="light")
    try:
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_selector(".st-key-start button:disabled", timeout=60_000)
        expect(page.get_by_test_id("stAlert").first).to_contain_text("llamafactory-cli was not found")
        # of the demo preset, which lies in configs/
        chosen = page.locator(".st-key-train-dataset .react-aria-ComboBox [data-tag]").first
        expect(chosen).to_contain_text("demo_sft")
        expect(chosen).to_have_css("background-color", PRIMARY)
        page.get_by_role("link", name="Runs", exact=True).click()
        expect(page).to_have_title("lfdash · Runs")
        expect(page.get_by_test_id("stAlert").first).to_contain_text("No runs yet")
        expect(page.get_by_test_id("stException")).to_have_count(0)
    finally:
        context.close()
        server.end()
