"""Landform: which surfaces there are, how much of each, the relief, how it looks, and why.

What the image shows now ("surface") and what a map of land cover or of waters holds ("cover",
"water_body") are different statements; where they differ widely that is stated, too. The rules for
relief and water stand in `terrain_rules` and `water_rules`, those for scattering in
`annotate.mechanism`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from sarknowlip.annotate.claim import Claim, Dimension
from sarknowlip.annotate.mechanism import (
    MECHANISM_SURE,
    PAIRS,
    depolarization,
    state_appearance,
)
from sarknowlip.annotate.rounding import percent, step
from sarknowlip.annotate.rules import Rule, RuleStage, Statement
from sarknowlip.annotate.seen import DOMINANT, seen_share
from sarknowlip.annotate.stages.terrain_rules import elevation, relief, slopes
from sarknowlip.annotate.stages.water_rules import coast, water_bodies, water_differs
from sarknowlip.annotate.things import part_of_image
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.vocabulary import COVERS

LEAST_SHARE = 0.01
"""A surface that covers less is not spoken of as present."""
LEAST_CONFIDENCE = 0.8
"""A share that the image tells less surely is withheld. Its confidence is the probability of an
error of less than 5 points; of the shares that are told, far more than four of five hold then."""
CLEAR_SHARE, CLEAR_CONFIDENCE = 0.1, 0.95
"""A share of less than twice that error is told as present only if it is nearly sure."""
UNIFORM, VARIED = 0.3, 0.8
"""Coefficients of variation beyond speckle that part uniform, varied and strongly varied ground:
own choice."""
BUILT_SHARE = 0.05
"""From this share on, bright structures count in the power of the whole tile: own choice."""

_SURFACES = ("land", "water", "bright_structure")


class Landform(RuleStage):
    """States surfaces, land cover, waters, relief, backscatter, and the reason for what is seen."""

    name: ClassVar[str] = "landform"
    version: ClassVar[str] = "3"
    dimension: ClassVar[Dimension] = "landform"
    predicates: ClassVar[dict[str, frozenset[str]]] = {
        "dominant_surface": frozenset({"surface", "share_pct"}),
        "surface_share": frozenset({"surface", "share_pct"}),
        "surface_absent": frozenset({"surface"}),
        "appearance": frozenset({"surface", "polarization", "mean_db", "mechanism"}),
        "mean_backscatter": frozenset({"polarization", "mean_db"}),
        "cross_ratio": frozenset({"polarization", "ratio_db", "mechanism"}),
        "texture": frozenset({"texture"}),
        "two_tones": frozenset({"share_pct", "contrast_db"}),
        "one_tone": frozenset(),
        "shadow": frozenset({"share_pct"}),
        "viewing": frozenset({"incidence_deg", "look_deg"}),
        "line": frozenset({"tone", "part", "length_m", "bearing_deg"}),
        "dominant_cover": frozenset({"cover", "share_pct"}),
        "cover_share": frozenset({"cover", "share_pct"}),
        "cover_absent": frozenset({"cover"}),
        "cover_appearance": frozenset({"cover", "polarization", "mean_db", "mechanism"}),
        "relief": frozenset({"relief", "relief_m"}),
        "elevation": frozenset({"height_m"}),
        "slopes": frozenset({"facing_pct", "away_pct"}),
        "water_body": frozenset({"water", "name", "share_pct"}),
        "water_differs": frozenset({"seen_pct", "mapped_pct"}),
        "coast": frozenset({"direction"}),
    }

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules: what there is, how it looks, then the picture as a whole."""
        yield dominant_surface
        yield from (_share_of(name) for name in ("water", "bright_structure"))
        yield tones
        covers = _covers(facts)
        yield dominant_cover
        yield from (_cover_share(name) for name in covers)
        yield from water_bodies(facts)
        yield coast
        yield water_differs
        yield relief
        yield elevation
        yield slopes
        yield from (_appearance_of(name) for name in _SURFACES)
        yield from (_cover_appearance(name) for name in covers)
        yield from (_mean_of(name) for pair in PAIRS for name in pair)
        yield from (_cross_ratio(co, cross) for co, cross in PAIRS)
        yield texture
        yield shadow
        yield viewing
        yield from (_line(subject) for subject in facts.subjects("line/"))


def dominant_surface(facts: Facts) -> Statement | None:
    """State the surface that dominates the valid pixels; land is all but water."""
    built = _sure_share(facts.fresh(), "bright_structure")
    if built is not None and built >= DOMINANT:
        share = _sure_share(facts, "bright_structure") or built
        return Statement(
            "dominant_surface", {"surface": "bright_structure", "share_pct": percent(share)}
        )
    water = facts.find("water", "share")
    if water is None or water.value is None or water.confidence < LEAST_CONFIDENCE:
        return None
    name, share = ("water", water.value) if water.value > 0.5 else ("land", 1.0 - water.value)
    if share < DOMINANT:
        return None
    return Statement("dominant_surface", {"surface": name, "share_pct": percent(share)})


def dominant_cover(facts: Facts) -> Statement | None:
    """State the class of land cover that dominates."""
    for name in COVERS.values():
        share = seen_share(facts.fresh(), f"cover/{name}")
        if share is not None and share >= DOMINANT:
            seen_share(facts, f"cover/{name}")
            return Statement("dominant_cover", {"cover": name, "share_pct": percent(share)})
    return None


def tones(facts: Facts) -> Statement | None:
    """State whether an image without absolute levels shows one or two populations of pixels."""
    count = facts.value("populations", "count")
    if count is None:
        return None
    share = facts.value("dark_population", "share")
    contrast = facts.value("populations", "contrast")
    if count < 2 or share is None or contrast is None:
        return Statement("one_tone")
    return Statement("two_tones", {"share_pct": percent(share), "contrast_db": round(contrast, 1)})


