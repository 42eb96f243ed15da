"""Ships in open water, strictly: what is told of them beside what is there.

Open water is `OPEN_WATER_M` and more from land and quay. Moored ships are left out on both sides:
neither are they missed, nor does what is told near a quay count. Examined are tiles that show
`LEAST_PX` of open water.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.scene import Scene

LEAST_PX = 100.0
Mark = tuple[str, str]
"""Which figure of `OpenWater`, and which number of it."""


def open_water(scene: Scene, claims: Sequence[Claim]) -> Counter[Mark]:
    """Count what a tile's claims tell of ships in its open water.

    Args:
        scene: Truth, with the places of the ships that the claims tell of.
        claims: About the tile.

    Returns:
        Marks; none if the tile shows too little open water.
    """
    marks: Counter[Mark] = Counter()
    if scene.open_water_px() < LEAST_PX:
        return marks
    said = {claim.predicate for claim in claims} & {"ship_count", "no_ship"}
    if "ship_count" in said and scene.places.ships is None:
        marks["tiles", "untold"] += 1
        return marks
    marks["tiles", "examined"] += 1
    places = [place for place in scene.places.ships or () if scene.is_open(place)]
    least, most = scene.count_open()
    _one(marks, "presence", bool(places), least > 0, most > 0)
    _one(marks, "absence", bool(said) and not places, most == 0, least == 0)
    if said:
        for figure, slack in (("count", 0), ("count_within_1", 1)):
            right = least - slack <= len(places) <= most + slack
            marks[figure, "true" if right else "false"] += 1
    sure, near = scene.ships_open()
    points = [scene.point(place) for place in places]
    reach = tolerance.TARGET_PX * scene.gsd
    met = np.array([[shapely.dwithin(shape, point, reach) for point in points] for shape in near])
    met = met.reshape(len(near), len(points))
    # Ships that are there for sure come first, so that they are matched before others.
    order = np.argsort(~np.array(sure, bool), kind="stable")
    pairs = maximum_bipartite_matching(csr_array(met[order]), perm_type="column")
    found = np.zeros(len(near), bool)
    found[order] = pairs >= 0
    marks["ships", "true"] += int(found.sum())
    marks["ships", "false"] += len(points) - int(found.sum())
    marks["ships", "exist"] += sum(sure)
    marks["ships", "said"] += int((found & np.array(sure, bool)).sum())
    return marks


def _one(marks: Counter[Mark], figure: str, told: bool, sure: bool, may: bool) -> None:
    """Count a statement that is told or not, and that holds for sure or may hold."""
    if told:
        marks[figure, "true" if may else "false"] += 1
    if sure:
        marks[figure, "exist"] += 1
        marks[figure, "said"] += told
