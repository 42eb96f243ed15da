"""Whether the facts about a tile can settle a statement, whatever they say of it.

Facts settle a statement if they tell of what it is about: of that class of land cover, of the
number of bright targets, of objects where a map was read. Then a statement that does not follow
from them is wrong, or at least nothing that they support. Where they tell nothing of it, as no map
was read or the image shows no absolute levels, its truth is open.

What a statement is about follows from its words, not from the facts that it cites: those may be
anybody's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.stages import STAGES
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS, WATERS

MAP = "a map"
"""Stands for facts of a map of functions that reaches over the tile: a map that is silent about
something it could show says that it is not there."""

ABOUT: dict[str, tuple[str, ...]] = {
    "dominant_surface": ("{surface}",), "surface_share": ("{surface}",),
    "surface_absent": ("{surface}",), "appearance": ("{surface}",),
    "mean_backscatter": ("{polarization}",), "cross_ratio": ("{polarization}",),
    "texture": ("image texture_variation",), "two_tones": ("populations",),
    "one_tone": ("populations",), "shadow": ("image shadow_share",),
    "viewing": ("image incidence",), "line": ("targets",),
    "dominant_cover": ("cover/{cover}",), "cover_share": ("cover/{cover}",),
    "cover_absent": ("cover/{cover}",), "cover_appearance": ("cover/{cover}", "zone/"),
    "relief": ("terrain",), "elevation": ("terrain",), "slopes": ("terrain",),
    "water_body": ("function/{water}",), "coast": ("function/sea", "image"),
    "water_differs": ("water", "function/|cover/"),
    "dominant_function": ("function/{function}",), "function_share": ("function/{function}",),
    "function_unmapped": ("function/{function}",),
    "function_appearance": ("function/{function}", "zone/"),
    "named_region": ("function/{function}",), "place_name": ("place/|a map",), "city": ("city",),
    "buildings": ("a map",), "building_height": ("a map",), "network": ("a map",),
    "no_target": ("targets",), "target_count": ("targets",), "clearest_target": ("targets",),
    "further_target": ("targets",), "target_axis": ("targets",),
    "no_ship": ("ships",), "ship_count": ("ships",), "ship_size": ("ships",),
    "ship_place": ("ships",), "ship_axis": ("ships",),
    "object_count": ("objects/{kind}|a map",), "aligned": ("objects/{kind}|a map", "image"),
}  # fmt: skip
"""For a predicate: subjects (with a predicate, where several sorts of facts share a subject) of
which the facts must tell; "/" at the end: of any that begins so; "|": of either."""

GROUND = {"headline": ("main", "second"), "more_of": ("more", "less")}
"""For a predicate: arguments that are words for ground, of a map of either kind or of the image."""
SURFACES = ("land", "water", "bright_structure")
SHIPS = "ships"
"""Whether a bright target is a ship depends on a map of dry ground, too."""

_KNOWN = frozenset(
    predicate for name in STAGES for predicate in STAGES[name].predicates
)  # fmt: skip


class Told:
    """What the facts about a tile tell of; made of facts with `Told.of`.

    Args:
        subjects: Subjects of facts that may be used, and each with its predicate.
        hidden: Families of subjects of facts that may not.
    """

    def __init__(self, subjects: Iterable[str], hidden: Iterable[str] = ()) -> None:
        self.subjects, self.hidden = frozenset(subjects), frozenset(hidden)
        grounds = (s.partition("/") for s in self.subjects if s.startswith("function/"))
        self._mapped = any(name.split()[0] not in WATERS for _, _, name in grounds)

    @classmethod
    def of(cls, facts: Iterable[Evidence], hidden: Iterable[Evidence] = ()) -> Told:
        """Return what facts tell of.

        Args:
            facts: Facts that may be used.
            hidden: Facts that may not; only what they are about counts.
        """
        names = [(fact.subject, f"{fact.subject} {fact.predicate}") for fact in facts]
        return cls(
            {name for pair in names for name in pair},
            {fact.subject.partition("/")[0] for fact in hidden},
        )

    def settles(self, claim: Claim) -> bool:
        """Return whether the facts can tell if a claim is true.

        What a stage of somebody else's states is settled where nothing is hidden.
        """
        if claim.predicate not in _KNOWN:
            return not self.hidden
        words = [str(claim.arguments.get(name, "")) for name in GROUND.get(claim.predicate, ())]
        return all(self._any(need) for need in _needs(claim)) and all(
            self._ground(word) for word in words if word
        )

    def _any(self, need: str) -> bool:
        return any(self._tells(subject) for subject in need.split("|"))

    def _tells(self, subject: str) -> bool:
        if subject == SHIPS and "function" in self.hidden:
            return False
        if subject in self.subjects:
            return True
        if subject == MAP or subject.startswith("function/"):
            return self._mapped
        if subject == "land":  # is all but water
            return "water" in self.subjects
        return subject.endswith("/") and any(s.startswith(subject) for s in self.subjects)

    def _ground(self, word: str) -> bool:
        """Return whether facts tell of ground that a word means, by whichever map or the image.

        A word that several use is open if one of them may not be looked at.
        """
        meant = [f"function/{word}"] if word in FUNCTIONS else []
        meant += [f"cover/{word}"] if word in COVERS.values() else []
        meant += [word] if word in SURFACES else []
        if any(subject.partition("/")[0] in self.hidden for subject in meant):
            return False
        return any(self._tells(subject) for subject in meant)


def _needs(claim: Claim) -> Iterator[str]:
    """Yield the subjects of which facts must tell, to settle a claim."""
    said = claim.arguments
    for need in ABOUT.get(claim.predicate, ()):
        yield need.format(**said)
    for role in ("a", "b"):
        if f"{role}_kind" in said:
            yield from _needs_of_thing(str(said[role]), str(said[f"{role}_kind"]))
            yield "image"
    if claim.predicate == "more_objects":
        yield from (f"objects/{said[name]}|{MAP}" for name in ("more", "less"))


def _needs_of_thing(subject: str, kind: str) -> Iterator[str]:
    family = subject.partition("/")[0]
    if family == "target":
        yield SHIPS
    elif family == "region":
        yield f"function/{kind}"
    elif family == "place":
        yield "place/|a map"
    else:
        yield f"{subject}|a map"
