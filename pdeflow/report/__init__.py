"""Pictures and tables of a run."""

from pdeflow.report.accuracy import plot_effectivity, plot_error_distribution
from pdeflow.report.convergence import plot_residuals, plot_solver_times
from pdeflow.report.fields import (
    plot_error_estimate_fields,
    plot_histograms,
    plot_predictions,
    plot_samples,
    plot_solution,
)
from pdeflow.report.line_predictions import plot_line_predictions
from pdeflow.report.mesh_fields import plot_grid_field, plot_mesh, plot_mesh_samples
from pdeflow.report.page import write_report
from pdeflow.report.ranked_errors import ranked_samples
from pdeflow.report.spectrum import plot_spectrum, radial_spectrum
from pdeflow.report.tables import (
    SOLVER_HEADER,
    format_number,
    html_table,
    mean_iterations,
    solver_notes,
    solver_rows,
    text_table,
)
from pdeflow.report.training import plot_training, read_metrics

__all__ = [
    "SOLVER_HEADER",
    "format_number",
    "html_table",
    "mean_iterations",
    "plot_effectivity",
    "plot_error_distribution",
    "plot_error_estimate_fields",
    "plot_grid_field",
    "plot_histograms",
    "plot_line_predictions",
    "plot_mesh",
    "plot_mesh_samples",
    "plot_predictions",
    "plot_residuals",
    "plot_samples",
    "plot_solution",
    "plot_solver_times",
    "plot_spectrum",
    "plot_training",
    "radial_spectrum",
    "ranked_samples",
    "read_metrics",
    "solver_notes",
    "solver_rows",
    "text_table",
    "write_report",
]
