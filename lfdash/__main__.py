"""`python -m lfdash` serves the dashboard."""

from lfdash.web.server import main

if __name__ == "__main__":
    main()
