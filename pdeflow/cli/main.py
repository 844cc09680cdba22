"""The command `pdeflow`: finds the sub-command, shows its help at once, and turns errors into one line and an exit code.

Only the standard library is imported here, so that help and typing errors answer in milliseconds.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from pdeflow.cli.exit_codes import INTERNAL, INTERRUPTED, OK, USAGE

COMMANDS = {
    "run": ("an experiment", "all sections of an experiment file, in order, then the report"),
    "generate": ("an experiment", "draw instances of a problem, solve them, write a dataset"),
    "fit": ("an experiment", "train an operator or a preconditioner"),
    "evaluate": ("an experiment", "errors, PDE residual and error estimate of a trained operator"),
    "solve": ("an experiment", "solve a linear system to a verified tolerance, compare methods"),
    "report": ("an experiment", "write the report of a run folder"),
    "validate": ("a trained run", "metrics on the validation split"),
    "test": ("a trained run", "metrics on the test split"),
    "predict": ("a trained run", "predictions for the test split, as a file"),
    "data": ("around", "import, check or export a dataset"),
    "info": ("around", "what a dataset, a run folder, a mesh, a matrix or a settings file holds"),
    "doctor": ("around", "versions, devices, optional packages, and a self-test"),
}
SYNONYMS = {
    "train": "fit", "learn": "fit", "resume": "fit", "eval": "evaluate", "score": "evaluate", "check": "doctor", "selftest": "doctor",
    "infer": "predict", "inference": "predict", "apply": "predict", "sample": "generate", "simulate": "generate", "create": "generate",
    "compare": "solve", "benchmark": "solve", "show": "info", "describe": "info", "inspect": "info", "experiment": "run", "plot": "report",
    "import": "data", "export": "data", "convert": "data",
}  # fmt: skip
"""What other programs call a command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of the process where None.

    Returns:
        Exit code: 0 ok, 1 internal error, 2 usage or settings, 3 tolerance not reached, 4 bad data or checkpoint,
        130 and 143 after SIGINT and SIGTERM.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return OK
    if arguments[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"pdeflow {version('pdeflow')}")
        return OK
    command, *rest = arguments
    if command not in COMMANDS:
        return complain(
            "pdeflow", f"unknown command {command!r}{suggestion(command)}; see pdeflow --help", USAGE
        )
    if any(word in ("-h", "--help") for word in rest):
        print(
            Path(__file__).with_name("help").joinpath(f"{command}.txt").read_text(encoding="utf-8").rstrip()
        )
        return OK
    return call(command, rest)


def program() -> None:
    """Be the program `pdeflow`: run the command that the process was started with and end with its exit code."""
    codes = [INTERNAL]
    atexit.register(lambda: leave(codes[-1]))  # the first to be registered is the last to run: after the loggers'
    codes.append(main())
    sys.exit(codes[-1])


def leave(code: int) -> None:
    """End a process that shared a training with others, without taking the interpreter apart; else do nothing.

    Threads of torch's process groups that still hold a tensor abort an interpreter that ends beside them (PyTorch
    issue 190489), so that now and then a training that has written everything would end with SIGABRT.

    Args:
        code: Exit code.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def call(command: str, rest: list[str]) -> int:
    """Import the module of a command and run it, with every error mapped to its exit code.

    Args:
        command: One of COMMANDS.
        rest: Its arguments.

    Returns:
        The exit code.
    """
    debug = "--debug" in rest or os.environ.get("PDEFLOW_DEBUG", "") not in ("", "0")
    rest = [word for word in rest if word != "--debug"]
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(
            0, ""
        )  # a settings file may name classes of modules in this folder, as with python -m
    try:
        module = "trained_commands" if command in ("validate", "test", "predict") else command
        with contextlib.nullcontext() if debug else short_warnings(command):
            return int(importlib.import_module(f"pdeflow.cli.{module}").main(rest, command))
    except KeyboardInterrupt as interrupt:
        return complain(command, str(interrupt) or "interrupted; finished files are kept", INTERRUPTED)
    except BrokenPipeError:
        return OK
    except Exception as error:
        if debug:
            raise
        from pdeflow.cli.messages import exit_code, one_line

        return complain(command, one_line(error), exit_code(error))


@contextlib.contextmanager
def short_warnings(command: str) -> Iterator[None]:
    """Show a warning as one line of the command, without the line of code that gave it.

    Args:
        command: Name of the command.

    Yields:
        Nothing.
    """
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{command}: warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def overview() -> str:
    """Return the list of commands, grouped."""
    lines = [
        "pdeflow: write a PDE once; generate its data, train operators on it, solve it to a verified tolerance.",
        "",
    ]
    for group in dict.fromkeys(group for group, _ in COMMANDS.values()):
        lines.append(f"{group}:")
        lines += [f"  pdeflow {name:<10} {text}" for name, (kind, text) in COMMANDS.items() if kind == group]
    lines += ["", "Start with:  pdeflow run darcy_quickstart        (about two minutes on a laptop)"]
    lines += ["More:        pdeflow COMMAND --help, --help-all for every option; --debug shows tracebacks"]
    return "\n".join(lines)


def suggestion(word: str) -> str:
    """Return ", did you mean …?" where a command is near, else nothing."""
    import difflib

    near = [SYNONYMS[word]] if word in SYNONYMS else difflib.get_close_matches(word, COMMANDS, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def complain(where: str, text: str, code: int) -> int:
    """Write one line to standard error, in a training over several processes the first one alone.

    Args:
        where: Command.
        text: What was wrong and what to do.
        code: Exit code.

    Returns:
        The code.
    """
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"{where}: {text}", file=sys.stderr)
    return code
