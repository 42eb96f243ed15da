"""SICD: complex SAR images of any sensor (Umbra, Capella, ICEYE and others) in NITF.

Sources: NGA.STND.0024 volume 1 (metadata and radiometry), volume 2 (NITF), volume 3 (image
projections and error propagation); the projections are sarkit's.

Radiometry: pixel power |complex|² times SigmaZeroSFPoly, GammaZeroSFPoly or BetaZeroSFPoly gives
the backscatter coefficient. When the wanted polynomial is absent it is derived from another one
with slope and grazing angles at the scene centre (σ⁰ = β⁰·cos slope = γ⁰·sin graze), as sarpy does.
A product without any of the three is uncalibrated "amplitude". RCSSFPoly alone does not calibrate:
it is meant for point targets. Pixels outside ImageData/ValidData, and floating-point pixels that
are exactly zero, are no data.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.polynomial import polynomial
from sarkit import sicd, wgs84
from sarkit.sicd import projection

from sarknowlip.core.errors import ProductError
from sarknowlip.sar import nitf, viewing
from sarknowlip.sar.lattice import Floats, Power
from sarknowlip.sar.modelled import ModelledProduct, valid_outline
from sarknowlip.sar.nitf import Metadata
from sarknowlip.sar.product import Acquisition, Quantity, Radiometry, ReadOptions

CONVERGED_M = 0.01
"""A ground point is in the image when its image position projects back to it within this."""

_LOG = logging.getLogger(__name__)
_POLYNOMIALS = {
    "sigma0": "SigmaZeroSFPoly",
    "gamma0": "GammaZeroSFPoly",
    "beta0": "BetaZeroSFPoly",
}
_MANDATORY = (
    "GeoData/SCP/ECF", "GeoData/SCP/LLH", "ImageData/SCPPixel", "ImageData/FirstRow",
    "ImageData/FirstCol", "Grid/Type", "Grid/TimeCOAPoly", "Grid/Row/UVectECF", "Grid/Row/SS",
    "Grid/Col/UVectECF", "Grid/Col/SS", "Position/ARPPoly", "SCPCOA/SCPTime", "SCPCOA/ARPPos",
    "SCPCOA/ARPVel", "SCPCOA/SideOfTrack", "SCPCOA/GrazeAng", "SCPCOA/SlopeAng",
    "ImageFormation/ImageFormAlgo",
)  # fmt: skip


@dataclass(frozen=True)
class SicdGeometry:
    """Sensor model of a monostatic SICD.

    Attributes:
        parameters: Projection parameters.
        offsets: Adjustable parameter offsets, if the file has them.
    """

    parameters: projection.MetadataParams
    offsets: projection.AdjustableParameterOffsets | None

    def to_image(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns of ground points; see `ImageGeometry`."""
        ground = wgs84.geodetic_to_cartesian(np.stack([lat, lon, height], axis=-1))
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.offsets is None:
                place, miss, _ = projection.scene_to_image(self.parameters, ground)
            else:
                # sarkit applies offsets to one point at a time only.
                single = [
                    projection.scene_to_image(
                        self.parameters, point, adjust_param_offsets=self.offsets
                    )[:2]
                    for point in ground.reshape(-1, 3)
                ]
                place = np.array([at for at, _ in single]).reshape(*ground.shape[:-1], 2)
                miss = np.array([error for _, error in single]).reshape(ground.shape[:-1])
        found = miss <= CONVERGED_M
        p = self.parameters
        rows = place[..., 0] / p.Row_SS + (p.SCP_Row - p.FirstRow)
        columns = place[..., 1] / p.Col_SS + (p.SCP_Col - p.FirstCol)
        return np.where(found, rows, np.nan), np.where(found, columns, np.nan)

    def to_ground(self, rows: Floats, columns: Floats, height: Floats) -> Floats:
        """Return ECEF metres of pixels on surfaces of given height; see `ImageGeometry`."""
        places = self.coordinates(rows, columns)
        if self.offsets is None:
            return self._on_surface(places, height)
        return np.array([self._on_surface(*pair) for pair in zip(places, height, strict=True)])

    def platform(self, rows: Floats, columns: Floats) -> Floats:
        """Return ECEF metres of the antenna at the pixels' centres of aperture."""
        p = self.parameters
        time = projection.compute_coa_time(p.cT_COA, self.coordinates(rows, columns))
        return np.moveaxis(polynomial.polyval(time, p.ARP_Poly), 0, -1)

    def coordinates(self, rows: Floats, columns: Floats) -> Floats:
        """Return image coordinates in metres from the scene centre, shape (…, 2)."""
        p = self.parameters
        x = (rows + p.FirstRow - p.SCP_Row) * p.Row_SS
        y = (columns + p.FirstCol - p.SCP_Col) * p.Col_SS
        return np.stack([x, y], axis=-1)

    def _on_surface(self, place: Floats, height: Floats) -> Floats:
        p = self.parameters
        contours = projection.compute_projection_sets(p, place)
        if self.offsets is not None:
            contours = projection.apply_apos(p, contours, self.offsets)
        ground, _, _ = projection.r_rdot_to_constant_hae_surface(
            p.LOOK, p.SCP, contours, height, delta_hae_max=0.001, nlim=8
        )
        return np.asarray(ground)


