"""What OpenStreetMap says of a tile: functions, regions, buildings, ways, objects, places.

A pixel has the function of the ground that is painted on top at its centre, in the order of
`geo.osm_tags`. Where a tile lies wholly in a map, functions that it lacks have share 0; where it
does not, the map may only not reach there, and nothing is said of what is absent.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import digest
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import apply_affine, ground_sample_distance
from sarknowlip.geo.osm_tags import tag_rules
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.files import files_version
from sarknowlip.knowledge.findings import Findings
from sarknowlip.knowledge.maps.ground import TileMap, burn, paint, tile_map
from sarknowlip.knowledge.maps.index import METHOD, MapIndex, make_index, rules_version
from sarknowlip.knowledge.maps.objects import ELONGATED, map_objects
from sarknowlip.knowledge.regions import LEAST_PX, Piece, pieces
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.vocabulary import FUNCTIONS
from sarknowlip.knowledge.windows import Mask
from sarknowlip.sar.tile import TileImage

MAPPED, COUNTED, ABSENT = 0.9, 0.8, 0.6
"""Probability, estimated and not measured, that something is so today: what the map shows is
there; there are no more and no fewer; what it does not show is not there."""

LEAST_SHARE = 0.005
"""Unnamed regions are at least this share of the tile."""
REGIONS, OBJECTS_LISTED, PLACES = 24, 32, 24
_FUNCTIONS = {"rail_track": "rail"}
_NOT_TOLD = ("dense_residential", "sparse_residential")
_HEIGHTS = 0.2
"""Buildings have a mean height if the map knows that of this share of them."""


class OsmSource:
    """Facts from maps with OpenStreetMap tags.

    Args:
        options: `osm` names the maps, `cache` the folder in which their indexes are kept.

    Raises:
        ConfigError: No map is named.
        MapError: A map is missing, damaged, of another format, or without reference system.
        StorageError: The index cannot be written.
    """

    name: ClassVar[str] = "osm"
    looks_at: ClassVar[str] = "nothing"
    attribution: ClassVar[str] = "Map data: © OpenStreetMap contributors, ODbL"

    def __init__(self, options: SourceOptions | None = None) -> None:
        if options is None or not options.osm:
            raise ConfigError("source osm has no map", "give one with --osm")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if options.cache is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sarknowlip-maps-")
        folder = Path(self._folder.name) if self._folder else options.cache
        assert folder is not None
        self._maps = [make_index(path, folder) for path in options.osm]
        method = digest([METHOD, rules_version()])[:8]
        self.version = f"1.{method}+{files_version(options.osm)}"

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return functions, regions, places, buildings, ways, then objects; see the module.

        Raises:
            GeometryError: The tile has no reference system.
            MapError: An index was damaged meanwhile.
        """
        boxes = [part.bounds for part in extent_footprint(tile.geobox).geoms]
        maps = [index for index in self._maps if any(_meet(index, box) for box in boxes)]
        if not maps:
            return []
        whole = [index for index in maps if all(_within(index, box) for box in boxes)]
        times = [index.time for index in maps if index.time]
        found = Findings(tile.id, self.name, self.version, min(times) if times else None)
        ground = tile_map(maps, tile.geobox)
        top = paint(ground)
        masks = _functions(ground, top)
        silent = {*_NOT_TOLD, *([] if any(index.sea_known for index in whole) else ["sea"])}
        for function in FUNCTIONS:
            if function in masks:
                mask = masks[function]
                share = float(mask.mean())
                found.add(f"function/{function}", "share", share, "share",
                          confidence=MAPPED, mask=mask)  # fmt: skip
            elif whole and function not in silent:
                found.add(f"function/{function}", "share", 0.0, "share", confidence=ABSENT)
        _regions(found, ground, top, masks)
        _places(found, ground)
        _buildings(found, ground, complete=bool(whole))
        _ways(found, ground, complete=bool(whole))
        _objects(found, ground)
        return found.facts


def _functions(ground: TileMap, top: npt.NDArray[np.int32]) -> dict[str, Mask]:
    """Return the pixels of each function that has any."""
    names = np.array(
        [_FUNCTIONS.get(name, name) for name in ground.columns["function"]] + [None], dtype=object
    )
    present = sorted({names[row] for row in np.unique(top)} - {None})
    codes = {name: number for number, name in enumerate(present)}
    table = np.array([codes.get(name, -1) for name in names])
    image = table[top]
    return {name: image == code for name, code in codes.items()}


def _regions(
    found: Findings, ground: TileMap, top: npt.NDArray[np.int32], masks: dict[str, Mask]
) -> None:
    names = np.array([*ground.columns["name"], None], dtype=object)
    listed: list[tuple[str, str, Piece]] = []
    for function, mask in masks.items():
        for piece in pieces(mask, LEAST_PX):
            name = _name(names, top[piece.mask], function)
            if name or piece.pixels >= LEAST_SHARE * mask.size:
                listed.append((function, name, piece))
    listed.sort(key=lambda region: (-region[2].pixels, region[2].row, region[2].column))
    gsd_x, gsd_y = ground_sample_distance(ground.grid)
    for number, (function, name, piece) in enumerate(listed[:REGIONS]):
        subject = f"region/{number:02d}"
        found.add(subject, "function", label=function, confidence=MAPPED, mask=piece.mask)
        for predicate, value, unit in (
            ("share", piece.pixels / piece.mask.size, "share"),
            ("area", piece.pixels * gsd_x * gsd_y, "m2"),
            ("column", piece.column, "px"),
            ("row", piece.row, "px"),
        ):
            found.add(subject, predicate, value, unit, confidence=MAPPED)
        if name:
            found.add(subject, "name", label=name, confidence=MAPPED)
        axis = _axis(ground, piece.mask)
        if axis is not None:
            found.add(subject, "orientation", axis, "deg", confidence=MAPPED)


