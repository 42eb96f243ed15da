"""Calibrated GeoTIFF on a map grid, with a sidecar that says what a GeoTIFF cannot.

Values are σ⁰ in linear power, thermal noise included, float32. Tiles are those of a cloud-optimised
GeoTIFF (512 pixels, compressed one by one). The sidecar `<name>.sar.json` is the one that
`sar.sensors.geotiff` reads (docs/geotiff.md). Channels of a covariance matrix go to a file of their
own, because they are no polarisations: their real and imaginary parts may be negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from sarknowlip.core.errors import ConfigError, GeometryError, StorageError
from sarknowlip.core.files import replacing, write_json
from sarknowlip.sar.product import Polarization
from sarknowlip.sar.sensors.geotiff import SIDECAR
from sarknowlip.simulate.image.map_grid import MapGrid
from sarknowlip.simulate.sensors.profile import SensorProfile

TILE_PX = 512
STRIP_PX = 8 * TILE_PX
"""Columns written at once."""
COVARIANCE = "_covariance.gtiff"
"""End of the name of the file with the covariance matrix: no `.tif`, so that nobody who searches a
folder for products takes it for one. GDAL tells a GeoTIFF by its content."""


def write_geotiff(
    raster: npt.NDArray[np.floating],
    path: Path,
    *,
    geometry: MapGrid,
    profile: SensorProfile,
    world_name: str,
    polarizations: tuple[Polarization, ...] | None = None,
    channels: tuple[str, ...] | None = None,
) -> Path:
    """Write an image as GeoTIFF with its sidecar and return the path.

    Of a covariance matrix the diagonal is σ⁰ by polarisation: it becomes the bands of the product,
    and all elements go to a file beside it.

    Args:
        raster: Linear power, shape (channels, rows, columns); may be mapped from a file.
        path: File to write, `.tif`. Beside it come `<name>.sar.json` and, for covariance channels,
            `<name>_covariance.gtiff`.
        geometry: Of the raster.
        profile: Of the sensor.
        world_name: For the file's statement of what it shows, any text.
        polarizations: Bands of the product in order; the profile's by default.
        channels: What the raster holds: the polarisations (by default), each σ⁰ with thermal noise,
            or the elements of their covariance matrix ("C11", "C12_real", "C12_imag", …), or both.

    Raises:
        ConfigError: The profile's products are no GeoTIFFs, or a polarisation has no channel.
        GeometryError: The raster has another shape than geometry and channels.
        StorageError: A file cannot be written (disk full, no permission).
    """
    polarizations = polarizations or profile.polarizations
    channels = channels or polarizations
    if profile.output != "geotiff":
        raise ConfigError(f"{profile.name} has no GeoTIFF", f"write it as {profile.output} instead")
    if raster.shape != (len(channels), *geometry.shape):
        raise GeometryError(
            f"the image has shape {raster.shape}, its geometry {(len(channels), *geometry.shape)}",
            "render it with the same geometry",
        )
    named = dict(zip(channels, raster, strict=True))
    bands: dict[str, npt.NDArray[np.floating]] = {}
    for i, polarization in enumerate(polarizations, start=1):
        power = named.get(polarization, named.get(f"C{i}{i}"))
        if power is None:
            raise ConfigError(
                f"no power of {polarization} among the channels {', '.join(channels)}",
                "name the polarisations that were rendered",
            )
        bands[polarization] = power
    covariance = {name: named[name] for name in channels if name not in polarizations}
    tags = {
        "TIFFTAG_SOFTWARE": "sarknowlip simulator",
        "TIFFTAG_IMAGEDESCRIPTION": f"simulated {profile.title}: {world_name}",
        "TIFFTAG_DATETIME": np.datetime_as_string(geometry.orbit.start, "s")
        .replace("-", ":")
        .replace("T", " "),
        "NESZ_DB": f"{profile.nesz_db:g}",
        "REFERENCE_HEIGHT_M": f"{geometry.reference_height_m:.3f}",
    }
    write_json(path.with_suffix(SIDECAR), _sidecar(profile, geometry, polarizations))
    if covariance:
        _write(path.with_name(path.stem + COVARIANCE), covariance, geometry, tags)
    _write(path, bands, geometry, tags)
    return path


def _write(
    path: Path,
    bands: Mapping[str, npt.NDArray[np.floating]],
    geometry: MapGrid,
    tags: dict[str, str],
) -> None:
    """Write bands by name in windows of whole tiles.

    Raises:
        StorageError: The disk is full; GDAL says so late, so the file's end is read once more.
    """
    height, width = geometry.shape
    with replacing(path) as partial:
        try:
            with rasterio.open(
                partial,
                "w",
                driver="GTiff",
                height=height,
                width=width,
                count=len(bands),
                dtype="float32",
                crs=f"EPSG:{geometry.frame.epsg}",
                transform=geometry.transform,
                nodata=math.nan,
                tiled=True,
                blockxsize=TILE_PX,
                blockysize=TILE_PX,
                interleave="band",
                compress="zstd",
                zstd_level=3,
                predictor=3,
                bigtiff="if_safer",
            ) as target:
                target.update_tags(**tags)
                for band, (name, pixels) in enumerate(bands.items(), start=1):
                    target.set_band_description(band, name)
                    for row in range(0, height, TILE_PX):
                        for column in range(0, width, STRIP_PX):
                            rows = slice(row, min(row + TILE_PX, height))
                            columns = slice(column, min(column + STRIP_PX, width))
                            window = Window.from_slices(rows, columns)
                            target.write(
                                pixels[rows, columns].astype(np.float32), band, window=window
                            )
            with rasterio.open(partial) as written:
                for band in range(1, len(bands) + 1):
                    written.read(band, window=Window(width - 1, height - 1, 1, 1))
        except RasterioError as error:
            raise StorageError(
                f"cannot write {path}: {error.__cause__ or error}",
                "free space or choose another folder",
            ) from error


def _sidecar(
    profile: SensorProfile, geometry: MapGrid, polarizations: tuple[Polarization, ...]
) -> dict[str, Any]:
    orbit, (rows, columns) = geometry.orbit, geometry.shape
    row = np.array([-0.5, -0.5, rows - 0.5, rows - 0.5])
    column = np.array([-0.5, columns - 0.5, -0.5, columns - 0.5])
    times, _ = geometry.abeam(row, column)
    begin, end = (
        f"{np.datetime_as_string(orbit.utc(float(t)), 'us')}Z" for t in (times.min(), times.max())
    )
    corners = geometry.incidence_deg(*geometry.ground(row, column, geometry.reference_height_m))
    centre = float(geometry.incidence_deg(*(np.array([v]) for v in geometry.bounds.centre))[0])
    # Heights spread evenly between their limits have this standard deviation; relief displaces so.
    relief = (geometry.heights[1] - geometry.heights[0]) / math.sqrt(12.0)
    return {
        "units": "power",
        "quantity": "sigma0",
        "calibrated": True,
        "noise_removed": False,
        "polarizations": list(polarizations),
        "geocoding": {
            "method": "provider",
            "vertical_datum": "ellipsoid",
            "error_m": relief / math.tan(math.radians(centre)),
        },
        "acquisition": {
            "platform": f"simulated-{profile.platform}",
            "constellation": profile.constellation,
            "instruments": [profile.instrument],
            "start_datetime": begin,
            "end_datetime": end,
            "sar:instrument_mode": profile.instrument_mode,
            "sar:frequency_band": profile.band,
            "sar:center_frequency": profile.frequency_ghz,
            "sar:product_type": profile.product_type,
            "sar:looks_range": profile.looks_range,
            "sar:looks_azimuth": profile.looks_azimuth,
            "sar:looks_equivalent_number": profile.enl,
            "sar:resolution_range": profile.resolution_range_m,
            "sar:resolution_azimuth": profile.resolution_azimuth_m,
            "sar:observation_direction": "right" if orbit.right else "left",
            "sat:orbit_state": "ascending" if orbit.ascending else "descending",
            "view:incidence_angle": centre,
            "sarknowlip:incidence_near": float(corners.min()),
            "sarknowlip:incidence_far": float(corners.max()),
            "sarknowlip:heading": orbit.heading_deg,
        },
    }
