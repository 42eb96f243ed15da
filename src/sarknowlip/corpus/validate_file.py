"""Checking a catalog row against the file it describes.

Nothing in the row is trusted: place, footprint, block and name are computed again from the file's
own grid and pixels and from the recipe of the build.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from affine import AffineError
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pydantic import ValidationError
from pyproj.exceptions import ProjError
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError, CorpusError, GeometryError, ProductError
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.split import SplitConfig, block_name
from sarknowlip.corpus.validate_row import (
    Found,
    form_problems,
    honesty_problems,
    outline_of,
    stac_problems,
    value_problems,
)
from sarknowlip.geo.footprint import (
    extent_footprint,
    map_bbox,
    pixel_round_trip_error,
    valid_footprint,
    wgs84_bbox,
)
from sarknowlip.geo.gazetteer import nearest_city
from sarknowlip.geo.grid import (
    GridConfig,
    TileGrid,
    circular_centre,
    ground_sample_distance,
    lonlat_of_pixels,
)
from sarknowlip.geo.raster import StoredTile, decode_tile
from sarknowlip.sar.scaling import LAST

ROUND_TRIP_PX = 0.01
"""Largest pixel → lon/lat → pixel error allowed."""

FOOTPRINT_SHARE = 1e-3
"""Largest share of a tile by which its geometry may differ from the footprint of its pixels."""

_NO_TILE = (ProductError, GeometryError, ProjError, AffineError, ShapelyError, ValueError)
"""What reading a foreign file, or placing its outline on Earth, may raise."""


class Recipe(Config):
    """What a manifest says that single tiles depend on.

    Attributes:
        grid: How tiles were cut.
        split: How ground was shared out.
        scenes: Names of the scenes in the corpus.
        version: Release of this package that wrote the catalog.
    """

    grid: GridConfig
    split: SplitConfig
    scenes: frozenset[str]
    version: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Recipe:
        """Return what a manifest says.

        Raises:
            CorpusError: It lacks an entry, or holds one of another type.
        """
        try:
            return cls(
                grid=manifest["recipe"]["grid"],
                split=manifest["recipe"]["split"],
                scenes=frozenset(one["scene"] for one in manifest["inputs"] if one["scene"]),
                version=manifest["versions"]["sarknowlip"],
            )
        except (KeyError, TypeError, ValidationError, ConfigError) as error:
            raise CorpusError(f"the manifest is incomplete: {error}", "build again") from error


@dataclass(frozen=True)
class _Ground:
    """What follows from a file's grid and pixels."""

    geobox: GeoBox
    extent: MultiPolygon
    footprint: MultiPolygon
    centre: tuple[float, float]
    gsd: tuple[float, float]
    round_trip_px: float

    @classmethod
    def of(cls, tile: StoredTile) -> _Ground:
        _require_place(tile.geobox)
        extent = extent_footprint(tile.geobox)
        return cls(
            geobox=tile.geobox,
            extent=extent,
            footprint=valid_footprint(np.asarray((tile.pixels > 0).all(axis=0)), tile.geobox),
            centre=circular_centre(extent),
            gsd=ground_sample_distance(tile.geobox),
            round_trip_px=pixel_round_trip_error(tile.geobox),
        )


def _require_place(geobox: GeoBox) -> None:
    """Refuse a grid with a corner off the globe: outlines of such may take forever to cut.

    Raises:
        GeometryError: A corner has no longitude and latitude.
    """
    height, width = geobox.shape
    columns, rows = np.array([0.0, width, width, 0.0]), np.array([0.0, 0.0, height, height])
    lon, lat = lonlat_of_pixels(geobox, columns, rows)
    inside = (np.abs(lon) <= 540) & (np.abs(lat) <= 90 + 1e-9)  # NaN is not inside
    if not inside.all():
        raise GeometryError("the file's grid reaches off the globe", "rebuild the corpus")


