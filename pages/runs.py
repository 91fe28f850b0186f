"""Runs: all runs of the workspace, and what can be done with them. Its logic lives in lfdash.ui."""

from lfdash.ui.runs.page import draw

draw()
