"""Things in a tile that statements are about, and how a statement names them without doubt.

A thing is a region, an object, a bright target or a named place. It is what the tile shows of it:
"the port" means the port in this image. A statement about one has, for a role such as "a", the
arguments `a` (the subject of its facts), `a_kind`, `a_name` ("" without one) and `a_part` ("" where
the kind or name suffices, else the ninth of the image that tells it from others of its kind).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from sarknowlip.annotate.claim import Argument
from sarknowlip.annotate.extent import Extent, whole_mask
from sarknowlip.annotate.geometry import PixelGrid
from sarknowlip.annotate.seen import WHOLE, valid_mask
from sarknowlip.knowledge.evidence import Box, Evidence, Facts

CLEAR_DB = 10.0
"""Contrast from which a target is told by itself; our own choice, see `is_clear`."""
FINEST_M = 5.0
"""Pixels from which it is."""
KIND_PREDICATES = {"region/": "function", "object/": "kind", "place/": "kind"}
"""Where facts tell what a thing is; a target is a "target" or, alone on water, a "ship"."""

DRY = (
    "forest", "grassland", "farmland", "dense_residential", "sparse_residential", "residential",
    "commercial", "airport", "rail", "stadium", "park", "road", "runway", "taxiway", "apron",
    "parking", "tank_farm", "square", "education", "hospital",
)  # fmt: skip
"""Functions of ground on which a bright target is no ship, however smooth the ground looks."""

PARTS = (
    "upper left", "upper centre", "upper right", "middle left", "centre", "middle right",
    "lower left", "lower centre", "lower right",
)  # fmt: skip
"""Ninths of the image, row by row."""

REMAINDER = 0.25
"""What maps know of a function beyond the regions they list must be less than this part of a region
for it to be "the" one."""

PIECES_M, PIECES_PX = 100.0, 8.0
"""Regions of one kind that are no farther apart, metres or pixels, may be pieces of one: a road or
a runway parts an airport on a map, not on the ground."""


@dataclass(frozen=True)
class Thing:
    """One thing in a tile.

    Attributes:
        subject: Subject of its facts, "region/03".
        kind: Function, kind of object, "ship", "target", or kind of place.
        name: Proper name, "" without one.
        column: Of a point in it, pixels, 0 at the left edge of the image.
        row: The same, 0 at the upper edge.
        part: Ninth of the image it lies in, "upper left" … "centre" … "lower right".
        box: Pixels it covers, None if unknown.
        mask_rle: The same as a mask (`knowledge.masks`), None if unknown.
    """

    subject: str
    kind: str
    name: str
    column: float
    row: float
    part: str
    box: Box | None
    mask_rle: str | None


def things(facts: Facts, prefixes: Sequence[str]) -> list[Thing]:
    """Return the things whose subjects start with one of the prefixes, in order of importance.

    What is looked up counts as used: give a rule its own fresh view.
    """
    found = (thing_of(facts, subject) for prefix in prefixes for subject in facts.subjects(prefix))
    return [thing for thing in found if thing is not None]


def thing_of(facts: Facts, subject: str) -> Thing | None:
    """Return one thing; None where its kind or place is not known."""
    prefix = subject.partition("/")[0] + "/"
    if prefix == "target/":
        kind: str | None = "ship" if is_ship(facts, subject) else "target"
        shown = facts.find(subject, "water_beside") or facts.find(subject, "column")
    else:
        shown = facts.find(subject, KIND_PREDICATES[prefix]) if prefix in KIND_PREDICATES else None
        kind = None if shown is None else shown.label
    column, row = facts.value(subject, "column"), facts.value(subject, "row")
    part = part_of_image(facts, subject)
    if kind is None or shown is None or column is None or row is None or part is None:
        return None
    name = facts.label(subject, "name") or ""
    return Thing(subject, kind, name, column, row, part, shown.bbox_px, shown.mask_rle)


def is_ship(facts: Facts, subject: str) -> bool:
    """Return whether a target is a ship candidate that does not lie on mapped dry ground."""
    if facts.label(subject, "water_beside") != "ship candidate":
        return False
    column, row = facts.value(subject, "column"), facts.value(subject, "row")
    rows, columns = facts.value("image", "rows"), facts.value("image", "columns")
    if column is None or row is None or rows is None or columns is None:
        return True
    masks = (facts.find(f"function/{name}", "share") for name in DRY)
    pixel = min(int(row), int(rows) - 1), min(int(column), int(columns) - 1)
    return not any(
        fact is not None
        and fact.mask_rle is not None
        and whole_mask(fact.mask_rle, (int(rows), int(columns)))[pixel]
        for fact in masks
    )


def is_clear(facts: Facts, subject: str) -> bool:
    """Return whether a bright target is clear enough to be spoken of by itself.

    In simulated worlds something stands at 93 % of targets of `CLEAR_DB` and more in images of
    10 m, at a third of weaker ones, and at two thirds in images of 1 m, where bright points are
    parts of things, shifted by layover.
    """
    contrast, gsd = facts.value(subject, "contrast"), facts.value("image", "gsd_x")
    return contrast is not None and gsd is not None and contrast >= CLEAR_DB and gsd >= FINEST_M


def part_of_image(facts: Facts, subject: str) -> str | None:
    """Return the ninth of the image in which a thing's point lies, "upper left" … "centre".

    None if its place is unknown or outside.
    """
    row, rows = facts.value(subject, "row"), facts.value("image", "rows")
    column, columns = facts.value(subject, "column"), facts.value("image", "columns")
    if row is None or rows is None or column is None or columns is None:
        return None
    if not (0 <= row <= rows and 0 <= column <= columns):
        return None
    across, down = min(2, int(3 * column / columns)), min(2, int(3 * row / rows))
    return PARTS[3 * down + across]


def arguments_of(role: str, thing: Thing, part: str = "") -> dict[str, Argument]:
    """Return the arguments that stand for a thing in a role."""
    return {
        role: thing.subject,
        f"{role}_kind": thing.kind,
        f"{role}_name": thing.name,
        f"{role}_part": part,
    }


class Cast:
    """The things of a tile and how each is told from all others, those that facts don't list too.

    A name that no other thing of the kind has is enough. Without one, the kind is, if there is no
    other of it, or the ninth of the image, if no other of the kind has its point there or more
    pixels, and none is so near that both may be pieces of one. Both need to know that there are no
    others: objects and targets must be listed as many as are counted, and ground of a region's
    function that lies outside listed regions must be less than `REMAINDER` of it.

    Args:
        facts: Facts of the tile; what this class looks up counts as no use of them.
        prefixes: Subjects that are things.

    Attributes:
        things: By subject, in order of importance.
        unclear: Subjects of targets that are not `is_clear`.
    """

    def __init__(
        self, facts: Facts, prefixes: Sequence[str] = ("object/", "region/", "target/", "place/")
    ) -> None:
        self._facts = facts
        self.things: dict[str, Thing] = {}
        self.unclear: set[str] = set()
        self._used: dict[str, tuple[Evidence, ...]] = {}
        for subject in (s for prefix in prefixes for s in facts.subjects(prefix)):
            view = facts.fresh()
            thing = thing_of(view, subject)
            if thing is not None:
                self.things[subject] = thing
                if thing.kind == "target" and not is_clear(view, subject):
                    self.unclear.add(subject)
                self._used[subject] = view.used
        self._named: dict[str, tuple[str | None, tuple[Evidence, ...]]] = {}
        self._extents: dict[str, Extent | None] = {}
        view = facts.fresh()
        self._grid = PixelGrid.of(view)
        self.whole = (view.value("image", "valid_share") or 0.0) >= WHOLE
        self._shown = None if self.whole else valid_mask(view)

    def alike(self, thing: Thing) -> list[Thing]:
        """Return all things of a thing's kind, itself included."""
        return self._kinds[thing.kind]

    def cite(self, view: Facts, subject: str) -> None:
        """Note on a rule's view what is known of a thing."""
        view.cite(self._used[subject])

    def reference(self, view: Facts, role: str, subject: str) -> dict[str, Argument] | None:
        """Return the arguments that name a thing in a role; None if nothing tells it from others.

        Args:
            view: The rule's view; what naming rests on is noted there.
            role: "a", "b", …
            subject: Subject of the thing's facts.
        """
        thing = self.things.get(subject)
        view.find("image", "valid_share")
        if thing is None:
            return None
        if subject not in self._named:
            noted = self._facts.fresh()
            self._named[subject] = self._part(noted, thing), noted.used
        part, used = self._named[subject]
        self.cite(view, subject)
        view.cite(used)
        return None if part is None else arguments_of(role, thing, part)

    def extent(self, subject: str) -> Extent | None:
        """Return the valid pixels of a thing, those of its mask, else its box, else its point.

        None if the tile shows none, or the size of its pixels or which are valid is unknown.

        Raises:
            SarKnowlipError: Its mask is damaged.
        """
        if subject not in self._extents:
            self._extents[subject] = self._extent(self.things[subject])
        return self._extents[subject]

    @functools.cached_property
    def _kinds(self) -> dict[str, list[Thing]]:
        kinds: dict[str, list[Thing]] = {}
        for thing in self.things.values():
            kinds.setdefault(thing.kind, []).append(thing)
            if thing.kind == "ship":  # a ship is a bright target, too
                kinds.setdefault("target", []).append(thing)
        return kinds

    def _extent(self, thing: Thing) -> Extent | None:
        if self._grid is None or (self._shown is None and not self.whole):
            return None
        shape, gsd_m = self._grid.shape, self._grid.gsd_m
        if thing.mask_rle is not None:
            extent = Extent.of_mask(whole_mask(thing.mask_rle, shape), gsd_m)
        else:
            x, y = min(int(thing.column), shape[1] - 1), min(int(thing.row), shape[0] - 1)
            extent = Extent.of_box(thing.box or (x, y, x + 1, y + 1), shape, gsd_m)
        return extent if extent is None or self._shown is None else extent.seen(self._shown)

    def _part(self, view: Facts, thing: Thing) -> str | None:
        """Return the part that names a thing, "" if none is needed, None if nothing does."""
        alike = self.alike(thing)
        for other in alike:
            self.cite(view, other.subject)
        if thing.name and sum(other.name == thing.name for other in alike) == 1:
            return ""
        if not self.complete(view, thing):
            return None
        if len(alike) == 1:
            return ""
        others = [other for other in alike if other is not thing]
        if any(other.part == thing.part for other in others):
            return None
        own = self._pixels(thing, thing.part)
        if own <= max(self._pixels(other, thing.part) for other in others):
            return None
        return thing.part if all(self._apart(thing, other) for other in others) else None

    def complete(self, view: Facts, thing: Thing) -> bool:
        """Return whether all of the kind that count are listed."""
        alike = self.alike(thing)
        prefix = thing.subject.partition("/")[0]
        if prefix == "object":
            return view.value(f"objects/{thing.kind}", "count") == len(alike)
        if prefix == "target":
            subjects = self._facts.subjects("target/")
            for subject in subjects:
                view.find(subject, "column")
            return view.value("targets", "count") == len(subjects)
        if prefix == "region":
            whole = view.value(f"function/{thing.kind}", "share")
            shares = [view.value(other.subject, "share") for other in alike]
            own = view.value(thing.subject, "share")
            if whole is None or own is None:
                return False
            listed = sum(share for share in shares if share is not None)
            return whole - listed <= REMAINDER * own
        return True

    def _apart(self, thing: Thing, other: Thing) -> bool:
        """Return whether two things of a kind are not pieces of one that something lies across."""
        if not thing.subject.startswith("region/"):
            return True
        one, second = self.extent(thing.subject), self.extent(other.subject)
        if one is None or second is None:
            return True
        limit = max(PIECES_M, PIECES_PX * max(one.gsd_m))
        return one.least_gap(second) > limit or one.gap(second) > limit

    def _pixels(self, thing: Thing, part: str) -> int:
        """Return how many of a thing's pixels lie in a ninth of the image."""
        extent = self.extent(thing.subject)
        if extent is None:
            return 0
        return int(extent.ninths[PARTS.index(part) // 3, PARTS.index(part) % 3])
