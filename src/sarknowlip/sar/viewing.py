"""Facts about an acquisition that follow from where the antenna was and how it moved.

Positions are Earth-fixed Cartesian (ECEF, WGS 84) in metres, velocities Earth-fixed in metres per
second, shape (…, 3).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from sarkit import wgs84

from sarknowlip.core.errors import ProductError
from sarknowlip.sar.product import Acquisition, Polarization, ReadOptions

Vector = npt.NDArray[np.float64]

ORBIT_HEIGHT_M = 100_000.0
"""Below this height above the ellipsoid a platform does not orbit, and has no orbit state."""

_BANDS = (
    ("P", 0.25), ("L", 1.0), ("S", 2.0), ("C", 4.0), ("X", 8.0), ("Ku", 12.5), ("K", 18.0),
    ("Ka", 26.5),
)  # fmt: skip
_BANDS_END_GHZ = 40.0


def frequency_band(ghz: float) -> str | None:
    """Return the letter of a frequency band as STAC's sar extension tabulates them, or None."""
    if ghz >= _BANDS_END_GHZ:
        return None
    return next((name for name, start in reversed(_BANDS) if ghz >= start), None)


def heading_deg(position: Vector, velocity: Vector) -> float:
    """Return the direction of flight over the ground, degrees clockwise from north, [0, 360)."""
    place = wgs84.cartesian_to_geodetic(position)
    angle = np.arctan2(velocity @ wgs84.east(place), velocity @ wgs84.north(place))
    # Twice: the remainder of a tiny negative angle is rounded up to 360 itself.
    return float(np.rad2deg(angle) % 360.0 % 360.0)


def orbit_state(position: Vector, velocity: Vector) -> Literal["ascending", "descending"] | None:
    """Return whether a satellite moves north or south; None for an aircraft."""
    if wgs84.cartesian_to_geodetic(position)[2] < ORBIT_HEIGHT_M:
        return None
    return "ascending" if velocity[2] > 0 else "descending"


def observation_direction(
    position: Vector, velocity: Vector, ground: Vector
) -> Literal["left", "right"]:
    """Return the side of the track on which a ground point lies."""
    leftwards = np.cross(position, velocity)
    return "left" if leftwards @ (ground - position) > 0 else "right"


def incidence_deg(position: Vector, ground: Vector) -> Vector:
    """Return the angle between the ellipsoid's normal and the line of sight, degrees, shape (…)."""
    sight = position - ground
    up = wgs84.up(wgs84.cartesian_to_geodetic(ground))
    cosine = (sight * up).sum(axis=-1) / np.linalg.norm(sight, axis=-1)
    return np.asarray(np.rad2deg(np.arccos(cosine)))


def polarizations(
    path: Path, transmit: str, receive: str, options: ReadOptions
) -> tuple[Polarization, ...]:
    """Return the one polarisation of a single-channel product, transmit first.

    Args:
        path: File, for the error message.
        transmit: What the file says: "V", "H", or something else.
        receive: As `transmit`.
        options: `options.polarizations` serves when the file says neither V nor H.

    Raises:
        ProductError: Neither the file nor the options name VV, VH, HH or HV.
    """
    name = f"{transmit}{receive}"
    if name in get_args(Polarization):
        return (name,)  # type: ignore[return-value]
    if options.polarizations is not None and len(options.polarizations) == 1:
        return options.polarizations
    raise ProductError(
        f"{path} has polarisation {transmit or 'unknown'}:{receive or 'unknown'}, "
        "not one of VV, VH, HH, HV",
        "say with option polarizations how to name its one band",
    )


def completed(stated: dict[str, Any], options: ReadOptions) -> Acquisition:
    """Return the acquisition a file states, its gaps filled from `options.acquisition`.

    Args:
        stated: STAC names to values; None where the file is silent.
        options: What the file says always wins over `options.acquisition`.
    """
    told = {name: value for name, value in stated.items() if value is not None}
    return Acquisition(**options.acquisition | told)
