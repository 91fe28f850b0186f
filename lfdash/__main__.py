"""`python -m lfdash` serves the dashboard."""

from lfdash.ui.server import main

if __name__ == "__main__":
    main()
