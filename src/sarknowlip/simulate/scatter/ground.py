"""σ⁰ of land: bare surfaces by Oh et al. (1992), vegetation by Ulaby & Dobson (1989)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sarknowlip.simulate.frame import Floats


def soil_permittivity(moisture: float) -> float:
    """Return the relative permittivity of soil (Topp et al. 1980).

    Args:
        moisture: Volumetric, m³/m³.
    """
    return 3.03 + 9.3 * moisture + 146.0 * moisture**2 - 76.7 * moisture**3


def fresnel(permittivity: complex, incidence_rad: Floats) -> tuple[Floats, Floats]:
    """Return power reflectivities of a smooth half-space for H and V polarisation, 0…1."""
    cosine = np.cos(incidence_rad)
    root = np.sqrt(permittivity - np.sin(incidence_rad) ** 2 + 0j)
    horizontal = np.abs((cosine - root) / (cosine + root)) ** 2
    vertical = np.abs((permittivity * cosine - root) / (permittivity * cosine + root)) ** 2
    return horizontal, vertical


def oh(
    wavenumber: float, rms_height_m: float, permittivity: float, incidence_deg: Floats
) -> dict[str, Floats]:
    """Return σ⁰ (linear) of a bare rough surface by polarisation (Oh et al. 1992).

    The model rests on data with 0.1 ≤ ks ≤ 6 and incidence of 10° to 70°; it is evaluated beyond.

    Args:
        wavenumber: 2π / wavelength, 1/m.
        rms_height_m: Root mean square height of the surface, metres.
        permittivity: Relative, real part.
        incidence_deg: Any shape.
    """
    theta = np.radians(incidence_deg)
    ks = wavenumber * rms_height_m
    normal = ((1 - np.sqrt(permittivity)) / (1 + np.sqrt(permittivity))) ** 2
    root_p = 1 - (2 * theta / np.pi) ** (1 / (3 * normal)) * np.exp(-ks)
    q = 0.23 * np.sqrt(normal) * (1 - np.exp(-ks))
    g = 0.7 * (1 - np.exp(-0.65 * ks**1.8))
    horizontal, vertical = fresnel(permittivity, theta)
    vv = g * np.cos(theta) ** 3 * (vertical + horizontal) / root_p
    return {"VV": vv, "HH": vv * root_p**2, "VH": vv * q, "HV": vv * q}


def terrain_db(coefficients: Sequence[float], incidence_deg: Floats) -> Floats:
    """Return mean σ⁰ in dB of a class of terrain (Ulaby & Dobson 1989), valid up to 80°."""
    p1, p2, p3, p4, p5, p6 = coefficients
    theta = np.radians(incidence_deg)
    return np.asarray(p1 + p2 * np.exp(-p3 * theta) + p4 * np.cos(p5 * theta + p6))
