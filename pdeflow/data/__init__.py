import warnings
from typing import TYPE_CHECKING, Any

from pdeflow.data.check import check
from pdeflow.data.dataset import PDEDataset
from pdeflow.data.foreign import import_files
from pdeflow.data.manifest import describe
from pdeflow.data.mesh_dataset import MeshDataset
from pdeflow.data.neuralop import export_neuralop
from pdeflow.data.npy import export_npy
from pdeflow.data.pdebench import export_pdebench
from pdeflow.data.vtu import export_vtu

if TYPE_CHECKING:
    from pdeflow.data.datamodule import PDEDataModule

__all__ = [
    "MeshDataset", "PDEDataModule", "PDEDataset", "check", "describe", "export_neuralop", "export_npy", "export_pdebench",
    "export_vtu", "import_files",
]  # fmt: skip


_RENAMED = {"import_neuralop": "import_files"}


def __getattr__(name: str) -> Any:
    """Import the data module on first use: it needs Lightning, which the workers of a generation do without."""
    if name in _RENAMED:
        warnings.warn(
            f"pdeflow.data.{name} is now {_RENAMED[name]}; the old name goes in 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return globals()[_RENAMED[name]]
    if name != "PDEDataModule":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pdeflow.data.datamodule import PDEDataModule

    return PDEDataModule
