"""Test error on neuraloperator's public 16x16 Darcy data: our TFNO + Muon against its FNO + Adam and Trainer.

Both see the same 1000 training samples, the same number of epochs and the same number of real parameters to
within 5 %, in a small and in a large pair. Ours goes through the data import and the fit command. The peer's
learning rate, and in the small pair also its shape, are the best of several on the test set (first seed), an
advantage that ours does not get.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pdeflow.data import import_files
from pdeflow.losses import relative_l2
from pdeflow.models import TFNO

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "public_darcy.md"
BATCH, RATE = 16, 0.02
PEER_RATES = (3e-3, 5e-3, 8e-3, 1.2e-2, 2e-2)
Split = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Pair:
    """Shapes to compare: ours, and the peer's candidates as (modes per axis, hidden channels)."""

    name: str
    ours: dict[str, Any]
    peer: tuple[tuple[int, int], ...]


PAIRS = (
    Pair("small", {"n_modes": [12, 12], "hidden_channels": 32, "rank": 0.1}, ((6, 19), (8, 15), (10, 12))),
    Pair("large", {"n_modes": [12, 12], "hidden_channels": 32, "rank": 1.0}, ((12, 32),)),
)


@dataclass(frozen=True)
class Run:
    """One training: mean relative L2 test error in physical units, real parameters, seconds."""

    error: float
    parameters: int
    seconds: float


def load(file: Path) -> Split:
    data = torch.load(file, weights_only=True)
    return data["x"].float().unsqueeze(1), data["y"].float().unsqueeze(1)


def real_parameters(network: nn.Module) -> int:
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in network.parameters())


@torch.no_grad()
def test_error(predict: Callable[[Tensor], Tensor], test: Split) -> float:
    return relative_l2(predict(test[0]), test[1]).mean().item()


def settings(shape: dict[str, Any], dataset: Path, epochs: int, seed: int) -> dict[str, Any]:
    network = {"class_path": "pdeflow.models.TFNO", "init_args": shape}
    return {
        "name": "public_darcy",
        "seed_everything": seed,
        "model": {"class_path": "pdeflow.tasks.OperatorLearning", "init_args": {"network": network}},
        "data": {
            "class_path": "pdeflow.data.PDEDataModule",
            "init_args": {"path": str(dataset), "batch_size": BATCH},
        },
        "optimizer": {"class_path": "pdeflow.optim.Muon", "init_args": {"lr": RATE}},
        "lr_scheduler": {"class_path": "pdeflow.optim.WarmupCosine"},
        "trainer": {"max_epochs": epochs, "limit_val_batches": 0, "accelerator": "cpu"},
    }


def fit_ours(shape: dict[str, Any], dataset: Path, test: Split, epochs: int, seed: int) -> Run:
    """Train with `pdeflow fit` in a process of its own and measure the last weights."""
    with tempfile.TemporaryDirectory() as folder:
        file, run = Path(folder, "settings.yaml"), Path(folder, "run")
        file.write_text(yaml.safe_dump(settings(shape, dataset, epochs, seed)), encoding="utf-8")
        command = [sys.executable, "-m", "pdeflow", "fit", "-c", str(file), "--out", str(run), "-q"]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        (checkpoint,) = run.glob("**/last.ckpt")
        state = torch.load(checkpoint, weights_only=True)["state_dict"]
    network = TFNO(**shape)
    network.load_state_dict({name.removeprefix("network."): w for name, w in state.items()})
    return Run(test_error(network.eval(), test), real_parameters(network), seconds)


