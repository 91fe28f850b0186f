"""Fixtures of the tests of launchers."""

from __future__ import annotations

from tests.support.clusters.slurm_case import case, told

__all__ = ["case", "told"]