def check_tile(root: Path, row: dict[str, Any], recipe: Recipe | None) -> Found:
    """Yield (property, message) for everything wrong with one catalog row.

    Args:
        root: Corpus folder.
        row: The row as `Catalog.rows` gives it.
        recipe: What the manifest says; None leaves out what can't be told without it.
    """
    malformed = list(form_problems(row))
    if malformed:
        yield from malformed
        return
    own = [*honesty_problems(row), *value_problems(row)]
    yield from own
    if not own:
        yield from stac_problems(row)
    path = _path(root, row)
    if path is None:
        yield "assets", f"{root / row['assets']['image']['href']} is absent"
        return
    try:
        changed = file_sha256(path) != row["sarknowlip:sha256"]
    except OSError as error:
        yield "assets", f"cannot read {path}: {error}"
        return
    if changed:
        yield "sarknowlip:sha256", f"{path} has other content"
    try:
        tile = decode_tile(path)
        ground = _Ground.of(tile)
    except _NO_TILE as error:
        yield "assets", f"{path} is no tile: {' '.join(str(error).split())}"
        return
    true_id = tile.tags.get("TILE_ID")
    if changed and true_id != row["id"]:
        yield "assets", f"{path} is tile {true_id}"
        return
    yield from _identity(row, true_id, recipe)
    yield from _grid(row, tile, recipe)
    yield from _pixels(row, tile)
    yield from _projection(row, ground)
    yield from _place(row, ground)
    if recipe is not None:
        yield from _recipe(row, ground, recipe)


def _path(root: Path, row: dict[str, Any]) -> Path | None:
    """Return the tile's file, or None if there is none below `root`."""
    href = PurePosixPath(row["assets"]["image"]["href"])
    if href.is_absolute() or ".." in href.parts:
        return None
    path = root / href
    try:
        return path if path.is_file() else None
    except OSError:  # a name too long for the file system
        return None


def _identity(row: dict[str, Any], true_id: str | None, recipe: Recipe | None) -> Found:
    """The file's own name tells which of id, scene and tile key is wrong."""
    scene, key = row["sarknowlip:scene"], row["sarknowlip:tile_key"]
    if true_id is None:
        yield "assets", "the file doesn't say which tile it is"
        true_id = row["id"]
    if row["id"] != true_id:
        yield "id", f"the file is tile {true_id}"
    if not true_id.endswith(f"_{key}"):
        yield "sarknowlip:tile_key", f"{key!r} is not the end of {true_id}"
        if not true_id.startswith(f"{scene}_"):
            yield "sarknowlip:scene", f"{scene!r} is not the beginning of {true_id}"
    elif true_id != f"{scene}_{key}":
        yield "sarknowlip:scene", f"{scene!r} is not the beginning of {true_id}"
    elif recipe is not None and scene not in recipe.scenes:
        yield "sarknowlip:scene", f"the manifest knows no scene {scene}"


def _grid(row: dict[str, Any], tile: StoredTile, recipe: Recipe | None) -> Found:
    name = "proj:code" if row["proj:code"] is not None else "proj:wkt2"
    try:
        same = CRS(row[name]) == tile.geobox.crs
    except (ProjError, ValueError):
        same = False
    if not same:
        crs = tile.geobox.crs
        yield name, f"the file says {f'EPSG:{crs.epsg}' if crs is not None and crs.epsg else crs}"
    affine = tile.geobox.affine[:6]
    if not np.allclose(row["proj:transform"], affine, rtol=1e-12, atol=1e-9):
        yield "proj:transform", f"the file says {', '.join(f'{value:g}' for value in affine)}"
    shape = tile.pixels.shape[1:]
    if tuple(row["proj:shape"]) != shape:
        yield "proj:shape", f"the file has {shape[0]} × {shape[1]} pixels"
    elif recipe is not None and shape != (recipe.grid.tile_px,) * 2:
        yield "proj:shape", f"the recipe says {recipe.grid.tile_px} × {recipe.grid.tile_px} pixels"


def _pixels(row: dict[str, Any], tile: StoredTile) -> Found:
    if tile.bands != tuple(row["sar:polarizations"]):
        yield "sar:polarizations", f"the file has {', '.join(tile.bands)}"
    for name, value in (("scale", tile.scale), ("offset", tile.offset)):
        if not math.isclose(row[f"sarknowlip:{name}"], value, abs_tol=1e-12):
            yield f"sarknowlip:{name}", f"the file says {value}"
    nodata = 1 - float((tile.pixels > 0).all(axis=0).mean())
    if not math.isclose(nodata, row["sarknowlip:nodata_fraction"], rel_tol=1e-6):
        yield "sarknowlip:nodata_fraction", f"the file has {nodata:.6f}"
    clipped, size = row["sarknowlip:clipped_fraction"], tile.pixels.size
    ends = int(np.isin(tile.pixels, (1, LAST)).sum())
    if not 0 <= clipped <= ends / size * (1 + 1e-9):
        yield "sarknowlip:clipped_fraction", f"only {ends} values lie at an end of the scale"
    elif not math.isclose(clipped, round(clipped * size) / size):
        yield "sarknowlip:clipped_fraction", f"is no count out of {size} values"
    quantity, calibrated = tile.tags.get("QUANTITY"), tile.tags.get("CALIBRATED")
    if quantity != row["sarknowlip:quantity"]:
        yield "sarknowlip:quantity", f"the file says {quantity}"
    if (calibrated == "YES") != row["sarknowlip:calibrated"]:
        yield "sarknowlip:calibrated", f"the file says {calibrated}"


