"""Solve Poisson's equation on finer and finer grids and compare with its exact solution: the error falls like h²."""

import math
from pathlib import Path

import torch

import pdeflow
from pdeflow import seeds
from pdeflow.problems import Poisson
from pdeflow.report import plot_solution

problem = Poisson(modes=8)
instance = problem.sample(seeds.generator(0, seeds.INPUTS, 0))

errors = []
for n in (32, 64, 128, 256):
    grid = problem.grid((n, n))
    solution = pdeflow.solve(problem.system(instance, grid), rtol=1e-10)
    assert solution.converged, solution.detail
    u, exact = torch.from_numpy(solution.x).reshape(grid.shape), problem.exact(grid.coordinates(), instance)
    errors.append(float((u - exact).norm() / exact.norm()))
    print(f"{n:4d} x {n:<4d} relative error {errors[-1]:.2e}   {solution}")

rate = math.log2(errors[0] / errors[-1]) / 3
print(f"observed order {rate:.2f}")
picture = plot_solution(
    Path("poisson.png"), instance.fields["f"].on(grid).numpy(), u.numpy(), names=("f", "u")
)
print(f"picture: {picture}")
