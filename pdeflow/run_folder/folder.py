"""The folder of a run: runs/NAME/STAMP/ with config.yaml, run.json, a folder per stage, figures/ and report.html."""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from pdeflow.errors import DataError, UsageError

FORMAT = 1
PACKAGES = ("pdeflow", "torch", "lightning", "neuraloperator", "numpy", "scipy", "pyamg", "h5py")


def create(name: str, root: str | Path = "runs") -> Path:
    """Make the folder of a new run; `point_latest` is for when it holds something.

    Args:
        name: Name of the experiment; underscores become dashes in the path.
        root: Folder of all runs.

    Returns:
        root/NAME/STAMP.
    """
    home = Path(root) / re.sub(r"[^\w.-]|_", "-", name)
    run = home / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    (run / "figures").mkdir(parents=True)
    return run


def point_latest(run: Path) -> None:
    """Let `latest` beside the run name it: a relative link, or a text file where links are not allowed."""
    link, aside = run.parent / "latest", run.parent / f".latest.{os.getpid()}"
    aside.unlink(missing_ok=True)
    try:
        aside.symlink_to(run.name, target_is_directory=True)
    except OSError:
        aside.write_text(run.name, encoding="utf-8")
    os.replace(aside, link)


def resolve(path: str | Path) -> Path:
    """Return the folder that a path names, following `latest` where it is a text file or in a folder of runs.

    Args:
        path: A run folder, or one of its stages.

    Returns:
        The folder.

    Raises:
        UsageError: If there is none.
    """
    path = Path(path)
    if path.is_file() and path.name == "latest":
        path = path.parent / path.read_text(encoding="utf-8").strip()
    newest = path / "latest"
    if newest.exists() and not (path / "config.yaml").exists():  # runs/NAME, the folder of all runs of that name
        return resolve(newest)
    if not path.is_dir():
        raise UsageError(f"run folder {path} not found; pdeflow run or pdeflow fit make one under runs/")
    path = path.resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write JSON aside, then rename.

    Args:
        path: File to write; its folder is made.
        content: Plain values; what JSON does not know is written as text.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return replace_file(path, (json.dumps(content, indent=2, default=str) + "\n").encode())


def write_yaml(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write YAML aside, then rename; keys keep their order."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return replace_file(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True).encode())


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON mapping.

    Args:
        path: File.

    Returns:
        Its content.

    Raises:
        DataError: If it is damaged.
    """
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is not valid JSON ({error}); it is damaged, run the stage again") from error


def provenance(argv: Sequence[str], seed: int) -> dict[str, Any]:
    """Say what made a run: command and the folder it was started in, versions, machine, revision.

    Args:
        argv: Arguments of the command.
        seed: Root seed.

    Returns:
        Plain values for run.json.
    """
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "format": FORMAT,
        "command": " ".join(["pdeflow", *argv]),
        "folder": str(Path.cwd()),
        "seed": seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "revision": _revision(),
        "versions": versions,
    }


def replace_file(path: Path, content: bytes) -> Path:
    """Write bytes aside in the same folder, then rename: a reader never meets half a file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(content)
    os.replace(aside, path)
    return path


def _revision() -> str | None:
    """Return the commit of the checkout that the package runs from, with "+" when files changed."""
    here = Path(__file__).resolve().parent
    try:
        ask = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*"]
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None if "site-packages" not in str(here) else None
