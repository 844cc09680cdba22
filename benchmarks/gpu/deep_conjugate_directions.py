"""Seconds to a verified 1e-6 on a GPU in three dimensions: conjugate gradients, and deep conjugate directions with the learned V-cycle.

-∇·(a∇u) = f on 256³ and 128³ cells, a = 1, the exponential of a few waves, or 1 around an insulating ball, for one right-hand side and 32. All iterate in float64; the cycle
computes in float32 or bfloat16, inside `dcdm` and inside plain conjugate gradients. On a GPU all are CUDA graphs. Conjugate gradients come in several forms, of which the one with the
fastest step is run to the end; it is the reference, its set-up (capture, compilation) not counted. On waves plain conjugate gradients take four times the steps of Jacobi's and are left
out unless `--plain`. The bars, at the largest grid, are at most 15 iterations and a fifth of the reference's seconds. The table is written after every row to `--out` (or where
`--write` says), and what `--minutes` leave no time for stands there as "not run": first the largest grid, last the paper's network, which takes one column at a time and which
benchmarks/deep_conjugate_directions.py --train has to leave in runs/. `--tiny` does it all on a CPU in a minute (`--compile` also what is compiled: five minutes),
`--device cpu --columns 1 --repeats 0 --minutes 90 --write` the large grids in half an hour (with MALLOC_MMAP_MAX_=0 and MALLOC_TRIM_THRESHOLD_=20000000000, so that the
memory of large vectors is not given back after every operation).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from captured_cg import LOOK, RTOL, Graphed, Map, StaticCG
from direction_cases import Case, System, Waves
from direction_table import Measured, Table
from lightning import Trainer
from torch import Tensor

from pdeflow.linalg import Reason
from pdeflow.linalg.direction_columns import Columns
from pdeflow.linalg.direction_input import check_reachable, check_symmetric
from pdeflow.models import DirectionNet, LearnedVCycle
from pdeflow.tasks import DirectionLearning

RESULTS = Path(__file__).resolve().parents[1] / "results"
PAPER = Path(__file__).resolve().parents[2] / "runs" / "deep_conjugate_directions" / "3d_papers_network.pt"
QUIET = {
    "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0,
    "limit_val_batches": 0,
}  # fmt: skip
Found = tuple[int, float]
"""Most iterations of a column, worst true relative residual."""


def train(steps: int) -> tuple[LearnedVCycle, float]:
    """Train the cycle on 16³ and 32³, on the CPU; returns it and its processor seconds."""
    torch.manual_seed(0)
    task = DirectionLearning(LearnedVCycle(dim=3), Waves(), grids=((16,) * 3, (32,) * 3), batch_size=4, steps_per_epoch=steps, instances=1)
    start = time.process_time()
    Trainer(max_steps=steps, accelerator="cpu", devices=1, **QUIET).fit(task)
    return task.network, time.process_time() - start


def learned(system: System, directions: Map, window: int, until: float) -> Found:
    """Deep conjugate directions, looked at every step, without the checks of A that `dcdm` makes first (those are made once, in the set-up)."""
    def stop(k: int, now: Tensor) -> Reason | None:
        return Reason.timeout if time.perf_counter() > until else None

    with torch.no_grad():
        columns = Columns(system.apply, system.b, None, directions, torch.clone, None, window, None, RTOL, 0.0)
        columns.run(200, LOOK, 1, stop)
        found = columns.solutions()
    return int(found.iterations.max()), float(found.residual.max())


Solve = Callable[[float], Found]
Build = Callable[[System], Solve]


def with_cycle(cycle: LearnedVCycle, dtype: torch.dtype, inside: str, form: str) -> Build:
    """Build a solve with the cycle: inside dcdm or inside conjugate gradients, plain, as a CUDA graph, or compiled first."""
    def build(system: System) -> Solve:
        directions: Map = cycle.on_device(system.a[None, None], system.spacing, dtype, system.obstacles).directions
        if "compiled" in form:
            torch.compiler.reset()
            directions = torch.compile(directions, dynamic=False)
        if inside == "CG":
            found = StaticCG(system.faces, system.b, directions, "graph" if "graph" in form else "plain", look=1)
            return lambda until: found.solve(200, until)
        check_reachable(system.apply, system.b, check_symmetric(system.apply, system.b))
        directions = Graphed(directions, system.b) if "graph" in form else directions
        return lambda until: learned(system, directions, 2, until)

    return build


def with_paper(device: torch.device) -> Build:
    """Build a solve with the paper's network, trained on Poisson's equation, one column at a time: a layer of 32 would take 32 GiB."""
    network = DirectionNet(3)
    network.load_state_dict(torch.load(PAPER, weights_only=True, map_location="cpu")["weights"])
    network.to(device)
    return lambda system: partial(learned, system, lambda r: torch.cat([network(v[None, None].float())[0].to(r) for v in r]), 10)


def methods(cycle: LearnedVCycle, options: argparse.Namespace) -> tuple[list[tuple[str, Build]], list[tuple[str, Build]]]:
    """Names of what learned, with how to build it: what comes first, and what comes when every case has had that."""
    forms = ["graph"] if options.device.type == "cuda" else ["plain"]
    first = [(name(inside, t, form), with_cycle(cycle, t, inside, form)) for form in forms for inside in ("dcdm", "CG") for t in (torch.float32, torch.bfloat16)]
    if options.compile:
        forms = ["compiled graph"] if options.device.type == "cuda" else ["compiled"]
    later = [(name("dcdm", t, form), with_cycle(cycle, t, "dcdm", form)) for form in forms for t in (torch.float32, torch.bfloat16)] if options.compile else []
    return first, [*later, ("paper's network, float32", with_paper(options.device))] if PAPER.exists() else later


def name(inside: str, dtype: torch.dtype, form: str) -> str:
    return f"{inside} + learned V-cycle, {str(dtype).removeprefix('torch.')}, {form.replace('graph', 'CUDA graph')}"


def clock(device: torch.device) -> float:
    """Seconds, after all that was launched; on a CPU those of its threads, which other work does not change."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(solve: Solve, device: torch.device, repeats: int, until: float) -> tuple[Found, float]:
    """What a solve finds, and the shortest of some runs in seconds after one that warms up, with no repeats of that one."""
    start = clock(device)
    found = solve(until)
    taken = [] if repeats and time.perf_counter() < until else [clock(device) - start]
    for _ in range(repeats):
        if not taken or time.perf_counter() < until:
            start = clock(device)
            solve(until)
            taken.append(clock(device) - start)
    return found, min(taken)


