"""lfdash: a dashboard for LLaMA-Factory. `lfdash.open("workspace")` is the way in for programs and notebooks.

Whatever is imported here is loaded by the parent of every run, which has the standard library only: nothing is.
"""

TYPE_CHECKING = False  # as in typing, which is not imported either
if TYPE_CHECKING:
    import os
    from typing import Any

    from lfdash.engine.facade import Run as Run
    from lfdash.engine.facade import Workspace as Workspace
    from lfdash.outcomes import Problem as Problem
    from lfdash.outcomes import Refused as Refused

# what is imported when it is first asked for
HOMES = {
    "Run": "lfdash.engine.facade", "Workspace": "lfdash.engine.facade",
    "Problem": "lfdash.outcomes", "Refused": "lfdash.outcomes",
}


def open(workspace: "str | os.PathLike[str] | None" = None) -> "Workspace":
    """Opens a workspace: its runs, its data, and jobs to be checked and started.

    workspace: its folder, made when it is missing; default: $LFDASH_WORKSPACE, else `workspace` here. Folders outside
    of it that runs may be written to are taken from $LFDASH_ROOTS, the llamafactory-cli from $LFDASH_CLI or from beside
    this Python. OSError when the folder cannot be made.
    """
    from lfdash.engine.facade import open_workspace

    return open_workspace(workspace)


def __getattr__(name: str) -> "Any":
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(HOMES[name]), name)
