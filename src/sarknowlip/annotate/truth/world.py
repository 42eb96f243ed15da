"""Folders of truth, as the simulator leaves them (docs/simulate.md), and which tile is of which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import read_json
from sarknowlip.corpus.record import TileRecord

MANIFEST = "truth.json"
REMEDY = "simulate that city again, with its tables as parquet"
SLACK = 0.001
"""Share of a tile's valid ground that may lie beyond the world, for rounding at its edges."""


@dataclass(frozen=True)
class TruthWorld:
    """A folder of truth at one date.

    Attributes:
        folder: Where `regions.parquet` and the others are.
        epsg: Code of the UTM zone of its bounds.
        bounds: West, south, east, north, metres.
        date: When the world was so; None if the folder does not say.
    """

    folder: Path
    epsg: int
    bounds: tuple[float, float, float, float]
    date: datetime | None

    @classmethod
    def read(cls, folder: Path) -> TruthWorld:
        """Return the world of a folder.

        Raises:
            SarKnowlipError: There is no truth, or it is damaged.
        """
        path = folder / MANIFEST
        manifest = read_json(path, REMEDY)
        try:
            date = manifest["date"]
            west, south, east, north = map(float, manifest["bounds"])
            return cls(
                folder,
                int(manifest["crs"].removeprefix("EPSG:")),
                (west, south, east, north),
                None if date is None else datetime.fromisoformat(date),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SarKnowlipError(f"{path} tells no bounds or CRS: {error}", REMEDY) from error

    def ground_of(self, record: TileRecord) -> BaseGeometry:
        """Return the valid ground of a tile in UTM metres of this world."""
        project = Transformer.from_crs(4326, self.epsg, always_xy=True).transform
        footprint = shapely.geometry.shape(record.projection.footprint)
        return shapely.transform(footprint, project, interleaved=False)

    def holds(self, record: TileRecord) -> bool:
        """Return whether all valid ground of a tile lies in this world."""
        ground = self.ground_of(record)
        if not shapely.is_valid(ground) or ground.area == 0.0:
            return False
        beyond = shapely.difference(ground, shapely.box(*self.bounds))
        # A pixel on the edge of the world shows a little of what is beyond.
        rim = max(record.projection.gsd_x, record.projection.gsd_y) * shapely.length(ground)
        return bool(beyond.area <= SLACK * ground.area + rim)


def worlds_below(root: Path) -> tuple[TruthWorld, ...]:
    """Return all truth below a folder, or in it, sorted by path.

    Raises:
        SarKnowlipError: There is none, or some is damaged.
    """
    found = sorted(path.parent for path in root.rglob(MANIFEST))
    if not found:
        raise SarKnowlipError(f"no {MANIFEST} below {root}", "name a folder of `simulate --out`")
    return tuple(TruthWorld.read(folder) for folder in found)


def world_of(record: TileRecord, worlds: Sequence[TruthWorld]) -> TruthWorld | None:
    """Return the world that holds a tile and whose date is nearest to its acquisition.

    Of several as near, the first. Without dates on either side all count as equally near.
    """
    holding = [world for world in worlds if world.holds(record)]
    start = record.acquisition.start_datetime

    def apart(world: TruthWorld) -> float:
        if start is None or world.date is None:
            return 0.0
        return abs((world.date - start).total_seconds())

    return min(holding, key=apart, default=None)
