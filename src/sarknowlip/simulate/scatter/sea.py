"""σ⁰ of water under wind: CMOD5.N at C band, Masuko et al. at X, Meissner et al. at L.

Coefficients, sources and what is chosen are in sea.json. `phi_deg` is the direction the wind comes
from less the direction of look: 0 is upwind (the radar looks into the wind), 90 crosswind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.scatter.conditions import table
from sarknowlip.simulate.scatter.ground import fresnel


def cmod5n(wind: float, phi_deg: float, incidence_deg: Floats) -> Floats:
    """Return σ⁰ (linear) at C band, VV (Hersbach 2008, CMOD5.N).

    Args:
        wind: Equivalent neutral wind at 10 m, m/s.
        phi_deg: Wind direction relative to the look, degrees.
        incidence_deg: 17…58, any shape.
    """
    c = [np.nan, *table("sea")["cmod5n"]["c"]]  # numbered from 1, as published
    x = (np.asarray(incidence_deg, dtype=np.float64) - 40.0) / 25.0
    s0 = c[12] + c[13] * x
    s = (c[7] + c[8] * x) * wind
    at = np.maximum(s, s0)
    a3 = 1.0 / (1.0 + np.exp(-at))
    below = s < s0
    a3 = np.where(below, a3 * (np.where(below, s, s0) / s0) ** (s0 * (1.0 - a3)), a3)
    gamma = c[9] + c[10] * x + c[11] * x**2
    a0 = c[1] + c[2] * x + c[3] * x**2 + c[4] * x**3
    b0 = a3**gamma * 10.0 ** (a0 + (c[5] + c[6] * x) * wind)
    b1 = c[15] * wind * (0.5 + x - np.tanh(4.0 * (x + c[16] + c[17] * wind)))
    b1 = (c[14] * (1.0 + x) - b1) / (np.exp(0.34 * (wind - c[18])) + 1.0)
    y0, n = c[19], c[20]
    v2 = wind / (c[21] + c[22] * x + c[23] * x**2) + 1.0
    a, b = y0 - (y0 - 1.0) / n, 1.0 / (n * (y0 - 1.0) ** (n - 1.0))
    v2 = np.where(v2 < y0, a + b * (v2 - 1.0) ** n, v2)
    d1 = c[24] + c[25] * x + c[26] * x**2
    b2 = (-d1 + (c[27] + c[28] * x) * v2) * np.exp(-v2)
    cosine = np.cos(np.radians(phi_deg))
    return np.asarray(b0 * (1.0 + b1 * cosine + b2 * (2.0 * cosine**2 - 1.0)) ** 1.6)


def masuko(wind: float, phi_deg: float, polarization: str) -> Floats:
    """Return σ⁰ (linear) at 10 GHz and the incidence angles of the table (Masuko et al. 1986).

    Args:
        wind: At 10 m, m/s; the model's own is at 19.5 m.
        phi_deg: Wind direction relative to the look, degrees.
        polarization: "VV" or "HH".
    """
    rows = table("sea")["masuko"]
    log_wind = np.log10(wind * rows["wind_19_5_ratio"])
    up, down, cross = (
        10.0
        ** (
            np.array(rows[polarization][side][0]) + np.array(rows[polarization][side][1]) * log_wind
        )
        for side in ("up", "down", "cross")
    )
    phi = np.radians(phi_deg)
    mean, first = (up + down + 2 * cross) / 4, (up - down) / 2
    second = (up + down - 2 * cross) / 4
    return np.asarray(mean + first * np.cos(phi) + second * np.cos(2 * phi))


def meissner(wind: float, phi_deg: float, polarization: str) -> Floats:
    """Return σ⁰ (linear) at 1.26 GHz and the incidence angles of the table (Meissner et al. 2014).

    Args:
        wind: At 10 m, m/s.
        phi_deg: Wind direction relative to the look, degrees.
        polarization: "VV", "HH" or "VH".
    """
    coefficients = np.array(table("sea")["meissner"][polarization])  # (angle, harmonic, power)
    harmonics = coefficients @ wind ** np.arange(1, 6)
    return np.asarray(harmonics @ np.cos(np.radians(phi_deg) * np.arange(3)))


def sea_db(
    band: str, polarization: str, incidence_deg: Floats, wind: float, phi_deg: float
) -> Floats:
    """Return σ⁰ of water in dB at any incidence of 0…90°, joined beyond the models' own range."""
    grid = np.asarray(incidence_deg, dtype=np.float64)
    if polarization in ("VV", "HH"):
        return _like_db(band, polarization, grid, wind, phi_deg)
    if band == "L":
        angles, values = table("sea")["meissner"]["incidence_deg"], meissner(wind, phi_deg, "VH")
        decibels = PchipInterpolator(angles, 10 * np.log10(values))(
            np.clip(grid, angles[0], angles[-1])
        )
    else:
        cross = table("sea")["cross_c"]
        decibels = np.full(grid.shape, cross["slope_db"] * wind + cross["offset_db"])
    weaker = np.minimum(
        _like_db(band, "VV", grid, wind, phi_deg), _like_db(band, "HH", grid, wind, phi_deg)
    )
    return np.asarray(np.minimum(decibels, weaker - table("sea")["beyond"]["cross_below_like_db"]))


