"""What published file-naming conventions say about a raster that carries no metadata.

The conventions are data (`sensors/naming.json`): a pattern, the facts that follow from it, and the
publication that says so.
"""

from __future__ import annotations

import functools
import json
import re
from datetime import UTC, datetime
from importlib import resources

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.sar.product import AcquisitionFacts, Geocoding, Polarization, Quantity

_PLATFORMS = {f"S1{unit.upper()}": f"sentinel-1{unit}" for unit in "abcd"}
_ORBITS = {"A": "ascending", "D": "descending"}


class RasterFacts(Config):
    """What is known about a plain raster; a sidecar `<name>.sar.json` has these fields.

    Attributes:
        units: "db", "power" or "amplitude".
        quantity: Backscatter coefficient.
        calibrated: Whether values are absolute.
        noise_removed: Whether thermal noise was subtracted.
        polarizations: One per band.
        crs: Coordinate reference system when the raster has none.
        transform: Affine a, b, c, d, e, f when the raster has none.
        geocoding: Method, vertical datum, error.
        acquisition: Facts about the acquisition under STAC names.
    """

    units: str | None = Field(None, pattern="^(db|power|amplitude)$")
    quantity: Quantity | None = None
    calibrated: bool | None = None
    noise_removed: bool | None = None
    polarizations: tuple[Polarization, ...] | None = None
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    geocoding: Geocoding | None = None
    acquisition: AcquisitionFacts = Field(default_factory=dict)

    def over(self, weaker: RasterFacts) -> RasterFacts:
        """Return these facts, completed by `weaker` where they are silent."""
        own = self.model_dump(exclude_none=True, exclude={"acquisition"})
        merged = weaker.model_dump(exclude_none=True) | own
        return RasterFacts(**merged | {"acquisition": weaker.acquisition | self.acquisition})


def facts_from_name(stem: str) -> RasterFacts:
    """Return what the file name says under the first convention that matches, or nothing."""
    for pattern, facts in _conventions():
        match = pattern.match(stem)
        if match is None:
            continue
        parts = match.groupdict()
        acquisition = dict(facts.acquisition)
        if parts.get("platform"):
            acquisition["platform"] = _PLATFORMS[parts["platform"]]
        if parts.get("mode"):
            acquisition["sar:instrument_mode"] = parts["mode"]
        if parts.get("orbit"):
            acquisition["sat:orbit_state"] = _ORBITS[parts["orbit"]]
        if parts.get("start"):
            moment = datetime.strptime(parts["start"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            acquisition["start_datetime"] = moment.isoformat()
        stated = facts.model_dump(exclude_none=True) | {"acquisition": acquisition}
        if parts.get("polarization"):
            stated["polarizations"] = (parts["polarization"],)
        return RasterFacts(**stated)
    return RasterFacts()


@functools.cache
def _conventions() -> tuple[tuple[re.Pattern[str], RasterFacts], ...]:
    text = resources.files("sarknowlip.sar.sensors").joinpath("naming.json").read_text("utf-8")
    return tuple(
        (re.compile(row["pattern"]), RasterFacts(**row["facts"])) for row in json.loads(text)
    )
