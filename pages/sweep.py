"""Sweeps: the runs of one, best first, what its settings do, and what is done next. Its logic lives in lfdash.ui."""

from lfdash.ui.sweep.page import draw

draw()
