"""Export: merge an adapter into its model, or convert one. Its logic lives in lfdash.ui."""

from lfdash.ui.page import draw

draw("export")
