"""`python -m whyloss`: the command line where the `whyloss` script is not on the path."""

import sys

from whyloss.cli import main

if __name__ == "__main__":
    sys.exit(main())
