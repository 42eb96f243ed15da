"""Where the parts of an airport lie: runway, taxiway, apron, terminal, hangars, tower, car park."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.districts.placing import fitted
from sarknowlip.simulate.world.districts.plot import Boxes, Plot
from sarknowlip.simulate.world.districts.strips import strips_along

SHORTEST_RUNWAY_M = 250.0
ENOUGH_RUNWAY_M = 3200.0
SHARE_OF_LONGEST = 0.88
"""A runway may be this much shorter than the longest if it leaves more room beside it."""
WIDTHS = ((1200.0, 45.0, 23.0), (600.0, 30.0, 15.0), (SHORTEST_RUNWAY_M, 18.0, 10.5))
"""Least length, width of runway, width of taxiway, metres."""


def _no_boxes() -> Boxes:
    return np.empty((0, 4))


@dataclass(frozen=True)
class Airfield:
    """Parts of an airport, in a plot's frame; depths are metres from the runway's centre line.

    Attributes:
        start: First u of the runway.
        end: Last u of the runway.
        centre: v of the runway.
        width: Of the runway, metres.
        taxiway: Width of taxiways, metres.
        side: On which the terminal lies: 1 (left, larger v) or −1.
        parallel: Depth of the parallel taxiway.
        apron_start: Depth where the apron begins.
        terminal_face: Depth where the apron ends and the terminal begins.
        apron: Box, None where none fits.
        terminals: One box or none.
        hangars: Boxes.
        hangar_aprons: Boxes before the hangars.
        towers: One box or none.
        car_parks: Boxes.
    """

    start: float
    end: float
    centre: float
    width: float
    taxiway: float
    side: int
    parallel: float
    apron_start: float = 0.0
    terminal_face: float = 0.0
    apron: Floats | None = None
    terminals: Boxes = field(default_factory=_no_boxes)
    hangars: Boxes = field(default_factory=_no_boxes)
    hangar_aprons: Boxes = field(default_factory=_no_boxes)
    towers: Boxes = field(default_factory=_no_boxes)
    car_parks: Boxes = field(default_factory=_no_boxes)

    @property
    def length(self) -> float:
        """Of the runway, metres."""
        return self.end - self.start

    @property
    def large(self) -> bool:
        """Whether airliners use it."""
        return self.width >= 45.0

    def across(self, depth: float | Floats) -> float | Floats:
        """Return v at a depth."""
        return self.centre + self.side * depth

    def depth(self, v: float) -> float:
        """Return the depth of v."""
        return self.side * (v - self.centre)

    def box(self, first: float, last: float, near: float, far: float) -> Floats:
        """Return the box from u to u and depth to depth."""
        a, b = self.centre + self.side * near, self.centre + self.side * far
        return np.array([first, min(a, b), last, max(a, b)])


@dataclass(frozen=True)
class _Depths:
    """Depths of the parts on the terminal's side, metres."""

    parallel: float
    gap: float
    apron: float
    terminal: float
    car_park: float

    @property
    def total(self) -> float:
        return self.parallel + self.gap + self.apron + self.terminal + self.car_park


_PLANS = {
    45.0: (
        _Depths(180.0, 50.0, 190.0, 45.0, 110.0),
        _Depths(180.0, 45.0, 130.0, 35.0, 60.0),
        _Depths(110.0, 40.0, 110.0, 30.0, 40.0),
        _Depths(95.0, 30.0, 85.0, 20.0, 0.0),
    ),
    30.0: (_Depths(90.0, 30.0, 90.0, 20.0, 45.0), _Depths(60.0, 20.0, 55.0, 15.0, 0.0)),
    18.0: (_Depths(50.0, 20.0, 60.0, 14.0, 35.0), _Depths(32.0, 12.0, 45.0, 12.0, 0.0)),
}
"""By width of the runway, from roomy to tight; chosen."""


def find_airfield(plot: Plot) -> Airfield | None:
    """Return where an airport's parts lie in a plot; None if no runway fits."""
    runway = _runway(plot)
    if runway is None:
        return None
    strip, width, taxiway = runway
    centre = float(strip[1] + strip[3]) / 2
    side = 1 if plot.area.centroid.y >= centre else -1
    plans = _PLANS[width]
    bare = Airfield(
        float(strip[0]), float(strip[2]), centre, width, taxiway, side, plans[-1].parallel
    )
    longest = min(0.34 * bare.length, 900.0)
    for share in (1.0, 0.75, 0.5, 0.35, 0.22):
        for plan in plans:
            spot = _spot(plot, bare, plan, share * longest)
            if spot is not None:
                return _furnished(plot, bare, plan, *spot)
    return bare


