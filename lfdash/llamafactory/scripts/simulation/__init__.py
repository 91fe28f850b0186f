"""Programs for LLaMA-Factory's own interpreter: the first steps of a training on tensors without content.

dry_run.py is started; the others lie beside it and are imported by their bare names.
"""
