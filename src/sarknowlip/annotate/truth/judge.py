"""Claims about tiles of simulated worlds, judged one by one, and what they leave unsaid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.truth import ground, targets, terrain, things
from sarknowlip.annotate.truth.open_water import open_water
from sarknowlip.annotate.truth.places import Place, Places
from sarknowlip.annotate.truth.recall import said, sayable
from sarknowlip.annotate.truth.report import UNDECIDED, Key, TruthTally, Verdict
from sarknowlip.annotate.truth.scene import Scene
from sarknowlip.annotate.truth.world import TruthWorld, world_of, worlds_below
from sarknowlip.corpus.record import TileRecord
from sarknowlip.knowledge.evidence import Evidence

SeenJudge = Callable[[Scene, ground.Arguments, Place | None], Verdict]
JUDGES: dict[str, ground.Judge] = {
    "dominant_surface": ground.dominant_surface,
    "surface_share": ground.surface,
    "surface_absent": ground.surface_absent,
    "dominant_cover": ground.dominant_cover,
    "cover_share": ground.cover,
    "cover_absent": ground.cover_absent,
    "relief": terrain.relief,
    "elevation": terrain.elevation,
    "slopes": terrain.slopes,
    "water_differs": ground.water_differs,
    "place_name": ground.place_name,
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
"""By predicate, of claims about the world."""
SEEN: dict[str, SeenJudge] = {
    "no_ship": targets.no_ship,
    "ship_count": targets.ship_count,
    "ship_size": targets.ship_size,
    "ship_place": targets.ship_size,
    "ship_axis": targets.ship_axis,
    "clearest_target": targets.bright_target,
    "further_target": targets.bright_target,
    "target_axis": targets.target_axis,
    "line": targets.line,
}
"""By predicate, of claims about what the image shows at a place.

Claims of any other predicate are about the image alone (decibels, texture, shadow, how many targets
rise above their surroundings), its metadata, or cities: truth knows nothing of these."""


def judge(scene: Scene, claim: Claim) -> Verdict:
    """Return what truth says of a claim."""
    known, seen = JUDGES.get(claim.predicate), SEEN.get(claim.predicate)
    if known is None and seen is None:
        return UNDECIDED
    unknown = _unknown_names(scene, claim)
    if unknown:
        return Verdict(False, f"nothing is called {', '.join(unknown)}")
    if known is not None:
        return known(scene, claim.arguments)
    assert seen is not None
    return seen(scene, claim.arguments, scene.places.about(claim))


def _unknown_names(scene: Scene, claim: Claim) -> list[str]:
    """Return a claim's proper names that nothing in the tile has, if the world's map has names."""
    names = [str(value) for key, value in claim.arguments.items() if key.endswith("name")]
    return [name for name in names if name and scene.names and not scene.is_named(name)]


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

    def judge(
        self,
        record: TileRecord,
        claims: Sequence[Claim],
        tally: TruthTally,
        facts: Iterable[Evidence] = (),
    ) -> None:
        """Count the verdicts on a tile's claims, and which truths they tell.

        Args:
            record: The tile.
            claims: About it.
            tally: Counts.
            facts: That the claims cite; only places of targets and lines are read from them.

        Raises:
            SarKnowlipError: A truth file is damaged.
        """
        world = world_of(record, self.worlds)
        tally.tiles[world is not None] += 1
        if world is None:
            return
        scene = Scene(record, world, Places.of(facts, claims))
        told: set[tuple[str, ...]] = set()
        for claim in claims:
            verdict = judge(scene, claim)
            words = json.dumps(claim.arguments, sort_keys=True, ensure_ascii=False)
            key: Key = claim.dimension, claim.predicate
            tally.verdict(key, verdict, f"{record.id}: {claim.predicate} {words}")
            if claim.predicate == "ship_count":
                near = targets.ship_count(scene, claim.arguments, slack=1)
                tally.ships["true" if near.right else "false"] += 1
            if verdict.right:
                told |= said(claim.predicate, claim.arguments)
        for dimension, statement in sayable(scene):
            tally.truth((dimension, statement[0]), statement in told, " ".join(statement[1:]))
        tally.open_water.update(open_water(scene, claims))
