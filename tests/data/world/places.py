"""Where simulated products show things: layover, shadow, places, responses, motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio
from scipy import ndimage, optimize
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
    region,
    target,
)  # fmt: skip
from data.world.measures import FLAT_M, cell_m, decibels, nesz
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
from sarknowlip.simulate.image.response import response

Floats = npt.NDArray[np.float64]


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
