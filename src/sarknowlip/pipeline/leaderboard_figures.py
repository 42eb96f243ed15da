"""Figures of the leaderboard, as SVG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sarknowlip.bench.board import Line
from sarknowlip.pipeline.figures import INK, LAND, MUTED, svg

Colours = Mapping[str, str]
LEAST_SPOKES = 3
"""Tasks of which a radar chart makes sense."""


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """Return a colour for each model, in order: ten strong ones, of more models 20 in pairs.

    They begin again after that.
    """
    strong = matplotlib.color_sequences["tab10"]
    wheel = strong if len(models) <= len(strong) else matplotlib.color_sequences["tab20"]
    return {
        model: matplotlib.colors.to_hex(wheel[place % len(wheel)])
        for place, model in enumerate(models)
    }


def radar_chart(
    tasks: Sequence[str], models: Mapping[str, Sequence[float | None]], colours: Colours
) -> bytes | None:
    """Return a spoke a task and a line a model, 0 chance to 1 perfect; None of too few tasks.

    Args:
        tasks: Names.
        models: Values in the order of tasks; the line has a gap where there is none.
        colours: By model.
    """
    if len(tasks) < LEAST_SPOKES:
        return None
    figure = Figure(figsize=(6.4, 4.6))
    axes = figure.add_axes((0.14, 0.1, 0.56, 0.8), projection="polar")
    angle = np.linspace(0.0, 2.0 * np.pi, len(tasks), endpoint=False)
    for model, values in models.items():
        own = np.array([np.nan if value is None else value for value in values])
        around = np.append(angle, angle[0]), np.append(own, own[0])
        axes.plot(*around, "o-", color=colours[model], lw=1.5, ms=3.5, label=model, clip_on=False)
    axes.set_theta_offset(np.pi / 2)  # type: ignore[attr-defined]
    axes.set_theta_direction(-1)  # type: ignore[attr-defined]
    axes.set_xticks(angle, tasks, fontsize=8, color=INK)
    axes.tick_params(axis="x", pad=9)
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([0.25, 0.5, 0.75], ["", "0.5", ""], fontsize=7, color=MUTED)
    axes.grid(color=LAND, lw=0.6)
    axes.spines["polar"].set_color(LAND)
    figure.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center right")
    return svg(figure)


def score_bars(lines: Sequence[Line], colours: Colours) -> bytes:
    """Return bars with intervals of one task's main score, a panel a set, a mark for chance.

    Args:
        lines: Of one score of one task.
        colours: By model.
    """
    sets = list(dict.fromkeys(line.dataset for line in lines))
    models = list(dict.fromkeys(line.model for line in lines))
    height = 0.55 + 0.24 * len(models)
    figure = Figure(figsize=(9.0, height * len(sets)), layout="constrained")
    for place, name in enumerate(sets):
        axes = figure.add_subplot(len(sets), 1, place + 1)
        _bars(axes, [line for line in lines if line.dataset == name], models, colours)
        axes.set_title(name, fontsize=9, color=INK, loc="left", pad=12)  # "chance" lies below
    return svg(figure)


def _bars(axes: Axes, lines: Sequence[Line], models: Sequence[str], colours: Colours) -> None:
    axes.set_yticks(range(len(models)), models, fontsize=8, color=INK)
    axes.set_ylim(len(models) - 0.4, -0.6)
    for line in lines:
        if line.value is None:
            continue
        row = models.index(line.model)
        axes.barh(row, line.value, 0.62, color=colours[line.model], alpha=0.85)
        if line.low is not None and line.high is not None:
            axes.plot([line.low, line.high], [row, row], color=INK, lw=1.1, solid_capstyle="butt")
    chance = lines[0].chance if lines else None
    if chance is not None:
        axes.axvline(chance, color=MUTED, lw=1.0, ls=(0, (4, 3)))
        axes.annotate(
            "chance", (chance, 1.0), (2, 1), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=7, color=MUTED, annotation_clip=False,
        )  # fmt: skip
    low = min([0.0, *(line.low for line in lines if line.low is not None)])
    axes.set_xlim(max(low, -1.0), max(1.0, *(line.high or 0.0 for line in lines)))
    axes.tick_params(colors=MUTED, labelsize=8)
    axes.tick_params(axis="y", colors=INK, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LAND)