def classical(table: Table, case: Case, system: System, method: str, options: argparse.Namespace, until: float) -> None:
    """Try one block of conjugate gradients in every form, and run the fastest to the end."""
    forms = ["graph"] if options.device.type == "cuda" else ["plain"]
    forms += [("compiled graph" if options.device.type == "cuda" else "compiled")] if options.compile else []
    trials: list[tuple[float, str, float, StaticCG]] = []
    for form in forms:
        try:
            start = clock(options.device)
            trial = StaticCG(system.faces, system.b, system.jacobi if "Jacobi" in method else None, form)
            setup, start = clock(options.device) - start, clock(options.device)
            trial.advance()
            trials.append(((clock(options.device) - start) / LOOK, form, setup, trial))
        except RuntimeError as error:  # out of memory, or what this machine cannot compile or capture
            table.notes.append(f"- {method}, {case.kind}, {case.side}³, {case.count}, {form}: {type(error).__name__}.")
            if not trials and form == forms[-1]:
                raise
    _, form, setup, fastest = min(trials, key=lambda trial: trial[0])
    table.notes.append(f"- {method}, {case.kind}, {case.side}³, {case.count}: {', '.join(f'{f} {1e3 * s:.3g} ms' for s, f, *_ in trials)} a step; {form} was run.")
    trials.clear()
    found, seconds = timed(lambda end: fastest.solve(until=end), options.device, 0, until)
    table.put(case, method, Measured(*found, setup, seconds, "reference"))


