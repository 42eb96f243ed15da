"""Height and slope of the ground from elevation rasters.

Heights are those of `sar.elevation.Elevation`; the label of `mean_height` tells the surface they
are above ("ellipsoid", "EGM96", "EGM2008", "unknown datum"). Relief is the range between the 2nd
and the 98th percentile, so that single wrong cells do not make a mountain. Slopes are those of the
raster as resampled to the tile's pixels: no steeper than the coarser of the two shows.

Ground faces the radar where it rises by more than `TILT_DEG` along the direction in which the radar
looks, and faces away where it falls by more. Of several rasters the first counts that has heights
of `COVERED` of the pixels; where none has, the source is silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import Geod

from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.core.hashing import digest
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import lonlat_of_pixels
from sarknowlip.geo.raster import guarded
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.files import files_in, files_version
from sarknowlip.knowledge.findings import COVERED, Findings
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.windows import Floats
from sarknowlip.sar.elevation import Elevation
from sarknowlip.sar.product import Acquisition
from sarknowlip.sar.tile import TileImage

TILT_DEG = 5.0
CONFIDENCE, UNSURE = 0.9, 0.5
"""Our estimates: of what an elevation model says; of a height whose datum is not known."""


class TerrainSource:
    """Facts about relief.

    Args:
        options: `dem` names the rasters, `dem_geoid_m` what is added to their heights.

    Raises:
        ConfigError: No raster is named.
        GeometryError: A raster has no reference system.
        ProductError: It cannot be read.
    """

    name: ClassVar[str] = "dem"
    looks_at: ClassVar[str] = "acquisition"
    attribution: ClassVar[str] = ""

    def __init__(self, options: SourceOptions | None = None) -> None:
        named = () if options is None else options.dem
        if options is None or not named:
            raise ConfigError("source dem has no raster", "give one with --dem")
        paths = files_in(named, (".tif", ".tiff", ".vrt"))
        self.version = f"1+{digest([files_version(paths), options.dem_geoid_m])}"
        self._rasters = [_opened(path, options.dem_geoid_m) for path in paths]

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return heights, slopes, and the shares of ground that face the radar and face away.

        Raises:
            ProductError: A raster cannot be read.
        """
        if min(tile.geobox.shape) < 2:
            return []
        for raster in self._rasters:
            heights = raster.on(tile.geobox)
            if np.isfinite(heights).mean() >= COVERED:
                return self._facts(tile, heights, raster.vertical_datum)
        return []

    def _facts(self, tile: TileImage, heights: Floats, datum: str | None) -> list[Evidence]:
        found = Findings(tile.id, self.name, self.version)
        found.add(
            "terrain", "mean_height", float(np.nanmean(heights)), "m",
            label=datum or "unknown datum", confidence=CONFIDENCE if datum else UNSURE,
        )  # fmt: skip
        low, high = np.nanpercentile(heights, [2, 98])
        found.add("terrain", "relief", float(high - low), "m", confidence=CONFIDENCE)
        east, north = gradient(heights, tile.geobox)
        steepness = np.degrees(np.arctan(np.hypot(east, north)))
        found.add("terrain", "slope", float(np.nanmean(steepness)), "deg", confidence=CONFIDENCE)
        look = look_azimuth_deg(tile.acquisition)
        if look is not None:
            along = east * np.sin(np.radians(look)) + north * np.cos(np.radians(look))
            tilt = np.degrees(np.arctan(along[np.isfinite(along)]))
            for predicate, tilted in (
                ("facing_share", tilt > TILT_DEG),
                ("away_share", tilt < -TILT_DEG),
            ):
                share = float(tilted.mean())
                found.add("terrain", predicate, share, "share", confidence=CONFIDENCE)
        return found.facts


def _opened(path: Path, geoid_m: float | None) -> Elevation:
    with guarded(path), rasterio.open(path) as source:
        if source.crs is None:
            raise GeometryError(f"{path} has no coordinate reference system", "assign one")
        grid = GeoBox(source.shape, source.transform, source.crs)
    return Elevation.open(path, geoid_m, extent_footprint(grid))


def look_azimuth_deg(acquisition: Acquisition) -> float | None:
    """Return the direction in which the radar looks, degrees from true north, 0…360.

    It is taken as square to the flight; None where heading or side is not known.
    """
    if acquisition.heading is None or acquisition.observation_direction is None:
        return None
    turn = 90.0 if acquisition.observation_direction == "right" else -90.0
    return (acquisition.heading + turn) % 360.0


def gradient(heights: Floats, grid: GeoBox) -> tuple[Floats, Floats]:
    """Return the rise of heights towards true east and north, metres a metre.

    Args:
        heights: Metres, shape (rows, columns), at least 2 × 2; NaN where unknown.
        grid: Map grid of the heights, in any CRS; its scale and turn are taken at its centre.
    """
    down, across = np.gradient(heights)
    rows, columns = grid.shape
    column, row = columns / 2, rows / 2
    lon, lat = lonlat_of_pixels(
        grid, np.array([column, column + 1, column]), np.array([row, row, row + 1])
    )
    geod = Geod(ellps="WGS84")
    steps = []  # east and north in metres, of one column and of one row
    for end in (1, 2):
        azimuth, _, metres = geod.inv(lon[0], lat[0], lon[end], lat[end])
        angle = np.radians(azimuth)
        steps.append([metres * np.sin(angle), metres * np.cos(angle)])
    inverse = np.linalg.inv(np.array(steps))
    east = inverse[0, 0] * across + inverse[0, 1] * down
    north = inverse[1, 0] * across + inverse[1, 1] * down
    return east, north
