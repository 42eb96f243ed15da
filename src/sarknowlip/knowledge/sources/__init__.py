"""The table of knowledge sources; to add one, see docs/add-a-knowledge-source.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import field_validator

from sarknowlip.core.config import Config
from sarknowlip.core.lazy import LazyTable
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.sar.tile import TileImage

SOURCES = LazyTable(
    "source",
    {
        "gazetteer": "sarknowlip.knowledge.sources.gazetteer:GazetteerSource",
        "osm": "sarknowlip.knowledge.sources.osm:OsmSource",
        "landcover": "sarknowlip.knowledge.sources.landcover:LandcoverSource",
        "dem": "sarknowlip.knowledge.sources.terrain:TerrainSource",
        "water": "sarknowlip.knowledge.sources.water:WaterSource",
        "image": "sarknowlip.knowledge.sources.image:ImageSource",
        "zones": "sarknowlip.knowledge.sources.zones:ZonesSource",
    },
)
"""In the order in which they are asked."""


class SourceOptions(Config):
    """Where sources find what is not in the tile.

    Attributes:
        osm: Maps: OpenStreetMap extracts (.osm.pbf) or GeoParquet with tags.
        landcover: Rasters with the class codes of ESA WorldCover; the first with a value counts.
        dem: Elevation rasters, metres; the first that covers a tile counts.
        dem_geoid_m: Undulation added to their heights where PROJ cannot convert, metres.
        water: Polygons of seas and large waters, any vector format that GDAL reads.
        cache: Folder for what is derived from these files and worth keeping; None keeps nothing.

    Of maps and rasters a folder stands for all that lie in it.
    """

    osm: tuple[Path, ...] = ()
    landcover: tuple[Path, ...] = ()
    dem: tuple[Path, ...] = ()
    dem_geoid_m: float | None = None
    water: Path | None = None
    cache: Path | None = None

    @field_validator("osm", "landcover", "dem", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        if value is None:
            return ()
        return (value,) if isinstance(value, str | Path) else value

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that find all they need here, in the order of `SOURCES`."""
        named = {"osm": self.osm, "landcover": self.landcover, "dem": self.dem}
        given = {name: bool(paths) for name, paths in named.items()} | {"water": bool(self.water)}
        return tuple(name for name in SOURCES if given.get(name, True))


class KnowledgeSource(Protocol):
    """Finds facts about a tile; made with one argument, `SourceOptions`.

    Raises at making:
        ConfigError: It needs a file that the options do not name.
        SarKnowlipError: Its file is missing or damaged: one line that names it.

    Attributes:
        name: Name in `SOURCES`, repeated in every fact.
        version: Version of its method and data (digest of its files); a change of either changes
            it.
        looks_at: What its facts depend on beside version and map grid: "nothing" (a map),
            "acquisition" (the way the radar looked, too), "pixels" (of the tile, too), or "known"
            (facts of the sources before, too). The evidence cache keys by it.
        attribution: What the terms of its data ask to be said with what is derived from them; ""
            if nothing.
    """

    name: ClassVar[str]
    looks_at: ClassVar[str]
    attribution: ClassVar[str]

    @property
    def version(self) -> str:
        """See the class."""

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return what is known about a tile; empty where the source is silent.

        The same tile gives the same facts in the same order on every machine. Subjects and
        predicates are those of `knowledge.vocabulary`.

        Args:
            tile: Pixels, map grid, acquisition.
            known: Facts of the sources asked before.
        """
