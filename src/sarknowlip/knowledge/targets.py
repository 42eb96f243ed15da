"""From bright pixels to objects: where, how large, which way, how bright, on what ground.

What a detector finds is wider than the object: the impulse response carries strong scatterers far
into their surroundings. The resolved length is that of the pixels no more than some decibels below
the peak, less, in quadrature, the width of a Gaussian impulse response there: ρ·√(level / 3 dB)
with its half-power width ρ. (Stasolla and Greidanus, "The exploitation of Sentinel-1 images for
vessel size estimation", Remote Sensing Letters 7(12), 2016, cut a ship's outline down, too, before
they measure it.) Widths are not told so: layover and sidelobes exceed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import Geod
from scipy.ndimage import find_objects, maximum

from sarknowlip.geo.grid import lonlat_of_pixels
from sarknowlip.knowledge.cfar import Detections
from sarknowlip.knowledge.evidence import Box
from sarknowlip.knowledge.windows import Floats, Mask
from sarknowlip.sar.tile import TileImage

NEAR_PX, FAR_PX, FAR_M = 3, 8, 50.0
"""The ground beside a target is looked at between these distances from its bounding box, to the
farther of both."""

COARSE_M = 10.0
COARSE_DB, FINE_DB = 10.0, 20.0
"""Level below the peak at which lengths are measured, where resolution is coarser than `COARSE_M`
and where it is finer: fine cells hold one scatterer or none, coarse ones add up many. Chosen on
simulated ships (seeds 12, 13, 21)."""
RESOLVED_CELLS = 3.0
"""Lengths and long axes are those of objects with so many resolution cells at least."""
UNKNOWN_PX = 2.0
"""Pixels a resolution cell has where a product does not tell."""

WATER_SHARE = 0.9
LONGEST_SHIP_M = 500.0
"""The longest ship afloat or ever built was 458 m (Seawise Giant)."""

SHORTEST_SHIP_M = 15.0
"""Where pixels are smaller than half of this, what is shorter is not called a ship: single cells of
spiky sea look the same. Our own choice."""

ELONGATED = 1.5
LEAST_ORIENTED_PX = 6


@dataclass(frozen=True)
class Target:
    """One bright object.

    Attributes:
        number: Its number in the detections.
        column: Centre, power-weighted, pixels from the left edge of the tile (centre of the first
            pixel is 0.5).
        row: Centre, pixels from the upper edge.
        lon: Longitude of the centre, degrees.
        lat: Latitude of the centre, degrees.
        length_m: Extent along the main axis, metres; at least a pixel.
        width_m: Extent across it.
        resolved_m: Length without the blur of the impulse response, metres; None when the object is
            not `RESOLVED_CELLS` long or touches the edge of the image.
        orientation_deg: Bearing of the main axis of its brighter pixels from true north, clockwise,
            0…180; None when the object is not resolved or not clearly elongated.
        peak_db: Brightest pixel, decibels of the tile.
        contrast_db: Brightest pixel over the background mean, dB.
        pixels: Number of pixels.
        pixel_m: Pixel size on the ground, metres.
        box: Bounding box.
        water_share: Share of water in the ground beside it; None if surfaces are unknown.
    """

    number: int
    column: float
    row: float
    lon: float
    lat: float
    length_m: float
    width_m: float
    resolved_m: float | None
    orientation_deg: float | None
    peak_db: float
    contrast_db: float
    pixels: int
    pixel_m: float
    box: Box
    water_share: float | None

    @property
    def is_ship_candidate(self) -> bool | None:
        """Whether it stands alone on water and is as long as a ship; None if unknown."""
        if self.water_share is None:
            return None
        long = self.length_m >= SHORTEST_SHIP_M or self.pixel_m > SHORTEST_SHIP_M / 2
        return long and self.water_share >= WATER_SHARE and self.length_m <= LONGEST_SHIP_M


@dataclass(frozen=True)
class _Shape:
    """Pixel geometry of one object before it is put on the map."""

    column: float
    row: float
    axis: tuple[float, float]
    length_m: float
    width_m: float
    resolved_m: float | None
    elongated: bool
    pixels: int
    box: Box


@dataclass(frozen=True)
class _Seen:
    """What objects are measured on."""

    power: Floats
    labels: np.ndarray[tuple[int, int], np.dtype[np.int32]]
    valid: Mask
    gsd_m: tuple[float, float]
    resolution_m: float | None

    @property
    def cell_m(self) -> float:
        """Size of a resolution cell, metres."""
        return self.resolution_m or UNKNOWN_PX * float(np.sqrt(self.gsd_m[0] * self.gsd_m[1]))

    @property
    def level_db(self) -> float:
        """How far below the peak lengths are measured, dB."""
        return COARSE_DB if self.cell_m >= COARSE_M else FINE_DB

    def is_cut(self, box: Box) -> bool:
        """Return whether an object may go on where the image does not."""
        x0, y0, x1, y1 = _widened(box, 1, self.valid.shape)
        whole = (x1 - x0, y1 - y0) == (box[2] - box[0] + 2, box[3] - box[1] + 2)
        return not (whole and self.valid[y0:y1, x0:x1].all())


def measure_targets(
    tile: TileImage,
    power: Floats,
    detections: Detections,
    gsd_m: tuple[float, float],
    water: Mask | None,
    *,
    resolution_m: float | None = None,
) -> list[Target]:
    """Describe each detected object, the one of greatest contrast first.

    Args:
        tile: The tile, for its map grid.
        power: Linear power the detector saw, shape (rows, columns).
        detections: What it found.
        gsd_m: Pixel width and height on the ground, metres.
        water: Water pixels, or None if unknown.
        resolution_m: Half-power width of the impulse response, metres; None if unknown: then
            lengths are not freed from it.
    """
    if detections.count == 0:
        return []
    boxes = find_objects(detections.labels)
    seen = _Seen(power, detections.labels, tile.valid, gsd_m, resolution_m)
    shapes = [_shape(seen, number, slices) for number, slices in enumerate(boxes, start=1)]
    numbers = np.arange(1, detections.count + 1)
    peak = np.asarray(maximum(power, detections.labels, numbers))
    with np.errstate(invalid="ignore", divide="ignore"):
        contrast = np.asarray(
            maximum(power / detections.background, detections.labels, numbers), dtype=np.float64
        )
    lon, lat, bearing = _on_the_map(tile, shapes)
    far = max(FAR_PX, round(FAR_M / float(np.sqrt(gsd_m[0] * gsd_m[1]))))
    ground = _water_beside(shapes, detections, tile.valid, water, far)
    targets = [
        Target(
            number=i + 1,
            column=shape.column,
            row=shape.row,
            lon=float(lon[i]),
            lat=float(lat[i]),
            length_m=shape.length_m,
            width_m=shape.width_m,
            resolved_m=shape.resolved_m,
            orientation_deg=float(bearing[i]) if shape.elongated else None,
            peak_db=float(10 * np.log10(peak[i])),
            contrast_db=float(10 * np.log10(contrast[i])),
            pixels=shape.pixels,
            pixel_m=float(np.sqrt(gsd_m[0] * gsd_m[1])),
            box=shape.box,
            water_share=ground[i],
        )
        for i, shape in enumerate(shapes)
    ]
    return sorted(targets, key=lambda t: (-round(t.contrast_db, 6), t.row, t.column))


def _shape(seen: _Seen, number: int, slices: tuple[slice, slice]) -> _Shape:
    rows, columns = np.nonzero(seen.labels[slices] == number)
    weight = seen.power[slices][rows, columns]
    rows, columns = rows + slices[0].start, columns + slices[1].start
    column = float(np.average(columns + 0.5, weights=weight))
    row = float(np.average(rows + 0.5, weights=weight))
    gsd_m = seen.gsd_m
    points = np.stack([(columns + 0.5) * gsd_m[0], (rows + 0.5) * gsd_m[1]])
    main, across = _axes(points)
    size = _extent(points, main, gsd_m), _extent(points, across, gsd_m)
    box = (slices[1].start, slices[0].start, slices[1].stop, slices[0].stop)
    bright = points[:, weight >= weight.max() * 10.0 ** (-seen.level_db / 10.0)]
    main, across = _axes(bright)
    blur = 0.0 if seen.resolution_m is None else seen.resolution_m * np.sqrt(seen.level_db / 3.0)
    length = float(np.sqrt(max(0.0, _extent(bright, main, gsd_m) ** 2 - blur**2)))
    width = float(np.sqrt(max(0.0, _extent(bright, across, gsd_m) ** 2 - blur**2)))
    resolved = length >= RESOLVED_CELLS * seen.cell_m and not seen.is_cut(box)
    return _Shape(
        column=column,
        row=row,
        axis=(float(main[0] / gsd_m[0]), float(main[1] / gsd_m[1])),
        length_m=size[0],
        width_m=size[1],
        resolved_m=length if resolved else None,
        elongated=resolved and len(rows) >= LEAST_ORIENTED_PX and length >= ELONGATED * width,
        pixels=len(rows),
        box=box,
    )


def _axes(points: Floats) -> tuple[Floats, Floats]:
    """Return unit vectors along and across points of shape (2, n)."""
    middle = points - points.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(middle @ middle.T / middle.shape[1])
    return vectors[:, 1], vectors[:, 0]


def _extent(points: Floats, axis: Floats, gsd_m: tuple[float, float]) -> float:
    """Return the extent along a unit vector, from pixel edge to pixel edge."""
    along = axis @ points
    pixel = float(np.hypot(axis[0] * gsd_m[0], axis[1] * gsd_m[1]))
    return float(along.max() - along.min()) + pixel


def _on_the_map(tile: TileImage, shapes: Sequence[_Shape]) -> tuple[Floats, Floats, Floats]:
    """Return longitude, latitude and axis bearing (0…180°) of each object."""
    centre = np.array([[s.column, s.row] for s in shapes]).T
    axis = np.array([s.axis for s in shapes]).T
    end = centre + axis / np.hypot(*axis)
    lon, lat = lonlat_of_pixels(
        tile.geobox, np.concatenate([centre[0], end[0]]), np.concatenate([centre[1], end[1]])
    )
    n = len(shapes)
    azimuth, _, _ = Geod(ellps="WGS84").inv(lon[:n], lat[:n], lon[n:], lat[n:])
    return lon[:n], lat[:n], np.mod(np.asarray(azimuth), 180.0)


def _water_beside(
    shapes: Sequence[_Shape],
    detections: Detections,
    valid: Mask,
    water: Mask | None,
    reach: int,
) -> list[float | None]:
    """Return the water share of pixels around each object's box, by summed-area tables."""
    if water is None:
        return [None] * len(shapes)
    counted = valid & (detections.labels == 0)
    total, wet = _summed(counted), _summed(counted & water)
    shares: list[float | None] = []
    for shape in shapes:
        far, near = (
            _widened(shape.box, reach, valid.shape),
            _widened(shape.box, NEAR_PX, valid.shape),
        )
        count = _within(total, far) - _within(total, near)
        share = (_within(wet, far) - _within(wet, near)) / count if count > 0 else None
        shares.append(share)
    return shares


def _summed(mask: Mask) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    table[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    return table


def _widened(box: Box, by: int, shape: tuple[int, ...]) -> Box:
    x0, y0, x1, y1 = box
    return max(0, x0 - by), max(0, y0 - by), min(shape[1], x1 + by), min(shape[0], y1 + by)


def _within(table: np.ndarray[tuple[int, int], np.dtype[np.int64]], box: Box) -> int:
    x0, y0, x1, y1 = box
    return int(table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0])