def fit_peer(shape: tuple[int, int], lr: float, train: Split, test: Split, epochs: int, seed: int) -> Run:
    from neuralop import LpLoss, Trainer
    from neuralop.data.transforms.data_processors import DefaultDataProcessor
    from neuralop.data.transforms.normalizers import UnitGaussianNormalizer
    from neuralop.models import FNO

    torch.manual_seed(seed)
    network = FNO(n_modes=(shape[0],) * 2, in_channels=1, out_channels=1, hidden_channels=shape[1])
    encoders = [UnitGaussianNormalizer(dim=[0, 2, 3]) for _ in train]
    for encoder, field in zip(encoders, train, strict=True):
        encoder.fit(field)
    samples = [{"x": a, "y": u} for a, u in zip(*train, strict=True)]
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, weight_decay=0.0)
    trainer = Trainer(
        model=network, n_epochs=epochs, device="cpu", data_processor=DefaultDataProcessor(*encoders),
        eval_interval=epochs + 1,
    )  # fmt: skip
    start = time.perf_counter()
    trainer.train(
        DataLoader(samples, batch_size=BATCH, shuffle=True), {}, optimizer,
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs),
        regularizer=False, training_loss=LpLoss(d=2, p=2),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    network.eval()
    into, out = encoders
    error = test_error(lambda a: out.inverse_transform(network(into.transform(a))), test)
    return Run(error, real_parameters(network), seconds)


def best_peer(
    pair: Pair, train: Split, test: Split, epochs: int, seeds: Sequence[int]
) -> tuple[str, list[Run]]:
    """Try every shape and rate on the first seed and run the other seeds with the best."""
    choices = [(shape, lr) for shape in pair.peer for lr in PEER_RATES]
    trials = {choice: fit_peer(*choice, train, test, epochs, seeds[0]) for choice in choices}
    for (shape, lr), run in trials.items():
        report(f"{pair.name}: peer modes {shape[0]} width {shape[1]} lr {lr:g}: {run.error:.4f}")
    best = min(trials, key=lambda choice: trials[choice].error)
    runs = [trials[best], *(fit_peer(*best, train, test, epochs, seed) for seed in seeds[1:])]
    (modes, width), lr = best
    return (
        f"neuralop FNO, {modes} modes, width {width}, Adam {lr:g} (best of {len(choices)}), its Trainer",
        runs,
    )


def rows(pair: Pair, ours: Sequence[Run], name: str, peer: Sequence[Run]) -> list[str]:
    """Return both sides of a pair as rows of the table."""
    if abs(ours[0].parameters / peer[0].parameters - 1) > 0.05:
        raise ValueError(
            f"{pair.name}: {ours[0].parameters} and {peer[0].parameters} parameters differ by over 5 %"
        )
    shape = f"{pair.ours['n_modes'][0]} modes, width {pair.ours['hidden_channels']}, rank {pair.ours['rank']}"
    mine = f"pdeflow TFNO, {shape}, Muon {RATE:g}, `pdeflow fit`"
    return [row(pair.name, name, peer), row(pair.name, mine, ours)]


def row(pair: str, label: str, runs: Sequence[Run]) -> str:
    errors = [run.error for run in runs]
    seconds = statistics.mean(run.seconds for run in runs)
    each = " ".join(f"{e:.4f}" for e in errors)
    return f"| {pair} | {label} | {each} | {statistics.mean(errors):.4f} | {runs[0].parameters} | {seconds:.0f} |"


def report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    files = [options.data / f"darcy_{split}_16.pt" for split in ("train", "test")]
    if not all(file.is_file() for file in files):
        report(
            f"skipped: no darcy_train_16.pt in {options.data}; pass neuraloperator's data folder as --data"
        )
        return
    os.environ.setdefault("WANDB_MODE", "disabled")
    train, test = load(files[0]), load(files[1])
    lines = [
        f"# Public Darcy data, 16x16, {len(train[0])} training and {len(test[0])} test samples",
        "",
        f"Mean relative L2 test error in physical units after {options.epochs} epochs, batch {BATCH}, one run per "
        "seed; both of a pair have the same number of real parameters to within 5 %. Seconds of ours include the "
        f"start of the command. {platform.machine()}, {torch.get_num_threads()} thread(s), torch "
        f"{torch.__version__}. Regenerate with `python benchmarks/public_darcy.py --data DIR`.",
        "",
        "| pair | method | error per seed | mean | real parameters | seconds per run |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        dataset = import_files(files, Path(folder, "darcy"))
        ours = [
            [fit_ours(pair.ours, dataset, test, options.epochs, s) for s in options.seeds] for pair in PAIRS
        ]
    for pair, runs in zip(PAIRS, ours, strict=True):
        report(f"{pair.name}: ours {' '.join(f'{run.error:.4f}' for run in runs)}")
        lines += rows(pair, runs, *best_peer(pair, train, test, options.epochs, options.seeds))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
