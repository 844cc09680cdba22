"""What benchmarks/gpu/deep_conjugate_directions.py measures on a GPU is right on a CPU: the iterates, the products, the table that a cut leaves."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import LinearOperator
from scipy.sparse.linalg import cg as scipy_cg

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu"
sys.path.insert(0, str(FOLDER))
import deep_conjugate_directions as benchmark  # noqa: E402
from captured_cg import StaticCG, cg_step, product, product_into  # noqa: E402
from direction_cases import Case, System  # noqa: E402
from direction_table import Measured, Table  # noqa: E402

from pdeflow.linalg import operators  # noqa: E402
from pdeflow.models import DirectionNet, LearnedVCycle  # noqa: E402
from tests.device_waits import Refuse  # noqa: E402

CPU = torch.device("cpu")


def system(kind, side=8, count=2):
    return System(Case(kind, side, count), CPU)


@pytest.mark.parametrize("kind", ["1", "waves", "ball"])
def test_both_products_are_the_operator(kind):
    case = system(kind)
    u = case.b * torch.randn(case.b.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))  # zero in the ball
    diagonal = operators.diagonal(case.faces)
    for multiply in (product, product_into):
        torch.testing.assert_close(multiply(torch.empty_like(u), u, case.faces, diagonal), case.apply(u), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("multiply", [product, product_into])
@pytest.mark.parametrize("kind", ["1", "waves", "ball"])
def test_blocks_of_steps_give_the_iterates_of_conjugate_gradients(kind, multiply):
    """Beside SciPy's, with Jacobi, after ten and twenty steps of each column."""
    case = system(kind)
    static = StaticCG(case.faces, case.b, case.jacobi)
    static.product, n = multiply, case.a.numel()
    static.begin()
    A = LinearOperator((n, n), lambda v: case.apply(torch.from_numpy(v).reshape(1, *case.a.shape)).numpy().ravel(), dtype=np.float64)
    M = sp.diags_array(case.inverse.flatten().numpy())
    for steps in (10, 20):
        static.advance()
        for b, x in zip(case.b.flatten(1).numpy(), static.x.flatten(1).numpy(), strict=True):
            expected, _ = scipy_cg(A, b, M=M, rtol=0.0, maxiter=steps)
            np.testing.assert_allclose(x, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    iterations, residual = static.solve()
    assert residual <= 1e-6
    assert iterations == int(static.steps.max())
    assert static.solve(until=0.0)[0] == 0  # the clock is over


def test_a_compiled_step_is_the_step():
    pytest.importorskip("torch._inductor")
    case = system("waves", count=1)
    states = []
    for step in (cg_step, torch.compile(cg_step, dynamic=False, backend="aot_eager")):  # what compiles loops needs a compiler
        static = StaticCG(case.faces, case.b, case.jacobi)
        static.step, static.product = step, product
        static.begin()
        static.advance()
        states.append(static.x)
    torch.testing.assert_close(*states, rtol=1e-12, atol=1e-14)


def test_a_table_tells_what_was_not_run_what_was_cut_and_the_ratio_with_and_without_the_set_up(tmp_path):
    case, other = Case("1", 8, 1), Case("ball", 4, 1)
    path = tmp_path / "table.md"
    table = Table(["# Title"], [(case, "CG"), (case, "cycle"), (other, "CG")], path)
    table.put(case, "CG", Measured(30, 1e-3, 1.0, 12.0, "reference"))  # the clock ended it
    table.put(case, "cycle", Measured(7, 5e-7, 1.0, 2.0, "bar"))
    text = path.read_text(encoding="utf-8")
    assert "| 1 | 8³ | 1 | CG | > 30 | 1.000 | > 12 |  |  | 1.0e-03 |" in text
    assert "| 1 | 8³ | 1 | cycle | 7 | 1.000 | 2 | 6.0 | 4.0 | 5.0e-07 |" in text
    assert "| ball | 4³ | 1 | CG | not run |" in text
    assert "5 times as fast as conjugate gradients at 8³: yes, 6.0 to 6.0." in text
    assert [file.name for file in tmp_path.iterdir()] == ["table.md"]
    table.put(case, "cycle", Measured(200, 1e-2, 1.0, 2.0, "bar"))
    assert "15 iterations: no, 200, and 1 not finished." in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["waves", "ball"])
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_what_is_captured_waits_for_no_device(kind, dtype):
    case = system(kind, 16)
    cycle = case.jacobi if dtype is None else LearnedVCycle(dim=3).on_device(case.a[None, None], case.spacing, dtype, case.obstacles).directions
    static = StaticCG(case.faces, case.b, cycle, look=1)
    for multiply in (product, product_into):
        static.product = multiply
        static.begin()
        static.advance()
        free = static.x.clone()
        with Refuse():
            static.begin()
            static.advance()
        assert float(free.abs().max()) > 0
        assert torch.equal(static.x, free)  # the same step, and it asked the host for nothing


def test_the_papers_network_takes_one_column_at_a_time_and_the_clock_ends_it(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = DirectionNet(3)
    torch.save({"weights": network.state_dict()}, tmp_path / "weights.pt")
    monkeypatch.setattr(benchmark, "PAPER", tmp_path / "weights.pt")
    asked = []
    monkeypatch.setattr(DirectionNet, "forward", lambda self, r: asked.append(tuple(r.shape)) or r)  # conjugate gradients
    case = system("1", 8, 3)
    solve = benchmark.with_paper(CPU)(case)
    iterations, residual = solve(math.inf)
    assert residual <= 1e-6
    assert set(asked) == {(1, 1, 8, 8, 8)}
    assert len(asked) >= 3 * iterations
    assert solve(0.0)[0] == 0


@pytest.mark.slow
def test_the_script_runs_on_a_cpu_and_keeps_its_table_when_the_time_is_over(tmp_path):
    for name, options in (("whole", []), ("cut", ["--minutes", "0"])):
        command = [sys.executable, FOLDER / "deep_conjugate_directions.py", "--tiny", "--device", "cpu", "--out", tmp_path / name, *options]
        subprocess.run(command, check=True, capture_output=True)
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert ("not run" in text) == (name == "cut")
        assert "Error" not in text
