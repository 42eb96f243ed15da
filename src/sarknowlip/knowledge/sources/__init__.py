"""The table of knowledge sources; to add one, see docs/add-a-knowledge-source.md."""

from __future__ import annotations

from typing import ClassVar, Protocol

from sarknowlip.core.lazy import LazyTable
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.sar.tile import TileImage

SOURCES = LazyTable("source", {"image": "sarknowlip.knowledge.sources.image:ImageSource"})


class KnowledgeSource(Protocol):
    """Finds facts about a tile.

    Attributes:
        name: Name in `SOURCES`, repeated in every fact.
        version: Version of its method and data; a change of either changes it.
    """

    name: ClassVar[str]
    version: ClassVar[str]

    def evidence(self, tile: TileImage) -> list[Evidence]:
        """Return what is known about a tile; empty where the source is silent.

        The same tile gives the same facts in the same order on every machine.
        """
