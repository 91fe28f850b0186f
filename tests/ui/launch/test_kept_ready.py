"""The switch that keeps LLaMA-Factory ready says what that costs, and ends what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.llamafactory.warm import Warm
from lfdash.ui.launch.kept_ready import KEY
from tests.support import app as pages
from tests.support.runs import wait_for
from tests.support.warm import warmable_cli


@pytest.fixture
def keeping(services: Services, tmp_path: Path) -> Services:
    """Services whose warm process imports next to nothing."""
    cli = warmable_cli(tmp_path)
    services.warm = Warm(cli, tmp_path, modules=["json"], room=0, allowed=lambda: services.keep_ready)
    return services


def visit() -> AppTest:
    return pages.good(pages.start().switch_page("pages/runs.py").run())


def said(app: AppTest) -> str:
    return " ".join(item.value for item in app.caption)


def test_it_says_what_it_costs_and_ends_when_it_is_switched_off(keeping: Services) -> None:
    warm = keeping.warm
    warm.want()
    wait_for(lambda: warm.state == "ready")
    app = visit()
    assert "It takes 0.0 GiB of main memory" in said(app)
    app.toggle(key=KEY).set_value(False)
    pages.good(app.run())
    wait_for(lambda: (warm.state, warm.pid) == ("off", 0))
    assert "each start imports" in said(visit())
    warm.want()
    assert warm.state == "off" and not Services(keeping.project, keeping.workspace.root).keep_ready
    app = visit()
    app.toggle(key=KEY).set_value(True)
    pages.good(app.run())
    wait_for(lambda: warm.state == "ready")


def test_the_variable_wins(services: Services) -> None:
    app = visit()
    assert services.warm.never and app.toggle(key=KEY).disabled and "LFDASH_WARM=never" in said(app)


def test_why_it_is_not_ready(keeping: Services) -> None:
    keeping.warm._room = 1 << 60
    assert "less than 4 GiB" in said(visit())
