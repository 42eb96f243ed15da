"""What simulated products show, measured on the products: speckle, levels, leaning, places."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio
from scipy import ndimage, optimize, stats
from shapely import affinity
from shapely.geometry import box

from data.elevation.make import make_dem
from data.world.make import (
    ORIGIN,
    HandWorld,
    building,
    ground,
    layers,
    local_bounds,
    rectangle,
    region,
    target,
)  # fmt: skip
from data.world.probe import (
    Made,
    along_look,
    brightest,
    corner_reflectors,
    corners,
    dull_walls,
    made,
    map_of,
    pixels,
)  # fmt: skip
from sarknowlip.sar.product import ReadOptions
from sarknowlip.simulate.acquire import AcquireConfig, Acquisition
from sarknowlip.simulate.formats.geotiff import COVARIANCE
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.image.response import response
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


# Layover and shadow


class Leaning(NamedTuple):
    """How something high appears.

    Attributes:
        look_deg: Direction from the radar to the scene, degrees from grid north.
        incidence_deg: At the scene's centre.
        layover_m: How far the top of a mast appears from its foot.
        layover_deg: Direction in which, 180 is straight toward the radar.
        shadow_m: How far the shadow of a wall reaches behind it.
        bright_deg: Direction from a hill's centre to what is brighter than level ground.
        dark_deg: Direction to what is darker. Both relative to the look direction.
    """

    look_deg: float
    incidence_deg: float
    layover_m: float
    layover_deg: float
    shadow_m: float
    bright_deg: float
    dark_deg: float


def leaning(folder: Path, config: AcquireConfig, high_m: float = 60.0) -> Leaning:
    """Measure a mast and a wall of a height, and a hill, on maps made with flat terrain."""
    profile = config.profile()
    cell = cell_m(profile)
    edge = max(7 * high_m, 90 * cell)
    bounds = local_bounds(edge, edge)
    empty = HandWorld(layers(ground(bounds)), bounds=bounds)
    acquisition = Acquisition.of(empty, config)
    look, (x, y) = acquisition.grid.look_deg, bounds.centre
    angle = float(acquisition.grid.incidence_deg(np.array([x]), np.array([y]))[0])
    gsd = cell / 4

    def picture(world: HandWorld, name: str, **recipe: Any) -> tuple[Any, Any]:
        product = made(world, folder / name, config, **recipe)
        grid = map_of(product, gsd, bounds.centre, edge * 0.9)
        dem = make_dem(folder / f"{name}.tif", grid, FLAT_M, step=10.0, margin=400.0)
        used = product.open()
        if config.profile().output != "geotiff":
            used = product.open(options=ReadOptions(dem=dem, dem_geoid_m=0.0))
        return used.power(grid)[0], grid

    places = []
    with corner_reflectors(3e3 * cell**2):
        for height in (0.01, high_m):
            mast = corners([(edge / 2, edge / 2)], height)
            power, grid = picture(
                HandWorld(layers(ground(bounds), mast), bounds=bounds), f"mast{height}"
            )
            foot = np.array([x, y])
            lean = height / np.tan(np.radians(angle)) if height > 1 else 0.0
            near = foot - lean * np.array([np.sin(np.radians(look)), np.cos(np.radians(look))])
            places.append(brightest(power, grid, (float(near[0]), float(near[1]))))
    dx, dy = (b - a for a, b in zip(*places, strict=True))
    toward = (np.degrees(np.arctan2(dx, dy)) - look) % 360

    length, depth = 20 * cell, 4 * cell
    wall = affinity.rotate(
        box(x - length / 2, y - depth / 2, x + length / 2, y + depth / 2), -look, (x, y)
    )
    world = HandWorld(layers(ground(bounds), building(2, wall, high_m)), bounds=bounds)
    with dull_walls():
        power, grid = picture(world, "wall", speckle=False, texture=False)
    u, v = along_look(grid, (x, y), look)
    shadow = _dark_until(power, u, v, length / 4, depth / 2, nesz(profile)) - depth / 2

    sigma = max(high_m * 2 / 3, 5 * cell)

    def hill(east: Any, north: Any) -> Any:
        return FLAT_M + 1.1 * sigma * np.exp(-((east - x) ** 2 + (north - y) ** 2) / 2 / sigma**2)

    world = HandWorld(layers(ground(bounds)), bounds=bounds, relief=hill)
    power, grid = picture(world, "hill", speckle=False, texture=False)
    u, v = along_look(grid, (x, y), look)
    flat = float(np.nanmedian(power))
    turns = []
    for excess in (power - flat, flat - power):
        weight = np.where(np.abs(excess) > 0.3 * flat, np.maximum(np.nan_to_num(excess), 0), 0)
        weight[np.hypot(u, v) > 0.42 * edge] = 0
        turns.append(np.degrees(np.arctan2((weight * v).sum(), (weight * u).sum())) % 360)
    return Leaning(
        look, angle, float(np.hypot(dx, dy)), float(toward), float(shadow), *map(float, turns)
    )


def _dark_until(power: Any, u: Floats, v: Floats, half: float, start: float, dark: float) -> float:
    """Return where the dark strip behind a wall ends, metres along the look direction.

    That is where the mean across crosses half of the way from noise to level ground.
    """
    step = float(np.abs(u[0, 1] - u[0, 0]) + np.abs(u[1, 0] - u[0, 0])) / 2
    near = (np.abs(v) < half) & np.isfinite(power)
    bins = np.round(u[near] / step).astype(int)
    first = bins.min()
    total = np.bincount(bins - first, power[near]) / np.maximum(np.bincount(bins - first), 1)
    at = (np.arange(total.size) + first) * step
    level = (float(np.median(total)) + dark) / 2
    behind = np.flatnonzero((at > start) & (total < level))
    last = behind[0]
    while total[last + 1] < level:
        last += 1
    share = (level - total[last]) / (total[last + 1] - total[last])
    return float(at[last] + share * step)


# Places


def hills(x: Any, y: Any) -> Any:
    """Return terrain that rises and falls by some 45 m over a kilometre."""
    return 70.0 + 45.0 * np.sin(x / 500.0) * np.cos(y / 700.0)


def offsets_of(
    folder: Path, config: AcquireConfig, edge_m: float, gsd: float, *, dem: bool, side: int = 5
) -> list[float]:
    """Return how far, in map pixels, corner reflectors on hills are from where they belong.

    Without elevation model a GeoTIFF's are expected where its stated reference height puts them.
    """
    profile = config.profile()
    bounds = local_bounds(edge_m, edge_m)
    at = np.linspace(0.12, 0.88, side) * edge_m
    shift = np.random.default_rng(3).uniform(-0.03, 0.03, (side, side, 2)) * edge_m
    places = [
        (float(a + shift[i, j, 0]), float(b + shift[i, j, 1]))
        for i, a in enumerate(at) for j, b in enumerate(at)
    ]  # fmt: skip
    with corner_reflectors(1e4 * cell_m(profile) ** 2):
        world = HandWorld(
            layers(ground(bounds), corners(places)),
            bounds=bounds,
            relief=hills,
            limits=(20.0, 120.0),
        )
        product = made(world, folder, config)
    options = None
    if dem:
        area = map_of(product, 10.0, bounds.centre, edge_m)
        path = make_dem(folder / "dem.tif", area, hills, step=10.0, margin=2000.0)
        options = ReadOptions(dem=path, dem_geoid_m=0.0)
    opened = product.open(options=options)
    found = []
    for east, north in places:
        true = np.array([ORIGIN[0] + east, ORIGIN[1] + north])
        if profile.output == "geotiff":
            true = true + _lean(product, true, float(hills(*true)))
        window = map_of(product, gsd, (float(true[0]), float(true[1])), 60 * gsd)
        seen_at = brightest(opened.power(window)[0], window, (float(true[0]), float(true[1])))
        found.append(float(np.hypot(*(np.array(seen_at) - true))) / gsd)
    return found


def _lean(product: Made, place: Floats, height: float) -> Floats:
    """Return by how much a map at the stated reference height displaces a place, metres.

    A point keeps its range and its time abeam; both from the orbit, by a search on the ground.
    """
    with rasterio.open(product.path) as source:
        reference_m = float(source.tags()["REFERENCE_HEIGHT_M"])
    acquisition = product.acquisition
    frame, orbit = acquisition.world.frame, acquisition.orbit

    def radar(at: Any, z: float) -> Floats:
        t, slant = orbit.zero_doppler(frame.ecef(*at, z)[:, None])
        return np.array([7000.0 * t[0], slant[0]])

    wanted = radar(place, height)
    found = optimize.root(lambda at: radar(at, reference_m) - wanted, place, tol=1e-9)
    return np.asarray(found.x - place)


# Responses of points


class Response(NamedTuple):
    """Response of one point.

    Attributes:
        range_m: Width at half power, in the plane of the profile's resolution.
        azimuth_m: Along track.
        sidelobe_db: Highest sidelobe in range below the peak.
        rcs_db: Power summed over the ground, over the point's radar cross-section.
    """

    range_m: float
    azimuth_m: float
    sidelobe_db: float
    rcs_db: float


def response_of(folder: Path, config: AcquireConfig) -> Response:
    """Measure bright points in the product's own pixels.

    The points lie at many fractions of a pixel: together they sample the response finely, whatever
    the spacing. Powers over the peak's are fitted by the squared response of the profile's window
    with free widths.
    """
    profile = config.profile()
    cell, side = cell_m(profile), 5
    step = 26 * cell
    bounds = local_bounds((side + 1) * step, (side + 1) * step)
    rcs = 10 ** (2.6 if profile.output == "safe" else 5.0) * cell**2
    shift = np.random.default_rng(4).uniform(-0.5, 0.5, (side, side, 2)) * cell
    places = [
        (float((a + 1) * step + shift[a, b, 0]), float((b + 1) * step + shift[a, b, 1]))
        for a in range(side) for b in range(side)
    ]  # fmt: skip
    with corner_reflectors(rcs):
        world = HandWorld(layers(ground(bounds, "concrete"), corners(places)), bounds=bounds)
        product = made(world, folder, config, noise=False, texture=False)
    image, grid = pixels(product.path)[0], product.acquisition.grid
    power = np.nan_to_num(np.abs(image) ** 2 if np.iscomplexobj(image) else image)
    east, north = np.array(places).T + np.array(ORIGIN)[:, None]
    rows, columns = grid.positions(east, north, np.full(east.size, FLAT_M + 0.01))
    axes = np.asarray(grid.axes(*((n - 1) / 2 for n in grid.shape)))
    half = [int(np.ceil(v)) for v in np.abs(axes) @ (np.full(2, 10 * cell))]
    i, j = np.mgrid[-half[0] : half[0] + 1, -half[1] : half[1] + 1]
    offsets, levels, sums = [], [], []
    for row, column in zip(rows, columns, strict=True):
        a, b = round(float(row)), round(float(column))
        stamp = power[a - half[0] : a + half[0] + 1, b - half[1] : b + half[1] + 1]
        away = np.stack([i + a - row, j + b - column]).reshape(2, -1)
        offsets.append(np.linalg.solve(axes, away))
        levels.append(stamp.ravel())
        sums.append(stamp.sum())
    u, v = np.concatenate(offsets, axis=1)
    level = np.concatenate(levels)
    a = profile.hamming

    def model(numbers: Any) -> Any:
        return numbers[2] * response(u / numbers[0], a) ** 2 * response(v / numbers[1], a) ** 2

    first = np.array([profile.resolution_range_m, profile.resolution_azimuth_m, 1.0])
    main = (np.abs(u) < 0.8 * first[0]) & (np.abs(v) < 0.8 * first[1])
    first[2] = level.max() / response(0.0, a) ** 4
    scale = np.array([1.0, 1.0, first[2]])
    fit = (
        optimize.least_squares(
            lambda p: ((model(p * scale) - level) / level.max())[main], first / scale
        ).x
        * scale
    )
    peak = fit[2] * response(0.0, a) ** 4
    side_lobes = (
        (np.abs(v) < 0.1 * fit[1]) & (np.abs(u) > 1.0 * fit[0]) & (np.abs(u) < 2.5 * fit[0])
    )
    bins = np.round(np.abs(u[side_lobes]) / fit[0] / 0.1).astype(int)
    lobe = ndimage.mean(level[side_lobes], bins, np.unique(bins))
    null = int(np.argmax(np.diff(lobe) > 0))
    area = abs(1.0 / np.linalg.det(axes))
    if profile.output == "sicd":
        place = (np.array([value]) for value in bounds.centre)
        area /= np.sin(np.radians(grid.incidence_deg(*place)[0]))
    return Response(
        float(fit[0]), float(fit[1]), float(decibels(lobe[null:].max() / peak)),
        float(decibels(np.mean(sums) * area / rcs)),
    )  # fmt: skip


def sidelobe_db(hamming: float) -> float:
    """Return the highest sidelobe of the generalised Hamming window's transform, theory."""
    t = np.arange(0.0, 20.0, 1e-3)
    frequency = np.linspace(-0.5, 0.5, 2001)
    window = hamming + (1 - hamming) * np.cos(2 * np.pi * frequency)
    power = np.array([(window * np.cos(2 * np.pi * frequency * v)).sum() for v in t[::10]]) ** 2
    null = int(np.argmax(np.diff(power) > 0))
    return float(decibels(power[null:].max() / power[0]))


