"""Reference: every setting of the form and every argument of the installed LLaMA-Factory."""

from lfdash.ui.reference import draw

draw()
