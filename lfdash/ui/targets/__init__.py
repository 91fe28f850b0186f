"""The dialog of the targets: clusters on which jobs can run."""