def _runway(plot: Plot) -> tuple[Floats, float, float] | None:
    """Return the runway's box, its width and that of taxiways."""
    for least, width, taxiway in WIDTHS:
        strips = strips_along(plot, width)
        length = strips[:, 2] - strips[:, 0]
        if length.max(initial=0.0) < least:
            continue
        enough = max(min(SHARE_OF_LONGEST * length.max(), ENOUGH_RUNWAY_M), least)
        strips = strips[length >= enough]
        # Near one edge of the ground, so that the other side has room for the terminal.
        away = np.abs((strips[:, 1] + strips[:, 3]) / 2 - plot.area.centroid.y)
        best = strips[np.argmax(away)].copy()
        spare = best[2] - best[0] - least
        trim = min(60.0, 0.03 * (best[2] - best[0]), 0.5 * spare) + max(
            0.0, 0.5 * (spare - ENOUGH_RUNWAY_M)
        )
        best[[0, 2]] += [trim, -trim]
        return best, width, taxiway
    return None


def _spot(plot: Plot, site: Airfield, plan: _Depths, length: float) -> tuple[float, float] | None:
    """Return first and last u of the apron, nearest to the runway's middle where all fits."""
    if length < 50.0:
        return None
    middle = (site.start + site.end) / 2
    reach = max(site.length - length, 0.0) / 2
    shifts = reach * np.linspace(-1, 1, 21)
    shifts = shifts[np.argsort(np.abs(shifts), kind="stable")]
    near = plan.parallel + plan.gap
    boxes = np.array(
        [
            site.box(middle + s - length / 2, middle + s + length / 2, near, plan.total + 16.0)
            for s in shifts
        ]
    )
    boxes = fitted(plot, boxes)
    return (float(boxes[0, 0]), float(boxes[0, 2])) if len(boxes) else None


def _furnished(plot: Plot, site: Airfield, plan: _Depths, first: float, last: float) -> Airfield:
    start = plan.parallel + plan.gap
    face = start + plan.apron
    margin = 0.1 * (last - first)
    rear = face + plan.terminal
    terminal = site.box(first + margin, last - margin, face, rear)
    size = 12.0 if site.large else 7.0
    tower = site.box(last - size - 1.0, last - 1.0, face + 4.0, face + 4.0 + size)
    parks = site.box(first + margin, last - margin, rear + 12.0, rear + 12.0 + plan.car_park)
    hangars, aprons = _hangars(plot, site, plan, first, last)
    return Airfield(
        site.start,
        site.end,
        site.centre,
        site.width,
        site.taxiway,
        site.side,
        plan.parallel,
        start,
        face,
        site.box(first, last, start, face),
        terminal[None],
        hangars,
        aprons,
        tower[None] if margin > size + 4.0 else _no_boxes(),
        parks[None] if plan.car_park else _no_boxes(),
    )


def _hangars(
    plot: Plot, site: Airfield, plan: _Depths, first: float, last: float
) -> tuple[Boxes, Boxes]:
    """Return hangars in line with the terminal, to both sides, and the ground before them."""
    width, depth, most = (72.0, 58.0, 3) if site.large else (28.0, 24.0, 4)
    face = plan.parallel + plan.gap + plan.apron
    starts = [last + 25.0 + i * (width + 22.0) for i in range(most)]
    starts += [first - 25.0 - width - i * (width + 22.0) for i in range(most)]
    starts = [u for u in starts if site.start <= u and u + width <= site.end]
    wholes = np.array(
        [site.box(u, u + width, plan.parallel, face + depth) for u in starts]
    ).reshape(-1, 4)
    kept = fitted(plot, wholes)
    hangars = np.array([site.box(b[0], b[2], face, face + depth) for b in kept]).reshape(-1, 4)
    aprons = np.array([site.box(b[0], b[2], plan.parallel, face) for b in kept]).reshape(-1, 4)
    return hangars, aprons
