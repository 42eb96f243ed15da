"""One swath of a Sentinel-1 product: where ground lies in its rasters, and their power.

A TOPS raster holds bursts one below the other that overlap on the ground. A burst serves the lines
up to the middle of the overlap with the next; its neighbours never enter the mean of a pixel.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader
from shapely.geometry import Polygon
from xarray_sentinel.sentinel1 import open_coordinate_conversion_dataset

from sarknowlip.core.errors import ProductError
from sarknowlip.geo.raster import guarded
from sarknowlip.sar.geolocation import (
    GeolocationGrid,
    GroundRange,
    RadarGrid,
    bistatic_residual,
)
from sarknowlip.sar.lattice import Floats, Lattice, Power, PowerReader, SensorModel, fill
from sarknowlip.sar.product import Polarization
from sarknowlip.sar.radiometry import (
    Coefficient,
    Noise,
    Table,
    calibrate,
    read_calibration,
    read_noise,
)
from sarknowlip.sar.safe import FETCH_AGAIN, Annotation, ImageFiles, parsing
from sarknowlip.sar.terrain import Flattening, RangeDoppler

EDGE_POINTS = 33


@dataclass(frozen=True)
class Piece:
    """Raster lines without a gap in time: a burst, or the whole image.

    Attributes:
        top: First raster line.
        lines: Their number.
        start: Line, debursted, of the first raster line.
        begin: First line that this piece serves.
        end: Line from which the next piece serves.
    """

    top: int
    lines: int
    start: float
    begin: float
    end: float


class Swath:
    """One swath in all polarisations.

    Args:
        annotation: Its annotation.
        images: Its files by polarisation.
        terrain: Whether heights will be given, and the range-Doppler model is wanted.

    Attributes:
        annotation: Its annotation.
        images: Its files by polarisation.
        radar: Time axes.
        grid: Geolocation grid.
        model: Ground to (line, sample).
        flattening: Terrain simulation; None without terrain.
    """

    def __init__(
        self, annotation: Annotation, images: Mapping[Polarization, ImageFiles], terrain: bool
    ) -> None:
        self.annotation = annotation
        self.images = images
        ties = annotation.ties
        line = _debursted(annotation, ties.line)
        start, rate = annotation.range_start_s, annotation.sampling_hz
        self._tie_line, self._tie_sample = line, (ties.range_s - start) * rate
        self.radar = RadarGrid(
            line_interval_s=annotation.line_interval_s,
            range_start_s=start,
            sampling_hz=rate,
            residual=bistatic_residual(
                ties.azimuth_s, line * annotation.line_interval_s, ties.range_s, start
            ),
            ground=_ground_range(annotation),
        )
        self.grid = GeolocationGrid(ties, line, self._tie_sample)
        self.flattening: Flattening | None = None
        self.model: SensorModel = self._through_ties
        if terrain:
            model = RangeDoppler.of(annotation, self.radar)
            self.model = model
            near, _ = self.incidences()
            self.flattening = Flattening(model, annotation.spacing_m[1], near, annotation.incidence)
        self._pieces = _pieces(annotation)
        self._lattices: dict[str, Lattice] = {}
        self._tables: dict[tuple[Polarization, Coefficient, bool], tuple[Table, Noise | None]] = {}

    def positions(self, target: GeoBox, crs: CRS, height: Floats | None) -> tuple[Floats, Floats]:
        """Return lines and samples of a grid's pixels, NaN where not seen.

        Args:
            target: Map grid.
            crs: Its CRS.
            height: Ellipsoidal metres, shape of the grid; None takes those of the geolocation grid.
        """
        return self.lattice(crs).positions(target, 0.0 if height is None else height)

    def sees(self, lines: Floats, samples: Floats) -> npt.NDArray[np.bool_]:
        """Tell which places lie in the raster, valid or not."""
        pixels = self.radar.pixel(lines, samples)
        first, last = self._line_extent()
        inside = (lines >= first) & (lines <= last)
        return np.asarray(inside & (pixels >= 0) & (pixels <= self.annotation.shape[1] - 1))

    def power(
        self,
        polarization: Polarization,
        lines: Floats,
        samples: Floats,
        looks: tuple[float, float],
        tables: tuple[Table, Noise | None],
    ) -> Power:
        """Return multilooked, calibrated power at lines and samples, NaN where there is none.

        Args:
            polarization: One of `images`.
            lines: Debursted lines, shape (rows, columns).
            samples: Same shape.
            looks: Raster lines and pixels averaged; see `looks`.
            tables: See `tables`.
        """
        pixels = self.radar.pixel(lines, samples)
        result = np.full(lines.shape, np.nan, dtype=np.float32)
        for piece in self._pieces:
            own = (lines >= piece.begin) & (lines < piece.end)
            if not own.any():
                continue
            rows = np.where(own, lines - piece.start, np.nan)
            shape = (piece.lines, self.annotation.shape[1])
            read = self._reader(piece, polarization, tables)
            result[own] = fill(rows, pixels, shape, looks, read)[own]
        return np.maximum(result, np.float32(0))

    def looks(self, target: GeoBox, crs: CRS) -> tuple[float, float]:
        """Return how many raster lines and pixels a target pixel spans at mid-swath."""

        def raster(lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
            line, sample = self.model(lon, lat, height)
            return line, self.radar.pixel(line, sample)

        (lon, lat), height = self._middle(), float(self.annotation.ties.height.mean())
        x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
        return Lattice(raster, crs, 1.0, 1.0).looks(target, x, y, height)

    def lattice(self, crs: CRS) -> Lattice:
        """Return the sensor model, interpolated, for maps in a CRS."""
        key = crs.to_wkt()
        if key not in self._lattices:
            ties = self.annotation.ties
            inner = np.ix_(*(_spread(n) for n in ties.lon.shape))
            self._lattices[key] = Lattice.fit(
                self.model,
                crs,
                ties.lon[inner].ravel(),
                ties.lat[inner].ravel(),
                float(ties.height.mean()),
            )
        return self._lattices[key]

    def outline(self) -> Polygon:
        """Return the outline of valid pixels, degrees, anticlockwise, not cut at ±180°."""
        first, last = self._line_extent()
        line = np.linspace(first, last, EDGE_POINTS)
        left, right = self._sample_edges(line)
        across = np.linspace(0.0, 1.0, EDGE_POINTS)
        ends = [(1 - across) * left[i] + across * right[i] for i in (0, -1)]
        lines = [line, np.full_like(line, last), line[::-1], np.full_like(line, first)]
        lon, lat = self.grid.lonlat(
            np.concatenate(lines), np.concatenate([left, ends[1], right[::-1], ends[0][::-1]])
        )
        # Right-looking: up along near range and back along far range is clockwise.
        return Polygon(np.column_stack([lon, lat])[::-1])

    def incidences(self) -> tuple[float, float]:
        """Return the least and the greatest incidence angle of valid pixels, degrees."""
        ends = self._sample_edges(self._tie_line)
        rows = list(zip(self._tie_sample, self.annotation.ties.incidence, strict=True))
        near, far = (
            np.array([np.interp(at, *row) for at, row in zip(edge, rows, strict=True)])
            for edge in ends
        )
        return float(near.min()), float(far.max())

    def tables(
        self, polarization: Polarization, quantity: Coefficient, remove_noise: bool
    ) -> tuple[Table, Noise | None]:
        """Return the calibration table and, if wanted, the noise of one image.

        Raises:
            ProductError: A file is absent, not XML, or incomplete.
        """
        key = (polarization, quantity, remove_noise)
        if key not in self._tables:
            image = self.images[polarization]
            noise = None
            if remove_noise:
                noise = read_noise(existing(image, "noise"))
            self._tables[key] = read_calibration(existing(image, "calibration"), quantity), noise
        return self._tables[key]

    def _reader(
        self, piece: Piece, polarization: Polarization, tables: tuple[Table, Noise | None]
    ) -> PowerReader:
        table, noise = tables
        path, bursts = self.images[polarization].measurement, self.annotation.bursts

        def read(rows: slice, columns: slice) -> Power:
            lines = slice(piece.top + rows.start, piece.top + rows.stop)
            with _raster(path) as source:
                number = source.read(
                    1, window=((lines.start, lines.stop), (columns.start, columns.stop))
                )
            power = number.real.astype(np.float32) ** 2
            if np.iscomplexobj(number):
                power += number.imag.astype(np.float32) ** 2
            if bursts is None:
                valid = power > 0
            else:
                at = np.arange(columns.start, columns.stop)
                first, last = (v[lines, None] for v in (bursts.first_valid, bursts.last_valid))
                valid = (first >= 0) & (at >= first) & (at <= last)
            power[~valid] = np.nan
            return calibrate(
                power,
                table.window(lines, columns),
                None if noise is None else noise.window(lines, columns),
            )

        return read

    def _through_ties(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Locate ground points at the heights of the geolocation grid, whatever `height` is."""
        return self.grid.locate(lon, lat)

    def _line_extent(self) -> tuple[float, float]:
        """Return the first and the last valid line."""
        if self.annotation.bursts is None:
            return 0.0, float(self.annotation.shape[0] - 1)
        valid = self.annotation.bursts.first_valid >= 0
        ends = np.flatnonzero(valid)[[0, -1]].astype(np.float64)
        first, last = _debursted(self.annotation, ends)
        return float(first), float(last)

    def _sample_edges(self, line: Floats) -> tuple[Floats, Floats]:
        """Return the first and the last valid sample of lines."""
        left, right = (np.interp(line, self._tie_line, self._tie_sample[:, i]) for i in (0, -1))
        bursts = self.annotation.bursts
        if bursts is not None:
            valid = bursts.first_valid >= 0
            left = np.maximum(left, bursts.first_valid[valid].min())
            right = np.minimum(right, bursts.last_valid.max())
        return left, right

    def _middle(self) -> tuple[float, float]:
        """Return longitude and latitude of the middle of the swath."""
        line = np.array([np.mean(self._line_extent())])
        left, right = self._sample_edges(line)
        lon, lat = self.grid.lonlat(line, (left + right) / 2)
        return float(lon[0]), float(lat[0])


