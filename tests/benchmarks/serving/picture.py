"""Draws a run: requests a second of ours, the peers and the floors."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from tests.benchmarks.serving.report import PEERS, Report
from tests.benchmarks.serving.servers import OURS

COLOURS = {OURS: "#2f6fb0", "peer": "#c26a2c", "floor": "#b9bdc4"}


def draw(report: Report, path: Path) -> None:
    """Draw one panel for each model, number of rows and number of clients."""
    panels = sorted({(r.cell.model, r.cell.rows, r.cell.clients) for r in report.results})
    if not panels:
        return
    columns = len({clients for _, _, clients in panels})
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(5.2 * columns, 3.4 * lines), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (model, rows, clients) in zip(axes.flat, panels, strict=False):
        shown = [r for r in report.results if (r.cell.model, r.cell.rows, r.cell.clients) == (model, rows, clients)][
            ::-1
        ]
        kinds = [OURS if r.cell.server == OURS else "peer" if r.cell.server in PEERS else "floor" for r in shown]
        places = range(len(shown))
        values = [r.per_second for r in shown]
        bars = axis.barh(places, values, color=[COLOURS[kind] for kind in kinds])
        axis.bar_label(bars, [f"{value:,.0f}" for value in values], padding=2, fontsize=7)
        axis.set_yticks(places, [f"{r.cell.server}, {r.cell.protocol}" for r in shown], fontsize=7)
        axis.set_title(f"{model}, {rows} rows a request, {clients} clients", fontsize=9)
        axis.set_xscale("log")
        axis.set_xlim(right=max(values) * 2.2)
        axis.tick_params(axis="x", labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("requests a second (logarithmic); grey: the same bytes without a model", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
