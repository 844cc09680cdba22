"""Cut a star from a polygon, ask for distances, mesh what is left and solve on it: the error falls like h².

-Δu = 0 with the boundary values of ln|x - c|, which is harmonic away from c; c lies in the hole.
"""

from pathlib import Path

import torch

import pdeflow
from pdeflow import seeds
from pdeflow.discretization.boundary import Dirichlet
from pdeflow.discretization.finite_element import elliptic_system, space_on
from pdeflow.geometry import Polygon, StarShaped, boundary_points, mesh_domain
from pdeflow.report.mesh_fields import plot_mesh_samples

centre = (0.75, 0.7)
plate = Polygon([(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.2, 1.0), (0.9, 1.5), (0.0, 1.5)])
hole = StarShaped(cosine=(0.25, 0.0, 0.0, 0.0, 0.06), sine=(0.0, 0.0, 0.03), centre=centre)
domain = plate - hole
print(f"parts of the boundary: {domain.tags}; area {plate.measure() - hole.measure():.4f}")

# Distances: the signed distance is negative inside a domain.
rim = boundary_points(hole, 500, generator=seeds.generator(0, seeds.GEOMETRY, 0))
gap = plate.distance(rim.x)
x, y = rim.x[gap.argmin()].tolist()
print(f"the hole stays {float(gap.min()):.3f} away from the edge, nearest at ({x:.2f}, {y:.2f})")


def exact(x):
    """ln|x - c| at points (n, 2)."""
    return (x - x.new_tensor(centre)).norm(dim=1).log()


errors = []
for h in (0.16, 0.08):
    mesh = mesh_domain(domain, h)
    space = space_on(mesh, "P1")
    values = dict.fromkeys(domain.tags, Dirichlet(exact))
    solution = pdeflow.solve(elliptic_system(space, 1.0, 0.0, values), rtol=1e-10)
    assert solution.converged, solution.detail
    errors.append(space.error(solution.x, exact))
    print(f"h = {h}: {mesh.n_cells} triangles, error {errors[-1]:.2e}")

order = float(torch.tensor(errors[0] / errors[1]).log2())
print(f"observed order {order:.2f}")
parts = [(mesh.points, mesh.cells, "tri", values) for values in (domain.sdf(mesh.points), solution.x)]
picture = plot_mesh_samples(Path("geometry.png"), parts, ("signed distance", "u"), name="φ, u", edges=True)
print(f"picture: {picture}")
