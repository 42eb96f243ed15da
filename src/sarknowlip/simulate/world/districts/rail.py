"""Railway yards: parallel tracks, platforms with a station, wagons standing in rows, sheds."""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.classes import draw, target_classes
from sarknowlip.simulate.world.districts.placing import (
    edge_footprints,
    fitted,
    off_buildings,
    plant_trees,
    within,
)
from sarknowlip.simulate.world.districts.plot import Boxes, Geometries, Plot, rectangles
from sarknowlip.simulate.world.districts.strips import strips_along

TRACK_M = 3.4
"""Width of a track's ballast at the top."""
PITCH_M = 5.0
PLATFORM_M = 9.0
PLATFORM_TRACKS = 6
MOST_TRACKS = 26
COUPLING_M = 1.2


def fill(district: District) -> Layers:
    """Return a yard along the heading; widths are chosen after European main lines."""
    plot = Plot(district)
    random = plot.random
    across = plot.area.area / max(plot.bounds[2] - plot.bounds[0], 1.0)
    count = int(np.clip(0.55 * across / PITCH_M, 2, MOST_TRACKS))
    offsets, platforms = _track_offsets(count)
    bundle = strips_along(plot, float(offsets[-1] + TRACK_M))
    low = (plot.bounds[1] + plot.bounds[3]) / 2
    if len(bundle):
        length = bundle[:, 2] - bundle[:, 0]
        lows = bundle[length > 0.9 * length.max(), 1] + TRACK_M / 2
        # A little off the middle, for the station lies on the lower side.
        wish = plot.area.centroid.y - offsets[-1] / 2 + 16.0
        low = float(lows[np.argmin(np.abs(lows - wish))])
    u0, _, u1, _ = plot.bounds
    middles = low + offsets
    tracks = np.stack(
        [np.full(count, u0), middles - TRACK_M / 2, np.full(count, u1), middles + TRACK_M / 2],
        axis=1,
    )
    bed = np.array([[u0, middles[0] - 4.0, u1, middles[-1] + 4.0]])
    plot.ground(plot.clipped(rectangles(bed)), "bare_soil", turn=0.0)
    plot.ground(plot.clipped(rectangles(tracks)), "gravel", "rail_track", "road", 0.0)
    square = _station(plot, low + platforms, middles[0])
    keep_off = np.concatenate([rectangles(bed), square])
    sheds = edge_footprints(plot, keep_off, 6.0, 18.0, 45.0)
    sheds = sheds[random.random(len(sheds)) < 0.3 + 0.5 * district.density]
    plot.build(sheds, 6.0 + 5.0 * random.random(len(sheds)), "warehouse", "metal_roof")
    for index, v in enumerate(middles):
        _stand_train(plot, v, "coach" if index < PLATFORM_TRACKS else "freight_wagon")
    plant_trees(plot, 12.0, (1.5, 3.5), 0.3, keep_off, surface="shrub")
    return plot.layers("grass")


def _track_offsets(count: int) -> tuple[Floats, Floats]:
    """Return centres of tracks and of platforms, metres from the first track.

    Platforms lie between the first tracks, two tracks to each, the freight tracks beyond.
    """
    wide = PITCH_M + PLATFORM_M
    gaps = np.full(max(count - 1, 0), PITCH_M)
    gaps[1 : min(PLATFORM_TRACKS, count - 1) : 2] = wide
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])
    between = np.flatnonzero(gaps == wide)
    return offsets, (offsets[between] + offsets[between + 1]) / 2


def _station(plot: Plot, platforms: Floats, first_track: float) -> Geometries:
    """Lay platforms, build the station beside the first track where it fits; return its square."""
    random = plot.random
    u0, _, u1, _ = plot.bounds
    middle = u0 + (0.35 + 0.3 * random.random()) * (u1 - u0)
    half = min(140.0, 0.3 * (u1 - u0))
    ends = np.full(len(platforms), half)
    slabs = np.stack(
        [middle - ends, platforms - PLATFORM_M / 2, middle + ends, platforms + PLATFORM_M / 2],
        axis=1,
    )
    plot.ground(plot.clipped(rectangles(slabs)), "concrete", order="road", turn=0.0)
    spots = (
        middle + np.linspace(-half, half, 9)[np.argsort(np.abs(np.arange(9) - 4), kind="stable")]
    )
    length, depth = 60.0 + 60.0 * random.random(), 16.0 + 8.0 * random.random()
    far = np.full(len(spots), first_track - 10.0)
    halls: Boxes = np.stack([spots - length / 2, far - depth, spots + length / 2, far], axis=1)
    halls = fitted(plot, halls)[:1]
    plot.build(rectangles(halls), 10.0 + 8.0 * random.random(len(halls)), "station", "flat_roof")
    squares = halls + np.array([-10.0, -35.0, 10.0, 0.0])
    paved = plot.clipped(rectangles(squares))
    plot.ground(paved, "concrete", "square", turn=0.0)
    return paved


def _stand_train(plot: Plot, v: float, subclass: str) -> None:
    """Stand a train on a track, at most one, of wagons coupled without gaps."""
    random = plot.random
    u0, _, u1, _ = plot.bounds
    chance, start, share = random.random(3)
    if chance > 0.35 + 0.5 * plot.district.density:
        return
    long = 8 if subclass == "coach" else 32
    count = 1 + int(share * long)
    same = np.full(count, random.random())
    wagons = draw(target_classes("rail_wagon", subclass), same, same)
    pitch = float(wagons.length[0]) + COUPLING_M
    first = u0 + start * max(u1 - u0 - count * pitch, 0.0)
    places = np.stack([first + pitch * np.arange(count), np.full(count, v)], axis=1)
    free = within(plot.area, places, pitch / 2) & off_buildings(plot, places, 2.0)
    plot.put("rail_wagon", places[free], wagons.take(free), 0.0)
