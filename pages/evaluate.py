"""Evaluate: scores and predictions of a model. Its logic lives in lfdash.ui."""

from lfdash.ui.page import draw

draw("eval")
