"""The table of simulated sensors, profiles.json; to add one, see docs/simulated-sensors.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from sarknowlip.core.errors import ConfigError
from sarknowlip.simulate.sensors.profile import SensorProfile


def _read() -> Mapping[str, SensorProfile]:
    text = resources.files(__package__).joinpath("profiles.json").read_text("utf-8")
    rows = [SensorProfile(**row) for row in json.loads(text)]
    return MappingProxyType({row.name: row for row in rows})


PROFILES: Mapping[str, SensorProfile] = _read()
"""All profiles by name."""


def find_profile(name: str) -> SensorProfile:
    """Return the profile of a name.

    Raises:
        ConfigError: There is none; the message lists all names.
    """
    if name not in PROFILES:
        raise ConfigError(f"no simulated sensor {name!r}", f"choose one of: {', '.join(PROFILES)}")
    return PROFILES[name]
