"""`python -m envgen`."""

import sys

from envgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
