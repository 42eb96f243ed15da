"""A map as an index on disk: classified features in Hilbert order, found by box.

The index is GeoParquet in WGS 84 with the boxes of features beside them (covering of GeoParquet
1.1), so that the statistics of a row group tell which ground it holds. Its name is a digest of the
map and of the table of tags: another map, another table, another index.
"""

from __future__ import annotations

import functools
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import StorageError
from sarknowlip.core.files import TEMPORARY, replacing
from sarknowlip.core.hashing import digest
from sarknowlip.geo.osm import Box, MapError
from sarknowlip.geo.osm_coast import sea_polygons
from sarknowlip.geo.osm_tags import ORDER, tag_rules
from sarknowlip.knowledge.files import files_version
from sarknowlip.knowledge.maps.features import read_features
from sarknowlip.knowledge.maps.rows import MapRow, is_coast, row_of
from sarknowlip.knowledge.maps.runs import SortedRows
from sarknowlip.knowledge.maps.shared import one_at_a_time

METHOD = "4"
"""Changes with what an index holds."""

ROW_GROUP = 2048
RUN = 16384
"""Rows in memory at a time."""
_CACHED_GROUPS = 16
_CELL_DEG = 0.05
_CLEAR = 0.5
_DEGREE_M = 111_195.0
_META = b"sarknowlip:map"
_EDGES = ("xmin", "ymin", "xmax", "ymax")

_LOG = logging.getLogger(__name__)

SCHEMA = pa.schema(
    [
        ("function", pa.string()),
        ("order", pa.int16()),
        ("width", pa.float64()),
        ("network", pa.string()),
        ("building", pa.bool_()),
        ("part", pa.bool_()),
        ("kind", pa.string()),
        ("place", pa.string()),
        ("name", pa.string()),
        ("size", pa.float64()),
        ("height", pa.float64()),
        ("storeys", pa.float64()),
        ("geometry", pa.binary()),
        ("bbox", pa.struct([(edge, pa.float64()) for edge in _EDGES])),
    ]
)
"""Columns of an index: those of `MapRow`, WKB, its box."""


class MapIndex:
    """Features of a map by place.

    Args:
        path: An index, made by `make_index`.

    Attributes:
        box: What the map covers, WGS 84 degrees; None if nothing; west > east across ±180°.
        time: Date of the state of the map, RFC 3339, or None.
        sea_known: Whether it is known everywhere in the box if there is sea.

    Raises:
        MapError: The file is no index, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._metadata = pq.read_metadata(path)
            about = json.loads(self._metadata.metadata[_META])
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise MapError(f"{path} is no index of a map: {error}", "delete it") from error
        self.box: Box | None = None if about["box"] is None else tuple(about["box"])
        self.time: str | None = about["time"]
        self.sea_known: bool = about["sea_known"]
        self._boxes = _group_boxes(self._metadata)
        self._group = functools.lru_cache(_CACHED_GROUPS)(self._read_group)

    @property
    def boxes(self) -> list[Box]:
        """What the map covers, in boxes that end at ±180°."""
        if self.box is None:
            return []
        west, south, east, north = self.box
        if west <= east:
            return [self.box]
        return [(west, south, 180.0, north), (-180.0, south, east, north)]

    def near(self, box: Box) -> pa.Table:
        """Return the rows whose boxes touch a box (WGS 84 degrees), in Hilbert order.

        Only row groups that touch it are read; some of those read last are kept.

        Raises:
            MapError: The file is damaged.
        """
        hit = _touch(self._boxes, box)
        parts = []
        for number in np.flatnonzero(hit).tolist():
            table, boxes = self._group(number)
            parts.append(table.filter(pa.array(_touch(boxes, box))))
        return pa.concat_tables(parts) if parts else SCHEMA.empty_table().drop_columns(["bbox"])

    def _read_group(self, number: int) -> tuple[pa.Table, npt.NDArray[np.float64]]:
        try:
            with pq.ParquetFile(self.path, metadata=self._metadata) as file:
                table = file.read_row_group(number, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise MapError(f"{self.path} is damaged: {error}", "delete it") from error
        edges = table.column("bbox").combine_chunks()
        boxes = np.stack([pc.struct_field(edges, edge).to_numpy() for edge in _EDGES])
        return table.drop_columns(["bbox"]), boxes


def make_index(source: Path, folder: Path) -> MapIndex:
    """Return the index of a map; it is made unless the folder holds it.

    One process makes it, others wait; its name appears when it is whole.

    Args:
        source: An .osm.pbf extract or GeoParquet with tags.
        folder: Where indexes are kept.

    Raises:
        MapError: The map is missing, damaged, of another format, or without reference system.
        StorageError: The folder cannot be written to.
    """
    if not source.is_file():
        raise MapError(f"{source} is not there", "give the path of an .osm.pbf or GeoParquet file")
    path = folder / f"map-{digest([METHOD, rules_version(), files_version([source])])}.parquet"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with one_at_a_time(path.with_suffix(".lock")):
                if not path.is_file():
                    _write(source, path)
        except OSError as error:
            raise StorageError(
                f"cannot write {path}: {error.strerror or error}", "free space, run again"
            ) from error
    return MapIndex(path)


@functools.cache
def rules_version() -> str:
    """Return a digest of the table of tags."""
    return digest(tag_rules().model_dump(mode="json"))


def _write(source: Path, path: Path) -> None:
    """Write the index of a map; what is held of it in memory are keys, coastlines and a run."""
    rules = tag_rules()
    about, features = read_features(source, rules.keys, [*rules.point_keys, "place"])
    coast: list[BaseGeometry] = []
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as folder:
        rows = SortedRows(Path(folder), SCHEMA)
        run = _Run()
        for feature in features:
            if is_coast(feature):
                coast.append(feature.geometry)
            row = row_of(feature, rules)
            if row is not None:
                run.put(row, feature.geometry)
            if len(run) == RUN:
                rows.put(run.table(), _keys(run, about.box))
                run = _Run()
        sea, known = _sea(coast, about.box)
        for piece in sea:
            run.put(MapRow(function="sea", order=ORDER["water"]), piece)
        rows.put(run.table(), _keys(run, about.box))
        note = {"box": about.box, "time": about.time, "sea_known": known}
        schema = SCHEMA.with_metadata(
            {_META: json.dumps(note, sort_keys=True).encode(), b"geo": _geo()}
        )
        with (
            replacing(path) as partial,
            pq.ParquetWriter(
                partial, schema, compression="zstd",
                use_dictionary=["function", "network", "kind", "place"],
            ) as writer,
        ):  # fmt: skip
            for table in rows.tables(ROW_GROUP):
                writer.write_table(table.cast(schema), row_group_size=ROW_GROUP)


class _Run:
    """Rows that are gathered in memory."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {field.name: [] for field in fields(MapRow)}
        self.shapes: list[bytes] = []
        self.boxes: list[Box] = []

    def __len__(self) -> int:
        return len(self.boxes)

    def put(self, row: MapRow, geometry: BaseGeometry) -> None:
        for name, values in self.columns.items():
            values.append(getattr(row, name))
        self.shapes.append(shapely.to_wkb(geometry))
        self.boxes.append(geometry.bounds)

    def table(self) -> pa.Table:
        edges = np.array(self.boxes, np.float64).reshape(-1, 4)
        arrays = [pa.array(self.columns[name], SCHEMA.field(name).type) for name in self.columns]
        arrays.append(pa.array(self.shapes, pa.binary()))
        arrays.append(pa.StructArray.from_arrays(list(edges.T), names=list(_EDGES)))
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _keys(run: _Run, box: Box | None) -> npt.NDArray[np.int64]:
    """Return how far along a Hilbert curve through the map the middles of rows lie."""
    edges = np.array(run.boxes, np.float64).reshape(-1, 4)
    if not len(edges):
        return np.empty(0, np.int64)
    whole = (-180.0, -90.0, 180.0, 90.0) if box is None or box[0] > box[2] else box
    middles = shapely.points((edges[:, :2] + edges[:, 2:]) / 2)
    return np.asarray(gpd.GeoSeries(middles).hilbert_distance(total_bounds=whole), np.int64)


