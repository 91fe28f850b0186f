"""Try it: talk to a model, a run or an adapter. Its logic lives in lfdash.ui."""

from lfdash.ui.train.page import draw

draw("chat")
