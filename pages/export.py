"""Export: merge an adapter into its model, or convert one. Its logic lives in lfdash.ui."""

from lfdash.ui.train.page import draw

draw("export")
