"""SIDD: detected SAR images, derived for display, of any sensor in NITF.

Sources: NGA.STND.0025 volume 1 (metadata; section 3: coordinate transformations) and volume 2
(NITF); NGA.STND.0024 volume 3 for ranges and range rates.

Pixels have been mapped for display, often not linearly, so that their squares are uncalibrated
"amplitude" whatever the file's Radiometric block says.

Products on a plane keep the layover of the radar: a ground point lies where the plane has its range
and range rate (`PlaneGeometry`). Products on a geographic, cylindrical or polynomial surface are
taken as their provider rectified them (`SurfaceGeometry`), without further terrain correction.

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
from lxml import etree
from numpy.polynomial import polynomial
from odc.geo.geobox import GeoBox
from sarkit import sicd, sidd, wgs84
from sarkit.sicd import projection

from sarknowlip.core.errors import ProductError
from sarknowlip.sar import nitf, viewing
from sarknowlip.sar.lattice import Floats, Power
from sarknowlip.sar.modelled import ImageGeometry, ModelledProduct, valid_outline
from sarknowlip.sar.nitf import Metadata
from sarknowlip.sar.product import Acquisition, Geocoding, Radiometry, ReadOptions
from sarknowlip.sar.sensors.sicd import center_frequency_ghz

CONVERGED_PX = 1e-3
MAX_ITERATIONS = 12

_LOG = logging.getLogger(__name__)
_PIXEL_TYPES = ("MONO8I", "MONO8LU", "MONO16I")
_SURFACES = ("GeographicProjection", "CylindricalProjection", "PolynomialProjection")


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
class SurfaceGeometry:
    """Pixel grid of a product that its provider rectified; heights asked for don't matter.

    Attributes:
        xml: SIDD metadata.
        height_m: Height of the reference point above the ellipsoid.
        aperture: Antenna; None if the file doesn't say (polynomial grids).
    """

    xml: bytes
    height_m: float
    aperture: Aperture | None

    def to_image(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns of ground points; see `ImageGeometry`."""
        place = np.stack([lat, lon, np.full(np.shape(lon), self.height_m)], axis=-1)
        pixels = sidd.ecef_to_pixel(self._tree(), wgs84.geodetic_to_cartesian(place))
        return pixels[..., 0], pixels[..., 1]

    def to_ground(self, rows: Floats, columns: Floats, height: Floats) -> Floats:
        """Return ECEF metres of pixels on the product's own surface."""
        return np.asarray(sidd.pixel_to_ecef(self._tree(), np.stack([rows, columns], axis=-1)))

    def platform(self, rows: Floats, columns: Floats) -> Floats:
        """Return ECEF metres of the antenna; NaN if the file doesn't say."""
        if self.aperture is None:
            return np.full((*np.shape(rows), 3), np.nan)
        return self.aperture.at(rows, columns)[1]

    def _tree(self) -> Any:
        return etree.fromstring(self.xml).getroottree()


class SiddProduct(ModelledProduct):
    """The first image of one SIDD file."""

    sensor = "sidd"

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
                another product, or its polarisation has no name here and the options give none.
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
        surface = _surface(metadata)
        place = wgs84.cartesian_to_geodetic(metadata.need(f"{surface}/ReferencePoint/ECEF"))
        geometry = _geometry(metadata, surface, float(place[2]))
        vertices = metadata.get("Measurement/ValidData")
        valid = valid_outline(path, vertices, (0, 0), image.shape)
        product = cls(path, image, geometry, float(place[2]), valid)
        product._table = None if pixel_type != "MONO8LU" else contents.images[0].lookup_table
        product.radiometry = Radiometry(quantity="amplitude", calibrated=False)
        product.acquisition = _acquisition(product, metadata, contents, options)
        product._place(metadata, surface, options)
        return product

    _table: npt.NDArray[Any] | None

    def _detected(self, stored: npt.NDArray[Any]) -> Power:
        values = stored if self._table is None else self._table[stored]
        return np.asarray(values.astype(np.float32) ** 2)

    def _place(self, metadata: Metadata, surface: str, options: ReadOptions) -> None:
        """Set `geocoding`, and `grid` for geographic products."""
        incidence = self.acquisition.incidence_angle
        error_m = _error_m(metadata, incidence)
        if isinstance(self._geometry, PlaneGeometry):
            assert incidence is not None
            self._use_elevation(options, incidence, error_m)
            return
        if options.dem is not None:
            _LOG.warning("%s is rectified already: option dem is not used", self.path)
        self.geocoding = Geocoding(method="provider", vertical_datum="ellipsoid", error_m=error_m)
        if surface.endswith("GeographicProjection"):
            self.grid = _geographic_grid(metadata, surface, self._image.shape)


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


