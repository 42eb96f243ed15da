"""What OpenStreetMap says of a tile: functions, regions, buildings, ways, objects, places.

A pixel has the function of the ground that is painted on top at its centre, in the order of
`geo.osm_tags`. Where maps reach all that a tile shows, functions that they lack have share 0. Where
they do not, there are neither shares nor counts, only the things that lie within what they reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import shapely

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import digest
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import apply_affine, ground_sample_distance
from sarknowlip.geo.osm_tags import tag_rules
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.files import files_in, files_version
from sarknowlip.knowledge.findings import COVERED, Findings
from sarknowlip.knowledge.maps.ground import TileMap, burn, paint, reached, tile_map
from sarknowlip.knowledge.maps.index import METHOD, make_index, rules_version
from sarknowlip.knowledge.maps.objects import ELONGATED, map_objects
from sarknowlip.knowledge.maps.shared import shared_folder
from sarknowlip.knowledge.regions import LEAST_PX, Piece, add_region, pieces
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
        options: `osm` names the maps, `cache` the folder in which their indexes are kept; without
            one the processes of a user share a temporary folder.

    Raises:
        ConfigError: No map is named, or a folder has none.
        MapError: A map is missing, damaged, of another format, or without reference system.
        StorageError: An index cannot be written.
    """

    name: ClassVar[str] = "osm"
    looks_at: ClassVar[str] = "pixels"
    attribution: ClassVar[str] = "Map data: © OpenStreetMap contributors, ODbL"

    def __init__(self, options: SourceOptions | None = None) -> None:
        if options is None or not options.osm:
            raise ConfigError("source osm has no map", "give one with --osm")
        paths = files_in(options.osm, (".osm.pbf", ".parquet", ".geoparquet"))
        folder = options.cache or shared_folder("sarknowlip-maps")
        self._maps = [make_index(path, folder) for path in paths]
        method = digest([METHOD, rules_version()])[:8]
        self.version = f"2.{method}+{files_version(paths)}"

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return functions, regions, places, buildings, ways, then objects; see the module.

        Raises:
            GeometryError: The tile has no reference system.
            MapError: An index was damaged meanwhile.
        """
        parts = extent_footprint(tile.geobox).geoms
        maps = [
            index
            for index in self._maps
            if any(shapely.box(*box).intersects(part) for box in index.boxes for part in parts)
        ]
        if not maps:
            return []
        times = [index.time for index in maps if index.time]
        found = Findings(tile.id, self.name, self.version, min(times) if times else None)
        ground = tile_map(maps, tile.geobox)
        beyond = tile.valid & ~reached(ground, [box for index in maps for box in index.boxes])
        complete = float(beyond.sum()) <= (1.0 - COVERED) * float(tile.valid.sum())
        edge = np.zeros_like(beyond) if complete else scipy.ndimage.binary_dilation(beyond)
        top = paint(ground)
        masks = _functions(ground, top)
        if complete:
            silent = _NOT_TOLD if all(index.sea_known for index in maps) else (*_NOT_TOLD, "sea")
            _shares(found, masks, silent)
        _regions(found, ground, top, masks, edge)
        _places(found, ground)
        if complete:
            _buildings(found, ground)
            _ways(found, ground)
        _objects(found, ground, edge, complete=complete)
        return found.facts


def _shares(found: Findings, masks: dict[str, Mask], silent: Sequence[str]) -> None:
    for function in FUNCTIONS:
        subject = f"function/{function}"
        if function in masks:
            mask = masks[function]
            share = float(mask.mean())
            found.add(subject, "share", share, "share", confidence=MAPPED, mask=mask)
        elif function not in silent:
            found.add(subject, "share", 0.0, "share", confidence=ABSENT)


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
    found: Findings,
    ground: TileMap,
    top: npt.NDArray[np.int32],
    masks: dict[str, Mask],
    edge: Mask,
) -> None:
    """Add regions, without those that touch the edge of what maps reach."""
    names = np.array([*ground.columns["name"], None], dtype=object)
    listed: list[tuple[str, str, Piece]] = []
    for function, mask in masks.items():
        for piece in pieces(mask, LEAST_PX):
            name = _name(names, top[piece.mask], function)
            large = piece.pixels >= LEAST_SHARE * mask.size
            if (name or large) and not (edge & piece.mask).any():
                listed.append((function, name, piece))
    listed.sort(key=lambda region: (-region[2].pixels, region[2].row, region[2].column))
    gsd = ground_sample_distance(ground.grid)
    for number, (function, name, piece) in enumerate(listed[:REGIONS]):
        subject = f"region/{number:02d}"
        add_region(found, subject, function, piece, gsd_m=gsd, confidence=MAPPED)
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


def _buildings(found: Findings, ground: TileMap) -> None:
    rows = np.flatnonzero(ground.columns["building"].astype(bool) & ground.inside)
    shapes = ground.geometry[rows]
    middles = shapely.get_coordinates(shapely.centroid(ground.pixels(shapes))).reshape(-1, 2)
    high, wide = ground.grid.shape
    here = (middles >= 0).all(axis=1) & (middles[:, 0] < wide) & (middles[:, 1] < high)
    sure = COUNTED if here.any() else ABSENT
    found.add("buildings", "count", float(here.sum()), "count", confidence=sure)
    mask = burn(ground, shapes)
    found.add("buildings", "share", float(mask.mean()), "share", confidence=sure, mask=mask)
    tagged, storeys = (
        ground.columns[name][rows[here]].astype(np.float64) for name in ("height", "storeys")
    )
    heights = np.where(np.isfinite(tagged), tagged, storeys)
    told = np.isfinite(heights)
    if told.any() and told.mean() >= _HEIGHTS:
        sure = MAPPED * float(told.mean())
        found.add("buildings", "mean_height", float(heights[told].mean()), "m", confidence=sure)


def _ways(found: Findings, ground: TileMap) -> None:
    networks = ground.columns["network"]
    for network in ("roads", "railways"):
        rows = np.flatnonzero((networks == network) & ground.inside)
        inside = shapely.intersection(ground.geometry[rows], ground.outline)
        length = float(shapely.length(inside).sum())
        sure = COUNTED if length > 0 else ABSENT
        found.add(network, "length", length, "m", confidence=sure)


def _objects(found: Findings, ground: TileMap, edge: Mask, *, complete: bool) -> None:
    things = map_objects(ground)
    for kind in sorted({thing.kind for thing in things}) if complete else ():
        count = sum(thing.kind == kind for thing in things)
        found.add(f"objects/{kind}", "count", float(count), "count", confidence=COUNTED)
    masks = (burn(ground, np.array([t.shape], dtype=object), touched=True) for t in things)
    whole = (pair for pair in zip(things, masks, strict=True) if not (edge & pair[1]).any())
    for number, (thing, mask) in enumerate(itertools.islice(whole, OBJECTS_LISTED)):
        subject = f"object/{number:02d}"
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
