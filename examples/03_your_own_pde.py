"""Your own PDE in 30 lines: write it once, verify it by a solution of your choice, and solve it.

-∇·(a∇u) + c u = 1 with a log-normal and c a random number, both of which a network sees. In a module of your own, the class path
`my_module.Screened` works in every settings file: `pdeflow generate`, `fit` and `solve` need nothing else.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch

import pdeflow
from pdeflow import seeds
from pdeflow.problems import Elliptic, Function, Instance, Manufactured
from pdeflow.random_fields import gaussian_random_field
from pdeflow.report import plot_solution


@dataclass(frozen=True)
class Screened(Elliptic):
    """-∇·(a∇u) + c u = 1 on (0,1)², u = 0 on the boundary; a log-normal, c uniform in [0, screening]."""

    screening: float = 50.0
    inputs: ClassVar[tuple[str, ...]] = ("a", "c")
    equation: ClassVar[str] = "-div(a grad u) + c u = 1 on (0,1)^2, u = 0 on the boundary"

    def sample(self, generator):
        """Draw a and c."""
        g = gaussian_random_field(self.domain, alpha=3.0, tau=3.0, generator=generator, modes=8)
        c = self.screening * float(torch.rand((), generator=generator))
        constant = Function(lambda x: torch.full_like(x[:, 0], c))
        return Instance({"a": replace(g, transform=torch.exp), "c": constant})

    def reaction(self, instance, at):
        """Return c."""
        return at("c")

    def source(self, instance, at):
        """Return f = 1."""
        return torch.tensor(1.0)


problem = Screened()
instance = problem.sample(seeds.generator(0, seeds.INPUTS, 0))


# Verify: source and boundary values are derived from a function of our choice, so the error is known.
def chosen(x):
    """The solution that we want, at points (n, 2)."""
    return torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1])


verified, errors = Manufactured(problem, chosen), []
for h in (1 / 16, 1 / 32):  # finite elements; cells per axis such as (16, 16) give finite volumes
    mesh = verified.layout(instance, h)
    x = pdeflow.solve(verified.system(instance, mesh), rtol=1e-10).x
    errors.append(float((torch.from_numpy(x) - chosen(mesh.points)).abs().max()))
order = float(torch.tensor(errors[0] / errors[1]).log2())
print(f"observed order on meshes {order:.2f}")

# Solve: the same class on a grid, with a verified residual.
grid = problem.grid((64, 64))
solution = pdeflow.solve(problem.system(instance, grid), rtol=1e-10)
print(solution)
a = instance.fields["a"].on(grid).numpy()
print(f"picture: {plot_solution(Path('screened.png'), a, solution.x.reshape(grid.shape))}")
