"""Multi-grid patches against the whole field on two-phase Darcy: test error, seams, memory per input.

256 training and 64 test samples, width 24, Tucker rank 0.1, Muon, one seed; levels 1, so four patches of a field. The seam ratio is that of
the predictions over that of the solutions. Prints one line per variant.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import nn

import pdeflow
from pdeflow.data import PDEDataModule
from pdeflow.losses import relative_l2
from pdeflow.models import TFNO, PatchedNetwork
from pdeflow.models.domain_decomposition import seam_ratio
from pdeflow.problems import Darcy
from pdeflow.tasks import OperatorLearning

warnings.filterwarnings("ignore")

WHOLE: dict[str, dict[str, Any]] = {"whole field": {}, "whole field, domain padding 1/8": {"domain_padding": 0.125}}
MIRRORED = {"boundary": "symmetric", "padding": 7 / 64, "blend": True}
PATCHED: dict[str, tuple[int, dict[str, Any]]] = {
    "padding 1/16, cropped": (12, {"boundary": "symmetric", "padding": 1 / 16}),
    "padding 7/64, blended": (12, MIRRORED),
    "padding 7/64, blended, around": (12, MIRRORED | {"boundary": "circular"}),
    "padding 7/64, blended, antialiased": (12, MIRRORED | {"antialias": True}),
    "padding 7/64, blended, 16 modes": (16, MIRRORED),
    "padding 7/64, blended, 20 modes": (20, MIRRORED),
    "padding 7/64, blended, 24 modes": (24, MIRRORED),
}


def network(name: str) -> nn.Module:
    """Build a variant."""
    if name in WHOLE:
        return TFNO((12, 12), hidden_channels=24, rank=0.1, **WHOLE[name])
    modes, options = PATCHED[name]
    inner = TFNO((modes, modes), in_channels=6, hidden_channels=24, rank=0.1, coordinates=False)
    return PatchedNetwork(inner, levels=1, **options)


def line(name: str, root: Path, epochs: int) -> str:
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
    return f"{name:36s} error {float(relative_l2(p, u).mean()):.4f}  seam ratio {seam:.2f}  {seconds:.0f} s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--variant", nargs="*", default=[*WHOLE, *PATCHED], choices=[*WHOLE, *PATCHED])
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        count = {"train": 256, "test": 64}
        pdeflow.generate(Darcy(low=3.0, high=12.0), folder, count=count, grid=(options.cells,) * 2, workers=1, seed=0)
        for name in options.variant:
            print(line(name, Path(folder), options.epochs), flush=True)


if __name__ == "__main__":
    main()
