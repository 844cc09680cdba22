"""A small run as the commands leave it: summaries, settings, logs and pictures."""

import json

import numpy as np
import pytest
import scipy.sparse.linalg as sla
from matplotlib.image import imread

from pdeflow import seeds
from pdeflow.problems import Darcy
from pdeflow.report import (
    plot_effectivity,
    plot_error_distribution,
    plot_error_estimate_fields,
    plot_histograms,
    plot_predictions,
    plot_residuals,
    plot_samples,
    plot_solution,
    plot_solver_times,
    plot_spectrum,
    plot_training,
)


@pytest.fixture(scope="session")
def fields():
    """Coefficients, solutions and perturbed solutions of six Darcy problems, each (6, 16, 16)."""
    problem, rows = Darcy(), []
    grid = problem.grid((16, 16))
    for i in range(6):
        instance = problem.sample(seeds.generator(0, seeds.INPUTS, i))
        system = problem.system(instance, grid)
        u = sla.spsolve(system.A.tocsc(), system.b).reshape(grid.shape)
        rows.append((instance.fields["a"].on(grid).numpy(), u))
    a, u = (np.array(column) for column in zip(*rows, strict=True))
    noise = np.random.default_rng(0).standard_normal(u.shape)
    return a, u, u * (1 + 0.01 * np.arange(1, 7)[:, None, None]) + 1e-4 * noise


def row(name, iterations, setup, solve, residual, **more):
    values = {
        "name": name,
        "method": "cg",
        "preconditioner": "",
        "iterations": iterations,
        "matvecs": iterations,
    }
    seconds = {"seconds_setup": setup, "seconds_solve": solve, "residual": residual}
    rest = {"reason": "converged", "detail": "", "skipped": None, "learned": False, "winner": False}
    return values | seconds | rest | more


@pytest.fixture
def solver_table():
    return [
        row("CG", 160, 0.0, 0.30, 9e-9),
        row("CG + AMG", 12, 0.05, 0.05, 4e-9, winner=True),
        row("cycle, untrained", 31, 0.09, 0.61, 8e-9, learned=True),
        row("cycle, trained", 9, 0.09, 0.20, 7e-9, learned=True),
        row("MINRES", 500, 0.0, 0.90, 3e-7, reason="maxiter"),
        row("direct", None, None, None, None, reason=None, skipped="needs about 4 GB"),
    ]


@pytest.fixture
def summaries(solver_table):
    spread = {"mean": 0.021, "median": 0.02, "q95": 0.03, "worst": 0.04}
    equation = "-div(a grad u) = 1, 0 < x & y < 1"
    shards = [{"file": "data/train/d-00000.hdf5", "sha256": "41c0" * 16, "count": 4}]
    return {
        "generate/manifest.json": {
            "format": 1,
            "name": "quick <run>",
            "equation": equation,
            "problem": {"class_path": "pdeflow.problems.Darcy", "init_args": {"low": 3.0, "high": 12.0}},
            "grid": {"shape": [16, 16], "bounds": [[0, 1], [0, 1]], "location": "cell"},
            "fields": {"a": {"role": "input", "dtype": "float64", "min": 3, "mean": 7, "max": 12, "std": 4}},
            "splits": {"train": {"count": 4, "first_id": 0, "shards": shards}, "test": {"count": 2}},
            "rtol": 1e-8,
            "residual": {"max": 9.8e-9, "median": 3e-9},
            "iterations": {"total": 60},
            "seconds": 6.0,
            "bytes": 8200000,
            "seed": 3,
            "solver": "CG + AMG",
        },
        "fit.operator/summary.json": {
            "stage": "fit.operator",
            "task": "pdeflow.tasks.OperatorLearning",
            "network": "pdeflow.models.TFNO",
            "network_args": {"n_modes": [8, 8]},
            "optimizer": {"class_path": "pdeflow.optim.Muon", "init_args": {"lr": 0.02}},
            "parameters": 203456,
            "epochs": 30,
            "steps": 750,
            "seconds": 75.0,
            "best": {"metric": "val/rel_l2", "value": 0.029, "epoch": 28},
            "device": "cpu",
        },
        "evaluate/summary.json": {
            "data": "generate",
            "split": "test",
            "count": 6,
            "metrics": {"rel_l2": spread, "energy_error": spread},
            "effectivity": {"mean": 0.96, "min": 0.93, "max": 0.99, "within_0.9_1.1": 1.0},
            "seconds_per_sample": 0.003,
        },
        "solve/summary.json": {
            "system": equation,
            "n": 256,
            "grid": [16, 16],
            "rtol": 1e-8,
            "rows": solver_table,
            "winner": "CG + AMG",
            "unseen": {
                "coefficients": 8,
                "grids": [
                    {"grid": [64, 64], "count": 8, "untrained_mean": 24.25, "trained_mean": 9.5,
                     "trained_max_ratio": 0.52, "amg_mean": 10.75, "cg_mean": 251.0}
                ],
            },
        },
        "run.json": {"command": "pdeflow run quick", "seed": 3, "versions": {"pdeflow": "0.1.0", "x": None}},
    }  # fmt: skip


def write_summaries(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))


@pytest.fixture(scope="session")
def figures(fields, tmp_path_factory):
    """Every picture of the report, drawn once."""
    a, u, guess = fields
    folder = tmp_path_factory.mktemp("figures")
    norms = np.linalg.norm((guess - u).reshape(6, -1), axis=1)
    rows = [
        {"step": k, "train/loss": 2.0**-k, "val/rel_l2": 3.0**-k, "lr-Muon": 0.1 / (k + 1)} for k in range(6)
    ]
    plot_samples(folder / "samples.png", a, u)
    plot_histograms(folder / "data_histograms.png", {"a (dimensionless)": a, "u (dimensionless)": u})
    plot_predictions(folder / "predictions.png", a, u, guess, norms)
    plot_error_distribution(folder / "error_distribution.png", norms)
    plot_effectivity(folder / "effectivity.png", norms, 0.95 * norms)
    plot_error_estimate_fields(folder / "error_estimate.png", guess[0] - u[0], guess[0] - u[0], 1.0)
    plot_spectrum(folder / "spectrum.png", u, guess)
    plot_training(folder / "training_fit.operator.png", rows)
    plot_residuals(
        folder / "residuals.png", {"CG": ([1.0, 0.1, 1e-9], 0.2), "direct": ([1.0], 0.1, 0.1)}, 1e-8
    )
    plot_solver_times(
        folder / "solver_times.png", [row("CG", 3, 0.1, 0.2, 1e-9), row("B", 0, None, None, None)]
    )
    plot_solution(folder / "solution.png", a[0], u[0])
    return folder


@pytest.fixture
def run(tmp_path, summaries, figures):
    """A complete run folder."""
    folder = tmp_path / "quick" / "stamp"
    write_summaries(folder, summaries)
    (folder / "config.yaml").write_text("name: quick\nnote: <b>&\n")
    (folder / "figures").symlink_to(figures, target_is_directory=True)
    return folder


@pytest.fixture
def write():
    return write_summaries


@pytest.fixture
def is_blank():
    """Whether a PNG shows one colour only."""

    def check(path):
        pixels = imread(path)
        return bool(np.ptp(pixels.reshape(-1, pixels.shape[-1]), axis=0).max() == 0)

    return check
