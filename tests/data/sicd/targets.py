"""Point targets at known places, and how far from them a product puts them on a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from data.sicd.make import Target
from sarknowlip.geo.grid import utm_epsg
from sarknowlip.sar.product import SarProduct

GSD_M = 0.5


def grid_at(lon: float, lat: float, edge_m: float, gsd: float = GSD_M) -> GeoBox:
    """Return a UTM grid centred near a place."""
    epsg = utm_epsg(lon, lat)
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    pixels = round(edge_m / gsd)
    west, north = x - edge_m / 2 + 0.13, y + edge_m / 2 - 0.21
    return GeoBox((pixels, pixels), Affine(gsd, 0, west, 0, -gsd, north), f"EPSG:{epsg}")


def offset_px(power: npt.NDArray[np.float32], grid: GeoBox, lon: float, lat: float) -> float:
    """Return the distance between a target's brightest spot and where it is known to be, pixels."""
    x, y = Transformer.from_crs(4326, str(grid.crs), always_xy=True).transform(lon, lat)
    column, row = (v - 0.5 for v in ~grid.affine * (x, y))
    top, left = round(row) - 8, round(column) - 8
    window = np.nan_to_num(power[top : top + 17, left : left + 17])
    assert window.shape == (17, 17)
    found = np.array(np.unravel_index(window.argmax(), window.shape), dtype=np.float64)
    rows, columns = np.mgrid[:17, :17]
    for _ in range(20):  # the centre of gravity under a window that moves with it
        near = window * np.exp(-((rows - found[0]) ** 2 + (columns - found[1]) ** 2) / 8.0)
        found = np.array([(near * rows).sum(), (near * columns).sum()]) / near.sum()
    return float(np.hypot(found[0] + top - row, found[1] + left - column))


def targets_around(llh: tuple[float, float, float], amplitude: float = 200.0) -> list[Target]:
    """Return five bright points at the height of a place and within 35 m of it."""
    north, east = 1 / 111_200, 1 / 111_300 / np.cos(np.deg2rad(llh[0]))
    shifts = [(0, 0), (21.3, 12.2), (-18.7, 9.4), (13.1, -23.8), (-15.2, -17.9)]
    return [(llh[1] + e * east, llh[0] + n * north, llh[2], amplitude) for n, e in shifts]


def find_all(product: SarProduct, targets: Sequence[Target], gsd: float = GSD_M) -> list[float]:
    """Return the offset of every target on a fine grid around the first one."""
    grid = grid_at(*targets[0][:2], 80.0, gsd)
    power = product.power(grid)
    assert power.shape == (1, *grid.shape)
    return [offset_px(power[0], grid, lon, lat) for lon, lat, *_ in targets]
