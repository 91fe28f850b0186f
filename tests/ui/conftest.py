"""What all tests of the pages share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from unittest import mock

import pytest
from streamlit.components.v2 import manifest_scanner


@pytest.fixture(scope="session", autouse=True)
def packages_scanned_once() -> Iterator[None]:
    """Each first visit of AppTest looks for components in all installed packages (0.4 s of a core); they stay."""
    scan = functools.cache(manifest_scanner.scan_component_manifests)
    with mock.patch.object(manifest_scanner, "scan_component_manifests", scan):
        yield
