import json

import h5py
import numpy as np
import pytest
import torch

from pdeflow import seeds
from pdeflow.cli.info import text_of
from pdeflow.cli.main import main
from pdeflow.data import PDEDataset, check, export_neuralop, export_npy, export_pdebench, import_files
from pdeflow.data.manifest import build_manifest
from pdeflow.errors import DataError, UsageError
from pdeflow.generation import operator_action as module
from pdeflow.generation.operator_action import Mixer, operator_action, perturbation
from pdeflow.generation.recipe import Recipe
from pdeflow.geometry import Grid
from pdeflow.problems import (
    ChebyshevPoisson,
    Darcy,
    Heat,
    Helmholtz,
    Instance,
    Poisson,
    SpongeHelmholtz,
    StarPoisson,
)
from pdeflow.problems.instance import Function


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("augmented") / "poisson"
    operator_action(Poisson(), root, count={"train": 60, "test": 5}, grid=[20, 20], basis=30, seed=4)
    return root


def mixer(problem, n, basis):
    return Mixer(
        problem,
        Recipe.of(problem, None, {"train": 2}, [n, n], seed=4, method="direct", rtol=1e-12, chain_length=8),
        basis,
    )


@pytest.mark.parametrize(
    "problem", [Poisson(), Helmholtz(wave_number=6.0, modes=8)], ids=lambda p: type(p).__name__
)
def test_the_stored_fields_solve_the_discrete_equations_to_machine_precision(problem, tmp_path):
    operator_action(problem, tmp_path, count={"train": 3}, grid=[24, 24], basis=4, seed=1)
    assert check(tmp_path) == []
    data = PDEDataset(tmp_path, dtype=torch.float64)
    assert data.problem == problem
    for i in range(3):
        fields = dict(zip(problem.inputs, data[i]["a"], strict=True))
        system = data.problem.stored_system(fields, {}, data.grid)
        residual = np.linalg.norm(system.b - system.A @ data[i]["u"].reshape(-1).numpy()) / np.linalg.norm(
            system.b
        )
        assert residual <= 1e-15
        assert not data.scalars  # place and width of the pulse described another f


def test_without_the_perturbation_the_source_is_the_same_mixture_of_the_basis_sources(monkeypatch):
    monkeypatch.setattr(module, "NOISE", 0.0)
    problem, basis = Poisson(), 6
    made = mixer(problem, 20, basis)
    grid = Grid.unit((20, 20))
    alpha = torch.randn(basis, generator=seeds.generator(4, seeds.NOISE, 1), dtype=torch.float64)
    draws = [problem.sample(seeds.generator(4, seeds.INPUTS, i)).fields["f"].on(grid) for i in range(basis)]
    expected = sum(a * f for a, f in zip(alpha / alpha.norm(), draws, strict=True))
    np.testing.assert_allclose(
        made.sample(1).inputs["f"], expected, atol=1e-12 * expected.abs().max().item() * 400
    )  # condition


def test_the_discrete_operator_takes_the_perturbation_to_its_laplacian_up_to_the_boundary():
    problem, errors = Poisson(), []
    field = module.gaussian_random_field(
        module.Box.unit(2), 4.5, module.CORRELATION, generator=seeds.generator(0, seeds.NOISE, 0), modes=32
    )

    def continuous(x):
        return field.at(x) * torch.sin(torch.pi * x).pow(3).prod(-1)

    for n in (32, 64):
        grid = Grid.unit((n, n))
        bump = perturbation(grid, seeds.generator(0, seeds.NOISE, 0)).reshape(-1).numpy()
        made = mixer(problem, n, 1)
        discrete = made._with_source(made._draw(0), torch.zeros(n, n).double()).A @ bump / made.load

        nothing = Instance({"f": Function(lambda x: torch.zeros(len(x)).double())})
        exact = problem.residual(continuous, grid.coordinates().reshape(-1, 2), nothing).detach().numpy()
        errors.append(np.abs(discrete - exact).max() / np.abs(exact).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.4)


