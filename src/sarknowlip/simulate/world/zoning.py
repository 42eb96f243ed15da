"""Which district has which function: a share of all for each, given to the places it suits best."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources

import numpy as np
import numpy.typing as npt

from sarknowlip.core.config import Config
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.relief import noise


class Zone(Config):
    """What a function asks of a place; the table is zoning.json, its numbers were chosen.

    Attributes:
        function: One of `layers.FUNCTIONS`.
        share: Of all districts, 0…1; the last function of the table takes what is left.
        least_km: Edge of the smallest world that always holds one, km.
        ring: Best distance from the centre, in half edges of the world.
        spread: How far from there it still suits, in half edges.
        near: What it seeks: "sea", "water", "port", "motorway", "haul" (railway, motorway or
            port), or None.
        near_m: How far from that it still suits, metres.
        noise: Strength of the chance in the choice; neighbours share it.
        density: Least and greatest density of its districts.
    """

    function: str
    share: float
    least_km: float
    ring: float
    spread: float
    near: str | None
    near_m: float
    noise: float
    density: tuple[float, float]


@functools.cache
def zones() -> tuple[Zone, ...]:
    """Return all functions that districts get by zoning, those that choose first first."""
    text = resources.files(__package__).joinpath("zoning.json").read_text("utf-8")
    return tuple(Zone(**row) for row in json.loads(text))


def zone(
    config: WorldConfig, x: Floats, y: Floats, distances: Mapping[str, Floats]
) -> tuple[npt.NDArray[np.object_], Floats]:
    """Return function and density of districts.

    Args:
        config: Of the world.
        x: Centres, metres.
        y: Centres, metres.
        distances: To what `Zone.near` may name, metres per district; absent where the world has
            none of it.
    """
    bounds, count = config.bounds(), len(x)
    away = np.hypot(x - bounds.centre[0], y - bounds.centre[1]) / (config.size_m / 2)
    wavelength = float(np.clip(0.3 * config.size_m, 400.0, 4000.0))
    functions = np.full(count, None, dtype=object)
    densities = np.zeros(count)
    for row in zones():
        suits: Floats = -(((away - row.ring) / row.spread) ** 2)
        if row.near is not None and row.near in distances:
            suits = suits - distances[row.near] / row.near_m
        field = noise(config.own_seed, f"zone/{row.function}", bounds, wavelength)
        chance = field(x, y) + keyed.normal(
            config.own_seed, f"zone/{row.function}", np.arange(count)
        )
        suits = np.where(functions == None, suits + row.noise * chance, -np.inf)  # noqa: E711
        free = int(np.isfinite(suits).sum())
        wanted = round(row.share * count)
        if config.size_km >= row.least_km:
            wanted = max(wanted, 1)
        chosen = np.argsort(-suits, kind="stable")[: min(wanted, free)]
        functions[chosen] = row.function
        low, high = row.density
        densities[chosen] = high - (high - low) * np.clip(away[chosen], 0.0, 1.0)
    return functions, densities
