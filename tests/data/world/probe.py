"""Products of hand-made worlds, written by the simulator and read back with our own readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from data.world.make import HandWorld, target
from sarknowlip.geo.raster import iter_strips
from sarknowlip.sar.product import SarProduct
from sarknowlip.sar.radiometry import calibrate, read_calibration, read_noise
from sarknowlip.sar.safe import read_manifest
from sarknowlip.sar.sensors import open_product
from sarknowlip.sar.sensors.geotiff import GeoTiffProduct
from sarknowlip.sar.sensors.sicd import SicdProduct
from sarknowlip.simulate.acquire import AcquireConfig, Acquisition
from sarknowlip.simulate.image.render import RenderConfig, render
from sarknowlip.simulate.layers import Targets
from sarknowlip.simulate.scatter.conditions import table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """A written product and what made it."""

    path: Path
    acquisition: Acquisition

    def open(self, **options: Any) -> SarProduct:
        return open_product(self.path, **options)


def made(world: HandWorld, folder: Path, config: AcquireConfig, **recipe: Any) -> Made:
    """Render and write a product as `acquire` does, with some `RenderConfig` switches if given."""
    acquisition = Acquisition.of(world, config)
    recipe = {"seed": acquisition.seed, "tile_px": config.tile_px} | recipe
    raster = render(
        world,
        acquisition.profile,
        acquisition.grid,
        acquisition.backscatter,
        RenderConfig(covariance=config.covariance, **recipe),
        folder / ".rendered",
    )
    return Made(acquisition.write(raster, folder, "scene"), acquisition)


@contextmanager
def corner_reflectors(rcs_m2: float) -> Iterator[None]:
    """Turn pylons into single coherent points of one RCS at their tops, in all polarisations."""
    targets = table("targets")
    kept = targets["shapes"], targets["kinds"], targets["fluctuation_db"]
    numbers = {
        "rcs_dbsm": 10 * np.log10(rcs_m2), "at_length_m": 1.0, "length_power": 0.0,
        "reference_ghz": 1.0, "frequency_power": 0.0, "cross_below_db": 0.0, "copol": [1.0, 0.0],
        "default": "pylon",
    }  # fmt: skip
    pylon = {"numbers": numbers, "subclasses": {"pylon": {"shape": "pylon"}}}
    targets["shapes"] = kept[0] | {"pylon": [{"at": [0, 0, 1], "share": 1.0}]}
    targets["kinds"] = kept[1] | {"pylon": pylon}
    targets["fluctuation_db"] = {"total": 0.0, "point": 0.0}
    try:
        yield
    finally:
        targets["shapes"], targets["kinds"], targets["fluctuation_db"] = kept


@contextmanager
def dull_walls() -> Iterator[None]:
    """Leave out double bounce and corners, whose sidelobes fill shadows."""
    structures = table("structures")
    kept = {name: dict(structures[name]) for name in ("ground", "corners")}
    structures["ground"]["double_bounce_share"] = 0.0
    structures["corners"]["efficiency"] = 0.0
    try:
        yield
    finally:
        structures.update(kept)


def corners(places: Sequence[tuple[float, float]], height: float = 0.01) -> Targets:
    """Return one small pylon at each place relative to the origin, metres."""
    return Targets.concat(
        [
            target(1000 + i, "pylon", x, y, length=0.02, width=0.02, height=height)
            for i, (x, y) in enumerate(places)
        ]
    )


def pixels(path: Path) -> npt.NDArray[Any]:
    """Return a product's own pixels, shape (polarisations, rows, columns): σ⁰ with its noise.

    SICD gives complex amplitudes, whose power is that; no data are NaN.
    """
    product = open_product(path)
    if isinstance(product, SicdProduct):
        rows, columns = product._image.shape
        amplitude = product._image.read(slice(0, rows), slice(0, columns)).astype(np.complex64)
        amplitude[amplitude == 0] = np.nan
        return amplitude[None]
    if isinstance(product, GeoTiffProduct):
        assert product.grid is not None
        return product.power(product.grid)
    return np.stack([_safe_band(image) for image in read_manifest(path).images])


def _safe_band(image: Any) -> npt.NDArray[np.float32]:
    strips = [strip[0] for _, strip in iter_strips(image.measurement, 512, threads=1)]
    power = np.concatenate(strips).astype(np.float32) ** 2
    power[power == 0] = np.nan
    whole = slice(0, power.shape[0]), slice(0, power.shape[1])
    return calibrate(power, read_calibration(image.calibration, "sigma0").window(*whole))


def stated_noise(path: Path) -> Floats:
    """Return the noise-equivalent σ⁰ that a SAFE product states, shape (polarisations, …)."""
    found = []
    for image in read_manifest(path).images:
        table_ = read_calibration(image.calibration, "sigma0")
        rows, columns = (slice(0, int(v[-1]) + 1) for v in (table_.lines, table_.pixels))
        noise = read_noise(image.noise).window(rows, columns)
        found.append(noise / table_.window(rows, columns) ** 2)
    return np.stack(found)


def map_of(made: Made, gsd: float, centre: tuple[float, float], edge: float) -> GeoBox:
    """Return a UTM grid of a product's zone around a place (UTM metres)."""
    n = round(edge / gsd)
    west, north = centre[0] - n * gsd / 2, centre[1] + n * gsd / 2
    epsg = made.acquisition.world.frame.epsg
    return GeoBox((n, n), Affine(gsd, 0, west, 0, -gsd, north), f"EPSG:{epsg}")


def along_look(grid: GeoBox, centre: tuple[float, float], look_deg: float) -> tuple[Floats, Floats]:
    """Return how far pixels lie beyond a place along the look direction, and to its right."""
    row, column = np.mgrid[: grid.shape[0], : grid.shape[1]] + 0.5
    x, y = grid.affine * (column, row)
    dx, dy = x - centre[0], y - centre[1]
    east, north = np.sin(np.deg2rad(look_deg)), np.cos(np.deg2rad(look_deg))
    return dx * east + dy * north, dx * north - dy * east


def brightest(
    power: npt.NDArray[Any], grid: GeoBox, near: tuple[float, float]
) -> tuple[float, float]:
    """Return map x and y of the bright spot nearest to a place: centre of gravity, iterated."""
    column, row = (v - 0.5 for v in ~grid.affine * near)
    half = 8
    top, left = round(row) - half, round(column) - half
    window = np.nan_to_num(
        power[max(top, 0) : top + 2 * half + 1, max(left, 0) : left + 2 * half + 1]
    )
    assert window.shape == (2 * half + 1, 2 * half + 1)
    found = np.array(np.unravel_index(window.argmax(), window.shape), dtype=np.float64)
    rows, columns = np.mgrid[: window.shape[0], : window.shape[1]]
    for _ in range(20):
        weight = window * np.exp(-((rows - found[0]) ** 2 + (columns - found[1]) ** 2) / 8.0)
        found = np.array([(weight * rows).sum(), (weight * columns).sum()]) / weight.sum()
    x, y = grid.affine * (found[1] + left + 0.5, found[0] + top + 0.5)
    return float(x), float(y)
