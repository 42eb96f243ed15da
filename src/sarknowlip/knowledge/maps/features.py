"""Features of a map file: OpenStreetMap extracts (.osm.pbf) and GeoParquet with tags.

GeoParquet (https://geoparquet.org, WKB) has its tags in a column `tags`, a map from string to
string or JSON, in one column a key, as osmnx and pyrosm write them, or in both.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from sarknowlip.geo.osm import (
    Box,
    Feature,
    MapError,
    Shape,
    extract_box,
    extract_time,
    iter_features,
)

DETAILS = (
    "name", "layer", "tunnel", "bridge", "location", "indoor", "parking", "area", "width",
    "est_width", "lanes", "height", "building:height", "building:levels", "diameter",
    "rotor:diameter", "height:hub", "bridge:name",
)  # fmt: skip
"""Keys that say more of a feature, but do not make it matter."""

_BATCH = 4096
_SHAPES: dict[int, Shape] = {0: "point", 1: "line", 2: "line", 3: "area", 5: "line", 6: "area"}


@dataclass(frozen=True)
class MapFile:
    """What a map file says of itself.

    Attributes:
        box: What it covers, WGS 84 degrees; None if it holds nothing; west > east across ±180°.
        time: Date of the state of the map, RFC 3339, or None.
    """

    box: Box | None
    time: str | None


def read_features(
    path: Path, keys: Collection[str], point_keys: Collection[str]
) -> tuple[MapFile, Iterator[Feature]]:
    """Return what a map file covers, and its features with one of the keys, in the file's order.

    Raises:
        MapError: The file is missing, damaged, of another format, or has no reference system;
            while iterating, too.
    """
    if path.suffix.lower() in (".parquet", ".geoparquet"):
        return _parquet(path, keys, point_keys)
    features = iter_features(path, keys, point_keys=point_keys)
    return MapFile(extract_box(path), extract_time(path)), features


def _parquet(
    path: Path, keys: Collection[str], point_keys: Collection[str]
) -> tuple[MapFile, Iterator[Feature]]:
    if not path.is_file():
        raise MapError(f"{path} is not there", "give the path of an .osm.pbf or GeoParquet file")
    with _reading(path):
        file = pq.ParquetFile(path)
        geo = json.loads((file.metadata.metadata or {}).get(b"geo", b"null"))
    if not isinstance(geo, dict) or "primary_column" not in geo:
        raise MapError(f"{path} is Parquet, but not GeoParquet", "write it with geopandas")
    name = geo["primary_column"]
    about = geo["columns"][name]
    if about.get("encoding") != "WKB":
        raise MapError(f"{path}: geometry is encoded as {about.get('encoding')}", "write WKB")
    to_wgs84 = _transformer(path, about)
    names = file.schema_arrow.names
    columns = [key for key in dict.fromkeys([*keys, *point_keys, *DETAILS]) if key in names]
    if "tags" not in names and not {*keys, *point_keys}.intersection(names):
        raise MapError(
            f"{path} has no column `tags` and none of a key such as building, highway or landuse",
            "give a map; of a simulated world that is map.parquet",
        )
    columns += [column for column in (name, "tags") if column in names]
    box = about.get("bbox")
    known = None if box is None or to_wgs84 is not None else _flat_box(box)
    if known is None:
        known = _measured_box(path, name, to_wgs84)
    return MapFile(known, None), _rows(path, name, columns, to_wgs84, (set(keys), set(point_keys)))


def _rows(
    path: Path,
    geometry: str,
    columns: list[str],
    to_wgs84: Transformer | None,
    keys: tuple[set[str], set[str]],
) -> Iterator[Feature]:
    number = 0
    for batch, shapes in _batches(path, geometry, columns, to_wgs84):
        kinds = shapely.get_type_id(shapes)
        rows = pa.Table.from_batches([batch]).drop_columns([geometry]).to_pylist()
        for row, shape, kind in zip(rows, shapes, kinds.tolist(), strict=True):
            number += 1
            if kind not in _SHAPES or shape.is_empty:
                continue
            tags = _tags(row)
            if tags.keys() & keys[kind == 0]:
                element = ("node", "way", "way")[min(kind, 2)]
                yield Feature(element, number, _SHAPES[kind], shape, tags)  # type: ignore[arg-type]


def _measured_box(path: Path, geometry: str, to_wgs84: Transformer | None) -> Box | None:
    parts = [shapely.bounds(shapes) for _, shapes in _batches(path, geometry, [geometry], to_wgs84)]
    bounds = np.concatenate([np.empty((0, 4)), *(_around(part) for part in parts)])
    if not len(bounds):
        return None
    south, north = float(bounds[:, 1].min()), float(bounds[:, 3].max())
    sides = bounds[:, [0, 2]]
    turned = np.where(sides < 0, sides + 360.0, sides)
    west, east = float(sides.min()), float(sides.max())
    if np.ptp(turned) < east - west:  # it lies on both sides of ±180°
        west, east = float(turned.min()), float(turned.max()) - 360.0
    return west, south, east, north


def _around(bounds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what is around many bounds, on either side of the zeroth meridian."""
    there = bounds[~np.isnan(bounds).any(axis=1)]
    sides = [side for side in (there[there[:, 0] < 0], there[there[:, 0] >= 0]) if len(side)]
    around = [[*side[:, :2].min(axis=0), *side[:, 2:].max(axis=0)] for side in sides]
    return np.array(around).reshape(-1, 4)


