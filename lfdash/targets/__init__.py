"""Targets: the clusters on which jobs can run, as rows of `.lfdash/targets.toml`."""
