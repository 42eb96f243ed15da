"""Land cover of the ground from rasters with the class codes of ESA WorldCover.

The class of a tile's pixel is that of the raster cell in which its centre lies; of several rasters
the first with a value counts. Shares are of all pixels of the tile. Where less than `COVERED` of
them have a class, such as on the open sea that WorldCover leaves out, the source is silent.

Confidence is the overall accuracy of WorldCover 2021: 76.7 % (Tsendbazar et al., "WorldCover
Product Validation Report", V2.0, 2022). It is kept for other rasters, too, of which nothing is
known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from sarknowlip.core.errors import ConfigError, GeometryError, ProductError
from sarknowlip.geo.grid import pyproj_crs
from sarknowlip.geo.raster import guarded
from sarknowlip.geo.warp import source_window, warp
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.files import files_in, files_version
from sarknowlip.knowledge.findings import COVERED, Findings
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.vocabulary import COVERS
from sarknowlip.sar.tile import TileImage

ACCURACY = 0.767
_YEAR = re.compile(r"WorldCover_10m_(20\d\d)_v")


@dataclass(frozen=True)
class _Raster:
    """One raster: its grid, the code that stands for no data, and what year it shows."""

    path: Path
    grid: GeoBox
    nodata: float
    time: str | None

    @classmethod
    def open(cls, path: Path) -> _Raster:
        with guarded(path), rasterio.open(path) as source:
            if source.crs is None:
                raise GeometryError(f"{path} has no coordinate reference system", "assign one")
            if np.dtype(source.dtypes[0]).kind not in "iu":
                raise ProductError(
                    f"{path} holds {source.dtypes[0]}, no class codes", "give a WorldCover map"
                )
            grid = GeoBox(source.shape, source.transform, source.crs)
            year = _YEAR.search(path.name)
            named = f"{year[1]}-01-01T00:00:00Z" if year else None
            nodata = 0.0 if source.nodata is None else float(source.nodata)
            pyproj_crs(grid)
            return cls(path, grid, nodata, source.tags().get("time_start") or named)

    def codes(self, target: GeoBox) -> npt.NDArray[np.float32] | None:
        """Return class codes on a map grid, NaN where there are none; None if it lies elsewhere."""
        window = source_window(self.grid, target, margin=1)
        if window is None:
            return None
        rows, columns = window
        part = Window.from_slices(rows, columns)
        with guarded(self.path), rasterio.open(self.path) as source:
            cells = source.read(1, window=part).astype(np.float32)
        cells[(cells == self.nodata) | (cells == 0)] = np.nan
        codes = np.asarray(warp(cells[None], self.grid[window], target, "nearest")[0])
        strange = set(np.unique(codes[np.isfinite(codes)]).astype(int).tolist()) - COVERS.keys()
        if strange:
            raise ConfigError(
                f"{self.path} holds code {min(strange)}, no class of ESA WorldCover",
                f"recode it to {', '.join(map(str, COVERS))}, 0 for no data",
            )
        return codes


class LandcoverSource:
    """Share and place of the land-cover classes.

    Args:
        options: `landcover` names the rasters.
    """

    name: ClassVar[str] = "landcover"
    looks_at: ClassVar[str] = "nothing"
    attribution: ClassVar[str] = (
        "Land cover: © ESA WorldCover project / contains modified Copernicus Sentinel data "
        "processed by ESA WorldCover consortium, CC BY 4.0"
    )

    def __init__(self, options: SourceOptions | None = None) -> None:
        if options is None or not options.landcover:
            raise ConfigError("source landcover has no raster", "give one with --landcover")
        paths = files_in(options.landcover, (".tif", ".tiff", ".vrt"))
        self.version = f"1+{files_version(paths)}"
        self._rasters = [_Raster.open(path) for path in paths]

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return the share of every class, 0 for absent ones; present ones with their mask.

        Raises:
            ProductError: A raster cannot be read.
            ConfigError: It holds a code that is no class.
        """
        codes = np.full(tile.geobox.shape, np.nan, dtype=np.float32)
        times = set()
        for raster in self._rasters:
            gaps = np.isnan(codes)
            more = raster.codes(tile.geobox) if gaps.any() else None
            if more is not None and np.isfinite(more[gaps]).any():
                codes[gaps] = more[gaps]
                times.add(raster.time)
        if np.isfinite(codes).mean() < COVERED:
            return []
        time = times.pop() if len(times) == 1 else None
        found = Findings(tile.id, self.name, self.version, time)
        for code, cover in COVERS.items():
            mask = codes == code
            found.add(
                f"cover/{cover}", "share", float(mask.mean()), "share",
                confidence=ACCURACY, mask=mask,
            )  # fmt: skip
        return found.facts