def run(table: Table, case: Case, jobs: list[tuple[str, Build | None]], options: argparse.Namespace, until: float) -> None:
    """Fill the rows of a case in; a job without a Build is conjugate gradients."""
    device, system = options.device, None
    for method, build in jobs:
        if time.perf_counter() > until:
            return
        try:
            system = system or System(case, device)
            if build is None:
                classical(table, case, system, method, options, until)
                continue
            start = clock(device)
            solve = build(system)
            setup = clock(device) - start
            found, seconds = timed(solve, device, options.repeats, until)
            table.put(case, method, Measured(*found, setup, seconds, "bar" if "V-cycle" in method else ""))
        except RuntimeError as error:  # out of memory, or what this machine cannot compile or capture
            table.put(case, method, type(error).__name__)
        finally:
            solve = None
            if device.type == "cuda":
                torch.cuda.empty_cache()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="16³ and 32³, one and two right-hand sides, ten training steps.")
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--columns", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of what learned after one that warms up; 0 times that one.")
    parser.add_argument("--minutes", type=float, default=8.5, help="after which nothing is begun any more and what runs is ended.")
    parser.add_argument("--plain", action="store_true", help="conjugate gradients without preconditioner on waves too.")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="torch.compile; on a GPU by default.")
    parser.add_argument("--out", type=Path, help="where the table is written.")
    parser.add_argument("--write", action="store_true", help="to results/gpu/deep_conjugate_directions.md, of a CPU results/deep_conjugate_fine_grids.md.")
    options = parser.parse_args()
    if options.tiny:
        options.sides, options.columns, options.steps, options.repeats = [16, 32], [1, 2], 10, 1
    gpu = options.device.type == "cuda"
    options.compile = gpu if options.compile is None else options.compile
    if options.write and options.out is None:
        options.out = RESULTS / ("gpu/deep_conjugate_directions.md" if gpu else "deep_conjugate_fine_grids.md")
    return options


def main() -> None:
    start, options = time.perf_counter(), parsed()
    device, until = options.device, start + 60 * options.minutes
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.set_device(device)
    machine = torch.cuda.get_device_name(device) if gpu else f"a CPU, {platform.machine()}, {torch.get_num_threads()} thread(s)"
    memory = "".join(f"{name}={value} " for name, value in sorted(os.environ.items()) if name.startswith("MALLOC_"))
    cycle, seconds = train(options.steps)
    cycle.to(device)
    first, later = methods(cycle, options)
    kinds = [(kind, side) for side in sorted(options.sides, reverse=True) for kind in ("1", "waves")]
    kinds.insert(2, ("ball", min(options.sides)))
    cases = [Case(kind, side, count) for kind, side in kinds for count in options.columns]
    bases = {case: [(m, None) for m in ("CG, float64", "CG + Jacobi, float64") if "Jacobi" in m or case.kind != "waves" or options.plain] for case in cases}
    plan: list[tuple[Case, list[tuple[str, Build | None]]]] = [(case, [*bases[case], *first]) for case in cases] + [(case, [*later]) for case in cases]
    runs = f"fastest of {options.repeats} runs after one that warms up (conjugate gradients: only run)" if options.repeats else "only run"
    top = [
        "# Deep conjugate directions in space", "",
        f"On {machine}; torch {torch.__version__}. The cycle was trained on 16³ and 32³ in {options.steps} steps, {seconds:.0f} processor seconds. Relative residual {RTOL:.0e}, recomputed "
        f"in float64; the last column is the worst. {'Seconds' if gpu else 'Processor seconds'} of the {runs}; set-up is the hierarchy, what `dcdm` checks of A, capture and compilation. The reference is the fastest "
        "conjugate gradients of the same case, without its set-up. A > says that the clock ended a run. Written by "
        f"`{memory}python benchmarks/gpu/deep_conjugate_directions.py {' '.join(sys.argv[1:])}`.",
    ]  # fmt: skip
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    table = Table(top, [(case, method) for case, jobs in plan for method, _ in jobs], options.out)
    table.write()
    print("\n".join(table.lines()[: len(top) + 3]), flush=True)
    first[0][1](System(Case("1", 16, 1), device))(until)  # starts the device
    for case, jobs in plan:
        run(table, case, jobs, options, until)
    print("\n".join([*table.notes, *table.bars(), f"{time.perf_counter() - start:.0f} s in all."]), flush=True)


if __name__ == "__main__":
    main()
