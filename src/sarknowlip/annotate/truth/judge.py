"""Claims about tiles of simulated worlds, judged one by one, and what they leave unsaid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.truth import ground, things
from sarknowlip.annotate.truth.recall import said, sayable
from sarknowlip.annotate.truth.report import UNDECIDED, Key, TruthTally, Verdict
from sarknowlip.annotate.truth.scene import Scene
from sarknowlip.annotate.truth.world import TruthWorld, world_of, worlds_below
from sarknowlip.corpus.record import TileRecord

JUDGES: dict[str, ground.Judge] = {
    "dominant_surface": ground.dominant_surface,
    "surface_share": ground.surface,
    "surface_absent": ground.surface_absent,
    "dominant_cover": ground.dominant_cover,
    "cover_share": ground.cover,
    "cover_absent": ground.cover_absent,
    "relief": ground.relief,
    "elevation": ground.elevation,
    "water_body": ground.water_body,
    "coast": ground.coast,
    "dominant_function": ground.dominant_function,
    "function_share": ground.function,
    "function_unmapped": ground.function_unmapped,
    "named_region": ground.named_region,
    "buildings": ground.buildings,
    "building_height": ground.building_height,
    "network": ground.network,
    "headline": ground.headline,
    "more_of": ground.more_of,
    "no_ship": things.no_ship,
    "ship_count": things.ship_count,
    "ship_size": things.ship_size,
    "ship_axis": things.ship_axis,
    "object_count": things.object_count,
    "object_size": things.object_size,
    "object_height": things.object_height,
    "object_axis": things.object_axis,
    "direction": things.direction,
    "distance": things.distance,
    "adjacent": things.adjacent,
    "inside": things.inside,
    "crosses": things.crosses,
    "nearest": things.nearest,
    "larger": things.larger,
    "aligned": things.aligned,
    "position": things.position,
    "more_objects": things.more_objects,
}
"""By predicate. Claims of any other are about the image (decibels, texture, bright targets) or
about names, of which truth knows nothing."""


def judge(scene: Scene, claim: Claim) -> Verdict:
    """Return what truth says of a claim."""
    known = JUDGES.get(claim.predicate)
    return UNDECIDED if known is None else known(scene, claim.arguments)


@dataclass(frozen=True)
class TruthJudge:
    """Judges the claims about tiles of some worlds."""

    worlds: tuple[TruthWorld, ...]

    @classmethod
    def below(cls, root: Path) -> TruthJudge:
        """Return the judge of all worlds below a folder.

        Raises:
            SarKnowlipError: There is none, or some is damaged.
        """
        return cls(worlds_below(root))

    def judge(self, record: TileRecord, claims: Sequence[Claim], tally: TruthTally) -> None:
        """Count the verdicts on a tile's claims, and which truths they tell.

        Raises:
            SarKnowlipError: A truth file is damaged.
        """
        world = world_of(record, self.worlds)
        tally.tiles[world is not None] += 1
        if world is None:
            return
        scene = Scene(record, world)
        told: set[tuple[str, ...]] = set()
        for claim in claims:
            verdict = judge(scene, claim)
            words = json.dumps(claim.arguments, sort_keys=True, ensure_ascii=False)
            key: Key = claim.dimension, claim.predicate
            tally.verdict(key, verdict, f"{record.id}: {claim.predicate} {words}")
            if claim.predicate == "ship_count":
                near = things.ship_count(scene, claim.arguments, slack=1)
                tally.ships["true" if near.right else "false"] += 1
            if verdict.right:
                told |= said(claim.predicate, claim.arguments)
        for dimension, statement in sayable(scene):
            tally.count((dimension, statement[0]), "exist")
            if statement in told:
                tally.count((dimension, statement[0]), "said")
