"""Pictures and tables of a run."""

from pdeflow.report.convergence import (
    plot_effectivity,
    plot_error_distribution,
    plot_residuals,
    plot_solver_times,
    plot_spectrum,
    plot_training,
    radial_spectrum,
    read_metrics,
)
from pdeflow.report.fields import (
    plot_error_estimate_fields,
    plot_histograms,
    plot_predictions,
    plot_samples,
    plot_solution,
    ranked_samples,
)
from pdeflow.report.tables import SOLVER_HEADER, format_number, html_table, solver_rows, text_table

__all__ = [
    "SOLVER_HEADER",
    "format_number",
    "html_table",
    "plot_effectivity",
    "plot_error_distribution",
    "plot_error_estimate_fields",
    "plot_histograms",
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
    "solver_rows",
    "text_table",
]
