"""Airports: a runway along the heading, taxiways, apron, terminal with parked aircraft, hangars.

Distances follow the code letters of ICAO Annex 14 in round numbers: runway 45 m (30 or 18 m on
small fields), taxiway 23 m, centre lines 180 m apart where there is room.
"""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.airfield import Airfield, find_airfield
from sarknowlip.simulate.world.districts.classes import draw, target_classes
from sarknowlip.simulate.world.districts.layout import inset
from sarknowlip.simulate.world.districts.placing import (
    bay_places,
    off_buildings,
    park_vehicles,
    within,
)
from sarknowlip.simulate.world.districts.plot import Plot, rectangles

CLEARANCE_M = 7.5
"""Between wing tips on neighbouring stands."""
NOSE_M = 9.0
"""Between nose and terminal."""


def fill(district: District) -> Layers:
    """Return an airport with the longest runway that fits; grass where none does."""
    plot = Plot(district)
    field = find_airfield(plot)
    if field is not None:
        _pave(plot, field)
        _build(plot, field)
        _park_aircraft(plot, field)
        _car_park(plot, field)
    return plot.layers("grass")


def _pave(plot: Plot, field: Airfield) -> None:
    """Paint taxiway, connections, apron, runway."""
    half, edge = field.taxiway / 2, field.width / 2
    long = plot.clipped(
        rectangles(
            np.array(
                [field.box(field.start, field.end, field.parallel - half, field.parallel + half)]
            )
        )
    )
    plot.ground(long, "asphalt", "taxiway", turn=0.0)
    stations = np.linspace(field.start + half, field.end - half, 2 + int(field.length // 700))
    links = [field.box(u - half, u + half, edge, field.parallel) for u in stations]
    if field.apron is not None:
        first, last = field.apron[0], field.apron[2]
        inner = np.linspace(first + 2 * half, last - 2 * half, 3)
        links += [
            field.box(u - half, u + half, field.parallel, field.apron_start + 1.0) for u in inner
        ]
        plot.ground(rectangles(field.apron[None]), "concrete", "apron", turn=0.0)
        if len(field.hangars):
            plot.ground(
                plot.clipped(rectangles(field.hangar_aprons)), "concrete", "apron", turn=0.0
            )
    plot.ground(plot.clipped(rectangles(np.array(links))), "asphalt", "taxiway", turn=90.0)
    runway = rectangles(np.array([field.box(field.start, field.end, -edge, edge)]))
    surface = "concrete" if field.length > 1800.0 else "asphalt"
    plot.ground(runway, surface, "runway", "road", 0.0)


def _build(plot: Plot, field: Airfield) -> None:
    random = plot.random
    for boxes, heights, kind, roof in (
        (field.terminals, (10.0, 22.0), "terminal", "metal_roof"),
        (field.towers, (30.0, 70.0), "control_tower", "flat_roof"),
        (field.hangars, (12.0, 26.0), "hangar", "metal_roof"),
    ):
        spread = random.random(len(boxes))
        scale = 1.0 if field.large else 0.6
        height = np.round(scale * (heights[0] + (heights[1] - heights[0]) * spread), 1)
        plot.build(rectangles(boxes), height, kind, roof)


def _park_aircraft(plot: Plot, field: Airfield) -> None:
    """Park aircraft nose-in along the terminal, others before the hangars and on the taxiway."""
    random = plot.random
    airliners = ("narrow_body", "wide_body", "regional") if field.large else ("regional", "light")
    small = ("business_jet", "light")
    toward = -90.0 * field.side
    if field.apron is not None and len(field.terminals):
        first, last = field.terminals[0, 0], field.terminals[0, 2]
        _park_row(plot, field, (first, last, field.terminal_face), airliners, toward)
    for box in field.hangars:
        face = min(field.depth(box[1]), field.depth(box[3]))
        _park_row(plot, field, (box[0], box[2], face - 6.0), small, toward)
    count = 1 + int(2 * random.random())
    u = (
        field.start
        + (field.end - field.start) * (0.1 + 0.8 * random.random())
        + 220.0 * np.arange(count)
    )
    places = np.stack([u, np.full(count, field.across(field.parallel))], axis=1)
    rolling = draw(
        target_classes("aircraft", *airliners), random.random(count), random.random(count)
    )
    free = within(plot.area, places, rolling.length) & (u < field.end - 40.0)
    plot.put("aircraft", places[free], rolling.take(free), 180.0 * (random.random() < 0.5))


def _park_row(
    plot: Plot,
    field: Airfield,
    face: tuple[float, float, float],
    names: tuple[str, ...],
    turn: float,
) -> None:
    """Park aircraft side by side before a face: (first u, last u, depth of the face)."""
    random = plot.random
    first, last, depth = face
    count = int((last - first) / 16.0) + 1
    planes = draw(target_classes("aircraft", *names), random.random(count), random.random(count))
    stand = planes.width + CLEARANCE_M
    ends = first + np.cumsum(stand)
    nose = depth - NOSE_M
    places: Floats = np.stack(
        [ends - stand / 2, np.asarray(field.across(nose - planes.length / 2))], axis=1
    )
    kept = (ends <= last) & (random.random(count) < 0.45 + 0.45 * plot.district.density)
    kept &= nose - planes.length > field.parallel + field.taxiway
    kept &= within(plot.area, places, np.hypot(planes.length, planes.width) / 2)
    kept &= off_buildings(plot, places, 2.0)
    plot.put("aircraft", places[kept], planes.take(kept), turn)


def _car_park(plot: Plot, field: Airfield) -> None:
    """Lay a car park on the land side of the terminal."""
    lots = plot.clipped(rectangles(field.car_parks))
    plot.ground(lots, "asphalt", "parking", turn=0.0)
    places, turns = bay_places(inset(field.car_parks, 3.0), (2.5, 5.0), 6.0)
    park_vehicles(plot, places, turns, 0.5 + 0.4 * plot.district.density)
