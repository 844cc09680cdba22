"""What the tools of pdeflow.adapt bring, one small experiment each, on one thread; `--only NAME` repeats one of them."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from adapt_beyond import derivative_free, langevin, loss_weights, streaming_pod
from adapt_operators import averaging, low_rank, merging, orthogonality

RESULT = Path(__file__).resolve().parent / "results" / "adapt.md"
EXPERIMENTS: dict[str, tuple[Callable[[], Iterator[str]], list[str]]] = {
    "low_rank": (low_rank, ["fine-tuned", "trained numbers", "rate 1e-3", "rate 3e-3", "rate 1e-2"]),
    "merging": (merging, ["operator", "thrice the size", "rough"]),
    "orthogonality": (orthogonality, ["weight of the penalty", *(f"{pairs} pairs, {steps} applications" for pairs in (8, 64) for steps in (1, 20, 100))]),
    "streaming_pod": (streaming_pod, ["sources", "CG", "recycling (def-CG, k = 20)", "streaming POD, k = 20", "POD of all stored solutions, k = 20", "energy missed"]),
    "derivative_free": (derivative_free, ["method", *(f"draw {i}" for i in range(5)), "median"]),
    "loss_weights": (loss_weights, ["fit", "relative L²"]),
    "langevin": (langevin, ["fit", "relative L²", "in the band"]),
    "averaging": (averaging, ["training", "seed 0", "seed 1", "seed 2"]),
}
"""Rows, and what stands above them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=EXPERIMENTS, default=None)
    only = parser.parse_args().only
    torch.set_num_threads(1)
    text = RESULT.read_text() if RESULT.exists() else ""
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.S | re.M))
    for name, (experiment, head) in EXPERIMENTS.items():
        if only in (None, name):
            start, rows = time.process_time(), []
            for row in experiment():
                rows.append(row)
                print(row, flush=True)
            parts[name] = "\n".join([
                "", " ".join((experiment.__doc__ or "").split()) + f" {time.process_time() - start:.0f} s.", "",
                f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1), *rows, "", "",
            ])  # fmt: skip
    lines = ["# The tools of pdeflow.adapt", "", f"{' '.join((__doc__ or '').split())} {platform.machine()}, torch "
             f"{torch.__version__}. Regenerate with `python benchmarks/adapt.py`.", ""]  # fmt: skip
    text = "\n".join(lines) + "\n" + "".join(f"## {name}\n{parts[name]}" for name in EXPERIMENTS if name in parts)
    RESULT.write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
