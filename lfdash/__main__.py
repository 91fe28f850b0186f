"""`lfdash COMMAND ...` and `python -m lfdash`: without a command it serves the dashboard."""

from __future__ import annotations

import os
import sys

from lfdash.cli.main import names_a_command, run


def serve(words: list[str]) -> None:
    """Serves the dashboard; nobody else waits for Streamlit."""
    from lfdash.web.server import main as serve_page

    serve_page(words)


def main(words: list[str] | None = None) -> None:
    """The console script. words: default: those of the process."""
    words = sys.argv[1:] if words is None else words
    if names_a_command(words) or "_LFDASH_COMPLETE" in os.environ:
        sys.exit(run(words, serve))
    serve(words)


if __name__ == "__main__":
    main()