@dataclass(frozen=True)
class Calibration:
    """How pixel power becomes backscatter. Polynomials are in metres from the scene centre.

    Attributes:
        quantity: What results.
        scale: Coefficients of the scale factor; None for uncalibrated power.
        noise_db: Coefficients of the noise power of a pixel, decibels; None to subtract none.
    """

    quantity: Quantity
    scale: Floats | None
    noise_db: Floats | None

    @classmethod
    def of(cls, metadata: Metadata, options: ReadOptions) -> Calibration:
        """Return the calibration for the wanted quantity (default σ⁰), or none if impossible."""
        wanted = options.quantity or "sigma0"
        slope = math.radians(metadata.need("SCPCOA/SlopeAng"))
        graze = math.radians(metadata.need("SCPCOA/GrazeAng"))
        to_sigma = {"sigma0": 1.0, "gamma0": math.sin(graze), "beta0": math.cos(slope)}
        noise = None
        if (
            options.remove_noise
            and metadata.get("Radiometric/NoiseLevel/NoiseLevelType") == "ABSOLUTE"
        ):
            noise = metadata.need("Radiometric/NoiseLevel/NoisePoly")
        for source in sorted(_POLYNOMIALS, key=lambda name: name != wanted):
            scale = metadata.get(f"Radiometric/{_POLYNOMIALS[source]}")
            if scale is not None:
                return cls(wanted, scale * (to_sigma[source] / to_sigma[wanted]), noise)
        if options.quantity is not None:
            _LOG.warning(
                "%s is not calibrated: %s cannot be had, power of digital numbers is given instead",
                metadata.path,
                wanted,
            )
        return cls("amplitude", None, noise)

    def applied(self, power: Power, x: Floats, y: Floats) -> Power:
        """Return the quantity for pixel power at image coordinates in metres."""
        result = power.astype(np.float64)
        if self.noise_db is not None:
            result -= 10.0 ** (polynomial.polyval2d(x, y, self.noise_db) / 10.0)
        if self.scale is not None:
            result *= polynomial.polyval2d(x, y, self.scale)
        return result.astype(np.float32)