def _batches(
    path: Path, geometry: str, columns: list[str], to_wgs84: Transformer | None
) -> Iterator[tuple[pa.RecordBatch, Any]]:
    """Yield rows with their geometry, WGS 84 degrees."""
    with _reading(path):
        for batch in pq.ParquetFile(path).iter_batches(_BATCH, columns=columns):
            wkb = batch.column(geometry).to_numpy(zero_copy_only=False)
            shapes = shapely.force_2d(shapely.from_wkb(wkb))
            shapes[shapely.is_missing(shapes)] = shapely.Point()
            if to_wgs84 is not None:
                shapes = shapely.transform(
                    shapes, lambda xy: np.column_stack(to_wgs84.transform(xy[:, 0], xy[:, 1]))
                )
            yield batch, shapes


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a row; columns of their own win over the column of all."""
    packed = row.get("tags")
    pairs = json.loads(packed) if isinstance(packed, str) and packed[:1] == "{" else packed
    tags = dict(pairs) if isinstance(pairs, list | dict) else {}
    tags |= {key: value for key, value in row.items() if key != "tags"}
    return {str(key): _word(value) for key, value in tags.items() if _said(value)}


def _said(value: Any) -> bool:
    return value is not None and value == value and value != ""  # noqa: PLR0124 - NaN


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _transformer(path: Path, about: Mapping[str, Any]) -> Transformer | None:
    """Return the way to WGS 84; None where a column without `crs` is so by the specification."""
    if "crs" not in about:
        return None
    if about["crs"] is None:
        raise MapError(f"{path} has no coordinate reference system", "assign one")
    try:
        crs = CRS.from_user_input(about["crs"])
    except CRSError as error:
        raise MapError(f"{path}: unusable reference system: {error}", "assign one") from error
    if crs.to_epsg() == 4326 or crs.to_authority() == ("OGC", "CRS84"):
        return None
    return Transformer.from_crs(crs, 4326, always_xy=True)


def _flat_box(box: list[float]) -> Box:
    half = len(box) // 2
    return float(box[0]), float(box[1]), float(box[half]), float(box[half + 1])


class _reading:  # noqa: N801 - reads as a statement
    """Turns errors about a Parquet file into one line that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        wrong = (pa.ArrowException, OSError, ValueError, KeyError, shapely.errors.ShapelyError)
        if isinstance(error, wrong):
            raise MapError(
                f"{self.path} is not GeoParquet, or damaged ({error})", "fetch it again"
            ) from error
