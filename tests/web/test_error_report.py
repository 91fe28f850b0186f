"""A mistake of ours: a sentence on the page, the trace in the log, and a secret in neither."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.web import error_report
from tests.support import app as pages

TOKEN = "AbCdEfGhIjKlMnOpQrStUvWxYz012345"  # nothing in it that Markdown would change


def broken_page() -> None:
    import streamlit as st

    from lfdash.web import error_report

    st.session_state["drawn"] = error_report.draw(ValueError(st.session_state["message"]))


@pytest.mark.parametrize(
    ("message", "said"),
    [(f"no *such*\n file {TOKEN}", r"ValueError: no \*such\* file "), ("", "ValueError: –"), ("x" * 999, "x" * 300)],
)
def test_the_page_says_what_happened_in_one_line(tmp_path: Path, message: str, said: str) -> None:
    with pages.opened(tmp_path / "workspace") as services:
        services.registry.set_secret("HF_TOKEN", TOKEN)
        app = AppTest.from_function(broken_page)
        app.session_state["message"] = message
        (told,) = [item.value for item in pages.good(app.run()).error]
    assert said in told and TOKEN not in told and "\n" not in told and "x" * 301 not in told
    assert app.session_state["drawn"] is True  # Streamlit does not draw it again, with its trace


@pytest.fixture
def hidden() -> Iterator[None]:
    """Log records of this process are made without the token."""
    usual = logging.getLogRecordFactory()
    error_report.hide_in_logs(lambda: lambda text: text.replace(TOKEN, "***"))
    yield
    logging.setLogRecordFactory(usual)


@pytest.mark.usefixtures("hidden")
def test_a_secret_is_in_no_log_and_in_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("lfdash.test")
    logger.warning("token %s of %d", TOKEN, 7)
    try:
        raise ValueError(TOKEN)
    except ValueError:
        logger.exception("it broke")
    assert TOKEN not in caplog.text and "token *** of 7" in caplog.text
    assert "ValueError: ***" in caplog.text and "Traceback" in caplog.text


@pytest.mark.usefixtures("hidden")
def test_a_record_without_a_secret_stays_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("lfdash.test").warning("run %s", "a")
    assert (caplog.records[0].msg, caplog.records[0].args) == ("run %s", ("a",))
