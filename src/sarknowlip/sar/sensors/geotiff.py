"""Generic GeoTIFF: geocoded backscatter of any sensor, 1 to 4 polarisations.

What the file does not say is taken, in this order, from the caller's options, from a sidecar
`<name>.sar.json` beside it, from its name if it follows a published convention (`sar.naming`), and
from the raster itself: band descriptions that name a polarisation, band units, and pixels that are
mostly negative, as only decibels are. Nothing else is inferred; a raster that stays ambiguous is
refused.

Zero in amplitude or power rasters is no data, as SAR processors write it.
"""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import ValidationError
from pyproj.exceptions import ProjError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry import MultiPolygon

from sarknowlip.core.errors import ConfigError, GeometryError, ProductError
from sarknowlip.core.settings import first_problem
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import ground_sample_distance
from sarknowlip.geo.raster import THREADS, guarded
from sarknowlip.geo.warp import Method, aligned_window, source_window, warp
from sarknowlip.sar.naming import RasterFacts, facts_from_name
from sarknowlip.sar.product import Acquisition, Geocoding, Radiometry, ReadOptions, SarProduct
from sarknowlip.sar.scaling import db_to_power

SIDECAR = ".sar.json"
PROBE_PX = 512
"""Edge of the decimated read that looks for negative values."""

_POLARIZATION = re.compile(r"(?<![A-Z0-9])(VV|VH|HH|HV)(?![A-Z0-9])")


