"""What is answered for failures of the disk."""

from __future__ import annotations

import errno
from pathlib import Path

from lfdash.outcomes import refused_by


def test_other_failures_of_the_disk_are_told() -> None:
    refused = refused_by(OSError(errno.EIO, "broken"), Path("x"))
    assert refused.code == "start_failed" and "broken" in refused.params["reason"]
