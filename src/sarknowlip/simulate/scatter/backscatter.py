"""σ⁰ of every surface as a table over incidence, looked up per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import surface_id, surfaces
from sarknowlip.simulate.scatter.conditions import Conditions, table
from sarknowlip.simulate.scatter.ground import oh, soil_permittivity, terrain_db
from sarknowlip.simulate.scatter.sea import sea_db

STEPS_PER_DEGREE = 20
"""Table entries per degree of incidence."""

_CHUNK = 1 << 16


class Backscatter:
    """How strongly each surface scatters in one band, at one time, seen from one direction.

    Models, parameters and sources are in surfaces.json, sea.json and terrain.json beside this file.

    Attributes:
        band: "X", "C" or "L".
        frequency_ghz: Carrier.
        polarizations: Order of the first axis of results.
        look_deg: Direction of look, degrees clockwise from grid north.
        conditions: Wind and moisture.
        texture_order: Order ν of the gamma-distributed texture (mean 1) by surface id, shape
            (256,); inf is none. The speckled intensity is K-distributed.
        texture_length_m: Length over which texture is alike by surface id, metres, shape (256,).
    """

    def __init__(
        self,
        band: str,
        frequency_ghz: float,
        polarizations: Sequence[str],
        look_deg: float,
        conditions: Conditions,
    ) -> None:
        self.band = band
        self.frequency_ghz = frequency_ghz
        self.polarizations = tuple(polarizations)
        self.look_deg = look_deg
        self.conditions = conditions
        self._rows: dict[tuple[str, str], Floats] = {}
        incidence = np.arange(90 * STEPS_PER_DEGREE + 1) / STEPS_PER_DEGREE
        self._incidence = incidence
        self._table = np.zeros((len(self.polarizations), 256, len(incidence)), np.float32)
        self._copol = np.zeros(256, np.complex128)
        self.texture_order = np.full(256, np.inf)
        self.texture_length_m = np.ones(256)
        rows = table("surfaces")["surfaces"]
        for surface in surfaces():
            row = rows[surface.name]
            for k, polarization in enumerate(self.polarizations):
                self._table[k, surface.id] = self._sigma(surface.name, polarization)
            modulus, phase = row["copol"]
            self._copol[surface.id] = modulus * np.exp(1j * np.radians(phase))
            self.texture_order[surface.id], self.texture_length_m[surface.id] = row["texture"]
        self._table[:, :, -1] = 0.0  # grazing

    @property
    def wavelength_m(self) -> float:
        """Wavelength, metres."""
        return float(speed_of_light / (self.frequency_ghz * 1e9))

    def power(self, surface: npt.NDArray[np.uint8], incidence_deg: Floats) -> npt.NDArray[Any]:
        """Return σ⁰ (linear, per true surface area) as float32, shape (P, …).

        Args:
            surface: Ids, any shape; ids without a surface scatter nothing.
            incidence_deg: Local incidence, same shape; at 90° and beyond, and where it isn't a
                number, nothing comes back.
        """
        shape = np.shape(surface)
        ids = np.ascontiguousarray(surface).reshape(-1)
        angles = np.ascontiguousarray(incidence_deg).reshape(-1)
        steps = self._table.shape[2]
        flat = self._table.reshape(len(self.polarizations), -1)
        found = np.empty((len(self.polarizations), ids.size), np.float32)
        for start in range(0, ids.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            at = np.fmin(angles[part], 90.0)  # fmin, fmax: not a number becomes grazing
            np.maximum(at, 0.0, out=at)
            at *= STEPS_PER_DEGREE
            at += 0.5
            where = at.astype(np.int32)
            where += ids[part].astype(np.int32) * np.int32(steps)
            for k in range(len(found)):
                np.take(flat[k], where, out=found[k, part], mode="clip")
        return found.reshape(len(found), *shape)

    def copol_correlation(self, surface: npt.NDArray[np.uint8]) -> npt.NDArray[np.complex128]:
        """Return the complex correlation of HH and VV by surface id, same shape, modulus ≤ 1."""
        return self._copol[surface]

    def sigma(self, surface: str, polarization: str) -> tuple[Floats, Floats]:
        """Return incidence angles (degrees) and σ⁰ (linear) of a surface by name, the table."""
        surface_id(surface)
        return self._incidence, self._sigma(surface, polarization)

    def _sigma(self, name: str, polarization: str) -> Floats:
        key = name, polarization
        if key not in self._rows:
            row = table("surfaces")["surfaces"][name]
            self._rows[key] = getattr(self, f"_{row['model']}")(row, polarization)
        return self._rows[key]

    def _sea(self, row: Any, pol: str) -> Floats:
        wind = self.conditions.wind_speed * row["wind_factor"]
        phi = self.conditions.wind_from_deg - self.look_deg
        decibels = sea_db(self.band, pol, self._incidence, wind, phi)
        shift = row.get("shift_db", {}).get(self.band, 0.0)
        return np.asarray(10 ** ((decibels + shift) / 10))

    def _oh(self, row: Any, pol: str) -> Floats:
        permittivity = row.get("permittivity")
        if permittivity is None:
            moisture = self.conditions.soil_moisture * row["moisture_factor"]
            permittivity = soil_permittivity(moisture)
        wavenumber = 2 * np.pi / self.wavelength_m
        rough = oh(wavenumber, row["rms_height_cm"] / 100, permittivity, self._incidence)[pol]
        added = row.get("installations_gamma_db")
        if added is None:
            return rough
        return rough + self._constant_gamma(added["like" if pol in ("HH", "VV") else "cross"])

    def _terrain(self, row: Any, pol: str) -> Floats:
        terrain = table("terrain")
        band = "C" if self.band == "X" else self.band
        rows = terrain["classes"][row["class"]][band]
        last = terrain["range_deg"][1]
        within = np.minimum(self._incidence, last)
        decibels = terrain_db(rows["HV" if pol == "VH" else pol], within)
        if self.band == "X":
            decibels = decibels + terrain["x_band"]["above_c_db"]
        fall = np.cos(np.radians(self._incidence)) / np.cos(np.radians(within))
        return np.asarray(10 ** (decibels / 10) * fall)

    def _gamma(self, row: Any, pol: str) -> Floats:
        level = row["gamma_db"][self.band]["like" if pol in ("HH", "VV") else "cross"]
        return self._constant_gamma(level)

    def _offset(self, row: Any, pol: str) -> Floats:
        shift = row["like_db" if pol in ("HH", "VV") else "cross_db"]
        return np.asarray(self._sigma(row["of"], pol) * 10 ** (shift / 10))

    def _mixture(self, row: Any, pol: str) -> Floats:
        parts = [share * self._sigma(name, pol) for name, share in row["parts"].items()]
        return np.asarray(np.sum(parts, axis=0))

    def _bounce(self, row: Any, pol: str) -> Floats:
        canopy = self._sigma(row["of"], pol)
        level = row["bounce_gamma_db"][self.band].get(pol)
        return canopy if level is None else canopy + self._constant_gamma(level)

    def _constant_gamma(self, decibels: float) -> Floats:
        return np.asarray(10 ** (decibels / 10) * np.cos(np.radians(self._incidence)))
