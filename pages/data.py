"""Data: what the datasets hold, and how to add one's own. Its logic lives in lfdash.ui."""

from lfdash.ui.data.page import draw

draw()
