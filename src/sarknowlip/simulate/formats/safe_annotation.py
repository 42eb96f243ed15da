"""The XML files of a simulated Sentinel-1 SAFE: annotation, calibration and noise tables.

Elements, their order and meaning follow the Sentinel-1 Product Specification (S1-RS-MDA-52-7441,
release 3.9). What describes the pixels is exact; what describes an instrument's state has nominal
values without meaning, because the schema demands the elements. The fixed text stands in templates.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any, Self

import numpy as np

from sarknowlip.core.errors import ConfigError
from sarknowlip.sar.geolocation import LIGHT_M_PER_S
from sarknowlip.sar.radiometry import Table
from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.radar_grid import GroundRangeGrid
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.sensors.profile import SensorProfile

TIE_SPACING_M = 200.0
"""Wanted distance of tie points, chosen so that hills a few kilometres wide are resolved."""
TIES = (11, 41)
"""Fewest and most tie points along an axis: readers parse them slowly. A genuine one has 10 × 21
over 250 km."""
STATE_VECTOR_S = 10.0
AROUND_S = 60.0
"""State vectors reach as far before and after the image, as in genuine products."""
CONVERSION_S = 1.0
TABLE_PIXELS = 40
TABLE_LINES = 640
"""Steps of the calibration and noise tables, as in genuine products."""
ORBITS_PER_CYCLE = 175
CYCLE_DAYS = 12

_BISECTIONS = 40


@dataclass(frozen=True)
class OrbitNumbers:
    """Numbers of the real track that is nearest to a modelled orbit.

    Attributes:
        absolute: Since launch.
        relative: 1…175, by the longitude of the ascending node.
        cycle: Of 12 days.
    """

    absolute: int
    relative: int
    cycle: int

    @classmethod
    def nearest(cls, orbit: Orbit, platform: str) -> Self:
        """Return the numbers.

        Raises:
            ConfigError: The platform isn't one whose numbering is known.
        """
        known = constants()["platforms"]
        if platform not in known:
            raise ConfigError(
                f"SAFE products of {platform} are not written", f"choose {' or '.join(known)}"
            )
        seconds, longitude = orbit.ascending_node
        # Each orbit crosses the equator 12 of 175 tracks further west.
        tracks = round((constants()["first_node_longitude_deg"] - longitude) / 360.0 * 175)
        relative = tracks * pow(CYCLE_DAYS, -1, ORBITS_PER_CYCLE) % ORBITS_PER_CYCLE
        row = known[platform]
        elapsed = (orbit.utc(seconds) - np.datetime64(row["node_time"], "ns")) / np.timedelta64(
            CYCLE_DAYS, "D"
        )
        orbits = row["absolute_orbit"] + float(elapsed) * ORBITS_PER_CYCLE - row["first_orbit"]
        cycle = max(0, round((orbits - relative) / ORBITS_PER_CYCLE))
        absolute = row["first_orbit"] + cycle * ORBITS_PER_CYCLE + relative
        return cls(absolute, relative + 1, cycle + 1)


@dataclass(frozen=True)
class Ties:
    """The geolocation grid: places that appear at regular lines and pixels, on the terrain.

    Attributes:
        line: Shape (rows,).
        pixel: Shape (columns,).
        lon: Degrees, shape (rows, columns), as the following.
        lat: Degrees.
        height: Ellipsoidal metres.
        incidence: Degrees, against the ellipsoid's normal.
        elevation: Degrees at the satellite, from its geocentric nadir.
    """

    line: Floats
    pixel: Floats
    lon: Floats
    lat: Floats
    height: Floats
    incidence: Floats
    elevation: Floats

    @classmethod
    def on(cls, geometry: GroundRangeGrid, world: World) -> Self:
        """Solve range, Doppler and terrain height for places on the world's ground.

        Bisection in height between the lowest and the highest terrain always ends at a place where
        the line of equal range and Doppler meets the ground; under layover, at one of several.
        """
        line, pixel = (
            np.linspace(0, size - 1, _tie_count(size, spacing)).round()
            for size, spacing in zip(geometry.shape, geometry.spacing_m[::-1], strict=True)
        )
        row, column = np.meshgrid(line, pixel, indexing="ij")
        low, high = _height_limits(geometry, world)
        below, above = np.full(row.shape, low), np.full(row.shape, high)
        for _ in range(_BISECTIONS):
            height = (below + above) / 2
            buried = world.height(*geometry.ground(row, column, height)) > height
            below, above = np.where(buried, height, below), np.where(buried, above, height)
        height = (below + above) / 2
        x, y = geometry.ground(row, column, height)
        lon, lat = geometry.frame.lonlat(x, y)
        place = geometry.frame.ecef(x, y, height).reshape(3, -1)
        radar = geometry.orbit.position(geometry.time_s(row).ravel())
        sight = place - radar
        slant = np.linalg.norm(sight, axis=0)
        drop = -(sight * radar).sum(axis=0) / geometry.orbit.radius_m
        incidence = geometry.orbit.incidence_deg(lon.ravel(), lat.ravel(), height.ravel())
        return cls(
            line=line,
            pixel=pixel,
            lon=lon,
            lat=lat,
            height=height,
            incidence=incidence.reshape(row.shape),
            elevation=np.rad2deg(np.arccos(drop / slant)).reshape(row.shape),
        )


@dataclass(frozen=True)
class Product:
    """What the XML files of all polarisations share.

    Attributes:
        geometry: Of the image.
        profile: Of the sensor.
        ties: Geolocation grid.
        sigma: Calibration table A of σ⁰: DN = A √σ⁰.
        incidence: Degrees at the lines and pixels of `sigma`.
        numbers: Of the orbit.
        data_take: Identifier of the acquisition.
    """

    geometry: GroundRangeGrid
    profile: SensorProfile
    ties: Ties
    sigma: Table
    incidence: Floats
    numbers: OrbitNumbers
    data_take: int

    @classmethod
    def of(
        cls, geometry: GroundRangeGrid, profile: SensorProfile, world: World, data_take: int
    ) -> Self:
        """Solve tie points and tables of a product."""
        lines, pixels = (
            np.unique([*range(0, size, step), size - 1]).astype(np.float64)
            for size, step in zip(geometry.shape, (TABLE_LINES, TABLE_PIXELS), strict=True)
        )
        at = np.meshgrid(lines, pixels, indexing="ij")
        incidence = geometry.incidence_deg(*geometry.ground(*at, geometry.reference_height_m))
        # The processor makes β⁰ constant; σ⁰ = β⁰ sin θ (Product Specification, §6.2).
        sigma = constants()["beta_nought"] / np.sqrt(np.sin(np.deg2rad(incidence)))
        return cls(
            geometry=geometry,
            profile=profile,
            ties=Ties.on(geometry, world),
            sigma=Table(lines, pixels, sigma),
            incidence=incidence,
            numbers=OrbitNumbers.nearest(geometry.orbit, profile.platform),
            data_take=data_take,
        )

    @property
    def swath(self) -> str:
        """Sub-swath whose incidence angles are those of the scene's middle."""
        middle = float(self.incidence.mean())
        return str(next(name for name, end in constants()["swaths"] if middle < end))

    def time(self, line: float) -> str:
        """Return the zero-Doppler time of a line as text, to microseconds."""
        return self.stamp(float(self.geometry.time_s(np.asarray(line))))

    def stamp(self, seconds: float) -> str:
        """Return seconds after the orbit's start as text."""
        exact = self.geometry.orbit.start + np.timedelta64(round(seconds * 1e6), "us")
        return str(exact.astype("datetime64[us]"))

    def header(self, polarization: str, number: int) -> str:
        """Return the adsHeader of the files of one polarisation."""
        return template("header.xml").substitute(
            mission=mission(self.profile.platform),
            polarization=polarization,
            start=self.time(0),
            stop=self.time(self.geometry.shape[0] - 1),
            absolute_orbit=self.numbers.absolute,
            data_take=self.data_take,
            image_number=f"{number:03d}",
        )

    def annotation(self, header: str, mean: float, deviation: float) -> str:
        """Return the product annotation.

        Args:
            header: See `header`.
            mean: Of the digital numbers.
            deviation: Their standard deviation.
        """
        geometry, profile, known = self.geometry, self.profile, constants()
        lines, samples = geometry.shape
        middle = np.array([(lines - 1) / 2]), np.array([(samples - 1) / 2])
        place = geometry.ground(*middle, geometry.reference_height_m)
        heading = geometry.orbit.heading_deg
        edges = [int(i) for i in (0, self.ties.pixel.size - 1)]
        ranges = 2.0 * geometry.slant_m(self.ties.pixel[edges]) / LIGHT_M_PER_S
        return template("product.xml").substitute(
            header=header,
            start=self.time(0),
            stop=self.time(lines - 1),
            node_time=self.stamp(geometry.orbit.ascending_node[0]),
            mean=f"{mean:.6e}",
            deviation=f"{deviation:.6e}",
            flight="Ascending" if geometry.orbit.ascending else "Descending",
            heading=_double(heading - 360.0 if heading > 180.0 else heading),
            sampling_hz=_double(known["sampling_hz"]),
            frequency_hz=_double(profile.frequency_ghz * 1e9),
            swath=self.swath,
            line_rate=_double(1.0 / geometry.interval_s),
            interval=_double(geometry.interval_s),
            orbits=self._orbits(),
            reference_height=_double(geometry.reference_height_m),
            range_start=_double(2.0 * geometry.near_m / LIGHT_M_PER_S),
            near_m=_double(geometry.near_m),
            fm_rate=_double(self._fm_rate()),
            range_spacing=f"{geometry.spacing_m[0]:.6e}",
            azimuth_spacing=f"{geometry.spacing_m[1]:.6e}",
            samples=samples,
            lines=lines,
            incidence=_double(float(geometry.incidence_deg(*place)[0])),
            hamming=_double(profile.hamming),
            range_bandwidth=_double(known["range_bandwidth_hz"]),
            range_look_bandwidth=_double(known["range_look_bandwidth_hz"]),
            range_looks=profile.looks_range,
            azimuth_bandwidth=_double(known["azimuth_bandwidth_hz"]),
            azimuth_look_bandwidth=_double(known["azimuth_bandwidth_hz"]),
            azimuth_looks=profile.looks_azimuth,
            pattern_range=" ".join(map(_double, ranges)),
            pattern_elevation=_floats(self.ties.elevation[0, edges]),
            pattern_incidence=_floats(self.ties.incidence[0, edges]),
            ties=self._tie_points(),
            conversions=self._conversions(),
            last_line=lines - 1,
            last_sample=samples - 1,
        )

    def calibration(self, header: str) -> str:
        """Return the calibration tables; β⁰ is the same at all pixels."""
        beta = np.full(self.sigma.pixels.shape, constants()["beta_nought"])
        vectors = []
        for line, sigma, degrees in zip(
            self.sigma.lines, self.sigma.values, self.incidence, strict=True
        ):
            gamma = beta / np.sqrt(np.tan(np.deg2rad(degrees)))
            tables = {"sigmaNought": sigma, "betaNought": beta, "gamma": gamma, "dn": beta}
            vectors.append(
                f"<calibrationVector>{self._at(line)}"
                + "".join(_array(name, _floats(values)) for name, values in tables.items())
                + "</calibrationVector>"
            )
        return template("calibration.xml").substitute(
            header=header, vectors=_list("calibrationVectorList", vectors)
        )

    def noise(self, header: str) -> str:
        """Return the noise tables: what the noise adds to the mean of DN²."""
        floor = 10.0 ** (self.profile.nesz_db / 10.0)
        vectors = [
            f"<noiseRangeVector>{self._at(line)}"
            + _array("noiseRangeLut", _floats(floor * row**2))
            + "</noiseRangeVector>"
            for line, row in zip(self.sigma.lines, self.sigma.values, strict=True)
        ]
        lines, samples = self.geometry.shape
        return template("noise.xml").substitute(
            header=header,
            range_vectors=_list("noiseRangeVectorList", vectors),
            swath=self.swath,
            last_line=lines - 1,
            last_sample=samples - 1,
        )

    def _at(self, line: float) -> str:
        pixels = " ".join(str(int(pixel)) for pixel in self.sigma.pixels)
        return f"<azimuthTime>{self.time(line)}</azimuthTime><line>{int(line)}</line>" + _array(
            "pixel", pixels
        )

    def _orbits(self) -> str:
        first = np.floor(self.geometry.first_s) - AROUND_S
        last = float(self.geometry.time_s(np.asarray(self.geometry.shape[0]))) + AROUND_S
        times = np.arange(first, last + STATE_VECTOR_S, STATE_VECTOR_S)
        rows = []
        for t, place, speed in zip(
            times, *(v.T for v in self.geometry.orbit.state_vectors(times)), strict=True
        ):
            parts = "".join(
                f"<{name}>"
                + "".join(f"<{a}>{_double(v)}</{a}>" for a, v in zip("xyz", vector, strict=True))
                + f"</{name}>"
                for name, vector in (("position", place), ("velocity", speed))
            )
            rows.append(
                f"<orbit><time>{self.stamp(t)}</time><frame>Earth Fixed</frame>{parts}</orbit>"
            )
        return _list("orbitList", rows)

    def _tie_points(self) -> str:
        ties, points = self.ties, []
        travel = 2.0 * self.geometry.slant_m(ties.pixel) / LIGHT_M_PER_S
        for i, line in enumerate(ties.line):
            time = self.time(line)
            points += [
                f"<geolocationGridPoint><azimuthTime>{time}</azimuthTime>"
                f"<slantRangeTime>{_double(travel[j])}</slantRangeTime><line>{int(line)}</line>"
                f"<pixel>{int(pixel)}</pixel><latitude>{_double(ties.lat[i, j])}</latitude>"
                f"<longitude>{_double(ties.lon[i, j])}</longitude>"
                f"<height>{_double(ties.height[i, j])}</height>"
                f"<incidenceAngle>{_double(ties.incidence[i, j])}</incidenceAngle>"
                f"<elevationAngle>{_double(ties.elevation[i, j])}</elevationAngle>"
                "</geolocationGridPoint>"
                for j, pixel in enumerate(ties.pixel)
            ]
        return _list("geolocationGridPointList", points)

    def _conversions(self) -> str:
        geometry = self.geometry
        last = float(geometry.time_s(np.asarray(geometry.shape[0])))
        near = _double(geometry.near_m)
        # readers put both on one axis; the degrees of the fits may differ by rounding
        terms = max(len(geometry.to_ground), len(geometry.to_slant))
        to_ground, to_slant = (
            " ".join(map(_double, np.pad(fit, (0, terms - len(fit)))))
            for fit in (geometry.to_ground, geometry.to_slant)
        )
        body = (
            f"<slantRangeTime>{_double(2.0 * geometry.near_m / LIGHT_M_PER_S)}</slantRangeTime>"
            f"<sr0>{near}</sr0>"
            + _array("srgrCoefficients", to_ground)
            + "<gr0>0.000000000000000e+00</gr0>"
            + _array("grsrCoefficients", to_slant)
        )
        times = np.arange(geometry.first_s - CONVERSION_S, last + 2 * CONVERSION_S, CONVERSION_S)
        rows = [
            f"<coordinateConversion><azimuthTime>{self.stamp(t)}</azimuthTime>{body}"
            "</coordinateConversion>"
            for t in times
        ]
        return _list("coordinateConversionList", rows)

    def _fm_rate(self) -> float:
        """Return the rate of Doppler frequency at near range, −2 V² / (λ R), Hz/s."""
        speed = float(np.linalg.norm(self.geometry.orbit.velocity(0.0)))
        wavelength = LIGHT_M_PER_S / (self.profile.frequency_ghz * 1e9)
        return -2.0 * speed**2 / (wavelength * self.geometry.near_m)


