from pdeflow.run_folder.export import TRUSTED, Stages, export, exports, instantiate, read_network
from pdeflow.run_folder.folder import (
    create,
    point_latest,
    provenance,
    read_json,
    resolve,
    write_json,
    write_yaml,
)
from pdeflow.run_folder.trained import Trained, iteration_lines, load, metric_text

__all__ = [
    "TRUSTED",
    "Stages",
    "Trained",
    "create",
    "export",
    "exports",
    "instantiate",
    "iteration_lines",
    "load",
    "metric_text",
    "point_latest",
    "provenance",
    "read_json",
    "read_network",
    "resolve",
    "write_json",
    "write_yaml",
]