def slope_variance(band: str, wind: float) -> float:
    """Return the mean square slope (both axes) of water that the radar sees as tilted facets."""
    slopes = table("sea")["slopes"]
    total = slopes["intercept"] + slopes["per_m_s"] * wind
    return float(total * slopes["seen_by_radar"][band])


def water_permittivity(band: str) -> complex:
    """Return the relative permittivity of water at a band."""
    real, imaginary = table("sea")["water_permittivity"][band]
    return complex(real, -imaginary)


def _like_db(band: str, pol: str, grid: Floats, wind: float, phi_deg: float) -> Floats:
    angles, values = _published(band, pol, wind, phi_deg)
    beyond: Any = table("sea")["beyond"]
    specular = np.array(beyond["specular_deg"])
    nodes = np.concatenate([specular, angles])
    decibels = np.concatenate([_specular_db(band, specular, wind), 10 * np.log10(values)])
    last = float(angles[-1])
    joined = PchipInterpolator(nodes, decibels)(np.minimum(grid, last))
    cosine = np.maximum(np.cos(np.radians(grid)), 1e-6) / np.cos(np.radians(last))
    return np.asarray(joined + 10 * beyond["fall_power"] * np.log10(np.minimum(cosine, 1.0)))


def _published(band: str, pol: str, wind: float, phi_deg: float) -> tuple[Floats, Floats]:
    sea = table("sea")
    if band == "X":
        return np.array(sea["masuko"]["incidence_deg"], float), masuko(wind, phi_deg, pol)
    if band == "L":
        return np.array(sea["meissner"]["incidence_deg"], float), meissner(wind, phi_deg, pol)
    low, high = sea["cmod5n"]["range_deg"]
    angles = np.arange(low, high + 0.25, 0.5)
    values = cmod5n(wind, phi_deg, angles)
    if pol == "HH":
        square = np.tan(np.radians(angles)) ** 2
        alpha = sea["polarization_ratio"]["alpha"]
        values = values * (1 + alpha * square) ** 2 / (1 + 2 * square) ** 2
    return angles, values


def _specular_db(band: str, incidence_deg: Floats, wind: float) -> Floats:
    # Quasi-specular return of tilted facets, isotropic slopes (geometric optics; Valenzuela 1978).
    variance = slope_variance(band, wind)
    theta = np.radians(incidence_deg)
    reflectivity = fresnel(water_permittivity(band), np.zeros(1))[0][0]
    value = reflectivity / variance / np.cos(theta) ** 4 * np.exp(-(np.tan(theta) ** 2) / variance)
    return np.asarray(10 * np.log10(value))
