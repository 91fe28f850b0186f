"""Compare: runs over each other and side by side. Its logic lives in lfdash.ui."""

from lfdash.ui.compare.page import draw

draw()