def existing(image: ImageFiles, table: Literal["calibration", "noise"]) -> Path:
    """Return the path of one of an image's tables.

    Raises:
        ProductError: The manifest lists none, or it is not there.
    """
    path: Path | None = getattr(image, table)
    remedy = FETCH_AGAIN if table == "calibration" else f"{FETCH_AGAIN}, or keep thermal noise"
    if path is None:
        raise ProductError(f"{image.annotation} has no {table} table in the manifest", remedy)
    if not path.is_file():
        raise ProductError(f"missing {path}", remedy)
    return path


def check_raster(image: ImageFiles, shape: tuple[int, int]) -> None:
    """Compare a measurement with its annotation, reading its header only.

    Raises:
        ProductError: It cannot be opened, or has another shape.
    """
    path = image.measurement
    with _raster(path) as source:
        found = source.shape
    if found != shape:
        raise ProductError(
            f"{path} has {found[0]} × {found[1]} pixels, its annotation says "
            f"{shape[0]} × {shape[1]}",
            FETCH_AGAIN,
        )


@contextmanager
def _raster(path: Path) -> Iterator[DatasetReader]:
    """Open a measurement, which has no map transform and needs none."""
    with guarded(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            yield source


def _debursted(annotation: Annotation, raster_line: Floats) -> Floats:
    """Return lines of raster lines; they differ for TOPS images only, whose bursts overlap."""
    bursts = annotation.bursts
    if bursts is None:
        return raster_line
    burst = np.minimum(raster_line // bursts.lines, bursts.start_s.size - 1).astype(np.int64)
    start = bursts.start_s[burst] / annotation.line_interval_s
    return np.asarray(start + raster_line - burst * bursts.lines)


def _pieces(annotation: Annotation) -> tuple[Piece, ...]:
    bursts = annotation.bursts
    if bursts is None:
        return (Piece(0, annotation.shape[0], 0.0, -np.inf, np.inf),)
    start = bursts.start_s / annotation.line_interval_s
    valid = bursts.first_valid.reshape(start.size, bursts.lines) >= 0
    used = np.flatnonzero(valid.any(axis=1))
    first = start[used] + valid[used].argmax(axis=1)
    last = start[used] + bursts.lines - 1 - valid[used, ::-1].argmax(axis=1)
    cuts = (last[:-1] + first[1:]) / 2
    begin, end = [-np.inf, *cuts], [*cuts, np.inf]
    return tuple(
        Piece(int(i) * bursts.lines, bursts.lines, float(start[i]), float(b), float(e))
        for i, b, e in zip(used, begin, end, strict=True)
    )


def _ground_range(annotation: Annotation) -> GroundRange | None:
    with parsing(annotation.path):
        try:
            table = open_coordinate_conversion_dataset(annotation.path)
        except TypeError:  # xarray-sentinel's way to say that the image is in slant range
            return None
    seconds = (table["azimuth_time"].values - annotation.first_line) / np.timedelta64(1, "s")
    return GroundRange(
        line=np.asarray(seconds / annotation.line_interval_s),
        origin_m=table["sr0"].values,
        coefficients=table["srgrCoefficients"].values,
        spacing_m=annotation.spacing_m[0],
    )


def _spread(count: int) -> list[int]:
    """Return up to five indices spread over a range, ends excluded where possible."""
    inner = range(1, count - 1) if count > 2 else range(count)
    return sorted({inner[round(i * (len(inner) - 1) / 4)] for i in range(5)})
