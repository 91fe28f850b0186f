"""How a stop wish is left: one token in the attempt's folder that is renamed."""

from __future__ import annotations

import os
from contextlib import suppress

from lfdash.runs.paths import LEVELS, AttemptPaths
from lfdash.supervisor import failpoints


def leave_wish(control: AttemptPaths, level: str) -> bool:
    """Renames the token (needs no free block). False: a harder wish stands, and nothing was changed. OSError."""
    wish = control.read_wish()
    if wish is not None and LEVELS.index(wish) > LEVELS.index(level):
        return False
    token = control.armed if wish is None else control.stop(wish)
    failpoints.hit("stop.before_token")
    if token != control.stop(level):
        with suppress(FileNotFoundError):  # another page was quicker; its wish stands, and the supervisor sees it
            os.rename(token, control.stop(level))
    failpoints.hit("stop.after_token")
    return True