def _projection(row: dict[str, Any], ground: _Ground) -> Found:
    width, height = ground.gsd
    for name, value in (
        ("sarknowlip:gsd_x", width),
        ("sarknowlip:gsd_y", height),
        ("gsd", max(ground.gsd)),
    ):
        if not math.isclose(row[name], value, rel_tol=1e-6):
            yield name, f"{row[name]} m, but the grid's pixels measure {value:.6f} m"
    if not np.allclose(row["proj:bbox"], map_bbox(ground.geobox), rtol=1e-12, atol=1e-9):
        yield "proj:bbox", "is not the bounding box of the file's grid"
    said = row["sarknowlip:round_trip_px"]
    if not ground.round_trip_px <= ROUND_TRIP_PX:
        error = ground.round_trip_px
        yield "sarknowlip:round_trip_px", f"pixel → lon/lat → pixel misses by {error:.3g} pixel"
    elif said < 0 or abs(said - ground.round_trip_px) > 1e-4:
        yield "sarknowlip:round_trip_px", f"{said}, but it is {ground.round_trip_px:.3g} pixel"
    box = [row["bbox"][corner] for corner in ("xmin", "ymin", "xmax", "ymax")]
    if not np.allclose(box, wgs84_bbox(ground.footprint), rtol=0, atol=1e-9):
        yield "bbox", "is not the bounding box of the valid pixels"
    outline = outline_of(row)
    if outline is None:
        return
    try:
        wrong = outline.symmetric_difference(ground.footprint).area / ground.extent.area
    except ShapelyError:  # an outline that defeats GEOS is not ours
        wrong = math.inf
    if not wrong <= FOOTPRINT_SHARE:
        where = "" if outline.intersects(ground.extent) else ": it lies elsewhere on Earth"
        yield "geometry", f"differs from the valid pixels by {wrong:.3g} of the tile{where}"


def _place(row: dict[str, Any], ground: _Ground) -> Found:
    city, distance = nearest_city(*ground.centre)
    if city.id != row["sarknowlip:city_id"]:
        yield "sarknowlip:city_id", f"the nearest city is {city.name} ({city.id})"
    if abs(distance - row["sarknowlip:city_distance_km"]) > 1e-3:
        yield "sarknowlip:city_distance_km", f"the centre is {distance:.3f} km away"
    for name, said in (
        ("sarknowlip:city", city.name),
        ("sarknowlip:country", city.country),
        ("sarknowlip:population", city.population),
    ):
        if row[name] != said:
            yield name, f"{row[name]!r}, but the gazetteer says {said!r}"


def _recipe(row: dict[str, Any], ground: _Ground, recipe: Recipe) -> Found:
    block = block_name(*ground.centre, recipe.split.block_km)
    if row["sarknowlip:block"] != block:
        yield "sarknowlip:block", f"{row['sarknowlip:block']!r}, but the centre lies in {block}"
    if recipe.grid.placement == "utm":
        key = _world_key(ground.geobox, recipe.grid.tile_px)
        if row["sarknowlip:tile_key"] != key:
            said = row["sarknowlip:tile_key"]
            yield "sarknowlip:tile_key", f"{said!r}, but the file's cell of the world grid is {key}"
    version = row["processing:software"]["sarknowlip"]
    if version != recipe.version:
        yield "processing:software", f"{version!r}, but the manifest says {recipe.version}"


def _world_key(geobox: GeoBox, tile_px: int) -> str | None:
    """Return the name of a cell of the world grid, or None if the pixels are none."""
    affine, epsg = geobox.affine, geobox.crs.epsg if geobox.crs is not None else None
    ground = affine.a * tile_px
    if affine.b or affine.d or affine.a != -affine.e or ground <= 0:
        return None
    column, row = affine.c / ground, affine.f / ground
    if max(abs(column - round(column)), abs(row - round(row))) > 1e-3:
        return None
    label = f"{affine.a:g}".replace(".", "p")
    cell = TileGrid(
        geobox,
        tile_px,
        f"{epsg}_{label}m_{tile_px}",
        first_row=round(row) - 1,
        first_column=round(column),
        row_step=-1,
    )
    return cell.tile(0, 0).key
