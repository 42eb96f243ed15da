"""Seas and large waters from a file of polygons, where no map has told of functions.

Meant for files such as the water polygons of osmdata.openstreetmap.de, which hold the sea alone.
What a polygon is, its attributes tell if they hold one of the words in `_KINDS` (columns
`_COLUMNS`: OpenStreetMap, Geofabrik and Natural Earth use these); polygons whose word is not there
are left out. In a file without any such column all polygons are sea.

A pixel belongs to the polygon in which its centre lies. A file of polygons doesn't tell where it is
complete: without a polygon in the tile the source is silent. If a map knows of regions or of the
sea, it is silent as well: two sources that number regions would mix them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyogrio
import shapely
from odc.geo.geobox import GeoBox
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import ConfigError, GeometryError, ProductError
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import ground_sample_distance, pyproj_crs
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.files import files_version
from sarknowlip.knowledge.findings import Findings
from sarknowlip.knowledge.regions import add_region, pieces
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.windows import Mask
from sarknowlip.sar.tile import TileImage

CONFIDENCE = 0.95
"""Our estimate; shores drawn at small scales are right to some hundred metres only."""
_COLUMNS = ("water", "natural", "featurecla", "fclass")
_KINDS = {
    "sea": "sea", "ocean": "sea", "bay": "sea", "strait": "sea", "coastline": "sea",
    "lake": "lake", "reservoir": "lake", "pond": "lake", "basin": "lake", "alkaline lake": "lake",
    "river": "river", "riverbank": "river", "stream": "river", "canal": "canal",
}  # fmt: skip
_ORDER = ("sea", "lake", "river", "canal")
_EDGE_STEPS = 32
"""Straight pieces that stand for one edge of a tile, and for the edge of a polygon across it."""


class WaterSource:
    """Share, place and regions of waters.

    Args:
        options: `water` names the file.
    """

    name: ClassVar[str] = "water"
    looks_at: ClassVar[str] = "known"
    attribution: ClassVar[str] = "Water polygons: © OpenStreetMap contributors, ODbL"

    def __init__(self, options: SourceOptions | None = None) -> None:
        path = None if options is None else options.water
        if path is None:
            raise ConfigError("source water has no file", "give one with --water")
        self.version = f"1+{files_version([path])}"
        self._path = path
        if (
            path.suffix.lower() in (".parquet", ".geoparquet")
            and "Parquet" not in pyogrio.list_drivers()
        ):
            raise ProductError(
                f"{path} is GeoParquet, which GDAL cannot read here", "convert it to GeoPackage"
            )
        with _reading(path):
            about = pyogrio.read_info(path)
        if not about["crs"]:
            raise GeometryError(f"{path} has no coordinate reference system", "assign one")
        if "Polygon" not in (about["geometry_type"] or "") and about["geometry_type"] != "Unknown":
            raise ProductError(f"{path} holds {about['geometry_type']}s", "give polygons of waters")
        try:
            self._crs = CRS.from_user_input(about["crs"])
        except CRSError as error:
            raise GeometryError(f"{path}: unusable reference system: {error}", "assign") from error
        self._columns = [name for name in about["fields"] if name.lower() in _COLUMNS]

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return share and mask of each kind of water in the tile, then its regions.

        Raises:
            ProductError: The file cannot be read.
        """
        if any(fact.subject.startswith("region/") for fact in known):
            return []
        if any(fact.subject == "function/sea" for fact in known):
            return []
        found = Findings(tile.id, self.name, self.version)
        masks = self._masks(tile.geobox)
        for kind, mask in masks.items():
            found.add(
                f"function/{kind}", "share", float(mask.mean()), "share",
                confidence=CONFIDENCE, mask=mask,
            )  # fmt: skip
        gsd = ground_sample_distance(tile.geobox)
        regions = [(kind, piece) for kind, mask in masks.items() for piece in pieces(mask)]
        regions.sort(key=lambda region: -region[1].pixels)
        for number, (kind, piece) in enumerate(regions[:100]):
            subject = f"region/{number:02d}"
            add_region(found, subject, kind, piece, gsd_m=gsd, confidence=CONFIDENCE)
        return found.facts

    def _masks(self, grid: GeoBox) -> dict[str, Mask]:
        """Return the pixels of each kind of water that the tile has, without overlap."""
        found: dict[str, list[BaseGeometry]] = {kind: [] for kind in _ORDER}
        for kind, polygon in self._polygons(grid):
            found[kind].append(polygon)
        masks: dict[str, Mask] = {}
        free = np.ones(grid.shape, dtype=bool)
        for kind in reversed(_ORDER):  # what is drawn more finely lies on top
            if found[kind]:
                burnt = rasterize(found[kind], grid.shape, transform=grid.affine, dtype=np.uint8)
                mask = (burnt == 1) & free
                free &= ~mask
                if mask.any():
                    masks[kind] = mask
        return {kind: masks[kind] for kind in _ORDER if kind in masks}

    def _polygons(self, grid: GeoBox) -> Iterable[tuple[str, BaseGeometry]]:
        """Yield kind and shape, in the CRS of the grid, of the polygons that touch a tile."""
        there = Transformer.from_crs(4326, self._crs, always_xy=True)
        back = Transformer.from_crs(self._crs, pyproj_crs(grid), always_xy=True)
        for part in extent_footprint(grid).geoms:
            window = _moved(part.segmentize(max(part.length / 4 / _EDGE_STEPS, 1e-9)), there)
            west, south, east, north = window.bounds
            if not np.isfinite([west, south, east, north]).all():
                continue
            margin = max(east - west, north - south) / _EDGE_STEPS
            box = (west - margin, south - margin, east + margin, north + margin)
            for kind, polygon in self._read(box):
                cut = _areas(shapely.intersection(shapely.make_valid(polygon), shapely.box(*box)))
                if not cut.is_empty:
                    yield kind, _moved(cut.segmentize(margin), back)

    def _read(self, box: tuple[float, float, float, float]) -> Iterable[tuple[str, BaseGeometry]]:
        with _reading(self._path):
            _, _, wkb, fields = pyogrio.raw.read(self._path, bbox=box, columns=self._columns)
        for number, geometry in enumerate(shapely.from_wkb(wkb)):
            words = [str(column[number]).lower() for column in fields]
            kinds = [_KINDS[word] for word in words if word in _KINDS]
            if geometry is not None and (kinds or not self._columns):
                yield kinds[0] if kinds else "sea", geometry


class _reading:  # noqa: N801 - reads as a statement
    """Turns errors of GDAL's vector side into one line that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(
            error, DataSourceError | DataLayerError | FeatureError | shapely.GEOSException
        ):
            raise ProductError(
                f"cannot read {self.path}: {error}", "it is damaged or holds no polygons"
            ) from error


def _areas(geometry: BaseGeometry) -> BaseGeometry:
    """Return the polygons of a geometry alone; mending may leave lines beside them."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _moved(geometry: BaseGeometry, move: Transformer) -> BaseGeometry:
    def both(points: Any) -> Any:
        return np.column_stack(move.transform(points[:, 0], points[:, 1]))

    return shapely.transform(geometry, both)
