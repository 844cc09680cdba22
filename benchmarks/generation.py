"""Throughput of a generation with writing, where its time goes, and cost and memory from a thousand to a hundred thousand samples.

64² Darcy on two workers, the solver chosen by the race; then a problem that costs next to nothing, so that everything
around the solver shows. Each run is a process of its own, so that its largest memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from pdeflow.data.hdf5 import sha256
from pdeflow.data.manifest import build_manifest
from pdeflow.data.store import write_shard
from pdeflow.generation import Recipe, generate
from pdeflow.generation.chains import as_shard
from pdeflow.generation.race import fastest_solver
from pdeflow.generation.samples import draw, solve_sample, solvers_of
from pdeflow.generation.solvers import title
from pdeflow.problems import Answer, Darcy

RESULT = Path(__file__).resolve().parent / "results" / "generation.md"
BAR, FLAT = 200.0, 1.25
"""Samples a second with two workers, writing included; growth of the cost per sample from the smallest to the largest run."""


@dataclass(frozen=True)
class Cheap(Darcy):
    """A stand-in for a solver: the answer is the coefficient."""

    linear = False

    def compute(self, instance: Any, layout: Any, solve: Any) -> Answer:
        """Return the coefficient."""
        return Answer({"u": instance.fields["a"].on(layout).numpy()}, 0.0, 1)


def largest_memory() -> float:
    """MB that this process has held at most; unlike the resource usage, not counting the process that started it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_run(problem: str, count: int, cells: int, workers: int, length: int) -> None:
    """Generate, and print what it took; called in a process of its own."""
    folder = Path(tempfile.mkdtemp())
    first: list[float] = []
    start = time.perf_counter()
    manifest = generate(
        Cheap() if problem == "cheap" else Darcy(), folder / "out", count={"train": count}, grid=[cells, cells], workers=workers,
        chain_length=length, progress=lambda state: first.append(time.perf_counter() - state.seconds),
    )  # fmt: skip
    wall = time.perf_counter() - start
    sidecars = [json.loads(path.read_text()) for path in (folder / "out").glob("data/train/*.json")]
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    told = {
        "wall": wall, "before": first[0] - start, "chains": sum(s["seconds"] for s in sidecars), "bytes": manifest["bytes"],
        "processor": sum(use.ru_utime + use.ru_stime for use in (own, children)),
        "own_mb": largest_memory(), "worker_mb": children.ru_maxrss / 1024, "solver": manifest["solver"].split(" (")[0],
    }  # fmt: skip
    shutil.rmtree(folder)
    print(json.dumps(told))


def measured(problem: str, count: int, cells: int, workers: int, length: int = 128) -> dict[str, Any]:
    """Run a generation in a fresh process."""
    command = [sys.executable, __file__, "--run", problem, *map(str, (count, cells, workers, length))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def profile(cells: int, count: int) -> tuple[str, dict[str, float]]:
    """Processor milliseconds a sample of each step, one thread, in this process."""
    problem = Darcy()
    recipe = Recipe.of(
        problem, None, {"train": count}, [cells, cells], seed=0, method="auto", rtol=1e-8, chain_length=count
    )
    word, ids = fastest_solver(recipe, range(4))["solver"], range(count)
    times: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = work()
        times[name] = 1e3 * (time.process_time() - start) / count
        return result

    drawn = timed("draw the input", lambda: [draw(problem, recipe, i) for i in ids])
    systems = timed("assemble", lambda: [problem.system(*one) for one in drawn])
    solver = solvers_of(problem, recipe, word)[0]
    timed("solve and verify", lambda: [solver(system) for system in systems])
    timed("inputs on the grid", lambda: [problem.input_values(*one) for one in drawn])
    solvers = solvers_of(problem, recipe, word)
    samples = [solve_sample(problem, recipe, solvers, i) for i in ids]
    with tempfile.TemporaryDirectory() as folder:
        chain = replace(recipe.chains()[0], count=count)
        shard = timed("put together", lambda: as_shard(problem, recipe, chain, ids, samples))
        path = Path(folder) / chain.file
        timed("write HDF5 (gzip 4, shuffle, checksum)", lambda: write_shard(path, shard))
        timed("sha256", lambda: sha256(path))
        timed("manifest and statistics (coordinator)", lambda: build_manifest(Path(folder), {}))
    return word, times


def throughput(options: argparse.Namespace) -> list[str]:
    """Lines about 64² Darcy."""
    word, times = profile(64, 128)
    total = sum(times.values())
    lines = [
        "## 64² Darcy, two workers, writing included", "",
        "| samples | samples/s | of it before the first chain, s | processor ms a sample | samples/s of two free cores | largest process, MB |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    best = 0.0
    for count in options.counts:
        run = measured("darcy", count, 64, 2)
        free = 2 * count / run["processor"]
        best = max(best, free, count / run["wall"])
        lines.append(
            f"| {count} | {count / run['wall']:.0f} | {run['before']:.1f} | {1e3 * run['processor'] / count:.2f} | {free:.0f} | "
            f"{max(run['own_mb'], run['worker_mb']):.0f} |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        "Two free cores: twice the samples over all processor time, that of starting three processes, of the race and of the manifest "
        "included; the samples/s in front are wall time beside whatever else the machine did.",
        "",
        f"Where the processor time goes, ms a sample, solver {title(word)} (128 samples in one process):",
        "",
    ]
    lines += ["| step | ms | share |", "|---|---|---|"]
    lines += [f"| {name} | {ms:.2f} | {100 * ms / total:.0f} % |" for name, ms in times.items()]
    if best < BAR:
        raise SystemExit(
            f"below the bar of {BAR:g} samples a second: {best:.0f}; load {os.getloadavg()[0]:.1f}"
        )
    return lines


def growth(options: argparse.Namespace) -> list[str]:
    """Lines about a solver that costs nothing."""
    lines = [
        "## A solver that costs nothing, 8² cells, two workers", "",
        "| samples | chains | processor ms a sample, start excepted | wall ms a sample | coordinator, MB | worker, MB |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    start = measured("cheap", 2, 8, 2, 1)["processor"]  # two chains, so that both workers start
    costs, memory = [], []
    for count in options.sizes:
        run = measured("cheap", count, 8, 2)
        costs.append(1e3 * (run["processor"] - start) / count)
        memory.append(run["own_mb"])
        lines.append(
            f"| {count} | {-(-count // 128)} | {costs[-1]:.2f} | {1e3 * run['wall'] / count:.2f} | {run['own_mb']:.0f} | {run['worker_mb']:.0f} |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        f"The start (three processes that import torch, {start:.1f} s of processor time) is measured with two chains of one sample.",
    ]
    if costs[-1] > FLAT * min(costs) or memory[-1] > 1.5 * memory[0]:
        raise SystemExit(f"cost or memory grow with the number of samples: {costs} ms, {memory} MB")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[1000, 4000], help="samples of the Darcy runs"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000], help="samples of the cheap runs"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    lines = [
        "# Generation: throughput, profile, growth", "",
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} from other work when it began; torch {torch.__version__}. "
        "Processor time does not count what other work took. Regenerate with `python benchmarks/generation.py`.", "",
        *throughput(options), "", *growth(options),
    ]  # fmt: skip
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        one_run(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()
