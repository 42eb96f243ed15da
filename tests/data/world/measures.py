"""What simulated products show, measured on them: speckle, levels, covariance matrices."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio
from scipy import ndimage, stats

from data.world.make import (
    HandWorld,
    ground,
    layers,
    local_bounds,
    rectangle,
    region,
)  # fmt: skip
from data.world.probe import (
    Made,
    made,
    pixels,
)  # fmt: skip
from sarknowlip.simulate.acquire import AcquireConfig, Acquisition
from sarknowlip.simulate.formats.geotiff import COVARIANCE
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import surface_id, surfaces
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.sensors import PROFILES
from sarknowlip.simulate.sensors.profile import SensorProfile

Floats = npt.NDArray[np.float64]
FLAT_M = 20.0
"""Height of all flat worlds here, the default of `HandWorld`."""


def nesz(profile: SensorProfile) -> float:
    return float(10 ** (profile.nesz_db / 10))


def decibels(ratio: Any) -> Any:
    return 10 * np.log10(ratio)


def cell_m(profile: SensorProfile) -> float:
    """Return the longer side of a resolution cell on the ground, at 30° incidence if slant."""
    stretch = 2.0 if profile.output == "sicd" else 1.0
    return max(profile.resolution_range_m * stretch, profile.resolution_azimuth_m)


class Seen(NamedTuple):
    """Power in a product's own pixels, and where these lie.

    Attributes:
        power: σ⁰ with noise, shape (polarisations, rows, columns).
        x: Metres east of the world's south-west corner, shape (rows, columns).
        y: Metres north.
        incidence: Degrees.
    """

    power: npt.NDArray[Any]
    x: Floats
    y: Floats
    incidence: Floats


def seen(product: Made) -> Seen:
    values, grid = pixels(product.path), product.acquisition.grid
    power = np.abs(values) ** 2 if np.iscomplexobj(values) else values
    row, column = np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float)
    x, y = grid.ground(row, column, grid.reference_height_m)
    bounds = product.acquisition.world.bounds
    return Seen(power, x - bounds.west, y - bounds.south, np.asarray(grid.incidence_deg(x, y)))


# Speckle


class Looks(NamedTuple):
    """Equivalent number of looks of one polarisation on a homogeneous surface.

    Attributes:
        polarization: "VV", …
        all_pixels: Mean² / variance of all pixels.
        error: Its standard error.
        samples: Power over its mean at pixels so far apart that they are independent.
    """

    polarization: str
    all_pixels: float
    error: float
    samples: Floats

    @property
    def decimated(self) -> float:
        """Mean² / variance of the independent samples."""
        return float(self.samples.mean() ** 2 / self.samples.var())

    @property
    def decimated_error(self) -> float:
        """Its standard error, that of a gamma distribution."""
        found = self.decimated
        return found * float(np.sqrt(2 * (1 + 1 / found) / self.samples.size))


def equivalent_looks(power: npt.NDArray[Any], blocks: int = 8) -> tuple[float, float]:
    """Return mean² / variance and its standard error, by a jackknife over blocks × blocks."""
    rows, columns = (n - n % blocks for n in power.shape)
    parts = power[:rows, :columns].astype(np.float64)
    parts = parts.reshape(blocks, rows // blocks, blocks, columns // blocks)
    first, second = (np.mean(parts**k, axis=(1, 3)).ravel() for k in (1, 2))

    def looks(a: Any, b: Any) -> Any:
        return a**2 / (b - a**2)

    n = first.size
    out = looks((first.sum() - first) / (n - 1), (second.sum() - second) / (n - 1))
    error = np.sqrt((n - 1) / n * ((out - out.mean()) ** 2).sum())
    return float(looks(first.mean(), second.mean())), float(error)


def looks_of(
    folder: Path, config: AcquireConfig, edge_px: int, surface: str = "grass"
) -> list[Looks]:
    """Return the looks of a product of one surface without texture, in each polarisation.

    Pixels are divided by their expected power, which falls with incidence.
    """
    profile = config.profile()
    bounds = square(profile, edge_px)
    world = HandWorld(layers(ground(bounds, surface)), bounds=bounds)
    product = made(world, folder, config, texture=False)
    view = seen(product)
    rows, columns = inner_square(view, bounds, 8 * cell_m(profile))
    found = []
    for k, polarization in enumerate(profile.polarizations):
        angles, sigma = product.acquisition.backscatter.sigma(surface, polarization)
        expected = np.interp(view.incidence, angles, sigma) + nesz(profile)
        ratio = (view.power[k] / expected)[rows, columns]
        far = decimation(product)
        samples = ratio[:: far[0], :: far[1]].ravel()
        found.append(Looks(polarization, *equivalent_looks(ratio), samples / samples.mean()))
    return found


def square(profile: SensorProfile, edge_px: int) -> Bounds:
    """Return a square world about so many pixels wide, in the coarser spacing on the ground."""
    stretch = 2.0 if profile.output == "sicd" else 1.0
    edge = edge_px * max(profile.spacing_range_m * stretch, profile.spacing_azimuth_m)
    return local_bounds(edge, edge)


def inner_square(view: Seen, bounds: Bounds, margin: float) -> tuple[slice, slice]:
    """Return the greatest window about the image's middle that stays in a world."""
    inside = (
        (view.x > margin) & (view.y > margin)
        & (view.x < bounds.width - margin) & (view.y < bounds.height - margin)
    )  # fmt: skip
    rows, columns = inside.shape
    share = 0.5
    while share > 0.01:
        half = int(rows * share / 2), int(columns * share / 2)
        window = tuple(
            slice(n // 2 - h, n // 2 + h) for n, h in zip((rows, columns), half, strict=True)
        )
        if inside[window].all():
            return window[0], window[1]
        share *= 0.97
    raise AssertionError("the world is too small")


def decimation(product: Made, cells: float = 4.0) -> tuple[int, int]:
    """Return rows and columns that are some resolution cells apart whatever their direction."""
    profile = product.acquisition.profile
    metres = np.array([profile.resolution_range_m, profile.resolution_azimuth_m]) * cells
    centre = [(n - 1) / 2 for n in product.acquisition.grid.shape]
    axes = np.abs(product.acquisition.grid.axes(*centre)) * metres
    row, column = np.ceil(axes.max(axis=1)).astype(int)
    return int(row), int(column)


def compound(order: float, share: float) -> Any:
    """Return the distribution function of speckled power on gamma texture with noise, mean 1.

    Args:
        order: Of the texture.
        share: Of the mean power that is signal; 1 gives the K distribution.
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    texture = stats.gamma.ppf((nodes + 1) / 2, order) / order

    def cdf(power: Any) -> Any:
        mean = share * texture + 1 - share
        return 1 - np.exp(-np.asarray(power)[..., None] / mean) @ (weights / 2)

    return cdf


# Levels of surfaces


class Level(NamedTuple):
    """Mean power of one surface in one polarisation against the reference table.

    Attributes:
        surface: Name.
        polarization: "VV", …
        table_db: The table's σ⁰ at the incidence angle asked for.
        expected: Mean power expected in the pixels, noise included.
        found: Mean power found.
        error: Its standard error.
        noise: Share of `expected` that is noise.
        model_db: By how much the simulator's own model lies above the table at the table's angle.
    """

    surface: str
    polarization: str
    table_db: float
    expected: float
    found: float
    error: float
    noise: float
    model_db: float

    @property
    def difference_db(self) -> float:
        """Found over expected, noise in both."""
        return float(decibels(self.found / self.expected))

    @property
    def signal_db(self) -> float:
        """The same after the noise was taken from both; NaN where nothing is left."""
        floor = self.noise * self.expected
        left = (self.found - floor) / (self.expected - floor)
        return float(decibels(left)) if left > 0 else float("nan")

    @property
    def signal_error_db(self) -> float:
        return float(10 / np.log(10) * self.error / (self.expected * (1 - self.noise)))


def table_angle(profile: SensorProfile) -> float:
    """Return the angle of the reference table that is nearest to a sensor's usual one."""
    angles = [29.36, 38.44] if profile.band == "L" else [30.0, 40.0]
    low, usual, high = profile.incidence_deg
    return min((a for a in angles if low <= a <= high), key=lambda a: abs(a - usual))


def levels_of(folder: Path, sensor: str, edge_m: float, **recipe: Any) -> list[Level]:
    """Return the levels of all surfaces, each on a square of an edge, in every polarisation.

    The table holds for wind from 150° right of the look direction; between its angle and that of a
    pixel the simulator's own model is followed.
    """
    profile = PROFILES[sensor]
    names = [surface.name for surface in surfaces()]
    bounds = local_bounds(5 * edge_m, 5 * edge_m)
    squares = [
        region(10 + i, rectangle(i % 5 * edge_m, i // 5 * edge_m, edge_m, edge_m), name, "bare")
        for i, name in enumerate(names)
    ]
    world = HandWorld(layers(ground(bounds), *squares), bounds=bounds)
    angle = table_angle(profile)
    config = AcquireConfig(sensor=sensor, incidence_deg=angle)
    wind = Acquisition.of(world, config).grid.look_deg + 150.0
    config = config.model_copy(update={"conditions": Conditions(wind_from_deg=wind)})
    product = made(world, folder, config, **recipe)
    view = seen(product)
    known = {
        (row["surface"], row["polarization"]): row["sigma0_db"] for row in reference()
        if row["band"] == profile.band and row["incidence_deg"] == angle
    }  # fmt: skip
    margin = max(4 * cell_m(profile), 35.0) / edge_m
    assert margin < 0.4, "squares are too small"
    u, v = view.x / edge_m, view.y / edge_m
    inner = (np.abs(u % 1 - 0.5) < 0.5 - margin) & (np.abs(v % 1 - 0.5) < 0.5 - margin)
    inner &= (u > 0) & (u < 5) & (v > 0)
    number = np.where(inner, np.floor(u) + 5 * np.floor(v), -1).astype(int)
    found = []
    for i, name in enumerate(names):
        here = number == i
        part = (np.floor(u[here] % 1 * 10) * 10 + np.floor(v[here] % 1 * 10)).astype(int)
        for k, polarization in enumerate(profile.polarizations):
            angles, sigma = product.acquisition.backscatter.sigma(name, polarization)
            own = float(np.interp(angle, angles, sigma))
            table = 10 ** (known[name, polarization.replace("HV", "VH")] / 10)
            floor = nesz(profile)
            signal = table * np.interp(view.incidence[here], angles, sigma).mean() / own
            power = view.power[k][here]
            sums = [
                ndimage.sum_labels(w, part, np.unique(part)) for w in (power, np.ones_like(power))
            ]
            means = sums[0][sums[1] > 0.3 * sums[1].max()] / sums[1][sums[1] > 0.3 * sums[1].max()]
            found.append(Level(
                name, polarization, float(decibels(table)), float(signal + floor),
                float(power.mean()), float(means.std(ddof=1) / np.sqrt(means.size)),
                float(floor / (signal + floor)), float(decibels(own / table)),
            ))  # fmt: skip
    return found


def reference() -> list[dict[str, Any]]:
    """Return the rows of the reference table."""
    text = resources.files("sarknowlip.simulate.scatter").joinpath("reference.json")
    rows: list[dict[str, Any]] = json.loads(text.read_text("utf-8"))["rows"]
    return rows


# Covariance matrices


class Covariance(NamedTuple):
    """Covariance matrices of a product.

    Attributes:
        least: Least eigenvalue of any pixel over its trace.
        diagonal: Greatest difference of a diagonal element and the product's σ⁰, over the latter.
        wanted: Correlation of HH and VV in the table of surfaces.
        found: The same in the pixels, without noise.
        error: Standard error of each part of `found`.
    """

    least: float
    diagonal: float
    wanted: complex
    found: complex
    error: float


def covariance_of(folder: Path, sensor: str, surface: str, edge_px: int) -> Covariance:
    """Measure the covariance product of one surface without texture."""
    profile = PROFILES[sensor]
    bounds = square(profile, edge_px)
    world = HandWorld(layers(ground(bounds, surface)), bounds=bounds)
    product = made(world, folder, AcquireConfig(sensor=sensor, covariance=True), texture=False)
    power = pixels(product.path)
    with rasterio.open(product.path.with_name(product.path.stem + COVARIANCE)) as source:
        planes = dict(zip(source.descriptions, source.read().astype(float), strict=True))
    n = len(profile.polarizations)
    matrix = np.zeros((*power.shape[1:], n, n), complex)
    for i in range(n):
        matrix[..., i, i] = planes[f"C{i + 1}{i + 1}"]
        for j in range(i + 1, n):
            name = f"C{i + 1}{j + 1}"
            matrix[..., i, j] = planes[f"{name}_real"] + 1j * planes[f"{name}_imag"]
            matrix[..., j, i] = np.conj(matrix[..., i, j])
    inner = tuple(slice(n // 8, -n // 8) for n in power.shape[1:])
    eigen = np.linalg.eigvalsh(matrix[inner])
    mean = matrix[inner].mean(axis=(0, 1))
    hh, vv = (profile.polarizations.index(name) for name in ("HH", "VV"))
    floor = nesz(profile)
    scale = np.sqrt((mean[hh, hh].real - floor) * (mean[vv, vv].real - floor))
    cells = (
        power[0][inner].size
        * np.prod([profile.spacing_range_m, profile.spacing_azimuth_m])
        / (profile.resolution_range_m * profile.resolution_azimuth_m)
    )
    diagonal = np.stack([planes[f"C{i + 1}{i + 1}"] for i in range(n)])
    wanted = product.acquisition.backscatter.copol_correlation(np.uint8(surface_id(surface)))
    return Covariance(
        least=float((eigen[..., 0] / eigen.sum(axis=-1)).min()),
        diagonal=float(np.abs(diagonal / power - 1).max()),
        wanted=complex(wanted),
        found=complex(mean[hh, vv] / scale),
        error=float(
            np.sqrt(mean[hh, hh].real * mean[vv, vv].real / scale**2 / cells / profile.enl / 2)
        ),
    )


# K distribution


class Textured(NamedTuple):
    """Single-look power on a textured surface, noise included.

    Attributes:
        order: Of the texture in the table.
        fitted: The order that the variance of all pixels gives.
        signal: Share of the mean power that is no noise.
        samples: Independent ones, mean 1.
    """

    order: float
    fitted: float
    signal: float
    samples: Floats


def textured(folder: Path, sensor: str, surface: str, edge_m: float, **recipe: Any) -> Textured:
    profile = PROFILES[sensor]
    bounds = local_bounds(edge_m, edge_m)
    world = HandWorld(layers(ground(bounds, surface)), bounds=bounds)
    product = made(world, folder, AcquireConfig(sensor=sensor), **recipe)
    view, scatter = seen(product), product.acquisition.backscatter
    number = surface_id(surface)
    angles, sigma = scatter.sigma(surface, profile.polarizations[0])
    signal = np.interp(view.incidence, angles, sigma)
    floor = nesz(profile) if recipe.get("noise", True) else 0.0
    window = inner_square(view, bounds, 8 * cell_m(profile))
    power = (view.power[0] / (signal + floor))[window]
    share = float((signal / (signal + floor))[window].mean())
    far = 2.5 * scatter.texture_length_m[number]
    steps = [
        int(np.ceil(far / np.hypot(*(v[at] - v[0, 0] for v in (view.x, view.y)))))
        for at in ((1, 0), (0, 1))
    ]
    samples = power[:: steps[0], :: steps[1]].ravel()
    contrast = power.var() / power.mean() ** 2
    # ⟨I²⟩ = 2 ⟨(s τ + n)²⟩ of exponential speckle, so that the variance is 1 + 2 s² / ν.
    fitted = 2 * share**2 / (contrast - 1)
    order = float(scatter.texture_order[number])
    return Textured(order, float(fitted), share, samples / samples.mean())
