"""Multi-grid patches against the whole field on two-phase Darcy: test error, seams, memory of a training step.

256 training and 64 test samples, width 24, Tucker rank 0.1, Muon, one seed. The seam ratio is that of the predictions over that of
the solutions. Activations are what a forward pass of one input (a field, a patch, the coarse network's means) keeps for the backward
pass; the step's memory is what a process of its own adds at most for a forward and backward pass of one sample, patches taken one by
one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn

import pdeflow
from pdeflow.data import PDEDataModule
from pdeflow.losses import relative_l2
from pdeflow.models import TFNO, PatchedNetwork
from pdeflow.models.domain_decomposition import seam_ratio
from pdeflow.problems import Darcy
from pdeflow.tasks import OperatorLearning

warnings.filterwarnings("ignore")

RESULT = Path(__file__).parent / "results" / "mg_patches.md"
WHOLE: dict[str, dict[str, Any]] = {"whole field": {}, "whole field, domain padding 1/8": {"domain_padding": 0.125}}
MIRRORED = {"boundary": "symmetric", "padding": 7 / 64, "blend": True}
PATCHED: dict[str, tuple[int, bool, dict[str, Any]]] = {
    "coarse network, 12 modes": (12, True, MIRRORED),
    "coarse network, 16 modes": (16, True, MIRRORED),
    "coarse network, 12 modes, 16 patches": (12, True, MIRRORED | {"levels": 2, "padding": 1 / 16}),
    "views only, 12 modes": (12, False, MIRRORED),
    "views only, 16 modes": (16, False, MIRRORED),
    "views only, 24 modes": (24, False, MIRRORED),
    "views only, 12 modes, around": (12, False, MIRRORED | {"boundary": "circular"}),
    "views only, 12 modes, antialiased": (12, False, MIRRORED | {"antialias": True}),
    "views only, 12 modes, padding 1/16, cropped": (12, False, {"boundary": "symmetric", "padding": 1 / 16}),
}
"""Modes of the inner network, whether a coarse one predicts first, how the field is cut; levels 1, so four patches, if not said."""
LONG = ("whole field", "coarse network, 16 modes")
"""What is measured on grids of 128² and more, a quarter of an hour each."""


def tfno(modes: int, **options: Any) -> TFNO:
    """Build the network that all variants consist of."""
    return TFNO((modes, modes), hidden_channels=24, rank=0.1, **options)


def network(name: str) -> nn.Module:
    """Build a variant."""
    if name in WHOLE:
        return tfno(12, **WHOLE[name])
    modes, corrects, options = PATCHED[name]
    views = options.get("levels", 1) + 1
    inner = tfno(modes, in_channels=views * (4 if corrects else 3), coordinates=False)
    return PatchedNetwork(inner, coarse=tfno(12) if corrects else None, **options)


def activations(net: nn.Module, x: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters not counted."""
    own = {p.untyped_storage().data_ptr() for p in (*net.parameters(), *net.buffers())}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y = net(x)
    del y
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)


def largest_activations(name: str, cells: int) -> float:
    """MB of the largest input that goes through a network of the variant in one piece."""
    net = network(name)
    if not isinstance(net, PatchedNetwork):
        return activations(net, torch.zeros(1, 1, cells, cells)) / 1e6
    patch = torch.zeros(1, len(net.network.input_normalizer.mean), *net.patches.patch_shape((cells, cells)))
    means = torch.zeros(1, 1, *(cells // net.patches.per_axis,) * 2)
    return max(activations(part, x) for part, x in ((net.network, patch), (net.coarse, means)) if part is not None) / 1e6


def held(field: str) -> float:
    """MB by a line of the process's status."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1e3


def step_memory(name: str, cells: int) -> float:
    """MB that a forward and backward pass of one sample adds to this process at most."""

    def passes(n: int) -> None:
        net = network(name)
        if isinstance(net, PatchedNetwork):
            net.patches_per_call = 1
        net(torch.randn(1, 1, n, n)).square().mean().backward()

    passes(64)  # libraries load what they need
    before = held("VmRSS")
    passes(cells)
    return held("VmHWM") - before


def variant(name: str, root: Path, cells: int, epochs: int) -> list[str]:
    """Train a variant and measure it."""
    torch.manual_seed(0)
    net, data = network(name), PDEDataModule(str(root), batch_size=16, seed=0)
    data.setup("fit")
    a, u = (field.float() for field in data.test_dataloader().dataset.tensors())
    task = OperatorLearning(net, optimizer={"class_path": "pdeflow.optim.Muon", "init_args": {"lr": 0.02}})
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    start = time.process_time()
    Trainer(max_epochs=epochs, accelerator="cpu", limit_val_batches=0, **quiet).fit(task, data)
    seconds = time.process_time() - start
    with torch.no_grad():
        p = torch.cat([net.eval()(part) for part in a.split(16)])
    seam = float((seam_ratio(p, 1) / seam_ratio(u, 1)).mean())
    command = [sys.executable, __file__, "--cells", str(cells), "--memory", name]
    freed_at_once = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    memory = float(subprocess.run(command, env=freed_at_once, capture_output=True, text=True, check=True).stdout)
    count = sum(weight.numel() for weight in net.parameters())
    error = float(relative_l2(p, u).mean())
    largest = largest_activations(name, cells)
    return [name, f"{error:.4f}", f"{seam:.2f}", f"{largest:.0f}", f"{memory:.0f}", f"{count:,}", f"{seconds:.0f}"]


HEADER = ["variant", "relative L2", "seam ratio", "activations, MB", "memory of a step, MB", "parameters", "training, CPU s"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="*", default=[64, 128])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--variant", nargs="*", choices=[*WHOLE, *PATCHED])
    parser.add_argument("--memory", help="Measure a step of one variant and print MB.")
    parser.add_argument("--write", action="store_true", help=f"Write {RESULT.name}.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        print(step_memory(options.memory, options.cells[0]))
        return
    tables = []
    for cells in options.cells:
        with tempfile.TemporaryDirectory() as folder:
            count = {"train": 256, "test": 64}
            pdeflow.generate(Darcy(low=3.0, high=12.0), folder, count=count, grid=(cells,) * 2, workers=1, seed=0)
            rows = []
            for name in options.variant or (LONG if cells >= 128 else [*WHOLE, *PATCHED]):
                rows.append(variant(name, Path(folder), cells, options.epochs))
                print(cells, *rows[-1], sep=" | ", flush=True)
        lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)], *rows]
        tables += [f"## {cells}²", "", *(f"| {' | '.join(line)} |" for line in lines), ""]
    if options.write:
        about = f"{options.epochs} epochs, one seed, {platform.machine()}, one thread, torch {torch.__version__}"
        title = ["# Multi-grid patches against the whole field", "", f"{' '.join(__doc__.split(chr(10) * 2)[1].split())} {about}.", ""]
        RESULT.write_text("\n".join([*title, *tables]), encoding="utf-8")


if __name__ == "__main__":
    main()