def texture(facts: Facts) -> Statement | None:
    """State how much the ground varies beyond speckle."""
    variation = facts.value("image", "texture_variation")
    if variation is None:
        return None
    kind = "uniform" if variation < UNIFORM else "varied"
    return Statement("texture", {"texture": kind if variation < VARIED else "strongly varied"})


def shadow(facts: Facts) -> Statement | None:
    """State how much of the ground the radar does not see, if it matters."""
    share = facts.value("image", "shadow_share")
    if share is None or share < LEAST_SHARE:
        return None
    return Statement("shadow", {"share_pct": percent(share)})


def viewing(facts: Facts) -> Statement | None:
    """State how steeply and in which direction the radar looks, in whole degrees."""
    incidence, look = facts.value("image", "incidence"), facts.value("image", "look_azimuth")
    if incidence is None or look is None:
        return None
    return Statement(
        "viewing", {"incidence_deg": round(incidence), "look_deg": round(look) % 360}
    )  # fmt: skip


def _covers(facts: Facts) -> list[str]:
    """Return the classes of land cover that are known of, largest first."""
    view = facts.fresh()
    shares = {name: view.value(f"cover/{name}", "share") for name in COVERS.values()}
    known = [(share, name) for name, share in shares.items() if share is not None]
    return [name for _, name in sorted(known, key=lambda pair: -pair[0])]


def _sure_share(facts: Facts, surface: str) -> float | None:
    """Return the share of a surface, None if the image is not sure enough of it."""
    fact = facts.find(surface, "share")
    if fact is None or fact.value is None:
        return None
    small = LEAST_SHARE <= fact.value < CLEAR_SHARE
    return (
        None if fact.confidence < (CLEAR_CONFIDENCE if small else LEAST_CONFIDENCE) else fact.value
    )


def _share_of(surface: str) -> Rule:
    def share_of_surface(facts: Facts) -> Statement | None:
        share = _sure_share(facts, surface)
        if share is None or share >= DOMINANT:
            return None
        if share < LEAST_SHARE:
            return Statement("surface_absent", {"surface": surface})
        return Statement("surface_share", {"surface": surface, "share_pct": percent(share)})

    return share_of_surface


def _cover_share(cover: str) -> Rule:
    def share_of_cover(facts: Facts) -> Statement | None:
        share = seen_share(facts, f"cover/{cover}")
        if share is None or share >= DOMINANT:
            return None
        if share < LEAST_SHARE:
            return Statement("cover_absent", {"cover": cover})
        return Statement("cover_share", {"cover": cover, "share_pct": percent(share)})

    return share_of_cover


def _appearance_of(surface: str) -> Rule:
    def appearance(facts: Facts) -> Statement | None:
        share = _sure_share(facts, surface)
        if share is None or share < LEAST_SHARE or not _pure(facts, surface):
            return None
        return state_appearance("appearance", "surface", surface, facts, surface)

    return appearance


def _pure(facts: Facts, surface: str) -> bool:
    """Whether levels of a surface are those of all of it: of land only without structures."""
    if surface != "land":
        return True
    built = facts.find("bright_structure", "share")
    return (
        built is not None
        and built.value is not None
        and built.value < LEAST_SHARE
        and built.confidence >= LEAST_CONFIDENCE
    )


def _cover_appearance(cover: str) -> Rule:
    def appearance_of_cover(facts: Facts) -> Statement | None:
        share = seen_share(facts, f"cover/{cover}")
        if share is None or share < LEAST_SHARE:
            return None
        subject = f"zone/cover/{cover}"
        return state_appearance("cover_appearance", "cover", cover, facts, subject)

    return appearance_of_cover


def _mean_of(polarization: str) -> Rule:
    def mean_backscatter(facts: Facts) -> Statement | None:
        fact = facts.find(polarization, "mean")
        if fact is None or fact.value is None or fact.unit != "dB":
            return None
        return Statement(
            "mean_backscatter", {"polarization": polarization, "mean_db": round(fact.value, 1)}
        )

    return mean_backscatter


def _cross_ratio(co: str, cross: str) -> Rule:
    def cross_ratio(facts: Facts) -> Statement | None:
        """Of a calibrated image whose bright structures are known: they mix two reflections in."""
        name = f"{cross}/{co}"
        ratio, mean = facts.value(name, "ratio"), facts.find(co, "mean")
        crossed, built = facts.value(cross, "mean"), _sure_share(facts, "bright_structure")
        if ratio is None or built is None or mean is None or mean.value is None:
            return None
        told = depolarization(mean.value, crossed) if mean.unit == "dB" else None
        if told is None:
            return None
        return Statement(
            "cross_ratio",
            {
                "polarization": name,
                "ratio_db": round(ratio, 1),
                "mechanism": "mixed" if built >= BUILT_SHARE else told,
            },
            confidence=MECHANISM_SURE,
        )

    return cross_ratio


def _line(subject: str) -> Rule:
    def line(facts: Facts) -> Statement | None:
        """Lengths to 10 m, bearings to 5°."""
        contrast, length = facts.value(subject, "contrast"), facts.value(subject, "length")
        bearing, part = facts.value(subject, "orientation"), part_of_image(facts, subject)
        if contrast is None or length is None or bearing is None or part is None:
            return None
        return Statement(
            "line",
            {
                "tone": "bright" if contrast > 0 else "dark",
                "part": part,
                "length_m": max(10, step(length, 10)),
                "bearing_deg": step(bearing, 5) % 180,
            },
        )

    return line
