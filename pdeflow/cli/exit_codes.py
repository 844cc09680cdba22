"""Exit codes of the command line: the contract that scripts rely on."""

OK, INTERNAL, USAGE, NOT_CONVERGED, BAD_DATA = 0, 1, 2, 3, 4
INTERRUPTED, TERMINATED = 130, 143
