"""Small datasets of any problem, written in this process."""

from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain


def write(root, problem, resolution=None, count=3):
    """Write `count` training and two test samples, two to a shard, and return their recipe."""
    grid, h = (resolution, None) if isinstance(resolution, tuple) else (None, resolution)
    recipe = Recipe.of(
        problem,
        None,
        {"train": count, "test": 2},
        grid,
        h=h,
        seed=3,
        method="direct",
        rtol=problem.rtol,
        chain_length=2,
    )
    for chain in recipe.chains():
        write_chain(root, recipe, chain, "direct", lambda iterations: None)
    build_manifest(root, {"rtol": recipe.rtol, "solver": "sparse direct", "seconds": 1.0, "versions": {}})
    return recipe
