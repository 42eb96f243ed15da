"""Tables and rasters of a world, read once a process and looked up by place."""

from __future__ import annotations

import functools
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
import rasterio.windows
import shapely
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from sarknowlip.annotate.truth.world import REMEDY, TruthWorld
from sarknowlip.core.errors import SarKnowlipError

Floats = npt.NDArray[np.float64]

HELD = 4
"""Worlds whose tables a process keeps."""


class Tables:
    """What a folder of truth holds, in UTM metres.

    Args:
        world: The world.
    """

    def __init__(self, world: TruthWorld) -> None:
        self.world = world
        self._rasters: dict[str, tuple[Floats, Affine]] = {}

    @functools.cached_property
    def _regions(self) -> tuple[Any, shapely.STRtree]:
        table = self._read("regions").sort_values(["order"], kind="stable")
        return table, shapely.STRtree(table.geometry.to_numpy())

    @functools.cached_property
    def _objects(self) -> tuple[Any, shapely.STRtree]:
        table = self._read("objects")
        return table, shapely.STRtree(table.geometry.to_numpy())

    def regions(self, area: BaseGeometry) -> Any:
        """Return the regions near an area's bounding box, in painter's order."""
        return _near(*self._regions, area)

    def objects(self, area: BaseGeometry) -> Any:
        """Return the buildings and targets near an area's bounding box, in file order."""
        return _near(*self._objects, area)

    @functools.cached_property
    def names(self) -> dict[str, list[BaseGeometry]]:
        """What bears each name on the world's map; empty where no map is or nothing has a name."""
        if not (self.world.folder / "map.parquet").exists():
            return {}
        table, found = self._read("map"), dict[str, list[BaseGeometry]]()
        for tags, shape in zip(table.get("tags", ()), table.geometry, strict=False):
            for key, value in dict(tags if tags is not None else ()).items():
                if key == "name":
                    found.setdefault(str(value), []).append(shape)
        return found

    def raster(self, name: str, area: BaseGeometry) -> tuple[Floats, Affine, npt.NDArray[np.bool_]]:
        """Return a raster around an area, its affine, and which pixels' centres are in the area."""
        values, whole = self._raster(name)
        window = rasterio.windows.from_bounds(
            *shapely.buffer(area, abs(whole.a)).bounds, transform=whole
        )
        window = window.round_offsets().round_lengths()
        window = window.intersection(Window(0, 0, values.shape[1], values.shape[0]))
        values = values[window.toslices()]
        affine = whole @ Affine.translation(window.col_off, window.row_off)
        chosen = rasterio.features.geometry_mask(
            [area], values.shape, transform=affine, invert=True
        )
        return values, affine, np.asarray(chosen)

    def _raster(self, name: str) -> tuple[Floats, Affine]:
        if name not in self._rasters:
            path = self.world.folder / name
            try:
                with rasterio.open(path) as source:
                    self._rasters[name] = source.read(1).astype(np.float64), source.transform
            except (RasterioError, ValueError) as error:
                raise SarKnowlipError(f"cannot read {path}: {error}", REMEDY) from error
        return self._rasters[name]

    def _read(self, name: str) -> Any:
        path = self.world.folder / f"{name}.parquet"
        try:
            table = geopandas.read_parquet(path).to_crs(self.world.epsg)
        except (OSError, ValueError) as error:
            raise SarKnowlipError(f"cannot read {path}: {error}", REMEDY) from error
        # Thin rings that are valid in degrees may cross themselves in metres.
        return table.set_geometry(table.make_valid(method="structure", keep_collapsed=False))


@functools.lru_cache(maxsize=HELD)
def tables_of(world: TruthWorld) -> Tables:
    """Return the tables of a world; a process keeps the last few.

    Raises (when a table is looked up):
        SarKnowlipError: The table or raster is damaged.
    """
    return Tables(world)


def _near(table: Any, tree: shapely.STRtree, area: BaseGeometry) -> Any:
    return table.iloc[np.sort(tree.query(shapely.box(*area.bounds)))]
