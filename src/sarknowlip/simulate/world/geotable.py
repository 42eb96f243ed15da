"""Tables of polygons on disk, written a batch at a time: GeoParquet 1.1 or GeoJSON (RFC 7946).

GeoParquet 1.1.0 (Open Geospatial Consortium, geoparquet.org): WKB in WGS 84 longitude and latitude,
with a covering column `bbox` by which readers skip row groups.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from sarknowlip.core.files import replacing
from sarknowlip.geo.footprint import cut_at_antimeridian, wgs84_bbox
from sarknowlip.simulate.frame import Frame

Format = Literal["parquet", "geojson"]
ROW_GROUP = 8192
LONGEST_EDGE_M = 500.0
"""Longer edges are divided before they leave the map grid, on which they are straight. What is left
is the sagitta of an arc, L² · tan φ / (8 R): 9 mm at 60° of latitude."""
LEAST_PART_M2 = 1e-4
"""Smaller parts of polygons are what rounding left where outlines were cut (chosen)."""
_DEGREE_M = 111_195.0
"""A degree of latitude on a sphere of 6371 km."""

_BBOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])


class GeoTable(Protocol):
    """A table that is being written."""

    rows: int

    def write(self, columns: dict[str, Any], geometry: npt.NDArray[Any]) -> None:
        """Append rows.

        Args:
            columns: Arrays by name, all those of the schema; NaN becomes null.
            geometry: UTM metres; polygons or multipolygons unless GeoParquet is written.
        """


@contextlib.contextmanager
def geo_table(path: Path, schema: pa.Schema, frame: Frame, form: Format) -> Iterator[GeoTable]:
    """Yield a table whose file appears whole when the block ends.

    Args:
        path: File without suffix.
        schema: Columns besides `geometry` (and `bbox`).
        frame: UTM zone of geometries.
        form: What is written.

    Raises:
        StorageError: The file cannot be written; nothing is left.
    """
    with replacing(path.with_suffix(f".{form}")) as partial:
        if form == "geojson":
            with partial.open("w", encoding="utf-8") as stream:
                stream.write('{"type":"FeatureCollection","features":[')
                yield _GeoJson(stream, schema, frame)
                stream.write("\n]}\n")
        else:
            full = schema.append(pa.field("geometry", pa.binary())).append(pa.field("bbox", _BBOX))
            with pq.ParquetWriter(partial, full, compression="zstd") as writer:
                table = _GeoParquet(writer, full, frame)
                yield table
                table.finish()


def to_lonlat(shapes: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    """Return shapes in WGS 84 degrees, as many, all valid and none empty.

    See `LONGEST_EDGE_M`. Lines and points are only moved. Polygons across ±180° are cut there.
    Parts of them smaller than `LEAST_PART_M2` are left out, rounding would fold them; what is
    nothing else becomes a speck of half that size.

    Args:
        shapes: UTM metres, shape (n,).
        frame: UTM zone of shapes.
    """
    flat = shapely.get_dimensions(shapes) == 2
    if not flat.all():
        mixed = np.array(shapes, dtype=object)
        mixed[~flat] = _projected(mixed[~flat], frame)
        mixed[flat] = to_lonlat(mixed[flat], frame)
        return mixed
    moved = _projected(_without_slivers(shapes, LEAST_PART_M2), frame)
    extent = shapely.bounds(moved).reshape(-1, 4)
    for row in np.flatnonzero(extent[:, 2] - extent[:, 0] > 180.0):
        moved[row] = cut_at_antimeridian(moved[row])
    folded = ~shapely.is_valid(moved)
    mended = shapely.make_valid(moved[folded], method="structure", keep_collapsed=False)
    moved[folded] = _without_slivers(mended, LEAST_PART_M2 / _DEGREE_M**2)
    gone = np.flatnonzero(shapely.is_empty(moved))
    if len(gone):
        west, south, *_ = shapely.bounds(shapes[gone]).reshape(-1, 4).T
        lon, lat = frame.lonlat(west, south)
        high = np.sqrt(LEAST_PART_M2 / 2) / _DEGREE_M
        moved[gone] = shapely.box(lon, lat, lon + high / np.cos(np.radians(lat)), lat + high)
    return moved


def _projected(shapes: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    dense = shapely.segmentize(shapes, LONGEST_EDGE_M)
    points = shapely.get_coordinates(dense)
    lonlat = np.stack(frame.lonlat(points[:, 0], points[:, 1]), axis=-1)
    return np.asarray(shapely.set_coordinates(np.array(dense, dtype=object), lonlat))


def _without_slivers(shapes: npt.NDArray[Any], least: float) -> npt.NDArray[Any]:
    """Return polygons without their parts smaller than an area; they may become empty."""
    parts, row = shapely.get_parts(shapes, return_index=True)
    small = shapely.area(parts) < least
    kept = np.array(shapes, dtype=object)
    for index in np.unique(row[small]):
        left = parts[(row == index) & ~small]
        kept[index] = left[0] if len(left) == 1 else shapely.multipolygons(left)
    return kept


class _GeoParquet:
    def __init__(self, writer: Any, schema: pa.Schema, frame: Frame) -> None:
        self.rows = 0
        self._writer, self._schema, self._frame = writer, schema, frame
        self._waiting: list[pa.Table] = []
        self._types: set[str] = set()
        self._extent: list[npt.NDArray[np.float64]] = []

    def write(self, columns: dict[str, Any], geometry: npt.NDArray[Any]) -> None:
        if not len(geometry):
            return
        shapes = to_lonlat(geometry, self._frame)
        self._types.update(shape.geom_type for shape in shapes)
        boxes = shapely.bounds(shapes)
        self._extent.append(np.array([*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)]))
        for row in np.flatnonzero(boxes[:, 2] - boxes[:, 0] > 180.0):
            boxes[row] = wgs84_bbox(shapes[row])
        arrays = _arrays(columns, self._schema)
        arrays.append(pa.array(shapely.to_wkb(shapes), pa.binary()))
        arrays.append(pa.StructArray.from_arrays(list(boxes.T), fields=list(_BBOX)))
        self._waiting.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self.rows += len(geometry)
        if sum(len(table) for table in self._waiting) >= ROW_GROUP:
            self._flush(whole_groups=True)

    def finish(self) -> None:
        self._flush(whole_groups=False)
        geo = {
            "version": "1.1.0",
            "primary_column": "geometry",
            "columns": {
                "geometry": {
                    "encoding": "WKB",
                    "geometry_types": sorted(self._types),
                    "crs": CRS.from_epsg(4326).to_json_dict(),
                    "edges": "planar",
                    "covering": {
                        "bbox": {name.name: ["bbox", name.name] for name in _BBOX},
                    },
                }
            },
        }
        if self._extent:
            extents = np.array(self._extent)
            extent = [*extents[:, :2].min(axis=0), *extents[:, 2:].max(axis=0)]
            geo["columns"]["geometry"]["bbox"] = [float(v) for v in extent]  # type: ignore[index]
        self._writer.add_key_value_metadata({"geo": json.dumps(geo, sort_keys=True)})

    def _flush(self, *, whole_groups: bool) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        end = len(table) // ROW_GROUP * ROW_GROUP if whole_groups else len(table)
        self._writer.write_table(table.slice(0, end), row_group_size=ROW_GROUP)
        self._waiting = [table.slice(end)] if end < len(table) else []


class _GeoJson:
    def __init__(self, stream: IO[str], schema: pa.Schema, frame: Frame) -> None:
        self.rows = 0
        self._stream, self._schema, self._frame = stream, schema, frame

    def write(self, columns: dict[str, Any], geometry: npt.NDArray[Any]) -> None:
        if not len(geometry):
            return
        shapes = shapely.orient_polygons(to_lonlat(geometry, self._frame))
        attributes = pa.Table.from_arrays(_arrays(columns, self._schema), schema=self._schema)
        for row, shape in zip(attributes.to_pylist(), shapely.to_geojson(shapes), strict=True):
            start = "\n" if self.rows == 0 else ",\n"
            properties = json.dumps(row, ensure_ascii=False)
            self._stream.write(
                f'{start}{{"type":"Feature","geometry":{shape},"properties":{properties}}}'
            )
            self.rows += 1


def _arrays(columns: dict[str, Any], schema: pa.Schema) -> list[pa.Array]:
    return [
        pa.array(columns[field.name], field.type, from_pandas=True)
        for field in schema
        if field.name not in ("geometry", "bbox")
    ]
