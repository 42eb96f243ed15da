"""Checking a corpus: every mandatory property of every tile, against the file it describes.

A problem names the tile and the property. Nothing is taken on trust: geometry is recomputed from
CRS and transform, pixels are read back, splits are tested for shared ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pystac
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import ProductError, SarKnowlipError
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.catalog import CATALOG, MANIFEST, Catalog
from sarknowlip.corpus.record import SCHEMA, UNKNOWN_END, UNKNOWN_START, TileRecord
from sarknowlip.corpus.split import shared_ground
from sarknowlip.geo.footprint import (
    extent_footprint,
    map_bbox,
    pixel_round_trip_error,
    wgs84_bbox,
)
from sarknowlip.geo.gazetteer import nearest_city
from sarknowlip.geo.grid import circular_centre, ground_sample_distance
from sarknowlip.geo.raster import decode_tile
from sarknowlip.sar.product import GeocodingMethod, Polarization, Quantity

ROUND_TRIP_PX = 0.01
"""Largest pixel → lon/lat → pixel error allowed."""

NULLABLE = frozenset(
    {
        "platform",
        "constellation",
        "instruments",
        "start_datetime",
        "end_datetime",
        "sar:instrument_mode",
        "sar:frequency_band",
        "sar:center_frequency",
        "sar:product_type",
        "sar:looks_range",
        "sar:looks_azimuth",
        "sar:looks_equivalent_number",
        "sar:resolution_range",
        "sar:resolution_azimuth",
        "sar:observation_direction",
        "sat:orbit_state",
        "sat:relative_orbit",
        "sat:absolute_orbit",
        "view:incidence_angle",
        "sarknowlip:incidence_near",
        "sarknowlip:incidence_far",
        "sarknowlip:heading",
        "sarknowlip:noise_removed",
        "sarknowlip:geocoding_vertical_datum",
        "sarknowlip:geocoding_error_m",
    }
)
"""Properties a provider may not give: null if and only if named in `sarknowlip:missing`."""

FREE = frozenset({"datetime", "proj:code", "proj:wkt2", "sarknowlip:speckle_filter", "links"})
"""Columns with a rule of their own (`datetime` is null beside an interval, as STAC asks)."""

_RANGES: dict[str, tuple[float, float]] = {
    "gsd": (0.01, 10_000),
    "sarknowlip:gsd_x": (0.01, 10_000),
    "sarknowlip:gsd_y": (0.01, 10_000),
    "sarknowlip:nodata_fraction": (0, 1),
    "sarknowlip:clipped_fraction": (0, 1),
    "sarknowlip:geocoding_error_m": (0, 100_000),
    "sarknowlip:city_distance_km": (0, 20_040),
    "sarknowlip:population": (0, 10**8),
    "sar:center_frequency": (0.2, 120),
    "view:incidence_angle": (0, 90),
    "sarknowlip:incidence_near": (0, 90),
    "sarknowlip:incidence_far": (0, 90),
    "sarknowlip:heading": (-180, 360),
    "sar:looks_range": (0.1, 10_000),
    "sar:looks_azimuth": (0.1, 10_000),
    "sar:looks_equivalent_number": (0.1, 10_000),
    "sar:resolution_range": (0.01, 10_000),
    "sar:resolution_azimuth": (0.01, 10_000),
    "sat:relative_orbit": (0, 1000),
    "sat:absolute_orbit": (0, 10**6),
}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "type": ("Feature",),
    "sarknowlip:geocoding_method": get_args(GeocodingMethod),
    "sarknowlip:quantity": get_args(Quantity),
    "sarknowlip:split": ("train", "val", "test"),
    "sat:orbit_state": ("ascending", "descending", "geostationary"),
    "sar:observation_direction": ("left", "right"),
    "sar:frequency_band": ("P", "L", "S", "C", "X", "Ku", "K", "Ka"),
}


@dataclass(frozen=True)
class Problem:
    """Something wrong with a tile or the corpus.

    Attributes:
        tile: Tile identifier, or the file's name for problems of the whole corpus.
        property: Catalog column, or "file".
        message: What is wrong.
    """

    tile: str
    property: str
    message: str

    def __str__(self) -> str:
        return f"{self.tile}: {self.property}: {self.message}"


@dataclass(frozen=True)
class Validation:
    """Outcome of `validate`.

    Attributes:
        tiles: How many tiles were examined.
        problems: What was found; empty if the corpus is sound.
    """

    tiles: int
    problems: tuple[Problem, ...]


def validate(root: Path, progress: Callable[[int, int, str], None] | None = None) -> Validation:
    """Check all tiles of a corpus and what they have in common.

    Raises:
        CorpusError: There is no catalog, or it cannot be read.
    """
    catalog = Catalog(root)
    problems = list(_whole(root))
    splits: list[Any] = []
    blocks: dict[str, set[str]] = {}
    outlines: list[BaseGeometry] = []
    ids: list[str] = []
    for done, row in enumerate(catalog.rows(), start=1):
        tile = str(row.get("id"))
        found = list(check_tile(root, row))
        problems.extend(Problem(tile, name, message) for name, message in found)
        if tile in ids[-1:]:
            problems.append(Problem(tile, "id", "appears twice"))
        outline = _geometry(row)
        if outline is not None:
            ids.append(tile)
            splits.append(row.get("sarknowlip:split"))
            outlines.append(outline)
            blocks.setdefault(str(row.get("sarknowlip:block")), set()).add(str(splits[-1]))
        if progress is not None:
            progress(done, len(catalog), tile)
    for block, parts in blocks.items():
        if len(parts) > 1:
            names = ", ".join(sorted(parts))
            problems.append(Problem(block, "sarknowlip:split", f"one block in splits {names}"))
    for i, j in shared_ground(splits, outlines):
        message = f"shares ground with {ids[j]} of split {splits[j]}"
        problems.append(Problem(ids[i], "sarknowlip:split", message))
    return Validation(len(catalog), tuple(problems))


def check_tile(root: Path, row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (property, message) for everything wrong with one catalog row."""
    nulls = list(_nulls(row))
    yield from nulls
    if any(name not in NULLABLE for name, _ in nulls):
        return
    yield from _values(row)
    geobox = _geobox(row)
    if geobox is None:
        yield "proj:transform", "CRS, transform and shape do not make a grid"
        return
    yield from _projection(row, geobox)
    yield from _stored(root, row, geobox)
    yield from _stac(row)


