"""Verdicts on what the image shows: ships, bright targets, lines.

Where the facts that a claim cites tell a place, the claim is about what is there; without, about
anything in the part of the tile that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import shapely

from sarknowlip.annotate.claim import Argument
from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.places import Place
from sarknowlip.annotate.truth.report import UNDECIDED, Verdict
from sarknowlip.annotate.truth.scene import Scene, Thing
from sarknowlip.annotate.truth.things import in_part, sized, told

Arguments = Mapping[str, Argument]
LONG = 1.5
"""What is longer than wide by less has no long axis in an image."""
ALONG = 0.5
"""Share of a line that has an edge beside it, at least."""


def no_ship(scene: Scene, _: Arguments, __: Place | None) -> Verdict:
    """Judge that no ship in open water is to be seen."""
    least, _most = scene.count_open()
    return Verdict(least == 0, f"{least} ships in open water")


def ship_count(scene: Scene, claim: Arguments, _: Place | None = None, slack: int = 0) -> Verdict:
    """Judge a number of ships by those in open water, moored ones left out on both sides.

    Ships told one by one whose place is not in open water are taken off the number. Where they
    are not told one by one, any number is true between that in open water and that of all ships.
    """
    least, most = scene.count_open()
    number = int(claim["count"])
    if scene.places.ships is None:
        most = len(scene.ships)
    else:
        number -= sum(not scene.is_open(place) for place in scene.places.ships)
    right = int(claim["count"]) > 0 and least - slack <= number <= most + slack
    return Verdict(right, f"{least} to {most} ships where {number} are told")


def ship_size(scene: Scene, claim: Arguments, place: Place | None) -> Verdict:
    """Judge that there is a ship in that part, of that size if one is told."""
    part = str(claim["part"])
    ships = [ship for ship in _ships(scene, place) if in_part(scene, ship.shape, part)]
    right = _place_in_part(scene, place, part) and any(sized(scene, s, claim) for s in ships)
    return Verdict(right, told(ships, "ship"))


def ship_axis(scene: Scene, claim: Arguments, place: Place | None) -> Verdict:
    """Judge the heading of a ship, stern and bow alike."""
    ships, bearing = _ships(scene, place), float(claim["bearing_deg"])
    right = any(tolerance.axis(bearing, ship.heading) for ship in ships)
    return Verdict(right, told(ships, "ship"))


def bright_target(scene: Scene, claim: Arguments, place: Place | None) -> Verdict:
    """Judge that something stands or floats there, and no less long than told.

    Blobs of the image may be a part of a thing, or several things side by side: true lengths are
    upper limits, of all that stands closer together than the image can tell apart.
    """
    if place is None:
        return UNDECIDED
    if not _place_in_part(scene, place, str(claim["part"])):
        return Verdict(False, "in another part")
    hit = scene.standing.at(scene.point(place))
    if not len(hit):
        return Verdict(False, "nothing stands there")
    longest = max(scene.standing.longest(int(which)) for which in hit)
    limit = (1.0 + tolerance.SIZE) * longest + scene.standing.reach
    right = max(float(claim["length_m"]), float(claim.get("width_m", 0.0))) <= limit
    return Verdict(right, f"{longest:.0f} m at most")


def target_axis(scene: Scene, claim: Arguments, place: Place | None) -> Verdict:
    """Judge the long axis of what stands there, if that is one thing and clearly longer than wide.

    It must be longer than the image blurs, too: `tolerance.TARGET_PX` pixels.
    """
    if place is None:
        return UNDECIDED
    hit = scene.standing.at(scene.point(place))
    if len(hit) != 1:
        return UNDECIDED
    length, width, heading = scene.standing.sizes[hit[0]]
    if np.isnan(heading) or not length >= max(scene.standing.reach, LONG * width):
        return UNDECIDED
    return Verdict(tolerance.axis(float(claim["bearing_deg"]), heading), f"{heading:.0f}°")


def line(scene: Scene, claim: Arguments, place: Place | None) -> Verdict:
    """Judge that an edge of ground or of a building runs along at least half of a line."""
    if place is None:
        return UNDECIDED
    if not _place_in_part(scene, place, str(claim["part"])):
        return Verdict(False, "in another part")
    middle, length = scene.point(place), float(claim["length_m"])
    bearing = np.radians(float(claim["bearing_deg"]) - scene.convergence)
    steps = np.linspace(-0.5, 0.5, max(3, int(length / scene.gsd))) * length
    points = shapely.points(middle.x + steps * np.sin(bearing), middle.y + steps * np.cos(bearing))
    starts, ends, tree = scene.edges
    which, edge = tree.query(points, "dwithin", tolerance.TARGET_PX * scene.gsd)
    east, north = (ends[edge] - starts[edge]).T
    off = (np.degrees(np.arctan2(east, north) - bearing) + 90.0) % 180.0 - 90.0
    along = len(np.unique(which[np.abs(off) <= tolerance.AXIS_DEG])) / len(points)
    return Verdict(along >= ALONG, f"edges along {along:.0%}")


def _ships(scene: Scene, place: Place | None) -> Sequence[Thing]:
    """Return the ships that may appear at a place; all without one."""
    if place is None:
        return scene.ships
    point, reach = scene.point(place), tolerance.TARGET_PX * scene.gsd
    return [ship for ship in scene.ships if shapely.dwithin(ship.shape, point, reach)]


def _place_in_part(scene: Scene, place: Place | None, part: str) -> bool:
    return place is None or in_part(scene, scene.point(place), part)
