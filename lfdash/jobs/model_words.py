"""What a model is called in few words, in no language."""

from __future__ import annotations

EXPORTS = "exports"  # the folder of the workspace that an export is proposed in


def short_name(path: str) -> str:
    """The last part of a path or a Hub id; of an export with its folder, as it has the name of the run that it was made
    from."""
    parts = [part for part in path.split("/") if part]
    return "/".join(parts[-2:] if parts[-2:-1] == [EXPORTS] else parts[-1:])
