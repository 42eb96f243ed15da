"""The words that sources and rules share: what facts are about and what they may say.

Sources write subjects and predicates, rules read them; neither knows the other. Which there
are is listed in docs/evidence.md.
"""

from __future__ import annotations

FUNCTIONS = (
    "sea", "river", "lake", "canal", "forest", "wetland", "grassland", "farmland", "bare",
    "beach", "dense_residential", "sparse_residential", "residential", "commercial", "industrial",
    "port", "airport", "rail", "stadium", "park", "road", "quay", "runway", "taxiway", "apron",
    "parking", "tank_farm", "wind_farm", "square", "military", "education", "hospital",
)  # fmt: skip
"""What ground is or is for; a source that cannot tell dense from sparse says residential."""

WATERS = ("sea", "river", "lake", "canal")
"""Functions that are open water."""

COVERS = {
    10: "tree_cover", 20: "shrubland", 30: "grassland", 40: "cropland", 50: "built_up", 60: "bare",
    70: "snow_ice", 80: "water", 90: "herbaceous_wetland", 95: "mangroves", 100: "moss_lichen",
}  # fmt: skip
"""Classes of ESA WorldCover v200 by code (Product User Manual v2.0, table 3)."""

OBJECTS = (
    "storage_tank", "wind_turbine", "crane", "bridge", "pylon", "terminal", "hangar", "stadium",
    "station", "lighthouse", "tower", "chimney", "pier", "breakwater", "helipad", "ship",
    "aircraft", "greenhouse", "warehouse", "church",
)  # fmt: skip
"""Kinds of single things; maps hold no ships and aircraft, but other sources may."""
