"""Landform: which surfaces there are, how much of each, how they look to this radar, and why.

Scattering mechanisms: calm water reflects the beam away like a mirror; a wall and the ground before
it return it by two reflections; a first-order rough surface returns hardly any cross-polarised
power, a volume of randomly oriented thin scatterers a third of the co-polarised power, −4.8 dB
(Freeman and Durden, "A three-component scattering model for polarimetric SAR data", IEEE TGRS
36(3), 1998). Between these the limits below are our own choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from sarknowlip.annotate.claim import Claim, Dimension
from sarknowlip.annotate.rules import Rule, RuleStage, Statement
from sarknowlip.knowledge.evidence import Facts

LEAST_SHARE = 0.01
"""A surface that covers less is not spoken of as present."""
VOLUME_RATIO_DB, SURFACE_RATIO_DB = -7.0, -10.0
"""Cross- over co-polarised power above which volume, below which surface scattering is stated."""
UNIFORM, VARIED = 0.3, 0.8
"""Coefficients of variation beyond speckle that part uniform, varied and strongly varied ground."""

_SURFACES = ("land", "water", "bright_structure")
_PAIRS = (("VV", "VH"), ("HH", "HV"))


class Landform(RuleStage):
    """States surfaces, backscatter, texture, and the reason for what is seen."""

    name: ClassVar[str] = "landform"
    version: ClassVar[str] = "1"
    dimension: ClassVar[Dimension] = "landform"
    predicates: ClassVar[dict[str, frozenset[str]]] = {
        "dominant_surface": frozenset({"surface", "share_pct"}),
        "surface_share": frozenset({"surface", "share_pct"}),
        "surface_absent": frozenset({"surface"}),
        "appearance": frozenset({"surface", "polarization", "mean_db", "mechanism"}),
        "mean_backscatter": frozenset({"polarization", "mean_db"}),
        "two_tones": frozenset({"share_pct", "contrast_db"}),
        "one_tone": frozenset(),
        "texture": frozenset({"texture"}),
    }

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules: surfaces first, then appearance, brightness and texture."""
        yield dominant_surface
        yield from (_share_of(name) for name in ("water", "bright_structure"))
        yield tones
        yield from (_appearance_of(name) for name in _SURFACES)
        yield from (_mean_of(name) for name in ("VV", "HH"))
        yield texture


def dominant_surface(facts: Facts) -> Statement | None:
    """State the surface that covers more than half of the valid pixels."""
    shares = {
        name: share for name in _SURFACES if (share := facts.value(name, "share")) is not None
    }
    if not shares:
        return None
    name = max(shares, key=lambda surface: shares[surface])
    if shares[name] <= 0.5:
        return None
    return Statement("dominant_surface", {"surface": name, "share_pct": _percent(shares[name])})


def tones(facts: Facts) -> Statement | None:
    """State whether an image without absolute levels shows one or two populations of pixels."""
    count = facts.value("populations", "count")
    if count is None:
        return None
    share = facts.value("dark_population", "share")
    contrast = facts.value("populations", "contrast")
    if count < 2 or share is None or contrast is None:
        return Statement("one_tone")
    return Statement("two_tones", {"share_pct": _percent(share), "contrast_db": round(contrast, 1)})


def texture(facts: Facts) -> Statement | None:
    """State how much the ground varies beyond speckle."""
    variation = facts.value("image", "texture_variation")
    if variation is None:
        return None
    kind = "uniform" if variation < UNIFORM else "varied"
    return Statement("texture", {"texture": kind if variation < VARIED else "strongly varied"})


def _share_of(surface: str) -> Rule:
    def share_of_surface(facts: Facts) -> Statement | None:
        share = facts.value(surface, "share")
        if share is None or share > 0.5:
            return None
        if share < LEAST_SHARE:
            return Statement("surface_absent", {"surface": surface})
        return Statement("surface_share", {"surface": surface, "share_pct": _percent(share)})

    return share_of_surface


def _appearance_of(surface: str) -> Rule:
    def appearance(facts: Facts) -> Statement | None:
        share = facts.value(surface, "share")
        if share is None or share < LEAST_SHARE:
            return None
        for co, cross in _PAIRS:
            mean = facts.value(surface, f"mean_{co}")
            if mean is None:
                continue
            mechanism = {"water": "specular", "bright_structure": "double bounce"}.get(surface)
            if mechanism is None:
                crossed = facts.value(surface, f"mean_{cross}")
                mechanism = None if crossed is None else _land_mechanism(crossed - mean)
            if mechanism is None:
                return None
            return Statement(
                "appearance",
                {
                    "surface": surface,
                    "polarization": co,
                    "mean_db": round(mean, 1),
                    "mechanism": mechanism,
                },
                confidence=0.9,
            )
        return None

    return appearance


def _land_mechanism(ratio_db: float) -> str | None:
    """Return what a cross-polarisation ratio tells of land; None between the limits."""
    if ratio_db >= VOLUME_RATIO_DB:
        return "volume"
    return "surface" if ratio_db <= SURFACE_RATIO_DB else None


def _mean_of(polarization: str) -> Rule:
    def mean_backscatter(facts: Facts) -> Statement | None:
        fact = facts.find(polarization, "mean")
        if fact is None or fact.value is None or fact.unit != "dB":
            return None
        return Statement(
            "mean_backscatter", {"polarization": polarization, "mean_db": round(fact.value, 1)}
        )

    return mean_backscatter


def _percent(share: float) -> int:
    """Return a share in whole percent; a part is never said to be all or nothing."""
    whole = round(100 * share)
    if 0 < share < 1:
        return min(99, max(1, whole))
    return whole
