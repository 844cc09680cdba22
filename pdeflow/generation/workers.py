"""Worker processes with one BLAS thread each, which write chains, report their progress and stop together."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from pdeflow.errors import UsageError
from pdeflow.generation.chains import write_chain
from pdeflow.generation.recipe import Chain, Recipe
from pdeflow.generation.script import WithoutMain, load_script

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SAMPLES, ITERATIONS, STOP = range(3)
_board: Any = None  # set once in every worker, by its initializer

Assign = Callable[[Chain], tuple[Sequence[int], str]]
"""Numbers of the samples of a chain and word of its solver; asked when the chain is handed out."""
Done = Callable[[Chain, dict[str, Any]], None]
"""Told of every finished chain, with what `write` in a worker returned."""


@dataclass(frozen=True)
class Progress:
    """State of a generation.

    Attributes:
        done: Samples solved in this call.
        total: All samples of this call.
        seconds: Since the workers began.
        iterations: Krylov steps so far.
        workers: Processes that are there; on a cluster they come and go.
        solver: Word of the solver of the chain that was handed out last.
    """

    done: int
    total: int
    seconds: float
    iterations: int
    workers: int = 1
    solver: str = ""


class Stopped(Exception):
    """The coordinator was interrupted, or another chain failed."""


class Workers:
    """Processes that write chains; a context from `workers` makes one for this machine.

    Args:
        executor: Runs functions elsewhere.
        board: Shared counters of samples and iterations, and the stop flag.
        count: Number of processes.
    """

    def __init__(self, executor: Executor, board: Any, count: int) -> None:
        self.executor, self.board, self.count = executor, board, count

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a worker, since there it has one thread, and return its result."""
        return self.executor.submit(function, *arguments).result()

    def submit(
        self, root: Path, recipe: Recipe, chain: Chain, ids: Sequence[int], solver: str
    ) -> Future[dict[str, Any]]:
        """Hand out a chain."""
        return self.executor.submit(_write, root, recipe, chain, ids, solver)

    def finished(self, root: Path, chain: Chain, told: dict[str, Any]) -> None:
        """Look at a chain that a worker has finished."""

    def counters(self) -> tuple[int, int]:
        """Return the samples and the iterations so far."""
        return self.board[SAMPLES], self.board[ITERATIONS]

    def width(self) -> int:
        """Return how many chains are in work at once at most."""
        return self.count

    def write(
        self, root: Path, recipe: Recipe, chains: Iterable[Chain], assign: Assign, done: Done,
        progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        """Write chains; few are handed out ahead, so that memory stays bounded and a change of solver comes soon.

        Args:
            root: Folder of the dataset.
            recipe: What to generate.
            chains: Which parts of it.
            assign: Gives the samples and the solver of a chain.
            done: Told of every finished chain.
            progress: Called about twice a second.

        Raises:
            DataError: If a sample cannot be solved; the other chains stop after their current sample.
            UsageError: If the disk is full.
        """
        chains, start, solver = list(chains), time.perf_counter(), ""
        waiting, total = iter(chains), sum(chain.count for chain in chains)
        running: dict[Future[dict[str, Any]], Chain] = {}
        while True:
            for chain in islice(waiting, max(2 * self.width() - len(running), 0)):
                ids, solver = assign(chain)
                running[self.submit(root, recipe, chain, ids, solver)] = chain
            if not running:
                return
            for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                chain, told = running.pop(future), future.result()
                self.finished(root, chain, told)
                done(chain, told)
            if progress is not None:
                seconds = time.perf_counter() - start
                samples, iterations = self.counters()
                progress(Progress(samples, total, seconds, iterations, self.width(), solver))


@contextmanager
def workers(count: int, script: str | None = None) -> Iterator[Workers]:
    """Open a pool; even one worker is a process of its own, so that the count never changes the bytes.

    Args:
        count: Number of processes.
        script: Where the problem is defined in the calling script: its path.

    Yields:
        The pool.

    Raises:
        RuntimeError: If a worker dies.
    """
    context = WithoutMain()
    board = context.Array("q", 3)
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(board, script))
    try:
        with one_thread_for_new_libraries():  # processes start when there is something to do
            yield Workers(executor, board, count)
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process ended: killed, or out of memory; use fewer workers or shorter chains, and go on with --resume"
        ) from error
    finally:
        board[STOP] = 1
        executor.shutdown(cancel_futures=True)


@contextmanager
def one_thread_for_new_libraries() -> Iterator[None]:
    """Tell processes that start, and numerical libraries that are loaded meanwhile, to use one thread."""
    before = {key: os.environ.get(key) for key in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})


def _start(board: Any, script: str | None) -> None:
    """Use one thread, leave Ctrl-C to the coordinator, and end when it is killed."""
    global _board
    import torch

    _board = board
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if script is not None:
        load_script(script)


def _write(root: Path, recipe: Recipe, chain: Chain, ids: Sequence[int], solver: str) -> dict[str, Any]:
    def step(iterations: int) -> None:
        if _board[STOP]:
            raise Stopped
        with _board.get_lock():
            _board[SAMPLES] += 1
            _board[ITERATIONS] += iterations

    return write(root, recipe, chain, ids, solver, step)


def write(
    root: Path, recipe: Recipe, chain: Chain, ids: Sequence[int], solver: str, step: Callable[[int], None]
) -> dict[str, Any]:
    """Write a chain in this process, and leave nothing of it where that fails.

    Args:
        root: Folder of the dataset.
        recipe: What to generate.
        chain: Which part of it.
        ids: Numbers of its samples.
        solver: Word of the solver.
        step: Called with the iterations of every finished sample.

    Returns:
        The sidecar, and "processor_seconds", which other work on the machine does not change.

    Raises:
        UsageError: If the shard cannot be written.
    """
    start = time.process_time()
    try:
        facts = write_chain(root, recipe, chain, solver, step, ids)
    except OSError as error:
        remove_leftovers(root, chain)
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise UsageError(
            f"cannot write {root / chain.file} ({reason}); make room there, then go on with --resume"
        ) from error
    return facts | {"processor_seconds": time.process_time() - start}


def remove_leftovers(root: Path, chain: Chain) -> None:
    """Remove what is left of a chain that nobody is writing: files aside, and a sidecar without its shard's bytes.

    Args:
        root: Folder of the dataset.
        chain: The chain.
    """
    for file in (root / chain.file, root / chain.sidecar):
        for leftover in file.parent.glob(f".{file.name}.*.tmp"):
            leftover.unlink(missing_ok=True)
    (root / chain.sidecar).unlink(missing_ok=True)
