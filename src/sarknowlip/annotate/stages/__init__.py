"""The table of stages, in the order of the chain (docs/add-an-annotation-stage.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from sarknowlip.annotate.claim import Claim, Dimension
from sarknowlip.core.lazy import LazyTable
from sarknowlip.knowledge.evidence import Facts

STAGES = LazyTable(
    "stage",
    {
        "landform": "sarknowlip.annotate.stages.landform:Landform",
        "function": "sarknowlip.annotate.stages.function:Function",
        "target": "sarknowlip.annotate.stages.target:Target",
        "relation": "sarknowlip.annotate.stages.relation:Relation",
        "summary": "sarknowlip.annotate.stages.summary:Summary",
    },
)


class Stage(Protocol):
    """One link of the chain of thought.

    Attributes:
        name: Name in `STAGES`, repeated in every claim.
        version: Version of its rules; changes with them.
        dimension: Dimension of its claims.
        predicates: What it may state, with the names of the arguments.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    dimension: ClassVar[Dimension]
    predicates: ClassVar[dict[str, frozenset[str]]]

    def claims(self, tile_id: str, facts: Facts, before: Sequence[Claim]) -> list[Claim]:
        """Return claims about a tile.

        Pure: the same facts, in whatever order, and the same earlier claims give the same claims.
        Every claim cites at least one fact.
        """
