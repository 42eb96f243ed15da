"""Figures of the report of a closed loop, as SVG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sarknowlip.pipeline.figures import INK, LAND, MUTED, SPLIT_COLOURS, svg
from sarknowlip.train.rounds.record import Round

COLOURS = {
    "rewrite": "#2a6f97",
    "replace": "#61a5c2",
    "drop": "#c8384f",
    "weight": "#d9a21b",
    "keep": "#c9d1d6",
}
BINS = 40


def round_curves(rounds: Sequence[Round]) -> bytes:
    """Return curves by round: recall on held-out tiles, effective rank, vocabulary, distinct-2."""
    figure = Figure(figsize=(9.0, 2.5))
    curves: dict[str, Sequence[float | None]] = {
        "mean recall (validation)": [
            None if one.validation is None else one.validation.recall for one in rounds
        ],
        "effective rank": [
            None if one.validation is None else one.validation.rank for one in rounds
        ],
        "vocabulary": [one.before.vocabulary for one in rounds],
        "distinct-2": [one.before.distinct_2 for one in rounds],
    }
    for place, (name, values) in enumerate(curves.items()):
        axes = figure.add_subplot(1, len(curves), place + 1)
        points = [
            (one.number, value)
            for one, value in zip(rounds, values, strict=True)
            if value is not None
        ]
        if points:
            axes.plot(*np.array(points).T, "o-", color=SPLIT_COLOURS["train"], lw=1.4, ms=4)
        axes.set_title(name, fontsize=9, color=INK)
        axes.ticklabel_format(axis="y", useOffset=False)
        _calm(axes)
    figure.tight_layout()
    return svg(figure)


def actions_chart(rounds: Sequence[Round], actions: Sequence[str]) -> bytes:
    """Return what share of texts had what done to them, a bar a round."""
    figure = Figure(figsize=(4.4, 2.6))
    axes = figure.add_subplot()
    numbers = np.array([one.number for one in rounds])
    below = np.zeros(len(rounds))
    for action in actions:
        shares = np.array([one.actions.get(action, 0) / max(1, one.judged) for one in rounds])
        axes.bar(numbers, shares, 0.6, bottom=below, color=COLOURS[action], label=action)
        below += shares
    axes.set_ylabel("share of texts", color=MUTED)
    axes.set_ylim(0, 1)
    _calm(axes)
    axes.legend(
        frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    figure.tight_layout()
    return svg(figure)


def probability_chart(chances: Mapping[int, npt.NDArray[np.float64]]) -> bytes:
    """Return how many texts are how likely bad, a line a round; counts on a logarithmic scale.

    Args:
        chances: By number of the round, of each text (N,), 0…1.
    """
    figure = Figure(figsize=(4.4, 2.6))
    axes = figure.add_subplot()
    for place, (number, values) in enumerate(sorted(chances.items())):
        counts, edges = np.histogram(values, bins=BINS, range=(0.0, 1.0))
        shade = 0.35 + 0.65 * (place + 1) / len(chances)
        axes.stairs(
            counts, edges, color=SPLIT_COLOURS["train"], alpha=shade, label=f"round {number}"
        )
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_xlabel("P(bad)", color=MUTED)
    axes.set_ylabel("texts", color=MUTED)
    axes.tick_params(colors=MUTED, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LAND)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    figure.tight_layout()
    return svg(figure)


def _calm(axes: Axes) -> None:
    """Give axes by round few marks and no frame."""
    axes.set_xlabel("round", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=MUTED, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LAND)
