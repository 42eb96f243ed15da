"""The built-in scenes of the quickstart: a placeholder, not yet a simulator.

A scene is a land-cover map drawn from a seed (sea or lake, river, fields, forest, town, ships) on
the UTM grid around a real city, with a mean backscatter per class and polarisation and gamma
speckle of a given number of looks. There is no imaging geometry, no layover, no texture beyond
speckle, and the class means are rounded values in the range that C-band surveys report for 30–40°
incidence (Ulaby & Dobson, Handbook of Radar Scattering Statistics for Terrain, 1989). Models
trained on it learn nothing about real radar images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy import ndimage

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import replacing, write_json
from sarknowlip.core.hashing import unit_interval
from sarknowlip.geo.gazetteer import find_city
from sarknowlip.geo.grid import utm_epsg

WATER, FIELD, FOREST, TOWN, SHIP = range(5)
MEAN_DB = {
    "VV": np.array([-20.0, -11.0, -8.5, -3.5, 6.0]),
    "VH": np.array([-27.0, -18.0, -14.0, -10.0, -3.0]),
}
"""Mean σ⁰ in dB by class; see the module's docstring for what these numbers are worth."""

CITIES = ("Venice", "Rotterdam", "Lagos", "Mumbai", "Shanghai", "Buenos Aires")
"""Where the quickstart puts its scenes."""


class BuiltinConfig(Config):
    """One scene.

    Attributes:
        city: Name in the gazetteer; the scene is centred there.
        seed: Changes everything else.
        size_px: Edge of the scene in pixels of 10 m.
        looks: Equivalent number of looks of the speckle (Sentinel-1 IW GRD: 4.4).
    """

    city: str = "Venice"
    seed: int = 0
    size_px: int = 640
    looks: float = 4.4


def write_scene(config: BuiltinConfig, folder: Path) -> Path:
    """Write a scene as GeoTIFF with its sidecar and its class map; return the GeoTIFF's path.

    Files: `<name>.tif` (VV, VH, linear power, float32), `<name>.sar.json` (what the file does not
    say), `truth/<name>_classes.npy` (uint8, rows × columns, the module's class constants).

    Raises:
        ConfigError: The gazetteer has no such city.
        StorageError: The folder cannot be written.
    """
    city = find_city(config.city)
    if city is None:
        raise ConfigError(f"no city named {config.city!r}", "see GeoNames for its English name")
    rng = np.random.Generator(np.random.PCG64([config.seed, city.id]))
    classes = _land_cover(config.size_px, rng)
    name = f"builtin_{city.slug}_{config.seed}"
    grid = _grid(city.lon, city.lat, config.size_px)
    path = folder / f"{name}.tif"
    with replacing(path) as partial:
        _write_power(partial, grid, _power(classes, config.looks, rng))
    write_json(path.with_suffix(".sar.json"), _sidecar(config))
    truth = folder / "truth" / f"{name}_classes.npy"
    with replacing(truth) as partial:
        np.save(partial, classes)
    return path


def _grid(lon: float, lat: float, size: int) -> GeoBox:
    epsg = utm_epsg(lon, lat)
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    west, north = round(x, -1) - 5.0 * size, round(y, -1) + 5.0 * size
    return GeoBox((size, size), Affine(10, 0, west, 0, -10, north), f"EPSG:{epsg}")


def _land_cover(size: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    classes = np.full((size, size), FIELD, dtype=np.uint8)
    classes[_smooth(size, 18, rng) > 0.6] = FOREST
    town = _smooth(size, 22, rng) > 0.8
    blocks = rng.random((size // 4 + 1, size // 4 + 1)) < 0.7
    streets = np.kron(blocks, np.ones((4, 4), dtype=bool))[:size, :size]
    classes[town & streets] = TOWN
    classes[_smooth(size, 45, rng) > 0.7] = WATER
    rows, columns = np.mgrid[:size, :size]
    bend = size * (0.5 + 0.15 * np.sin(columns / size * 2 * np.pi * rng.uniform(0.5, 1.5)))
    classes[np.abs(rows - bend - rng.uniform(-0.2, 0.2) * size) < rng.uniform(4, 10)] = WATER
    water = np.argwhere(ndimage.binary_erosion(classes == WATER, iterations=4))
    for _ in range(int(rng.integers(4, 16))):
        if len(water) == 0:
            break
        row, column = water[int(rng.integers(len(water)))]
        half_length, half_width = int(rng.integers(2, 8)), int(rng.integers(1, 3))
        along = (
            (rows - row, columns - column) if rng.random() < 0.5 else (columns - column, rows - row)
        )
        classes[(np.abs(along[0]) <= half_length) & (np.abs(along[1]) < half_width)] = SHIP
    return classes


def _smooth(size: int, scale: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a Gaussian random field of unit variance with the given correlation length."""
    field = ndimage.gaussian_filter(rng.standard_normal((size, size)), scale, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _power(
    classes: npt.NDArray[np.uint8], looks: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    bands = []
    for means in MEAN_DB.values():
        speckle = rng.gamma(looks, 1.0 / looks, classes.shape)
        bands.append(10.0 ** (means[classes] / 10.0) * speckle)
    return np.stack(bands).astype(np.float32)


def _write_power(path: Path, grid: GeoBox, power: npt.NDArray[np.float32]) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=grid.shape[0],
        width=grid.shape[1],
        count=len(MEAN_DB),
        dtype="float32",
        crs=str(grid.crs),
        transform=grid.affine,
        compress="zstd",
        tiled=True,
        nodata=float("nan"),
    ) as target:
        target.write(power)
        for index, name in enumerate(MEAN_DB, start=1):
            target.set_band_description(index, name)


def _sidecar(config: BuiltinConfig) -> dict[str, object]:
    ascending = unit_interval("orbit", config.city, str(config.seed)) < 0.5
    return {
        "units": "power",
        "quantity": "sigma0",
        "calibrated": True,
        "noise_removed": True,
        "polarizations": list(MEAN_DB),
        "geocoding": {"method": "provider", "vertical_datum": "ellipsoid", "error_m": 0.0},
        "acquisition": {
            "platform": "simulated",
            "constellation": "simulated",
            "sar:instrument_mode": "IW",
            "sar:frequency_band": "C",
            "sar:center_frequency": 5.405,
            "sar:product_type": "GRD",
            "sar:looks_equivalent_number": config.looks,
            "sar:observation_direction": "right",
            "sat:orbit_state": "ascending" if ascending else "descending",
            "view:incidence_angle": 35.0,
            "start_datetime": f"2024-06-{1 + config.seed % 28:02d}T06:00:00Z",
            "end_datetime": f"2024-06-{1 + config.seed % 28:02d}T06:00:00Z",
        },
    }
