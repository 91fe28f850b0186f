"""lfdash: a dashboard for LLaMA-Factory.

Whatever is imported here is loaded by the parent of every run, which has the standard library only: nothing is.
"""
