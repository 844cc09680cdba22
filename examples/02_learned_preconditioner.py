"""Train the eight numbers of a multigrid cycle without any solution, then solve systems it has not seen, on a finer grid."""

from pathlib import Path

import numpy as np
from lightning import Trainer

import pdeflow
from pdeflow import seeds
from pdeflow.models import LearnedVCycle
from pdeflow.problems import Darcy
from pdeflow.report import plot_residuals
from pdeflow.tasks import DirectionLearning

problem = Darcy(low=3.0, high=12.0)
task = DirectionLearning(LearnedVCycle(), problem)
trainer = Trainer(
    max_steps=100, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
)  # fmt: skip
trainer.fit(task)

iterations, histories = {"untrained": [], "trained": [], "AMG": []}, {}
for index in range(5):
    instance = problem.sample(seeds.generator(0, seeds.SOLVE, index))
    system = problem.system(instance, problem.grid((128, 128)))
    for name, M in (("untrained", LearnedVCycle()), ("trained", task.network), ("AMG", "amg")):
        solution = pdeflow.solve(system, method="fcg", preconditioner=M, rtol=1e-8)
        assert solution.converged, solution.detail
        iterations[name].append(solution.iterations)
        norms = np.array(solution.residual_norms) / np.linalg.norm(system.b)
        histories[name] = (norms, solution.seconds_setup + solution.seconds_solve, solution.seconds_setup)

for name, counts in iterations.items():
    print(f"{name:<10} {counts}")
ratio = np.mean(iterations["trained"]) / np.mean(iterations["untrained"])
print(f"trained / untrained iterations: {ratio:.2f}")
print(f"picture: {plot_residuals(Path('residuals.png'), histories, 1e-8)}")
