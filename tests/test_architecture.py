"""Imports only point down, and every name in an __all__ exists."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "pdeflow"
FLOORS = [
    "seeds errors", "geometry", "linalg", "models optim adapt discretization meshfree random_fields",
    "problems losses data", "report run_folder", "generation tasks", "cli",
]  # fmt: skip
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
FILES = sorted(ROOT.rglob("*.py"))


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        yield from (name.split(".")[1] for name in names if name.startswith("pdeflow."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_point_down(path):
    here = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for there in imported_packages(path) if here not in ("__init__", "__main__") else ():
        assert here == there or FLOOR[there] < FLOOR[here], f"{path}: {here} must not import {there}"


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_every_public_name_exists(path):
    module = importlib.import_module(".".join(path.parent.relative_to(ROOT.parent).parts))
    assert all(hasattr(module, name) for name in getattr(module, "__all__", ()))
