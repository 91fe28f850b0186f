"""What a wheel has beside the package: the page's files, which lie at the top of a checkout (see pyproject.toml)."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INSIDE = "lfdash/_project"  # where lfdash.engine.services.find_project looks
FILES = ("app.py", "pages", "configs", ".streamlit/config.toml")


class ProjectFiles(BuildHookInterface[Any]):
    """Puts FILES into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build. An editable install (another `version`) runs from the checkout: no copies."""
        if version == "standard":
            build_data["force_include"] |= {name: f"{INSIDE}/{name}" for name in FILES}