def _name(names: npt.NDArray[np.object_], rows: npt.NDArray[np.int32], function: str) -> str:
    """Return the name of what covers most of a region; of roads and rails none covers a network."""
    if function in ("road", "rail"):
        return ""
    values, counts = np.unique(rows, return_counts=True)
    pixels: dict[str, int] = {}
    for row, count in zip(values.tolist(), counts.tolist(), strict=True):
        if names[row]:
            pixels[names[row]] = pixels.get(names[row], 0) + count
    best = max(sorted(pixels), key=lambda name: pixels[name], default="")
    return best if best and pixels[best] * 2 > len(rows) else ""


def _axis(ground: TileMap, mask: Mask) -> float | None:
    """Return the bearing of the long axis of a region by second moments, None if it has none."""
    row, column = (np.asarray(index + 0.5, np.float64) for index in np.nonzero(mask))
    x, y = apply_affine(ground.grid.affine, column, row)
    spread, axes = np.linalg.eigh(np.cov(np.stack([x, y])) if len(x) > 1 else np.zeros((2, 2)))
    if spread[0] <= 0 or spread[1] < ELONGATED**2 * spread[0]:
        return None
    middle, reach = np.array([x.mean(), y.mean()]), np.sqrt(spread[1]) * axes[:, 1]
    ends = np.array([middle - reach, middle + reach])
    column, row = apply_affine(~ground.grid.affine, ends[:, 0], ends[:, 1])
    return ground.bearing_of_pixels(np.column_stack([column, row]))


def _places(found: Findings, ground: TileMap) -> None:
    order = {kind: number for number, kind in enumerate(tag_rules().places)}
    kinds, names = ground.columns["place"], ground.columns["name"]
    inside = np.flatnonzero(ground.inside).tolist()
    rows = [row for row in inside if kinds[row] is not None and names[row]]
    rows.sort(key=lambda row: (order[str(kinds[row])], names[row], -ground.area[row]))
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (kinds[row], names[row]) in seen:
            continue
        part = shapely.intersection(ground.geometry[row], ground.outline)
        point = ground.pixels(np.array([shapely.point_on_surface(part)], dtype=object))[0]
        subject = f"place/{len(seen):02d}"
        seen.add((kinds[row], names[row]))
        found.add(subject, "name", label=names[row], confidence=MAPPED)
        found.add(subject, "kind", label=kinds[row], confidence=MAPPED)
        found.add(subject, "column", float(point.x), "px", confidence=MAPPED)
        found.add(subject, "row", float(point.y), "px", confidence=MAPPED)
        if len(seen) == PLACES:
            return


def _buildings(found: Findings, ground: TileMap, *, complete: bool) -> None:
    rows = np.flatnonzero(ground.columns["building"].astype(bool) & ground.inside)
    shapes = ground.geometry[rows]
    middles = shapely.get_coordinates(shapely.centroid(ground.pixels(shapes))).reshape(-1, 2)
    high, wide = ground.grid.shape
    here = (middles >= 0).all(axis=1) & (middles[:, 0] < wide) & (middles[:, 1] < high)
    if not here.any() and not complete:
        return
    sure = COUNTED if here.any() else ABSENT
    found.add("buildings", "count", float(here.sum()), "count", confidence=sure)
    mask = burn(ground, shapes)
    found.add("buildings", "share", float(mask.mean()), "share", confidence=sure, mask=mask)
    heights = ground.columns["height"][rows[here]].astype(np.float64)
    told = np.isfinite(heights)
    if told.any() and told.mean() >= _HEIGHTS:
        sure = MAPPED * float(told.mean())
        found.add("buildings", "mean_height", float(heights[told].mean()), "m", confidence=sure)


def _ways(found: Findings, ground: TileMap, *, complete: bool) -> None:
    networks = ground.columns["network"]
    for network in ("roads", "railways"):
        rows = np.flatnonzero((networks == network) & ground.inside)
        inside = shapely.intersection(ground.geometry[rows], ground.outline)
        length = float(shapely.length(inside).sum())
        if length > 0 or complete:
            sure = COUNTED if length > 0 else ABSENT
            found.add(network, "length", length, "m", confidence=sure)


def _objects(found: Findings, ground: TileMap) -> None:
    things = map_objects(ground)
    for kind in sorted({thing.kind for thing in things}):
        count = sum(thing.kind == kind for thing in things)
        found.add(f"objects/{kind}", "count", float(count), "count", confidence=COUNTED)
    for number, thing in enumerate(things[:OBJECTS_LISTED]):
        subject = f"object/{number:02d}"
        mask = burn(ground, np.array([thing.shape], dtype=object), touched=True)
        found.add(subject, "kind", label=thing.kind, confidence=MAPPED, mask=mask)
        for predicate, value, unit in (
            ("column", thing.column, "px"),
            ("row", thing.row, "px"),
            ("length", thing.length, "m"),
            ("width", thing.width, "m"),
            ("height", thing.height, "m"),
            ("orientation", thing.orientation, "deg"),
        ):
            if value is not None:
                found.add(subject, predicate, value, unit, confidence=MAPPED)
        if thing.name:
            found.add(subject, "name", label=thing.name, confidence=MAPPED)


def _meet(index: MapIndex, box: tuple[float, ...]) -> bool:
    own = index.box
    return own is not None and bool(
        own[0] <= box[2] and box[0] <= own[2] and own[1] <= box[3] and box[1] <= own[3]
    )


def _within(index: MapIndex, box: tuple[float, ...]) -> bool:
    own = index.box
    return own is not None and bool(
        own[0] <= box[0] and box[2] <= own[2] and own[1] <= box[1] and box[3] <= own[3]
    )