def _whole(root: Path) -> Iterator[Problem]:
    manifest = root / MANIFEST
    if not manifest.is_file():
        yield Problem(MANIFEST, "file", "is absent: the build did not finish")
    elif f'"{file_sha256(root / CATALOG)}"' not in manifest.read_text("utf-8"):
        yield Problem(CATALOG, "file", f"is not the one that {MANIFEST} describes")


def _nulls(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    missing = set(row.get("sarknowlip:missing") or ())
    for name in SCHEMA.names:
        value = row.get(name)
        if name in FREE:
            continue
        if name in NULLABLE:
            unknown = value is None or (
                name in {"start_datetime", "end_datetime"}
                and _stamp(value) in {UNKNOWN_START, UNKNOWN_END}
            )
            if unknown and name not in missing:
                yield name, "is null but not listed in sarknowlip:missing"
            if not unknown and name in missing:
                yield name, "has a value but is listed in sarknowlip:missing"
        elif value is None:
            yield name, "is mandatory but null"
        elif name not in {"sarknowlip:missing"} and value in ("", [], {}):
            yield name, "is mandatory but empty"
    if row.get("start_datetime") is None or row.get("end_datetime") is None:
        yield "start_datetime", "STAC needs both ends of the interval"
    if row.get("proj:code") is None and row.get("proj:wkt2") is None:
        yield "proj:code", "is null and there is no proj:wkt2"


def _values(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, (low, high) in _RANGES.items():
        value = row.get(name)
        if value is not None and not low <= value <= high:
            yield name, f"{value} is outside {low}…{high}"
    for name, choices in _CHOICES.items():
        value = row.get(name)
        if value is not None and value not in choices:
            yield name, f"{value!r} is none of {', '.join(map(str, choices))}"
    unknown = set(row["sar:polarizations"]) - set(get_args(Polarization))
    if unknown:
        yield "sar:polarizations", f"unknown: {', '.join(sorted(map(str, unknown)))}"
    if _stamp(row["start_datetime"]) > _stamp(row["end_datetime"]):
        yield "end_datetime", "is before start_datetime"
    angles = [
        row[name]
        for name in (
            "sarknowlip:incidence_near",
            "view:incidence_angle",
            "sarknowlip:incidence_far",
        )
        if row[name] is not None
    ]
    if angles != sorted(angles):
        yield "view:incidence_angle", f"near, centre and far are not in order: {angles}"


def _projection(row: dict[str, Any], geobox: GeoBox) -> Iterator[tuple[str, str]]:
    gsd = ground_sample_distance(geobox)
    for name, value in zip(("sarknowlip:gsd_x", "sarknowlip:gsd_y"), gsd, strict=True):
        if not math.isclose(row[name], value, rel_tol=0.01):
            yield name, f"{row[name]} m, but the grid's pixels measure {value:.4f} m"
    if not math.isclose(row["gsd"], max(gsd), rel_tol=0.01):
        yield "gsd", f"{row['gsd']} m, but the grid's pixels measure {max(gsd):.4f} m"
    if not np.allclose(row["proj:bbox"], map_bbox(geobox), rtol=1e-12, atol=1e-6):
        yield "proj:bbox", "does not follow from proj:transform and proj:shape"
    error = pixel_round_trip_error(geobox)
    if not error <= ROUND_TRIP_PX:
        yield "sarknowlip:round_trip_px", f"pixel → lon/lat → pixel misses by {error:.3g} pixel"
    if not 0 <= row["sarknowlip:round_trip_px"] <= ROUND_TRIP_PX:
        yield "sarknowlip:round_trip_px", f"{row['sarknowlip:round_trip_px']} exceeds 0.01 pixel"
    outline = _geometry(row)
    if outline is None or outline.is_empty or not outline.is_valid:
        yield "geometry", "is no valid polygon"
        return
    box = row["bbox"]
    if not np.allclose([box[k] for k in ("xmin", "ymin", "xmax", "ymax")], wgs84_bbox(outline)):
        yield "bbox", "is not the bounding box of geometry"
    extent = extent_footprint(geobox)
    outside = outline.difference(extent.buffer(1e-3 * math.sqrt(extent.area))).area
    if outside > 0:
        yield "geometry", "reaches beyond the tile's grid: it lies elsewhere on Earth"
    filled = outline.area / extent.area
    if abs(filled - (1 - row["sarknowlip:nodata_fraction"])) > 0.1:
        share = 1 - row["sarknowlip:nodata_fraction"]
        yield "geometry", f"covers {filled:.2f} of the tile, but {share:.2f} of pixels are valid"
    yield from _place(row, extent)


def _place(row: dict[str, Any], extent: BaseGeometry) -> Iterator[tuple[str, str]]:
    city, distance = nearest_city(*circular_centre(extent))
    if city.id != row["sarknowlip:city_id"]:
        yield "sarknowlip:city_id", f"the nearest city is {city.name} ({city.id})"
        return
    if abs(distance - row["sarknowlip:city_distance_km"]) > 0.1:
        yield "sarknowlip:city_distance_km", f"the centre is {distance:.1f} km away"
    said: Any
    for name, said in (
        ("sarknowlip:city", city.name),
        ("sarknowlip:country", city.country),
        ("sarknowlip:population", city.population),
    ):
        if row[name] != said:
            yield name, f"{row[name]!r}, but the gazetteer says {said!r}"


def _stored(root: Path, row: dict[str, Any], geobox: GeoBox) -> Iterator[tuple[str, str]]:
    path = root / row["assets"]["image"]["href"]
    if not path.is_file():
        yield "assets", f"{path} is absent"
        return
    if file_sha256(path) != row["sarknowlip:sha256"]:
        yield "sarknowlip:sha256", f"{path} has other content"
    try:
        tile = decode_tile(path)
    except ProductError as error:
        yield "assets", str(error)
        return
    if tile.geobox.crs != geobox.crs:
        yield "proj:code", f"the file says {tile.geobox.crs}"
    if not np.allclose(tile.geobox.affine[:6], geobox.affine[:6], rtol=1e-12, atol=1e-9):
        yield "proj:transform", "the file has another transform"
    if tile.pixels.shape[1:] != tuple(geobox.shape):
        yield "proj:shape", f"the file has {tile.pixels.shape[1:]}"
    if tile.bands != tuple(row["sar:polarizations"]):
        yield "sar:polarizations", f"the file has {', '.join(tile.bands)}"
    for name, value in (("scale", tile.scale), ("offset", tile.offset)):
        if not math.isclose(row[f"sarknowlip:{name}"], value, abs_tol=1e-12):
            yield f"sarknowlip:{name}", f"the file says {value}"
    nodata = 1 - float((tile.pixels > 0).all(axis=0).mean())
    if abs(nodata - row["sarknowlip:nodata_fraction"]) > 1e-9:
        yield "sarknowlip:nodata_fraction", f"the file has {nodata:.6f}"
    if tile.tags.get("QUANTITY") != row["sarknowlip:quantity"]:
        yield "sarknowlip:quantity", f"the file says {tile.tags.get('QUANTITY')}"
    if (tile.tags.get("CALIBRATED") == "YES") != row["sarknowlip:calibrated"]:
        yield "sarknowlip:calibrated", f"the file says {tile.tags.get('CALIBRATED')}"


def _stac(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    plain = {**row}
    for name in ("start_datetime", "end_datetime"):
        plain[name] = _stamp(row[name])
    try:
        item = TileRecord.from_row(plain).item()
        pystac.Item.from_dict(item)
    except (ValueError, KeyError, TypeError, SarKnowlipError, pystac.STACError) as error:
        yield "type", f"is no STAC item: {' '.join(str(error).split())}"


def _geometry(row: dict[str, Any]) -> BaseGeometry | None:
    try:
        outline = shapely.from_wkb(row.get("geometry"))
    except (shapely.errors.ShapelyError, TypeError):
        return None
    return outline if isinstance(outline, BaseGeometry) else None


def _geobox(row: dict[str, Any]) -> GeoBox | None:
    transform, shape = row["proj:transform"], row["proj:shape"]
    if len(transform) != 6 or len(shape) != 2 or min(shape) < 1:
        return None
    try:
        return GeoBox(tuple(shape), Affine(*transform), row["proj:code"] or row["proj:wkt2"])
    except (ValueError, RuntimeError):
        return None


def _stamp(value: Any) -> str:
    """Return an RFC 3339 time whether `value` is text or a datetime."""
    if hasattr(value, "isoformat"):
        text: str = value.isoformat(timespec="microseconds")
        return text.replace("+00:00", "Z")
    return str(value)
