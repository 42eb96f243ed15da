"""What scattering depends on besides geometry: wind and soil moisture at the time of the image."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from pydantic import Field

from sarknowlip.core.config import Config


class Conditions(Config):
    """Weather and ground at the time of an acquisition.

    Attributes:
        wind_speed: At 10 m height, m/s.
        wind_from_deg: Where the wind comes from, degrees clockwise from grid north.
        soil_moisture: Of bare soil, m³/m³.
    """

    wind_speed: float = Field(default=5.0, ge=0.5, le=25.0)
    wind_from_deg: float = 240.0
    soil_moisture: float = Field(default=0.2, ge=0.02, le=0.45)


@functools.cache
def table(name: str) -> Any:
    """Return one of this package's JSON tables by the name of its file without the ending."""
    return json.loads(resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8"))