def _surface(metadata: Metadata) -> str:
    """Return the path of the element that defines the pixel grid."""
    for name in ("PlaneProjection", *_SURFACES):
        if metadata.tree.find(f"{{*}}Measurement/{{*}}{name}") is not None:
            return f"Measurement/{name}"
    raise ProductError(
        f"{metadata.path} does not say how its pixels lie on the ground",
        "ask its provider to repair it",
    )


def _geometry(metadata: Metadata, surface: str, height_m: float) -> ImageGeometry:
    arp, time = metadata.need("Measurement/ARPPoly"), metadata.get(f"{surface}/TimeCOAPoly")
    aperture = None if time is None else Aperture(arp, time)
    if not surface.endswith("PlaneProjection"):
        with nitf.decoding(metadata.path):
            return SurfaceGeometry(etree.tostring(metadata.tree), height_m, aperture)
    spacing = metadata.need(f"{surface}/SampleSpacing")
    metadata.need(f"{surface}/TimeCOAPoly")
    assert aperture is not None
    return PlaneGeometry(
        aperture=aperture,
        reference=metadata.need(f"{surface}/ReferencePoint/ECEF"),
        pixel=np.asarray(metadata.need(f"{surface}/ReferencePoint/Point"), dtype=np.float64),
        row_step=metadata.need(f"{surface}/ProductPlane/RowUnitVector") * spacing[0],
        column_step=metadata.need(f"{surface}/ProductPlane/ColUnitVector") * spacing[1],
    )


def _contour(ground: Floats, position: Floats, velocity: Floats) -> tuple[Floats, Floats, Floats]:
    """Return range, speed of the antenna towards the point, and unit line of sight to it."""
    sight = ground - position
    distance = np.linalg.norm(sight, axis=-1)
    sight = sight / distance[..., None]
    return np.asarray(distance), np.asarray((velocity * sight).sum(axis=-1)), sight


def _geographic_grid(metadata: Metadata, surface: str, shape: tuple[int, int]) -> GeoBox:
    """Return the latitude–longitude grid of a "geodetic gridded display" (section 3.4)."""
    lat, lon, _ = wgs84.cartesian_to_geodetic(metadata.need(f"{surface}/ReferencePoint/ECEF"))
    row, column = metadata.need(f"{surface}/ReferencePoint/Point")
    down, across = metadata.need(f"{surface}/SampleSpacing") / 3600.0
    west, north = lon - (column + 0.5) * across, lat + (row + 0.5) * down
    return GeoBox(shape, Affine(across, 0, west, 0, -down, north), "EPSG:4326")


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
    """Return what follows from the antenna's path; nothing for polynomial grids."""
    geometry = product._geometry
    assert isinstance(geometry, PlaneGeometry | SurfaceGeometry)
    if geometry.aperture is None:
        graze = metadata.get("ExploitationFeatures/Collection/Geometry/Graze")
        return {"view:incidence_angle": None if graze is None else 90.0 - graze}
    pixel = metadata.need(f"{_surface(metadata)}/ReferencePoint/Point")
    ground = metadata.need(f"{_surface(metadata)}/ReferencePoint/ECEF")
    _, position, velocity = geometry.aperture.at(*np.asarray(pixel, dtype=np.float64))
    near, centre, far = product._incidences()
    return {
        "sar:observation_direction": viewing.observation_direction(position, velocity, ground),
        "sat:orbit_state": viewing.orbit_state(position, velocity),
        "view:incidence_angle": centre,
        "sarknowlip:incidence_near": near,
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


def _error_m(metadata: Metadata, incidence: float | None) -> float | None:
    """Return the horizontal error that composite error statistics imply, metres."""
    slant = metadata.get("ErrorStatistics/CompositeSCP/Rg")
    along = metadata.get("ErrorStatistics/CompositeSCP/Az")
    if slant is None or along is None or incidence is None:
        return None
    return math.hypot(slant / math.sin(math.radians(incidence)), along)
