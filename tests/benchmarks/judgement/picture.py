"""Draws a run: how often a good model is called bad in its life, and how soon a bad one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

GREY = "#5b626c"
COLOURS = ("#2f6fb0", "#c26a2c", "#a33b3b", "#8a8f98")


def draw(
    called: Mapping[str, Sequence[float]],
    looks: Sequence[float],
    labels: Mapping[str, Mapping[float, float]],
    alpha: float,
    path: Path,
) -> None:
    """Draw a PNG file.

    Args:
        called: for each rule the share of good models that it has called bad by each of `looks` labels.
        looks: numbers of labels.
        labels: for each rule labels to detection (median) by true accuracy.
        alpha: chance of error that the operator was asked for.
        path: the file.

    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for colour, (name, shares) in zip(COLOURS, called.items(), strict=False):
        left.plot(looks, shares, color=colour, lw=2, label=name)
    left.axhline(alpha, color=GREY, lw=1, ls=":")
    left.annotate(f"alpha = {alpha:g}", (looks[0], alpha), (0, 4), textcoords="offset points", fontsize=8, color=GREY)
    left.set_xscale("log")
    left.set_ylim(-0.02, 1.05)
    left.set_title("Good models called bad (true 0.92, to be at least 0.90)", fontsize=10)
    left.set_xlabel("labels", fontsize=9)
    left.set_ylabel("share of models", fontsize=9)
    for colour, (name, figures) in zip((*COLOURS[:1], "#7fb2e0", GREY), labels.items(), strict=False):
        right.plot(list(figures), list(figures.values()), "o-", color=colour, lw=2, ms=4, label=name)
    right.set_yscale("log")
    right.invert_xaxis()
    right.set_title("Labels until a bad model is found (median)", fontsize=10)
    right.set_xlabel("true accuracy, to be at least 0.90", fontsize=9)
    for axis in (left, right):
        axis.legend(fontsize=8, frameon=False)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
