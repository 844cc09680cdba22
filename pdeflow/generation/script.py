"""The calling script in worker processes: left alone, unless it defines the problem; it needs no __main__ guard.

Spawned processes usually import the main module of their parent anew (Python library reference, multiprocessing,
"Safe importing of main module"), so that a script without a guard starts itself over and over.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from pdeflow.errors import UsageError

LOADING = "__pdeflow_loading__"


class Reached(BaseException):
    """A worker that loads the script has come to the call of `generate`: what stands above is all that it needs."""


@contextmanager
def hidden_main() -> Iterator[None]:
    """Show no main module to a process that is spawned meanwhile."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Process(SpawnProcess):
    """A spawned process that does not import the main module of its parent."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with hidden_main():
            return SpawnProcess._Popen(process_obj)  # type: ignore[attr-defined]


class WithoutMain(SpawnContext):
    """Spawns processes that do not import the main module of their parent."""

    Process = _Process  # type: ignore[assignment]


def script_of(problem: Mapping[str, Any]) -> str | None:
    """Return the script that defines a problem, or None where the problem is imported from a module.

    Args:
        problem: {"class_path", "init_args"}.

    Raises:
        UsageError: If the problem was defined at a prompt or in a notebook, where no other process finds it.
    """
    path = str(problem["class_path"])
    if not path.startswith("__main__."):
        return None
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not Path(file).is_file():
        raise UsageError(
            f"{path} is defined at a prompt or in a notebook, where worker processes do not find it; "
            "put the class into a file NAME.py and import it: from NAME import " + path.rpartition(".")[2]
        )
    return str(Path(file).resolve())


def load_script(file: str) -> None:
    """Run a script as the main module of this process, up to its first call of `generate`.

    Args:
        file: Path of the script; code behind `if __name__ == "__main__":` is not run.
    """
    main = types.ModuleType(
        "__mp_main__"
    )  # the name that multiprocessing gives to a main module that it imports
    main.__file__ = file
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    setattr(main, LOADING, True)
    try:
        exec(compile(Path(file).read_bytes(), file, "exec"), main.__dict__)
    except Reached:
        pass
    finally:
        delattr(main, LOADING)


def stop_loading() -> None:
    """End the loading of a script in a worker; called first by `generate`.

    Raises:
        Reached: In a worker that loads the script.
    """
    if hasattr(sys.modules["__main__"], LOADING):
        raise Reached