class GeoTiffProduct(SarProduct):
    """A raster file whose bands are polarisations."""

    sensor = "geotiff"
    options_used = frozenset({"quantity", "units", "polarizations", "crs", "acquisition"})

    def __init__(
        self,
        path: Path,
        facts: RasterFacts,
        grid: GeoBox | None,
        bands: int,
        files: tuple[Path, ...],
    ) -> None:
        self.path = path
        self.name = path.stem
        self.grid = grid
        self._units = facts.units
        self._bands = bands
        self._files = files
        self.acquisition = Acquisition(
            **facts.acquisition | {"sar:polarizations": facts.polarizations}
        )
        self.radiometry = Radiometry(
            quantity=facts.quantity or ("amplitude" if facts.units == "amplitude" else "unknown"),
            calibrated=bool(facts.calibrated),
            noise_removed=facts.noise_removed,
        )
        self.geocoding = facts.geocoding or Geocoding(method="provider")
        self.footprint = MultiPolygon()
        if grid is not None:
            self.footprint, self.gsd_m = _place(path, grid)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell by the suffix; content is examined by `open`."""
        return path.is_file() and path.suffix.lower() in {".tif", ".tiff"}

    @classmethod
    def open(cls, path: Path, options: ReadOptions | None = None) -> GeoTiffProduct:
        """Read what the file, its sidecar, its name and the options say.

        Raises:
            ProductError: Not a raster, or units or polarisations stay unknown or contradict, or it
                holds another quantity than the wanted one.
            GeometryError: CRS and transform have no place on Earth.
        """
        if path.stat().st_size == 0:
            raise ProductError(f"{path} is empty (0 bytes)", "fetch it again")
        with guarded(path), rasterio.open(path) as source:
            options = options or ReadOptions()
            facts = _stated(path, options).over(facts_from_name(path.stem))
            facts = facts.over(_from_raster(path, source))
            _check(path, facts, options, source.count)
            files = tuple(map(Path, source.files))
            return cls(path, facts, _grid(path, source, facts), source.count, files)

    def files(self) -> list[Path]:
        """Return the raster, its sidecar, and what GDAL reads beside it (mask, .aux.xml, …)."""
        beside = {self.path.with_suffix(SIDECAR), *self._files} - {self.path}
        folder = self.path.parent
        return [self.path, *sorted(f for f in beside if f.parent == folder and f.is_file())]

    def power(self, target: GeoBox) -> npt.NDArray[np.float32]:
        """Return linear power on a map grid; see `SarProduct.power`.

        Pixels are copied when the grids coincide, averaged when the target is coarser than 1.5
        source pixels, and interpolated bilinearly in power otherwise.
        """
        if self.grid is None:
            raise GeometryError(
                f"{self.path} has no coordinate reference system",
                f"give --crs, or crs and transform in {self.path.stem}{SIDECAR}",
            )
        shift = aligned_window(self.grid, target)
        if shift is not None:
            height, width = target.shape
            return self._copy(*shift, (height, width))
        ratio = max(ground_sample_distance(target)) / max(self.gsd_m)
        window = source_window(self.grid, target, margin=4 + int(np.ceil(ratio)))
        if window is None:
            return np.full((self._bands, *target.shape), np.nan, dtype=np.float32)
        values = self._read(*window)
        method: Method = "average" if ratio > 1.5 else "bilinear"
        return warp(values, self.grid[window], target, method)

    def _copy(self, row: int, column: int, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        assert self.grid is not None
        height, width = self.grid.shape
        result = np.full((self._bands, *shape), np.nan, dtype=np.float32)
        rows = slice(max(0, row), min(height, row + shape[0]))
        columns = slice(max(0, column), min(width, column + shape[1]))
        if rows.start < rows.stop and columns.start < columns.stop:
            part = self._read(rows, columns)
            top, left = rows.start - row, columns.start - column
            result[:, top : top + part.shape[1], left : left + part.shape[2]] = part
        return result

    def _read(self, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        """Return linear power of a window of the file, band by band to save memory."""
        window = Window.from_slices(rows, columns)
        shape = rows.stop - rows.start, columns.stop - columns.start
        power = np.empty((self._bands, *shape), dtype=np.float32)
        with guarded(self.path), rasterio.open(self.path, num_threads=THREADS) as source:
            for band in range(self._bands):
                raw = source.read(band + 1, window=window)
                valid = source.read_masks(band + 1, window=window) != 0
                scale, offset = source.scales[band], source.offsets[band]
                power[band] = self._linear(raw, valid, scale, offset)
        return power

    def _linear(
        self, raw: npt.NDArray[Any], valid: npt.NDArray[np.bool_], scale: float, offset: float
    ) -> npt.NDArray[np.float32]:
        """Return the power of stored values of one band, NaN where there is none."""
        values = np.abs(raw) if np.iscomplexobj(raw) else raw
        if (scale, offset) != (1.0, 0.0):
            values = values * scale + offset
        values = values.astype(np.float32)
        valid &= np.isfinite(values)
        if self._units == "db":
            values[~valid] = np.nan
            return db_to_power(values)
        valid &= values > 0
        values[~valid] = np.nan
        return values**2 if self._units == "amplitude" else values


def _stated(path: Path, options: ReadOptions) -> RasterFacts:
    """Return what the caller and the sidecar say, the caller first."""
    given = RasterFacts(
        units=options.units,
        polarizations=options.polarizations,
        crs=options.crs,
        acquisition=options.acquisition,
    )
    sidecar = path.with_suffix(SIDECAR)
    if not sidecar.is_file():
        return given
    try:
        return given.over(RasterFacts.model_validate_json(sidecar.read_bytes()))
    except ValidationError as error:
        reason = first_problem(error)
        raise ProductError(f"cannot use {sidecar}: {reason}", "see docs/geotiff.md") from error


def _from_raster(path: Path, source: DatasetReader) -> RasterFacts:
    """Return what band descriptions, band units and pixel signs say."""
    names = [_POLARIZATION.findall(str(text or "").upper()) for text in source.descriptions]
    polarizations = tuple(found[0] for found in names if len(found) == 1)
    if not polarizations and source.count == 1:
        polarizations = tuple(_POLARIZATION.findall(re.sub(r"[_.-]", " ", path.stem.upper())))
    units = None
    if all(str(unit or "").lower() == "db" for unit in source.units):
        units = "db"
    elif np.issubdtype(np.dtype(source.dtypes[0]), np.complexfloating):
        units = "amplitude"
    elif np.issubdtype(np.dtype(source.dtypes[0]), np.floating) and _mostly_negative(path, source):
        units = "db"
    return RasterFacts(
        units=units,
        calibrated=units == "db" or None,
        polarizations=polarizations if len(polarizations) == source.count else None,
    )


def _mostly_negative(path: Path, source: DatasetReader) -> bool:
    shape = (source.count, min(PROBE_PX, source.height), min(PROBE_PX, source.width))
    probe = source.read(out_shape=shape, masked=True)
    finite = probe[np.isfinite(probe)].compressed()
    if not finite.size:
        raise ProductError(f"{path}: probing found no valid pixel", "it holds only no-data")
    return bool(np.median(finite) < 0)


def _check(path: Path, facts: RasterFacts, options: ReadOptions, bands: int) -> None:
    remedy = f"say it with options or in {path.stem}{SIDECAR}; see docs/geotiff.md"
    if bands > 4:
        raise ProductError(f"{path} has {bands} bands: not a SAR image of 1 to 4", remedy)
    if not facts.polarizations:
        raise ProductError(f"{path} names no polarisation: not recognised as SAR", remedy)
    if len(facts.polarizations) != bands:
        named = ", ".join(facts.polarizations)
        raise ProductError(f"{path} has {bands} bands but polarisations {named}", remedy)
    if len(set(facts.polarizations)) != bands:
        raise ProductError(f"{path} names a polarisation twice: {facts.polarizations}", remedy)
    if facts.units is None:
        raise ProductError(f"{path} does not say whether it holds dB, power or amplitude", remedy)
    if options.quantity not in {None, facts.quantity}:
        raise ProductError(
            f"{path} holds {facts.quantity or 'an unknown quantity'}, not {options.quantity}",
            f"leave option quantity out, or state what it holds in {path.stem}{SIDECAR}",
        )


def _grid(path: Path, source: DatasetReader, facts: RasterFacts) -> GeoBox | None:
    crs = source.crs or facts.crs
    if not crs:
        return None
    affine = source.transform
    if affine.is_identity and facts.transform:
        affine = Affine(*facts.transform)
    if affine.is_identity:
        raise GeometryError(
            f"{path} has a CRS but no transform", f"give transform in {path.stem}{SIDECAR}"
        )
    try:
        return GeoBox(source.shape, affine, crs)
    except (ProjError, ValueError) as error:
        raise ConfigError(f"unusable CRS for {path}: {error}", "give another with --crs") from error


def _place(path: Path, grid: GeoBox) -> tuple[MultiPolygon, tuple[float, float]]:
    """Return footprint and ground spacing of a grid.

    Raises:
        GeometryError: Its pixels have no area or no position on Earth.
    """
    gsd_m = (0.0, 0.0)
    if not grid.affine.is_degenerate:
        with contextlib.suppress(ProjError):  # a CRS that PROJ cannot relate to the Earth
            gsd_m = ground_sample_distance(grid)
    if not all(0.0 < metres < math.inf for metres in gsd_m):
        raise GeometryError(
            f"{path} has a CRS and a transform without a place on Earth",
            "correct them in the file, for example with gdal_edit",
        )
    return extent_footprint(grid), gsd_m