# Motion


class Motion(NamedTuple):
    """Where a ship that sails away from the radar appears, and its wake.

    Attributes:
        ahead_m: How far from where it is, metres along the direction of flight.
        beyond_m: Metres along the look direction.
        wanted_m: −R · v / V, with the radial part v of its speed.
        wake_db: Mean of the wake's true place over the sea around, noise taken from both.
    """

    ahead_m: float
    beyond_m: float
    wanted_m: float
    wake_db: float


def motion(folder: Path, config: AcquireConfig, speed: float = 8.0) -> Motion:
    """Compare a ship under way, with its wake, to the same ship at rest."""
    profile = config.profile()
    cell = cell_m(profile)
    bounds = local_bounds(max(420.0, 40 * cell) + 400.0, max(1300.0, 40 * cell + 900.0))
    sea = ground(bounds, "sea")
    acquisition = Acquisition.of(HandWorld(layers(sea), bounds=bounds), config)
    orbit, (x, y) = acquisition.orbit, bounds.centre
    look = acquisition.grid.look_deg
    place = acquisition.world.frame.ecef(x, y, FLAT_M)
    t, slant = orbit.zero_doppler(place[:, None])
    flight = float(np.linalg.norm(orbit.velocity(t)[:, 0]))
    angle = float(acquisition.grid.incidence_deg(np.array([x]), np.array([y]))[0])
    wanted = float(-slant[0] * speed * np.sin(np.radians(angle)) / flight)
    track = np.radians(look + (-90.0 if orbit.right else 90.0))
    length, width = 5 * cell + 20.0, 3 * cell + 10.0
    wake = affinity.rotate(box(x - width / 2, y - length, x + width / 2, y), -look, (x, y))
    at, wake_db = [], 0.0
    for v in (0.0, speed):
        ship = target(5, "ship", bounds.width / 2, bounds.height / 2, 80.0, 14.0, 8.0, look, v)
        parts = [sea, ship, region(6, wake, "ship_wake", "wake", "wake")]
        product = made(
            HandWorld(layers(*parts), bounds=bounds), folder / f"{v}", config,
            speckle=False, texture=False,
        )  # fmt: skip
        ahead = wanted if v else 0.0
        middle = x + ahead * np.sin(track), y + ahead * np.cos(track)
        grid = map_of(product, cell / 4, middle, 200.0 + 16 * cell)
        power = np.nan_to_num(product.open(options=ReadOptions(remove_noise=False)).power(grid)[0])
        u, across = along_look(grid, (x, y), look)
        bright = np.maximum(power - 2.0 * np.median(power), 0.0)
        at.append([(bright * axis).sum() / bright.sum() for axis in (u, across)])
        if v:
            grid = map_of(product, cell / 4, (x, y), 400.0)
            power = product.open(options=ReadOptions(remove_noise=False)).power(grid)[0]
            u, across = along_look(grid, (x, y), look)
            behind = (u > -length + cell) & (u < -cell)
            inside = power[behind & (np.abs(across) < width / 2 - cell)].mean()
            around = power[behind & (np.abs(np.abs(across) - width / 2 - 2 * cell) < cell)].mean()
            wake_db = float(decibels((inside - nesz(profile)) / (around - nesz(profile))))
    beyond, right = np.subtract(at[1], at[0])
    return Motion(float(-right if orbit.right else right), float(beyond), wanted, wake_db)


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
