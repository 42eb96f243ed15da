"""Why ground looks as it does: the scattering that prevails, from levels and what the ground is.

Calm water and smooth paving reflect the beam away like a mirror ("specular"); waves and bare ground
scatter it once ("surface"), with hardly any cross-polarised power; a volume of randomly oriented
thin scatterers, a canopy, returns a third of the co-polarised power crossed, −4.8 dB ("volume");
a wall and the ground before it return the beam by two reflections ("double bounce") (Freeman and
Durden, "A three-component scattering model for polarimetric SAR data", IEEE TGRS 36(3), 1998).
Amplitudes alone do not part all of these: where level, ratio and kind of ground do not agree,
nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.rules import Statement
from sarknowlip.knowledge.evidence import Facts

MECHANISM_SURE = 0.9
"""How sure the reason for a level is: own estimate."""

VOLUME_RATIO_DB, SURFACE_RATIO_DB = -7.0, -10.0
"""Cross- over co-polarised power above which volume, below which surface scattering is stated:
own choice, between the −4.8 dB of a random volume and the −12 dB or less of bare ground. Between
them the two mix."""
SPECULAR_DB = -15.5
"""Darker than this, co-polarised, smooth ground is a mirror: the published level of calm water
(ASF HydroSAR, see `knowledge/thresholds.json`)."""
STRUCTURE_DB, STRUCTURE_VARIATION = -8.0, 0.5
"""Built ground brighter and more varied beyond speckle than this shows its walls: own choice, the
level of the closed canopies that volume scattering reaches in C band."""
NOISE_DB = -22.0
"""Cross-polarised levels below this may be noise: the greatest noise-equivalent σ⁰ that Sentinel-1
is specified for (Torres et al., "GMES Sentinel-1 mission", Remote Sensing of Environment 120,
2012). A ratio that rests on them is only an upper limit."""

PAIRS = (("VV", "VH"), ("HH", "HV"))
"""Co-polarised channels and the crossed ones that go with them."""

_WATER = {"water", "sea", "river", "lake", "canal"}
_BUILT = {
    "bright_structure", "built_up", "dense_residential", "sparse_residential", "residential",
    "commercial", "industrial", "port", "tank_farm", "military", "education", "hospital",
    "stadium", "quay",
}  # fmt: skip
_PAVED = {"runway", "taxiway", "apron", "road", "parking", "square"}
_PLAUSIBLE = (
    dict.fromkeys(("tree_cover", "mangroves", "forest"), ("volume", "mixed"))
    | dict.fromkeys(
        (
            "land", "shrubland", "grassland", "cropland", "herbaceous_wetland", "moss_lichen",
            "farmland", "wetland", "park",
        ),
        ("volume", "mixed", "surface"),
    )
    | dict.fromkeys(("bare", "beach"), ("surface",))
)  # fmt: skip
"""What natural ground can be said to do; a canopy that depolarises nothing is not believed."""


@dataclass(frozen=True)
class Look:
    """How a piece of ground looks.

    Attributes:
        polarization: The co-polarised channel.
        mean_db: Its mean, dB.
        crossed_db: Mean of the cross-polarised channel, dB; None if there is none.
        variation: Coefficient of variation beyond speckle; None if unknown.
    """

    polarization: str
    mean_db: float
    crossed_db: float | None
    variation: float | None


def look_of(facts: Facts, subject: str) -> Look | None:
    """Return how the ground of a subject looks; None where no channel is calibrated."""
    for co, cross in PAIRS:
        mean = facts.find(subject, f"mean_{co}")
        if mean is not None and mean.value is not None and mean.unit == "dB":
            crossed = facts.value(subject, f"mean_{cross}")
            return Look(co, mean.value, crossed, facts.value(subject, "variation"))
    return None


def mechanism(ground: str, look: Look) -> str | None:
    """Return the scattering that prevails, None where that is not clear.

    Args:
        ground: Surface of the image, class of land cover, or function.
        look: How it looks.
    """
    dark, bright = look.mean_db <= SPECULAR_DB, look.mean_db >= STRUCTURE_DB
    found: str | None = None
    if ground in _WATER:
        found = "specular" if dark else "surface"
    elif ground in _PAVED and dark:
        found = "specular"
    elif ground in _BUILT and bright:
        walls = ground == "bright_structure" or (look.variation or 0.0) >= STRUCTURE_VARIATION
        found = "double bounce" if walls else None
    elif ground in _PLAUSIBLE:
        told = depolarization(look.mean_db, look.crossed_db)
        found = told if told in _PLAUSIBLE[ground] else None
    return found


def depolarization(mean_db: float, crossed_db: float | None) -> str | None:
    """Return what a cross-polarisation ratio tells of ground that is not built.

    Args:
        mean_db: Co-polarised mean.
        crossed_db: Cross-polarised mean; None if there is none.

    Returns:
        "volume", "mixed" or "surface"; None if noise may have raised the ratio.
    """
    if crossed_db is None:
        return None
    ratio = crossed_db - mean_db
    if ratio <= SURFACE_RATIO_DB:
        return "surface"
    if crossed_db < NOISE_DB:
        return None
    return "volume" if ratio >= VOLUME_RATIO_DB else "mixed"


def state_appearance(
    predicate: str,
    kind: str,
    ground: str,
    facts: Facts,
    subject: str,
    *,
    premises: Sequence[Claim] = (),
) -> Statement | None:
    """State how ground looks and why; None where its level or its reason is not clear.

    Args:
        predicate: Of the statement.
        kind: Its argument that names the ground: "surface", "cover" or "function".
        ground: Surface of the image, class of land cover, or function.
        facts: Of the tile.
        subject: Whose levels are those of the ground.
        premises: Claims that it rests on.
    """
    look = look_of(facts, subject)
    reason = None if look is None else mechanism(ground, look)
    if look is None or reason is None:
        return None
    return Statement(
        predicate,
        {
            kind: ground,
            "polarization": look.polarization,
            "mean_db": round(look.mean_db, 1),
            "mechanism": reason,
        },
        confidence=MECHANISM_SURE,
        premises=tuple(premises),
    )
