"""The dashboard's page: preset, form, Start and Stop, live monitor. Its logic lives in lfdash.ui."""

from lfdash.ui.train.page import draw

draw("train")
