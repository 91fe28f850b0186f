"""What is answered for failures of the file system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lfdash.locales import available, refusal_in
from lfdash.outcomes import refused_by, unchanged_by


def test_other_failures_of_the_disk_are_told() -> None:
    refused = refused_by(OSError(errno.EIO, "broken"), Path("x"))
    assert refused.code == "start_failed" and "broken" in refused.params["reason"]


@pytest.mark.parametrize(
    ("number", "started", "changed"),
    [
        (errno.ENOSPC, "disk", "disk_kept"), (errno.EDQUOT, "disk", "disk_kept"), (errno.EROFS, "readonly", "readonly"),
        (errno.EACCES, "readonly", "readonly"), (errno.EPERM, "readonly", "readonly"),
        (errno.EEXIST, "exists", "failed"), (errno.ENOTEMPTY, "exists", "failed"),
        (errno.EIO, "start_failed", "failed"),
    ],
)
def test_a_failure_of_the_disk_has_a_text_that_says_where_or_why(number: int, started: str, changed: str) -> None:
    """Of a start, and of another change; each with what its text is filled with."""
    error = OSError(number, os.strerror(number))
    for refused, code in ((refused_by(error, Path("x")), started), (unchanged_by(error, Path("x")), changed)):
        assert refused.code == code
        if code in ("start_failed", "failed"):
            assert os.strerror(number) in refused.params["reason"]
        else:
            assert refused.params == {"path": "x"}
        assert all(refusal_in(language, refused) for language in available())
