"""Chains as tasks of a Dask cluster: idempotent, retried when a worker dies, one BLAS thread each.

Workers write the files; only the facts of a sidecar return. Rocklin, Dask: Parallel computation with blocked algorithms
and task scheduling, SciPy 2015.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pdeflow.errors import DataError, UsageError
from pdeflow.generation.chains import finished
from pdeflow.generation.plan import versions
from pdeflow.generation.recipe import Chain, Recipe
from pdeflow.generation.workers import Workers, one_thread_for_new_libraries, remove_leftovers, write

RETRIES = 2
TIMEOUT = 10.0
"""Seconds until a scheduler has answered."""
VISIBLE = 60.0
"""Seconds until a shared file system shows here what was written there."""
_one_at_a_time = (
    threading.Lock()
)  # of a process: sparse direct solvers keep their settings in global variables


class ClusterWorkers(Workers):
    """Workers of a Dask cluster.

    Args:
        client: Connected client.
        address: The scheduler's.
    """

    def __init__(self, client: Any, address: str) -> None:
        super().__init__(client.get_executor(retries=RETRIES, pure=False), None, 0)
        self.client, self.address = client, address
        self.samples = self.iterations = 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a worker with one thread, and return its result."""
        return _result(self.executor.submit(run_alone, versions(), function, *arguments).result())

    def submit(
        self, root: Path, recipe: Recipe, chain: Chain, ids: Sequence[int], solver: str
    ) -> Future[dict[str, Any]]:
        """Hand out a chain."""
        return self.executor.submit(
            run_alone, versions(), write_once, root.resolve(), recipe, chain, list(ids), solver
        )

    def finished(self, root: Path, chain: Chain, told: dict[str, Any]) -> None:
        """Count a chain that a worker has finished.

        Args:
            root: Folder of the dataset.
            chain: The chain.
            told: What `run_alone` returned; raised where it is an error.

        Raises:
            UsageError: If the shard does not show up in this folder.
        """
        told = _result(told)
        self.samples, self.iterations = self.samples + chain.count, self.iterations + told["iterations"]
        end = time.monotonic() + VISIBLE
        while not (root / chain.file).is_file():
            if time.monotonic() > end:
                raise UsageError(
                    f"a worker of {self.address} wrote {chain.file}, but {root} here does not show it; "
                    "choose an --out on a file system that all workers share"
                )
            time.sleep(0.2)

    def counters(self) -> tuple[int, int]:
        """Return the samples and the iterations of finished chains."""
        return self.samples, self.iterations

    def width(self) -> int:
        """Return how many worker processes there are; they come and go."""
        return len(self.client.scheduler_info(n_workers=-1)["workers"])


@contextmanager
def cluster(
    address: str, waiting: Callable[[], None] | None = None, timeout: float = TIMEOUT
) -> Iterator[ClusterWorkers]:
    """Connect to a Dask scheduler, and wait for its first worker.

    Args:
        address: For example tcp://10.0.0.1:8786.
        waiting: Called about twice a second while there is no worker; a queue may let them wait for hours.
        timeout: Seconds until it has answered.

    Yields:
        Its workers.

    Raises:
        UsageError: If Dask is missing, the address wrong, or nobody answers there.
        RuntimeError: If the scheduler goes away, or a chain has killed several workers.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise UsageError("--scheduler needs Dask; install it with: pip install 'pdeflow[cluster]'") from error
    if re.fullmatch(r"(tcp|tls|ws|wss|inproc)://\S+", address) is None:
        raise UsageError(f"--scheduler must be like tcp://HOST:8786, got {address!r}")
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {address} within {timeout:.0f} s; start one with: dask scheduler"
        ) from error
    try:
        pool = ClusterWorkers(client, address)
        while not pool.width():
            if waiting is not None:
                waiting()
            time.sleep(0.5)
        yield pool
    except KilledWorker as error:
        raise RuntimeError(
            f"a chain killed {RETRIES + 1} workers of {address}, probably out of memory; use shorter chains, or give workers more"
        ) from error
    except CancelledError as error:
        raise RuntimeError(
            f"the scheduler {address} went away; start it again and go on with --resume"
        ) from error
    finally:
        client.close(timeout=2)


def run_alone(expected: dict[str, str | None], function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a worker with one BLAS thread, one at a time in a process.

    Args:
        expected: Versions that the bytes may depend on, where the generation was started.
        function: What to run.
        *arguments: Its arguments.

    Returns:
        Its result; {"error": kind, "message"} for errors that would be the same in a second try.
    """
    import torch
    from threadpoolctl import threadpool_limits

    differing = [
        f"{name} {found}, not {expected.get(name)}"
        for name, found in versions().items()
        if found != expected.get(name)
    ]
    if differing:
        return {
            "error": "UsageError",
            "message": f"a worker has {differing[0]}; install the same versions on all machines",
        }
    with _one_at_a_time, one_thread_for_new_libraries(), threadpool_limits(limits=1):
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return function(*arguments)
        except UsageError as error:
            return {"error": "UsageError", "message": str(error)}
        except DataError as error:
            return {"error": "DataError", "message": str(error)}
        finally:
            torch.set_num_threads(before)


def _result(told: Any) -> Any:
    """Return what a worker returned, or raise the error that it reports."""
    if isinstance(told, dict) and "error" in told:
        raise {"UsageError": UsageError, "DataError": DataError}[told["error"]](told["message"])
    return told


def write_once(root: Path, recipe: Recipe, chain: Chain, ids: Sequence[int], solver: str) -> dict[str, Any]:
    """Write a chain, unless an earlier try has done it; a killed try leaves files, which are removed.

    Args:
        root: Folder of the dataset, on a file system that all workers share.
        recipe: What to generate.
        chain: Which part of it.
        ids: Numbers of its samples.
        solver: Word of the solver.

    Returns:
        The sidecar.
    """
    if finished(root, chain):
        return dict(json.loads((root / chain.sidecar).read_text(encoding="utf-8")))
    remove_leftovers(root, chain)
    return write(root, recipe, chain, ids, solver, lambda iterations: None)