def _sea(coast: Sequence[BaseGeometry], box: Box | None) -> tuple[list[BaseGeometry], bool]:
    """Return the sea within a box in pieces, and whether it is known everywhere.

    Coastlines are followed in metres along parallels of the box's middle latitude: only what lies
    on which side matters. Faces that coastlines see from both sides are left out.
    """
    if box is None or not coast:
        return [], True
    if box[0] > box[2]:
        _LOG.warning("the map lies across 180°: its sea is left out")
        return [], False
    west, south, _, north = box
    scale = np.array([np.cos(np.radians((south + north) / 2)), 1.0]) * _DEGREE_M
    corner = np.array([west, south])

    def flat(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray((xy - corner) * scale)

    lines = list(shapely.transform(np.array(coast, dtype=object), flat))
    ground = shapely.transform(shapely.box(*box), flat)
    faces = sea_polygons(lines, ground, _CLEAR)
    known = len(faces) == len(sea_polygons(lines, ground))
    pieces = []
    for face in shapely.transform(np.array(faces, dtype=object), lambda xy: xy / scale + corner):
        pieces.extend(_cut(face))
    return pieces, known


def _cut(shape: BaseGeometry) -> list[BaseGeometry]:
    """Return a large shape in pieces of cells of `_CELL_DEG`."""
    west, south, east, north = np.floor(np.array(shape.bounds) / _CELL_DEG).astype(int)
    columns, rows = np.meshgrid(np.arange(west, east + 1), np.arange(south, north + 1))
    x, y = columns.ravel() * _CELL_DEG, rows.ravel() * _CELL_DEG
    cells = shapely.box(x, y, x + _CELL_DEG, y + _CELL_DEG)
    shapely.prepare(shape)
    parts = shapely.intersection(cells[shapely.intersects(shape, cells)], shape)
    return [part for part in parts if part.area > 0]


def _group_boxes(metadata: Any) -> npt.NDArray[np.float64]:
    """Return the boxes of row groups from their statistics, shape (4, groups)."""
    found = np.empty((4, metadata.num_row_groups), np.float64)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = {
            group.column(i).path_in_schema: group.column(i).statistics
            for i in range(group.num_columns)
        }
        for edge, name in enumerate(_EDGES):
            told = columns[f"bbox.{name}"]
            found[edge, number] = told.min if edge < 2 else told.max
    return found


def _touch(boxes: npt.NDArray[np.float64], box: Box) -> npt.NDArray[np.bool_]:
    west, south, east, north = boxes
    return np.asarray((west <= box[2]) & (box[0] <= east) & (south <= box[3]) & (box[1] <= north))


def _geo() -> bytes:
    about = {
        "encoding": "WKB",
        "geometry_types": [],
        "covering": {"bbox": {edge: ["bbox", edge] for edge in _EDGES}},
    }
    note = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
    return json.dumps(note, sort_keys=True).encode()