class SicdProduct(ModelledProduct):
    """One SICD file."""

    sensor = "sicd"
    options_used = frozenset(
        {"quantity", "remove_noise", "dem", "dem_geoid_m", "polarizations", "acquisition"}
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell from the NITF header and the namespace in its data extension."""
        return nitf.kind(path) == "SICD"

    @classmethod
    def open(cls, path: Path, options: ReadOptions | None = None) -> SicdProduct:
        """Read metadata, no pixels.

        Of the options, quantity, remove_noise, dem, dem_geoid_m, polarizations and acquisition
        are used.

        Raises:
            ProductError: The file is damaged, no SICD, compressed, bistatic, or its polarisation
                has no name here and the options give none.
            GeometryError: The elevation model is unusable or lies elsewhere.
        """
        options = options or ReadOptions()
        nitf.require(path, "SICD")
        with nitf.decoding(path), path.open("rb") as handle:
            reader = sicd.NitfReader(handle)  # type: ignore[no-untyped-call]
            tree = reader.metadata.xmltree
            metadata = Metadata(path, sicd.XmlHelper(tree))  # type: ignore[no-untyped-call]
            pixel_type = str(metadata.need("ImageData/PixelType"))
            image = nitf.image(path, reader.jbp, "SICD", sicd.PIXEL_TYPES[pixel_type]["dtype"])
        shape = metadata.need("ImageData/NumRows"), metadata.need("ImageData/NumCols")
        if image.shape != shape:
            raise ProductError(
                f"{path} holds {image.shape} pixels, its metadata say {shape}", nitf.FETCH_AGAIN
            )
        geometry = _geometry(metadata)
        height = float(metadata.need("GeoData/SCP/LLH")[2])
        first = metadata.need("ImageData/FirstRow"), metadata.need("ImageData/FirstCol")
        valid = valid_outline(path, metadata.get("ImageData/ValidData"), first, image.shape)
        product = cls(path, image, geometry, height, valid)
        product._table = _amplitudes(metadata, pixel_type)
        product._calibration = Calibration.of(metadata, options)
        product.radiometry = Radiometry(
            quantity=product._calibration.quantity,
            calibrated=product._calibration.scale is not None,
            noise_removed=product._calibration.noise_db is not None,
        )
        incidences = product._incidences()
        product.acquisition = _acquisition(metadata, options, incidences)
        product._use_elevation(options, incidences[1], _error_m(metadata, geometry))
        return product

    _calibration: Calibration
    _table: Floats | None

    def _detected(self, stored: npt.NDArray[Any]) -> Power:
        if self._table is not None:
            return np.asarray((self._table**2).astype(np.float32)[stored["amp"]])
        if stored.dtype.names is not None:
            parts = stored["real"].astype(np.float32), stored["imag"].astype(np.float32)
        else:
            # Noise makes an exact zero impossible: it pads.
            native = stored.astype(np.complex64)
            native[native == 0] = np.nan
            parts = native.real, native.imag
        return np.asarray(parts[0] ** 2 + parts[1] ** 2, dtype=np.float32)

    def _calibrated(self, power: Power, rows: Floats, columns: Floats) -> Power:
        geometry = self._geometry
        assert isinstance(geometry, SicdGeometry)
        coordinates = geometry.coordinates(rows, columns)
        return self._calibration.applied(power, coordinates[..., 0], coordinates[..., 1])


def _geometry(metadata: Metadata) -> SicdGeometry:
    """Return the sensor model.

    Raises:
        ProductError: The collect is bistatic, or parameters are missing.
    """
    collect = metadata.get("CollectionInfo/CollectType")
    if collect != "MONOSTATIC":
        raise ProductError(
            f"{metadata.path} is a collect of type {collect}", "give one of type MONOSTATIC"
        )
    for element in _MANDATORY:
        metadata.need(element)
    with nitf.decoding(metadata.path):
        parameters = projection.MetadataParams.from_xml(metadata.tree)
        offsets = None
        if projection.AdjustableParameterOffsets.exists(metadata.tree):
            offsets = projection.AdjustableParameterOffsets.from_xml(metadata.tree)
            # sarkit takes a time offset of zero for an absent one.
            offsets.delta_tx_SCP_COA = offsets.delta_tx_SCP_COA or 0.0
            offsets.delta_tr_SCP_COA = offsets.delta_tr_SCP_COA or 0.0
        geometry = SicdGeometry(parameters, offsets)
        geometry.to_ground(np.zeros(1), np.zeros(1), np.zeros(1))
    return geometry


def _amplitudes(metadata: Metadata, pixel_type: str) -> Floats | None:
    """Return the amplitude of each code of AMP8I_PHS8I pixels; None for other pixels."""
    if pixel_type != "AMP8I_PHS8I":
        return None
    table = metadata.get("ImageData/AmpTable")
    return np.arange(256.0) if table is None else np.asarray(table, dtype=np.float64)


def _acquisition(
    metadata: Metadata, options: ReadOptions, incidences: tuple[float, float, float]
) -> Acquisition:
    position, velocity = metadata.need("SCPCOA/ARPPos"), metadata.need("SCPCOA/ARPVel")
    sides: dict[str, Literal["left", "right"]] = {"L": "left", "R": "right"}
    pair = str(metadata.get("ImageFormation/TxRcvPolarizationProc") or "")
    transmit, _, receive = pair.partition(":")
    frequency = center_frequency_ghz(metadata)
    start = metadata.get("Timeline/CollectStart")
    times = [
        None if start is None or seconds is None else start + timedelta(seconds=float(seconds))
        for seconds in map(metadata.get, ("ImageFormation/TStartProc", "ImageFormation/TEndProc"))
    ]
    stated = {
        "platform": metadata.get("CollectionInfo/CollectorName"),
        "start_datetime": times[0],
        "end_datetime": times[1],
        "sar:instrument_mode": metadata.get("CollectionInfo/RadarMode/ModeType"),
        "sar:center_frequency": frequency,
        "sar:frequency_band": None if frequency is None else viewing.frequency_band(frequency),
        "sar:polarizations": viewing.polarizations(metadata.path, transmit, receive, options),
        "sar:product_type": "SICD",
        "sar:looks_range": 1.0,
        "sar:looks_azimuth": 1.0,
        "sar:resolution_range": metadata.get("Grid/Row/ImpRespWid"),
        "sar:resolution_azimuth": metadata.get("Grid/Col/ImpRespWid"),
        "sar:observation_direction": sides.get(metadata.need("SCPCOA/SideOfTrack")),
        "sat:orbit_state": viewing.orbit_state(position, velocity),
        "sarknowlip:incidence_near": incidences[0],
        "view:incidence_angle": incidences[1],
        "sarknowlip:incidence_far": incidences[2],
        "sarknowlip:heading": viewing.heading_deg(position, velocity),
    }
    return viewing.completed(stated, options)


def center_frequency_ghz(metadata: Metadata) -> float | None:
    """Return the middle of the processed band; None if it is stated relative to a hidden one."""
    if metadata.get("RadarCollection/RefFreqIndex"):
        return None
    low = metadata.get("ImageFormation/TxFrequencyProc/MinProc")
    high = metadata.get("ImageFormation/TxFrequencyProc/MaxProc")
    return None if low is None or high is None else float(low + high) / 2e9


def _error_m(metadata: Metadata, geometry: SicdGeometry) -> float | None:
    """Return the horizontal error at the scene centre that ErrorStatistics imply, metres.

    The root of the summed variances of east and north (volume 3, section 12.5); None if the file
    states no statistics.
    """
    with nitf.decoding(metadata.path):
        parameters = geometry.parameters
        sensitivity: Any = projection.compute_sensitivity_matrices(parameters)
        if geometry.offsets is None:
            contours: Any = projection.compute_projection_sets(parameters, [0.0, 0.0])
            slant = projection.compute_composite_error_no_apo_mono(
                contours, sensitivity, projection.ErrorStatParams.from_xml(metadata.tree)
            )
        else:
            slant = projection.compute_composite_error_apo_mono(
                sensitivity, projection.ApoErrorParams.from_xml(metadata.tree)
            )
        if slant is None:
            return None
        covariance = projection.compute_i2s_error(slant, np.zeros((2, 2)), 0.0, sensitivity)
    place = metadata.need("GeoData/SCP/LLH")
    axes = np.stack([wgs84.east(place), wgs84.north(place)])
    return float(np.sqrt(np.trace(axes @ covariance @ axes.T)))