def test_sources_have_the_variance_of_the_problem(made):
    """Independent draws f_i mixed by α of length one keep their variance; 30 of them and the perturbation add 15 %."""
    f = PDEDataset(made).tensors()[0]
    nominal = torch.stack(
        [
            Poisson().sample(seeds.generator(9, seeds.INPUTS, i)).fields["f"].on(Grid.unit((20, 20)))
            for i in range(60)
        ]
    )
    assert f.std().item() == pytest.approx(nominal.std().item(), rel=0.25)


def test_the_flag_is_in_every_file_in_the_manifest_and_in_what_info_prints(made, tmp_path):
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["augmented"] == "operator_action"
    assert manifest["augmentation"] == {
        "method": "operator_action", "basis": 30, "noise": 0.05, "seed": 4, "note": "all splits share the basis",
    }  # fmt: skip
    assert manifest["seed"] is None  # the stored inputs are not the draws of a seed
    for path in made.glob("data/*/*.hdf5"):
        with h5py.File(path) as file:
            assert file.attrs["augmented"] == "operator_action"
    assert (
        "augmented by operator action (f = A u on 30 solved instances), not drawn from the problem"
        in text_of(made)
    )
    for export in (export_neuralop, export_npy, export_pdebench):  # and it survives other formats
        files = export(made, tmp_path / export.__name__)
        back = import_files(
            [tmp_path / "export_npy"] if export is export_npy else files, tmp_path / f"{export.__name__}_back"
        )
        assert PDEDataset(back).info["augmented"] == "operator_action"


def test_augmented_and_drawn_samples_are_never_mixed(tmp_path):
    operator_action(Poisson(), tmp_path, count={"train": 2, "test": 2}, grid=[8, 8], basis=2)
    with pytest.raises(UsageError, match="never mixed"):
        operator_action(Poisson(), tmp_path, count={"train": 2}, grid=[8, 8])
    (path,) = tmp_path.glob("data/test/*.hdf5")
    with h5py.File(path, "r+") as file:
        del file.attrs["augmented"]
    with pytest.raises(DataError, match=r"has augmented , the shards before it operator_action"):
        build_manifest(tmp_path, {})


def test_equal_seeds_give_equal_bytes_and_each_sample_its_own_mixture(made, tmp_path):
    operator_action(
        Poisson(), tmp_path / "again", count={"train": 60, "test": 5}, grid=[20, 20], basis=30, seed=4
    )
    for path in made.glob("data/*/*.hdf5"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(made)).read_bytes()
    u = torch.cat([PDEDataset(made, split).tensors()[1] for split in ("train", "test")]).flatten(1)
    assert torch.pdist(u).min() > 0.1 * u.norm(dim=1).mean()


REFUSED = [
    (Darcy(), [16, 16], "no input of Darcy"),
    (Heat(), [16, 16], "no input of Heat"),
    (
        SpongeHelmholtz(wave_number=6.0, modes=4),
        [24, 24],
        "one real solution, SpongeHelmholtz has u_re, u_im",
    ),
    (ChebyshevPoisson(), [16, 16], "zero boundary data"),
    (StarPoisson(), None, "needs a grid, StarPoisson is discretized on a Mesh"),
]


@pytest.mark.parametrize(("problem", "grid", "message"), REFUSED, ids=lambda value: type(value).__name__)
def test_a_problem_that_does_not_fit_is_refused_in_one_line(problem, grid, message, tmp_path):
    with pytest.raises(UsageError, match=message) as error:
        operator_action(problem, tmp_path / "out", count={"train": 2}, grid=grid, basis=2)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_command_line_makes_them_from_a_recipe(tmp_path, capsys):
    recipe = tmp_path / "poisson.yaml"
    recipe.write_text(
        "name: poisson\nproblem: {class_path: pdeflow.problems.Poisson}\ncount: {train: 4, test: 2}\ngrid: [8, 8]\n"
    )
    assert (
        main(
            [
                "data",
                "augment",
                "-c",
                str(recipe),
                "--out",
                str(tmp_path / "out"),
                "--basis",
                "3",
                "--seed",
                "2",
            ]
        )
        == 0
    )
    assert "not drawn from the problem" in capsys.readouterr().out
    info = PDEDataset(tmp_path / "out").info
    assert (info["name"], info["augmentation"]["basis"], info["augmentation"]["seed"]) == (
        "poisson_operator_action",
        3,
        2,
    )
