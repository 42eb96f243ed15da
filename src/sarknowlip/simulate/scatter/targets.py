"""Ships, aircraft, tanks, vehicles and other objects as sets of coherent point scatterers.

targets.json lists, per subclass, elements (points, lines, arcs) in fractions of an object's size
with their share of its radar cross-section and the direction in which they are seen. The share is
a mean over all aspects, so that the total keeps its formula however the object is turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.contract import Scatterers
from sarknowlip.simulate.keyed import normal, uniform
from sarknowlip.simulate.layers import Targets
from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.scatter.conditions import table
from sarknowlip.simulate.scatter.points import joined, no_points, repeated


def target_scatterers(
    targets: Targets,
    height: Callable[[Floats, Floats], Floats],
    backscatter: Backscatter,
    look_deg: float,
    incidence_deg: float,
    *,
    seed: int,
) -> Scatterers:
    """Return the points of all targets, with phases and velocities.

    Args:
        targets: Any rows; each row's points depend on that row and the arguments only.
        height: Terrain or water heights at UTM metres, ellipsoidal metres.
        backscatter: Band, frequency and polarisations.
        look_deg: Horizontal direction from the radar to the scene, degrees from grid north.
        incidence_deg: On level ground; elements at the foot are dihedrals with the ground, full at
            45° and falling as sin 2θ.
        seed: Of the world; the same at every date.

    Returns:
        Points grouped by kind, subclass and element, not in the order of rows.
    """
    ground = height(targets.x, targets.y) if len(targets) else np.zeros(0)
    spread = table("targets")["fluctuation_db"]["total"]
    total = mean_rcs(targets, backscatter.frequency_ghz)
    total = total * _log_normal(spread, seed, "target/total", targets.uid)
    subclass = _known_subclasses(targets)
    parts = [no_points(len(backscatter.polarizations))]
    for kind in np.unique(targets.kind):
        numbers, of_kind = table("targets")["kinds"][kind], targets.kind == kind
        for name in np.unique(subclass[of_kind]):
            rows = np.flatnonzero(of_kind & (subclass == name))
            view = _View(look_deg, incidence_deg, backscatter.polarizations, seed)
            placed = _Placed(targets.take(rows), ground[rows], total[rows], view)
            shape = table("targets")["shapes"][numbers["subclasses"][name]["shape"]]
            for index, element in enumerate(shape):
                parts.append(_element(placed, element, index, numbers["numbers"]))
    return joined(parts)


def mean_rcs(targets: Targets, frequency_ghz: float) -> Floats:
    """Return the mean RCS of objects of these kinds and lengths, square metres, like-polarised.

    A power law of length and frequency per kind; numbers and sources in targets.json.
    """
    rcs = np.zeros(len(targets))
    for kind in np.unique(targets.kind):
        numbers, of = table("targets")["kinds"][kind]["numbers"], targets.kind == kind
        scale = (targets.length[of] / numbers["at_length_m"]) ** numbers["length_power"]
        tuned = (frequency_ghz / numbers["reference_ghz"]) ** numbers["frequency_power"]
        rcs[of] = 10 ** (numbers["rcs_dbsm"] / 10) * scale * tuned
    return np.asarray(np.maximum(rcs, table("targets")["least_rcs_m2"]))


@dataclass(frozen=True)
class _View:
    look_deg: float
    incidence_deg: float
    polarizations: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class _Placed:
    """Targets of one subclass with what their elements need."""

    targets: Targets
    ground: Floats
    rcs: Floats
    view: _View

    @property
    def to_radar(self) -> Floats:
        """Direction to the radar, radians clockwise from the heading."""
        return np.radians(self.view.look_deg + 180.0 - self.targets.heading)


@dataclass(frozen=True)
class _Points:
    """Points of one element on all targets: metres ahead, to starboard and up; see `_lobe`."""

    row: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    ahead: Floats
    starboard: Floats
    up: Floats
    off_lobe: Floats


def _element(placed: _Placed, element: Any, index: int, numbers: Any) -> Scatterers:
    points = (_arc if "arc" in element else _line)(placed, element, index)
    targets, view, row = placed.targets, placed.view, points.row
    keys = (targets.uid[row], index, points.number)
    point_spread = table("targets")["fluctuation_db"]["point"]
    rcs = placed.rcs[row] * element["share"] / points.count
    if _at_foot(element):
        rcs = rcs * np.sin(2 * np.radians(view.incidence_deg))
    rcs = rcs * _lobe(points.off_lobe, element, around="arc" in element)
    rcs = rcs * _log_normal(point_spread, view.seed, "target/point", *keys)
    cross = rcs * 10 ** (-numbers["cross_below_db"] / 10)
    heading = np.radians(targets.heading[row])
    east, north = np.sin(heading), np.cos(heading)
    modulus, phase = numbers["copol"]
    return Scatterers(
        x=targets.x[row] + points.ahead * east + points.starboard * north,
        y=targets.y[row] + points.ahead * north - points.starboard * east,
        z=placed.ground[row] + points.up,
        rcs=np.stack([rcs if p in ("HH", "VV") else cross for p in view.polarizations]),
        phase=2 * np.pi * uniform(view.seed, "target/phase", *keys),
        vx=targets.speed[row] * east,
        vy=targets.speed[row] * north,
        copol=np.full(len(row), modulus * np.exp(1j * np.radians(phase))),
    )


def _line(placed: _Placed, element: Any, index: int) -> _Points:
    """Return points along a line, or the one point of an element without extent."""
    size = np.stack([getattr(placed.targets, name) for name in ("length", "width", "height")])
    ends = []
    for name in ("from", "to"):
        a, b, c, d, e = (*element.get(name, element.get("at")), 0.0, 0.0)[:5]
        length, width, height = size
        ends.append(np.stack([a * length, b * width + d * length, c * height + e * length]))
    span = np.linalg.norm(ends[1] - ends[0], axis=0)
    count = np.maximum(np.ceil(span / element.get("step_m", 1.0)), 1).astype(np.int64)
    row, number = repeated(count)
    keys = (placed.targets.uid[row], index, number)
    at = (number + uniform(placed.view.seed, "target/along", *keys)) / count[row]
    position = ends[0][:, row] + at * (ends[1] - ends[0])[:, row]
    off = placed.to_radar[row] - np.radians(element.get("face", 0.0))
    return _Points(row, number, count[row], position[0], position[1], position[2], off)


def _arc(placed: _Placed, element: Any, index: int) -> _Points:
    """Return points along the rim of a round object, centred on the direction to the radar."""
    centre, half = np.radians(element["arc"])
    radius = placed.targets.length / 2
    count = np.maximum(np.ceil(2 * half * radius / element["step_m"]), 1).astype(np.int64)
    row, number = repeated(count)
    keys = (placed.targets.uid[row], index, number)
    at = (number + uniform(placed.view.seed, "target/along", *keys)) / count[row]
    off = half * (2 * at - 1)
    angle = placed.to_radar[row] + centre + off
    up = element["up"] * placed.targets.height[row]
    return _Points(
        row, number, count[row], radius[row] * np.cos(angle), radius[row] * np.sin(angle), up, off
    )


def _lobe(off: Floats, element: Any, *, around: bool) -> Floats:
    """Return how strongly an element is seen `off` radians from its direction, mean 1.

    The mean is over all aspects, or over the arc for a round object.
    """
    power = element.get("lobe")
    if power is None:
        return np.ones(len(off))
    if around:
        half = np.radians(element["arc"][1])
        grid = np.linspace(-half, half, 721)
    else:
        grid = np.linspace(-np.pi, np.pi, 721)[:-1]
    mean = np.mean(np.maximum(np.cos(grid), 0.0) ** power)
    return np.asarray(np.maximum(np.cos(off), 0.0) ** power / mean)


def _at_foot(element: Any) -> bool:
    if "arc" in element:
        return bool(element["up"] == 0)
    return all(element[name][2] == 0 for name in ("at", "from", "to") if name in element)


def _log_normal(spread_db: float, seed: int, stream: str, *keys: Any) -> Floats:
    sigma = spread_db * np.log(10) / 10
    return np.asarray(np.exp(sigma * normal(seed, stream, *keys) - sigma**2 / 2))


def _known_subclasses(targets: Targets) -> npt.NDArray[Any]:
    found = targets.subclass.copy()
    for kind in np.unique(targets.kind):
        kinds = table("targets")["kinds"][kind]
        of = targets.kind == kind
        unknown = of & ~np.isin(found, list(kinds["subclasses"]))
        found[unknown] = kinds["numbers"]["default"]
    return found
