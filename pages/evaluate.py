"""Evaluate: scores and predictions of a model. Its logic lives in lfdash.ui."""

from lfdash.ui.train.page import draw

draw("eval")
