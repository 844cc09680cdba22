"""`pdeflow report`: one self-contained HTML page from what the stages of a run left."""

from __future__ import annotations

import os

from pdeflow.cli.exit_codes import OK
from pdeflow.errors import UsageError


def main(argv: list[str], command: str = "report") -> int:
    """Write RUN/report.html, or DATASET/report.html.

    Args:
        argv: RUN or DATASET.
        command: Its name.

    Returns:
        Exit code.
    """
    from pdeflow.report import write_report
    from pdeflow.run_folder import resolve

    rest = [word for word in argv if word not in ("-q", "-v")]
    if len(rest) != 1 or rest[0].startswith("-"):
        raise UsageError(f"expected one folder: pdeflow report RUN, or DATASET, got {rest}")
    run = resolve(rest[0])
    dataset = (run / "manifest.json").is_file()
    if not dataset and not any(run.glob("*/summary.json")) and not (run / "generate" / "manifest.json").is_file():
        raise UsageError(f"{run} holds no finished stage and is no dataset; pdeflow run makes one, pdeflow generate the other")
    if not os.access(run, os.W_OK | os.X_OK):
        raise UsageError(f"{run} may not be written to, and the page is kept there; copy the folder to where it may be: pdeflow report COPY")
    page = write_report(run)
    print(f"report: {page} ({page.stat().st_size / 1e6:.1f} MB)")
    return OK
