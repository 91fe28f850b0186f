"""lfdash: a dashboard for LLaMA-Factory."""