def mission(platform: str) -> str:
    """Return "S1A" of "sentinel-1a"."""
    return f"S1{platform[-1].upper()}"


@functools.cache
def constants() -> dict[str, Any]:
    """Return what is known of Sentinel-1 products: safe_sentinel1.json."""
    text = resources.files(__package__).joinpath("safe_sentinel1.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@functools.cache
def template(name: str) -> Template:
    """Return the text of one file with named gaps."""
    folder = resources.files(__package__).joinpath("safe_templates")
    return Template(folder.joinpath(name).read_text("utf-8").rstrip("\n") + "\n")


def _tie_count(size: int, spacing: float) -> int:
    wanted = int(size * spacing / TIE_SPACING_M) + 2
    return min(max(wanted, TIES[0]), TIES[1], size)


def _height_limits(geometry: GroundRangeGrid, world: World) -> tuple[float, float]:
    """Return heights between which all terrain of the image lies, slightly widened."""
    low, high = world.height_range(world.bounds)
    rows, columns = geometry.shape
    x, y = geometry.ground(
        np.array([0.0, 0.0, rows, rows]), np.array([0.0, columns, 0.0, columns]), (low + high) / 2
    )
    seen = Bounds(float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    low, high = world.height_range(seen.padded(1000.0))
    return low - 1.0, high + 1.0


def _double(value: float) -> str:
    return f"{value:.15e}"


def _floats(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6e}" for value in values)


def _array(name: str, numbers: str) -> str:
    return f'<{name} count="{numbers.count(" ") + 1}">{numbers}</{name}>'


def _list(name: str, rows: list[str]) -> str:
    body = "\n".join(rows)
    return f'<{name} count="{len(rows)}">\n{body}\n</{name}>'
