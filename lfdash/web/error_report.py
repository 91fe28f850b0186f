"""What a mistake of ours looks like: a sentence on the page, the trace on the server's console, secrets in neither."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import streamlit as st

from lfdash.ui.shared.session import opened
from lfdash.ui.shared.text import markdown_safe, t

LONGEST = 300  # characters of an exception's message

Redact = Callable[[str], str]


def draw(error: Exception) -> bool:
    """Draws the kind and the message of an exception, without secrets and without the trace. True: Streamlit is not
    to draw it itself."""
    message = " ".join(opened().registry.redact(str(error)).split())[:LONGEST]
    st.error(
        t("ui.broke", kind=type(error).__name__, message=markdown_safe(message) or "–"), icon=":material/error:"
    )
    return True


def hide_in_logs(redactor: Callable[[], Redact]) -> None:
    """Takes the secrets out of every log record of this process, traces included, before any handler sees it."""
    usual = logging.getLogRecordFactory()
    formatter = logging.Formatter()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = usual(*args, **kwargs)
        redact = redactor()
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: logging itself says so
            return record
        if redact(text) != text:
            record.msg, record.args = redact(text), None
        if record.exc_info and record.exc_info[0] is not None:
            trace = formatter.formatException(record.exc_info)
            if redact(trace) != trace:
                record.exc_text = redact(trace)  # a formatter takes this and does not make its own
        return record

    logging.setLogRecordFactory(make)
