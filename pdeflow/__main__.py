"""`python -m pdeflow` is the command `pdeflow`."""

from pdeflow.cli.main import program

if __name__ == "__main__":
    program()
