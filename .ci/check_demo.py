"""Check the figures of the demo against what the README promises: accuracy, effectivity, verified solves, iterations, pictures."""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.image import imread

run = Path(sys.argv[1])
evaluate, solve = (json.loads((run / stage / "summary.json").read_text()) for stage in ("evaluate", "solve"))
failures = []


def expect(what, holds):
    print(f"{'ok  ' if holds else 'FAIL'}  {what}")
    if not holds:
        failures.append(what)


error = evaluate["metrics"]["rel_l2"]["mean"]
expect(
    f"{evaluate['count']} test samples, mean relative L2 error {error:.4f} <= 0.03",
    evaluate["count"] == 50 and error <= 0.03,
)
share = evaluate["effectivity"]["within_0.9_1.1"]
expect(f"effectivity within 0.9 ... 1.1 for {100 * share:.0f} % of the samples >= 90 %", share >= 0.9)
for row in (row for row in solve["rows"] if not row["skipped"]):
    expect(f"{row['name']}: residual {row['residual']:.1e} <= 1e-8", row["residual"] <= 1e-8)
for grid in solve["unseen"]["grids"]:
    ratio = grid["trained_mean"] / grid["untrained_mean"]
    text = f"{grid['count']} unseen coefficients at {grid['grid']}: trained / untrained {ratio:.2f} <= 0.8, worst {grid['trained_max_ratio']:.2f} <= 1"
    expect(text, grid["count"] == 20 and ratio <= 0.8 and grid["trained_max_ratio"] <= 1)
pictures = sorted((run / "figures").glob("*.png"))
blank = [path.name for path in pictures if np.ptp(imread(path)[..., :3]) < 0.5]
expect(f"{len(pictures)} pictures >= 8, none blank", len(pictures) >= 8 and not blank)
page = (run / "report.html").stat().st_size
expect(f"report of {page / 1e6:.1f} MB", 1e5 < page < 5e6)
sys.exit(bool(failures))
