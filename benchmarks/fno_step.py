"""A training step of FNO and TFNO beside neuraloperator's: forward, backward and AdamW, time and memory.

All models of a case take turns in one process, on one thread; times are those of the processor, medians. The first column of
differences compares outputs after the weights were taken over. Largest memory is that of a process of its own that takes three
steps, above what it held before the first.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

warnings.filterwarnings("ignore")

RESULT = Path(__file__).resolve().parent / "results" / "fno_step.md"
CASES = [
    # grid, modes, width, batch
    ((1024,), (32,), 64, 16), ((32, 32), (16, 16), 32, 8), ((32, 32), (16, 16), 64, 8), ((64, 64), (16, 16), 32, 8),
    ((64, 64), (16, 16), 64, 8), ((128, 128), (16, 16), 32, 8), ((128, 128), (32, 32), 64, 4), ((24, 24, 24), (8, 8, 8), 32, 4),
]  # fmt: skip
BARS = {"FNO": 0.72, "TFNO": 0.72, "FNO, compiled": 0.56, "TFNO, compiled": 0.56}
"""Highest allowed share of neuraloperator's FNO, at 64² and width 64."""


def models(case: tuple[Any, ...]) -> dict[str, Callable[[], torch.nn.Module]]:
    """Return what takes part: name and constructor."""
    from neuralop.models import FNO as NeuralopFNO
    from neuralop.models import TFNO as NeuralopTFNO

    from pdeflow.models import FNO, TFNO

    _, modes, width, _ = case
    return {
        "neuraloperator FNO": lambda: NeuralopFNO(modes, 1, 1, width, n_layers=4),
        "neuraloperator TFNO": lambda: NeuralopTFNO(modes, 1, 1, width, n_layers=4, rank=0.1),
        "FNO": lambda: FNO(modes, 1, 1, width),
        "TFNO": lambda: TFNO(modes, 1, 1, width, rank=0.1),
        "FNO, compiled": lambda: torch.compile(FNO(modes, 1, 1, width)),  # type: ignore[return-value]
        "TFNO, compiled": lambda: torch.compile(TFNO(modes, 1, 1, width, rank=0.1)),  # type: ignore[return-value]
    }


def stepper(model: torch.nn.Module, case: tuple[Any, ...]) -> Callable[[], None]:
    """Return a function that takes one training step."""
    grid, _, _, batch = case
    optimizer, x = torch.optim.AdamW(model.parameters(), lr=1e-3), torch.randn(batch, 1, *grid)

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return step


def times(case: tuple[Any, ...], repeats: int, compiled: bool) -> dict[str, float]:
    """Median milliseconds of a step by model; the models take turns."""
    steps = {
        name: stepper(make(), case) for name, make in models(case).items() if compiled or "compiled" not in name
    }
    for step in steps.values():
        step(), step()
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.process_time()
            step()
            found[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in found.items()}


def memory(name: str, case: tuple[Any, ...]) -> float:
    """MB that three steps add to a new process."""
    command = [sys.executable, __file__, "--memory", name, "--case", str(CASES.index(case))]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_memory(name: str, case: tuple[Any, ...]) -> float:
    """MB that three steps add to this process at most."""
    make = models(case)[name]
    warm = stepper(make(), (tuple(16 for _ in case[0]), *case[1:3], 1)) if min(case[1]) <= 16 else None
    if warm is not None:
        warm()  # libraries load what they need
    step, before = stepper(make(), case), held("VmRSS")
    for _ in range(3):
        step()
    return held("VmHWM") - before


def held(field: str) -> float:
    """MB by a line of the process's status."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def difference(case: tuple[Any, ...]) -> float:
    """Relative difference of outputs after the weights were taken over."""
    from pdeflow.models import from_neuralop

    theirs, x = models(case)["neuraloperator FNO"](), torch.randn(2, 1, *case[0])
    with torch.no_grad():
        expected = theirs(x)
        return float((from_neuralop(theirs)(x) - expected).norm() / expected.norm())


def row(case: tuple[Any, ...], repeats: int, compiled: bool) -> str:
    """One line of the table."""
    torch.manual_seed(0)
    ms, reference = times(case, repeats, compiled), "neuraloperator FNO"
    cells = [f"{ms[name]:.1f}" + ("" if name == reference else f" ({ms[name] / ms[reference]:.2f})") for name in ms]
    sizes = [f"{memory(name, case):.0f}" for name in (reference, "neuraloperator TFNO", "FNO", "TFNO")]
    grid, modes, width, batch = case
    label = f"{'×'.join(map(str, grid))} | {modes[0]} | {width} | {batch}"
    return f"| {label} | {' | '.join(cells)} | {difference(case):.0e} | {' / '.join(sizes)} |"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--case", type=int, nargs="*", default=range(len(CASES)))
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--memory", default=None, help="Measure one model and print MB.")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory:
        print(measure_memory(arguments.memory, CASES[arguments.case[0]]))
        return
    import neuralop

    names = [n for n in models(CASES[0]) if not (arguments.no_compile and "compiled" in n)]
    header = ["grid", "modes", "width", "batch", *names, "difference", "memory, MB: n. FNO / n. TFNO / FNO / TFNO"]
    load = os.getloadavg()[0]
    lines = [
        "# A training step of FNO and TFNO beside neuraloperator's", "",
        f"neuraloperator {neuralop.__version__}, torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, one thread, "
        f"load average {load:.1f} at the start. Written by `benchmarks/fno_step.py`.", "",
        "Milliseconds of processor time for forward, backward and AdamW, median; in brackets the share of neuraloperator's FNO. At 64² and width 64 "
        "the bars are 0.72, and 0.56 compiled. TFNO: Tucker, rank 0.1.", "",
        f"| {' | '.join(header)} |", "|" + "---|" * len(header),
    ]  # fmt: skip
    for index in arguments.case:
        lines.append(row(CASES[index], arguments.repeats, not arguments.no_compile))
        print(lines[-1], flush=True)
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
