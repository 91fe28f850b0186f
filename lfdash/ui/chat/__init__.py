"""Try it: conversations with models, side by side."""
