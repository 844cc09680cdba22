"""`python -m pdeflow` is the command `pdeflow`."""

import sys

from pdeflow.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
