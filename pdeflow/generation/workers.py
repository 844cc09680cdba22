"""Spawned worker processes with one BLAS thread each, which report their progress and stop together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdeflow.generation.chains import write_chain
from pdeflow.generation.recipe import Chain, Recipe

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SAMPLES, ITERATIONS, STOP = range(3)
_board: Any = None  # set once in every worker, by its initializer


@dataclass(frozen=True)
class Progress:
    """State of a generation.

    Attributes:
        done: Samples solved in this call.
        total: All samples of this call.
        seconds: Since the workers began.
        iterations: Krylov steps so far.
    """

    done: int
    total: int
    seconds: float
    iterations: int


class Stopped(Exception):
    """The coordinator was interrupted, or another chain failed."""


class Workers:
    """A pool of processes that write chains; a context from `workers` makes one.

    Args:
        executor: The pool.
        board: Shared counters of samples and iterations, and the stop flag.
    """

    def __init__(self, executor: ProcessPoolExecutor, board: Any) -> None:
        self.executor, self.board = executor, board

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a worker, since there it has one thread, and return its result."""
        return self.executor.submit(function, *arguments).result()

    def write(
        self, root: Path, recipe: Recipe, chains: Sequence[Chain], solver: str,
        progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        """Write chains.

        Args:
            root: Folder of the dataset.
            recipe: What to generate.
            chains: Which parts of it.
            solver: "direct" or "cg".
            progress: Called about twice a second.

        Raises:
            DataError: If a sample cannot be solved; the other chains stop after their current sample.
        """
        start, total = time.perf_counter(), sum(chain.count for chain in chains)
        work = [self.executor.submit(_write, root, recipe, chain, solver) for chain in chains]
        pending: set[Future[Any]] = set(work)
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            if progress is not None:
                seconds = time.perf_counter() - start
                progress(Progress(self.board[SAMPLES], total, seconds, self.board[ITERATIONS]))


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Open a pool; even one worker is a process of its own, so that the count never changes the bytes.

    Args:
        count: Number of processes.

    Yields:
        The pool.

    Raises:
        RuntimeError: If a worker dies.
    """
    context = multiprocessing.get_context("spawn")
    board = context.Array("q", 3)
    before = {key: os.environ.get(key) for key in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # read by NumPy when a worker imports it
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(board,))
    try:
        yield Workers(executor, board)
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process ended: killed, out of memory (use fewer workers or shorter chains), or the calling "
            "script lacks `if __name__ == '__main__':` around its first call"
        ) from error
    finally:
        board[STOP] = 1
        executor.shutdown(cancel_futures=True)
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def _start(board: Any) -> None:
    """Use one thread, leave Ctrl-C to the coordinator, and end when it is killed."""
    global _board
    import torch

    _board = board
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write(root: Path, recipe: Recipe, chain: Chain, solver: str) -> dict[str, Any]:
    def step(iterations: int) -> None:
        if _board[STOP]:
            raise Stopped
        with _board.get_lock():
            _board[SAMPLES] += 1
            _board[ITERATIONS] += iterations

    return write_chain(root, recipe, chain, solver, step)
