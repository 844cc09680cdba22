"""The best, the median and the worst sample of a picture of predictions, and the errors written beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def ranked_samples(errors: np.ndarray) -> dict[str, int]:
    """Indices of the best, the median and the worst sample; what is not finite counts as worst.

    Args:
        errors: One error per sample, shape (N,).

    Returns:
        {"best": i, "median": j, "worst": k}.

    Raises:
        ValueError: If there is no sample.
    """
    errors = np.asarray(errors, dtype=float).ravel()
    if errors.size == 0:
        raise ValueError("errors: expected at least one sample, found none.")
    order = np.argsort(np.where(np.isfinite(errors), errors, np.inf), kind="stable")
    return {"best": int(order[0]), "median": int(order[(len(order) - 1) // 2]), "worst": int(order[-1])}


def error_label(rank: str, sample: int, errors_rel: np.ndarray, shown: tuple[str, np.ndarray] | None) -> str:
    """Put a row's rank and relative errors into words.

    Args:
        rank: "best", "median" or "worst".
        sample: Index of the sample.
        errors_rel: Relative error of every sample, by which the rows are chosen, shape (N,).
        shown: What is drawn where that is a part only, such as "t = 1", and its own relative errors, shape (N,).

    Returns:
        Two lines, three with a part; a part without a relative error, since it is zero, is left out.
    """
    text = f"{rank} (sample {sample})\nrelative L2 error {100 * errors_rel[sample]:.3g} %"
    if shown is None or not np.isfinite(shown[1][sample]):
        return text
    return text + f",\nat {shown[0]}: {100 * shown[1][sample]:.3g} %"


def error_rows(
    chosen: Mapping[str, int], errors_rel: np.ndarray, shown: tuple[str, np.ndarray] | None
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Put the errors of the rows into a table.

    Args:
        chosen: Sample of every rank.
        errors_rel: Relative error of every sample, shape (N,).
        shown: As of error_label.

    Returns:
        (header, rows); a column more where a part is drawn.
    """
    columns = {"relative_l2_error": errors_rel} | ({f"relative_l2_error at {shown[0]}": shown[1]} if shown else {})
    return ("rank", "sample", *columns), [(r, i, *(float(c[i]) for c in columns.values())) for r, i in chosen.items()]
