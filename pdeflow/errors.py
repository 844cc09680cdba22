"""The two kinds of bad input that the command line tells apart by exit code."""


class DataError(ValueError):
    """A file exists but cannot be used: damaged, of another version, with NaN, or a checkpoint that does not fit (exit 4)."""


class UsageError(ValueError):
    """A setting or argument is wrong: what was expected, what came, what to do (exit 2)."""
