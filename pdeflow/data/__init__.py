from typing import TYPE_CHECKING, Any

from pdeflow.data.check import check
from pdeflow.data.dataset import PDEDataset
from pdeflow.data.foreign import export_neuralop, import_neuralop
from pdeflow.data.manifest import describe
from pdeflow.data.mesh_dataset import MeshDataset
from pdeflow.data.vtu import export_vtu

if TYPE_CHECKING:
    from pdeflow.data.datamodule import PDEDataModule

__all__ = ["MeshDataset", "PDEDataModule", "PDEDataset", "check", "describe", "export_neuralop", "export_vtu", "import_neuralop"]


def __getattr__(name: str) -> Any:
    """Import the data module on first use: it needs Lightning, which the workers of a generation do without."""
    if name != "PDEDataModule":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pdeflow.data.datamodule import PDEDataModule

    return PDEDataModule
