"""What occurs in a corpus: texts, kinds of ground and targets of some of its tiles.

So many tiles stand for all that memory does not grow with the corpus; which ones follows from the
seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sarknowlip.annotate.claim import Argument, Claim, Text
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.store import CLAIMS, TEXTS
from sarknowlip.core.hashing import unit_interval

TILES = 96
"""Tiles that texts are taken from."""
FUNCTION_OF = ("dominant_function", "function_share", "named_region")
COVER_OF = ("dominant_cover", "cover_share")


class Target(NamedTuple):
    """A statement on targets that some tile of the corpus bears out."""

    predicate: str
    arguments: dict[str, Argument]
    confidence: float


class Donor(NamedTuple):
    """A text of some tile, and its claims."""

    text: Text
    claims: tuple[Claim, ...]


class Pool:
    """What is taken from other tiles.

    Args:
        folder: Version of the annotations.
        tile_ids: Tiles that may give.
        config: Levels and seed.

    Attributes:
        donors: Texts by level and dimension.
        functions: Functions of ground that occur, sorted.
        covers: Classes of land cover that occur, sorted.
        targets: Statements on numbers of objects and ships, by kind, sorted.

    Raises:
        CorpusError: The version is damaged.
    """

    def __init__(self, folder: Path, tile_ids: Sequence[str], config: CorruptConfig) -> None:
        seed = str(config.seed)
        chosen = sorted(tile_ids, key=lambda name: unit_interval(seed, "donor", name))[:TILES]
        held = stored(folder, chosen, tables=(CLAIMS, TEXTS))
        self.donors: dict[tuple[str, str], list[Donor]] = defaultdict(list)
        functions, covers = set[str](), set[str]()
        targets: dict[str, list[Target]] = defaultdict(list)
        for tile_id in chosen:
            claims = {claim.id: claim for claim in held[tile_id].claims}
            for text in held[tile_id].texts:
                own = [claims[key] for key in text.claim_ids if key in claims]
                if text.level in config.levels and len(own) == len(text.claim_ids):
                    donor = Donor(text, tuple(own))
                    self.donors[text.level, text.dimension].append(donor)
            for claim in claims.values():
                said = claim.arguments
                functions |= {str(said["function"])} if claim.predicate in FUNCTION_OF else set()
                functions |= {str(said["water"])} if claim.predicate == "water_body" else set()
                covers |= {str(said["cover"])} if claim.predicate in COVER_OF else set()
                if claim.predicate in ("object_count", "ship_count"):
                    kind = str(said.get("kind", "ship"))
                    targets[kind].append(Target(claim.predicate, said, claim.confidence))
        self.functions, self.covers = sorted(functions), sorted(covers)
        self.targets = {kind: targets[kind] for kind in sorted(targets)}
