"""SIDD: detected SAR images, derived for display, of any sensor in NITF.

Sources: NGA.STND.0025 volume 1 (metadata; section 3: coordinate transformations) and volume 2
(NITF); NGA.STND.0024 volume 3 for ranges and range rates.

Pixels have been mapped for display, often not linearly, so that their squares are uncalibrated
"amplitude" whatever the file's Radiometric block says.

Products on a plane keep the layover of the radar: a ground point lies where the plane has its range
and range rate (`PlaneGeometry`). Products on a geographic grid are taken as their provider
rectified them (`GridGeometry`), without further terrain correction. Cylindrical grids are refused,
because sarkit 1.8 tilts their axes (it takes radians for degrees), and so are polynomial grids,
which come without the radar's path.

TimeCOAPoly is evaluated at pixel row and column, as the schema says ("for a given pixel
coordinate") and sarpy does; six-library takes metres from the reference point. The two agree where
it is constant, and nearly so elsewhere, since the time matters only for points off the plane.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from numpy.polynomial import polynomial
from odc.geo.geobox import GeoBox
from sarkit import sicd, sidd, wgs84
from sarkit.sicd import projection

from sarknowlip.core.errors import ProductError
from sarknowlip.sar import nitf, viewing
from sarknowlip.sar.lattice import Floats, Power
from sarknowlip.sar.modelled import ModelledProduct, valid_outline
from sarknowlip.sar.nitf import Metadata
from sarknowlip.sar.product import Acquisition, Geocoding, Radiometry, ReadOptions
from sarknowlip.sar.sensors.sicd import center_frequency_ghz

CONVERGED_PX = 1e-3
MAX_ITERATIONS = 12

_LOG = logging.getLogger(__name__)
_PIXEL_TYPES = ("MONO8I", "MONO8LU", "MONO16I")


@dataclass(frozen=True)
class Aperture:
    """Where the antenna was when it saw a pixel.

    Attributes:
        arp: Position polynomial, shape (terms, 3), seconds → ECEF metres.
        time_coa: Centre-of-aperture time polynomial of row and column, seconds.
    """

    arp: Floats
    time_coa: Floats

    def at(self, rows: Floats, columns: Floats) -> tuple[Floats, Floats, Floats]:
        """Return times, shape (…), positions and velocities, shape (…, 3)."""
        time: Floats = np.asarray(polynomial.polyval2d(rows, columns, self.time_coa), np.float64)
        position = np.moveaxis(polynomial.polyval(time, self.arp), 0, -1)
        velocity = np.moveaxis(polynomial.polyval(time, polynomial.polyder(self.arp)), 0, -1)
        return time, np.asarray(position), np.asarray(velocity)


@dataclass(frozen=True)
class PlaneGeometry:
    """Sensor model of a product on a plane ("planar gridded display").

    Attributes:
        aperture: Antenna.
        reference: Reference point, ECEF metres.
        pixel: Row and column of the reference point.
        row_step: From one row to the next, ECEF metres.
        column_step: From one column to the next, ECEF metres.
    """

    aperture: Aperture
    reference: Floats
    pixel: Floats
    row_step: Floats
    column_step: Floats

    def to_image(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns whose range and range rate are the ground point's."""
        ground = wgs84.geodetic_to_cartesian(np.stack([lat, lon, height], axis=-1))
        offset = ground - self.reference
        rows = self.pixel[0] + offset @ self.row_step / (self.row_step @ self.row_step)
        columns = self.pixel[1] + offset @ self.column_step / (self.column_step @ self.column_step)
        change = np.full(rows.shape, np.inf)
        with np.errstate(all="ignore"):
            for _ in range(MAX_ITERATIONS):
                down, across = self._newton_step(ground, rows, columns)
                rows, columns = rows - down, columns - across
                change = np.hypot(down, across)
                if not (change > CONVERGED_PX / 10).any():
                    break
        found = change <= CONVERGED_PX
        return np.where(found, rows, np.nan), np.where(found, columns, np.nan)

    def to_ground(self, rows: Floats, columns: Floats, height: Floats) -> Floats:
        """Return ECEF metres of pixels on surfaces of given height; see `ImageGeometry`."""
        time, position, velocity = self.aperture.at(rows, columns)
        distance, rate, _ = _contour(self._on_plane(rows, columns), position, velocity)
        centre = self._on_plane(*self.pixel)
        _, antenna, flight = self.aperture.at(*self.pixel)
        look = 1 if viewing.observation_direction(antenna, flight, centre) == "left" else -1
        ground, _, _ = projection.r_rdot_to_constant_hae_surface(
            look,
            self.reference,
            projection.ProjectionSetsMono(
                t_COA=time, ARP_COA=position, VARP_COA=velocity, R_COA=distance, Rdot_COA=-rate
            ),
            height,
            delta_hae_max=0.001,
            nlim=8,
        )
        return np.asarray(ground)

    def platform(self, rows: Floats, columns: Floats) -> Floats:
        """Return ECEF metres of the antenna at the pixels' centres of aperture."""
        return self.aperture.at(rows, columns)[1]

    def _on_plane(self, rows: Floats, columns: Floats) -> Floats:
        down = np.asarray(rows - self.pixel[0])[..., None]
        across = np.asarray(columns - self.pixel[1])[..., None]
        return np.asarray(self.reference + down * self.row_step + across * self.column_step)

    def _newton_step(self, ground: Floats, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """Return how far, in rows and columns, range and rate on the plane miss the ground's."""
        _, position, velocity = self.aperture.at(rows, columns)
        distance, rate, sight = _contour(self._on_plane(rows, columns), position, velocity)
        wanted_distance, wanted_rate, _ = _contour(ground, position, velocity)
        turning = (velocity - rate[..., None] * sight) / distance[..., None]
        a, b = sight @ self.row_step, sight @ self.column_step
        c, d = turning @ self.row_step, turning @ self.column_step
        far, fast = distance - wanted_distance, rate - wanted_rate
        determinant = a * d - b * c
        return (d * far - b * fast) / determinant, (a * fast - c * far) / determinant


@dataclass(frozen=True)
class GridGeometry:
    """Latitude–longitude grid that its provider rectified; heights asked for don't matter.

    Attributes:
        aperture: Antenna.
        reference: Latitude, longitude (degrees) and height (metres) of the reference point.
        pixel: Row and column of the reference point.
        step: From one row to the next, southwards, and one column to the next, degrees.
    """

    aperture: Aperture
    reference: Floats
    pixel: Floats
    step: Floats

    def to_image(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns of ground points; see `ImageGeometry`."""
        east = (lon - self.reference[1] + 180.0) % 360.0 - 180.0
        rows = self.pixel[0] + (self.reference[0] - lat) / self.step[0]
        return np.asarray(rows), np.asarray(self.pixel[1] + east / self.step[1])

    def to_ground(self, rows: Floats, columns: Floats, height: Floats) -> Floats:
        """Return ECEF metres of pixels at the height of the reference point."""
        lat = self.reference[0] - (rows - self.pixel[0]) * self.step[0]
        lon = self.reference[1] + (columns - self.pixel[1]) * self.step[1]
        place = np.stack([lat, lon, np.full(np.shape(lat), self.reference[2])], axis=-1)
        return np.asarray(wgs84.geodetic_to_cartesian(place))

    def platform(self, rows: Floats, columns: Floats) -> Floats:
        """Return ECEF metres of the antenna at the pixels' centres of aperture."""
        return self.aperture.at(rows, columns)[1]

    def geobox(self, shape: tuple[int, int]) -> GeoBox:
        """Return the grid's first `shape` pixels."""
        (lat, lon, _), (row, column), (down, across) = self.reference, self.pixel, self.step
        west, north = lon - (column + 0.5) * across, lat + (row + 0.5) * down
        return GeoBox(shape, Affine(across, 0, west, 0, -down, north), "EPSG:4326")


class SiddProduct(ModelledProduct):
    """The first image of one SIDD file."""

    sensor = "sidd"
    options_used = frozenset({"quantity", "dem", "dem_geoid_m", "polarizations", "acquisition"})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell from the NITF header and the namespace in its data extension."""
        return nitf.kind(path) == "SIDD"

    @classmethod
    def open(cls, path: Path, options: ReadOptions | None = None) -> SiddProduct:
        """Read metadata, no pixels.

        Of the options, dem, dem_geoid_m (products on a plane), polarizations and acquisition are
        used.

        Raises:
            ProductError: The file is damaged, no SIDD, compressed, a colour image, a chip of
                another product, on a cylindrical or polynomial grid, or its polarisation has no
                name here and the options give none.
            GeometryError: The elevation model is unusable or lies elsewhere.
        """
        options = options or ReadOptions()
        nitf.require(path, "SIDD")
        with nitf.decoding(path), path.open("rb") as handle:
            reader = sidd.NitfReader(handle)  # type: ignore[no-untyped-call]
            contents = reader.metadata
            if not contents.images:
                raise ProductError(f"{path} has no SIDD metadata", nitf.FETCH_AGAIN)
            helper = sidd.XmlHelper(contents.images[0].xmltree)  # type: ignore[no-untyped-call]
            metadata = Metadata(path, helper)
            pixel_type = _pixel_type(metadata)
            dtype = sidd.PIXEL_TYPES[pixel_type]["dtype"]
            image = nitf.image(path, reader.jbp, "SIDD001", dtype)
        if len(contents.images) > 1:
            _LOG.warning("%s holds %d images; the first is read", path, len(contents.images))
        if options.quantity is not None:
            _LOG.warning("%s is mapped for display: %s cannot be had", path, options.quantity)
        shape = tuple(int(n) for n in metadata.need("Measurement/PixelFootprint"))
        if image.shape != shape:
            raise ProductError(
                f"{path} holds {image.shape} pixels, its metadata say {shape}", nitf.FETCH_AGAIN
            )
        geometry = _geometry(metadata)
        height = float(wgs84.cartesian_to_geodetic(_reference(metadata))[2])
        vertices = metadata.get("Measurement/ValidData")
        valid = valid_outline(path, vertices, (0, 0), image.shape)
        product = cls(path, image, geometry, height, valid)
        product._table = None if pixel_type != "MONO8LU" else contents.images[0].lookup_table
        product.radiometry = Radiometry(quantity="amplitude", calibrated=False)
        product.acquisition = _acquisition(product, metadata, contents, options)
        product._place(metadata, options)
        return product

    _table: npt.NDArray[Any] | None

    def _detected(self, stored: npt.NDArray[Any]) -> Power:
        values = stored if self._table is None else self._table[stored]
        return np.asarray(values.astype(np.float32) ** 2)

    def _place(self, metadata: Metadata, options: ReadOptions) -> None:
        """Set `geocoding`, and `grid` for geographic products."""
        incidence = self.acquisition.incidence_angle
        assert incidence is not None
        error_m = _error_m(metadata, incidence)
        if not isinstance(self._geometry, GridGeometry):
            self._use_elevation(options, incidence, error_m)
            return
        if options.dem is not None:
            _LOG.warning("%s is rectified already: option dem is not used", self.path)
        self.geocoding = Geocoding(method="provider", error_m=error_m)
        self.grid = self._geometry.geobox(self._image.shape)


def _pixel_type(metadata: Metadata) -> str:
    """Return the pixel type of a monochrome image.

    Raises:
        ProductError: It is a colour image, or a chip cut from another product.
    """
    pixel_type = str(metadata.need("Display/PixelType"))
    if pixel_type not in _PIXEL_TYPES:
        raise ProductError(
            f"{metadata.path} is a colour image ({pixel_type})", "give a monochrome SIDD"
        )
    if metadata.tree.find("{*}DownstreamReprocessing/{*}GeometricChip") is not None:
        raise ProductError(
            f"{metadata.path} is a chip of another product", "give the product it was cut from"
        )
    return pixel_type


def _grid_element(metadata: Metadata) -> str:
    """Return the path of the element that defines the pixel grid.

    Raises:
        ProductError: It is neither a plane nor a geographic grid.
    """
    for name in ("PlaneProjection", "GeographicProjection"):
        if metadata.tree.find(f"{{*}}Measurement/{{*}}{name}") is not None:
            return f"Measurement/{name}"
    raise ProductError(
        f"{metadata.path} lies neither on a plane nor on a geographic grid",
        "ask its provider for one that does",
    )


def _reference(metadata: Metadata) -> Floats:
    """Return the reference point, ECEF metres."""
    point = metadata.need(f"{_grid_element(metadata)}/ReferencePoint/ECEF")
    return np.asarray(point, dtype=np.float64)


def _geometry(metadata: Metadata) -> PlaneGeometry | GridGeometry:
    element = _grid_element(metadata)
    arp, time = metadata.need("Measurement/ARPPoly"), metadata.need(f"{element}/TimeCOAPoly")
    pixel = np.asarray(metadata.need(f"{element}/ReferencePoint/Point"), dtype=np.float64)
    spacing = np.asarray(metadata.need(f"{element}/SampleSpacing"), dtype=np.float64)
    if element.endswith("GeographicProjection"):
        reference = np.asarray(wgs84.cartesian_to_geodetic(_reference(metadata)))
        return GridGeometry(Aperture(arp, time), reference, pixel, spacing / 3600.0)
    return PlaneGeometry(
        aperture=Aperture(arp, time),
        reference=_reference(metadata),
        pixel=pixel,
        row_step=metadata.need(f"{element}/ProductPlane/RowUnitVector") * spacing[0],
        column_step=metadata.need(f"{element}/ProductPlane/ColUnitVector") * spacing[1],
    )


def _contour(ground: Floats, position: Floats, velocity: Floats) -> tuple[Floats, Floats, Floats]:
    """Return range, speed of the antenna towards the point, and unit line of sight to it."""
    sight = ground - position
    distance = np.linalg.norm(sight, axis=-1)
    sight = sight / distance[..., None]
    return np.asarray(distance), np.asarray((velocity * sight).sum(axis=-1)), sight


def _acquisition(
    product: SiddProduct, metadata: Metadata, contents: Any, options: ReadOptions
) -> Acquisition:
    features = "ExploitationFeatures/Collection"
    start = metadata.get(f"{features}/Information/CollectionDateTime")
    seconds = metadata.get(f"{features}/Information/CollectionDuration")
    resolution = metadata.get(f"{features}/Information/Resolution")
    frequency = _source_frequency_ghz(product.path, contents)
    stated: dict[str, Any] = {
        "platform": metadata.get(f"{features}/Information/SensorName"),
        "start_datetime": start,
        "end_datetime": None
        if start is None or seconds is None
        else start + timedelta(seconds=float(seconds)),
        "sar:instrument_mode": metadata.get(f"{features}/Information/RadarMode/ModeType"),
        "sar:center_frequency": frequency,
        "sar:frequency_band": None if frequency is None else viewing.frequency_band(frequency),
        "sar:polarizations": viewing.polarizations(product.path, *_polarization(metadata), options),
        "sar:product_type": "SIDD",
        "sar:resolution_range": None if resolution is None else float(resolution[0]),
        "sar:resolution_azimuth": None if resolution is None else float(resolution[1]),
        **_viewing(product, metadata),
    }
    return viewing.completed(stated, options)


def _viewing(product: SiddProduct, metadata: Metadata) -> dict[str, Any]:
    """Return what follows from the antenna's path."""
    geometry, ground = product._geometry, _reference(metadata)
    assert isinstance(geometry, PlaneGeometry | GridGeometry)
    _, position, velocity = geometry.aperture.at(*geometry.pixel)
    near, centre, far = product._incidences()
    return {
        "sar:observation_direction": viewing.observation_direction(position, velocity, ground),
        "sat:orbit_state": viewing.orbit_state(position, velocity),
        "sarknowlip:incidence_near": near,
        "view:incidence_angle": centre,
        "sarknowlip:incidence_far": far,
        "sarknowlip:heading": viewing.heading_deg(position, velocity),
    }


def _polarization(metadata: Metadata) -> tuple[str, str]:
    """Return transmit and receive polarisation of the product, else of its first collection."""
    features = "ExploitationFeatures"
    for block, suffix in (("Product", "Proc"), ("Collection/Information", "")):
        pair = [
            metadata.get(f"{features}/{block}/Polarization/{side}Polarization{suffix}")
            for side in ("Tx", "Rcv")
        ]
        if None not in pair:
            return str(pair[0]), str(pair[1])
    return "", ""


def _source_frequency_ghz(path: Path, contents: Any) -> float | None:
    """Return the frequency of the SICD the product was made from, if the file carries just one."""
    if len(contents.sicd_xmls) != 1:
        return None
    with nitf.decoding(path):
        helper = sicd.XmlHelper(contents.sicd_xmls[0].xmltree)  # type: ignore[no-untyped-call]
    return center_frequency_ghz(Metadata(path, helper))


def _error_m(metadata: Metadata, incidence: float) -> float | None:
    """Return the horizontal error that composite error statistics imply, metres."""
    slant = metadata.get("ErrorStatistics/CompositeSCP/Rg")
    along = metadata.get("ErrorStatistics/CompositeSCP/Az")
    if slant is None or along is None:
        return None
    return math.hypot(slant / math.sin(math.radians(incidence)), along)
