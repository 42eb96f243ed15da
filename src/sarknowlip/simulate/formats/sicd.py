"""SICD: complex images in NITF, of exactly the geometry they were simulated in.

Sources: NGA.STND.0024 volume 1 (metadata), volume 2 (NITF), version 1.4.0; written by sarkit. The
image is of type RGZERO with range migration metadata (RMA, INCA): the centre of aperture is the
time abeam everywhere, the time of a column and the range of a row are linear, so that the file's
projection has no approximation but its polynomial of the antenna's path. A beam so steered is a
sliding one, DYNAMIC STRIPMAP in SICD's terms; the provider's name of the mode stands in ModeID.

Radiometry: a pixel's mean power is σ⁰ plus the noise level, so that SigmaZeroSFPoly is 1; the other
scale factors are constants that follow from it at the scene's centre: β⁰ = σ⁰ / cos slope,
γ⁰ = σ⁰ / sin graze, and the radar cross-section of a point is its peak power times the ground area
of a resolution cell (the integral of the normalised response's power).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import lxml.etree
import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial
from sarkit import sicd

from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.core.files import replacing
from sarknowlip.sar.geolocation import LIGHT_M_PER_S
from sarknowlip.sar.product import Polarization
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.response import width_factor
from sarknowlip.simulate.image.slant_grid import SlantRangeGrid
from sarknowlip.simulate.sensors.profile import SensorProfile

BLOCK_BYTES = 16 * 2**20
"""How much is converted and written at once."""

_NAMESPACE = "urn:SICD:1.4.0"
_PATH_DEGREE = 6
_WEIGHTS = 65


def write_sicd(
    raster: npt.NDArray[np.complexfloating],
    path: Path,
    *,
    geometry: SlantRangeGrid,
    profile: SensorProfile,
    world_name: str,
    polarizations: tuple[Polarization, ...] | None = None,
) -> Path:
    """Write one complex channel as a SICD file and return its path; equal input, equal bytes.

    Args:
        raster: Complex pixels, shape (1, rows, columns), whose mean power is σ⁰ plus the
            noise-equivalent σ⁰; NaN where there is nothing, which is written as zero. May be mapped
            from a file.
        path: File to write, `.nitf`.
        geometry: Of the raster.
        profile: Of the sensor.
        world_name: For the file's statement of what it shows, any text.
        polarizations: The one of the channel; the profile's by default.

    Raises:
        ConfigError: The profile's products are no SICD files.
        GeometryError: The raster has another shape than the geometry, or several channels.
        StorageError: The file cannot be written (disk full, no permission); nothing is left.
    """
    if profile.output != "sicd":
        raise ConfigError(f"{profile.name} has no SICD", f"write it as {profile.output} instead")
    polarizations = polarizations or profile.polarizations
    if raster.shape != (1, *geometry.shape) or len(polarizations) != 1:
        raise GeometryError(
            f"the image has shape {raster.shape}, its geometry {(1, *geometry.shape)}",
            "render it with the same geometry, each polarisation to a file of its own",
        )
    passing = _Pass(profile, geometry)
    tree = _metadata(passing, polarizations[0], world_name)
    # NITF headers are ASCII.
    title = f"simulated SAR image of {world_name}".encode("ascii", "replace")[:80].decode()
    security = sicd.NitfSecurityFields(clas="U")
    metadata = sicd.NitfMetadata(
        xmltree=tree,
        file_header_part=sicd.NitfFileHeaderPart(
            ostaid="sarknowlip", ftitle=title,
            security=security,
        ),
        im_subheader_part=sicd.NitfImSubheaderPart(isorce="simulated", security=security),
        de_subheader_part=sicd.NitfDeSubheaderPart(security=security),
    )  # fmt: skip
    with replacing(path) as partial, partial.open("wb") as handle:
        _write(handle, metadata, raster[0], passing.start)
    return path


def _write(
    handle: BinaryIO,
    metadata: sicd.NitfMetadata,
    pixels: npt.NDArray[np.complexfloating],
    moment: datetime,
) -> None:
    """Write headers by sarkit, pixels in blocks of rows; dates are those of the acquisition."""
    layout = sicd.jbp_from_nitf_metadata(metadata)
    extension = layout["DataExtensionSegments"][0]["subheader"]
    extension["DESSHDT"].value = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    sicd.NitfWriter(handle, metadata, layout)
    handle.seek(layout["FileHeader"]["FDT"].get_offset())
    handle.write(moment.strftime("%Y%m%d%H%M%S").encode())
    row, step = 0, max(1, BLOCK_BYTES // (8 * pixels.shape[1]))
    for segment in layout["ImageSegments"]:
        handle.seek(segment["Data"].get_offset())
        end = row + segment["subheader"]["NROWS"].value
        while row < end:
            rows = slice(row, min(row + step, end))
            block = pixels[rows].astype(">c8")
            block[np.isnan(block)] = 0.0
            handle.write(block.data)
            row = rows.stop


class _Pass:
    """The times, path and bands that several blocks of metadata need.

    Attributes:
        start: When the collect begins, UTC, in whole microseconds.
        duration: Length of the collect, seconds.
        t_scp: Time abeam of the scene's centre, seconds after `start`.
        arp: Coefficients of the antenna's path, shape (degree + 1, 3), seconds → ECEF metres.
        scp: Scene's centre, ECEF metres.
        llh: The same, degrees and metres.
        bandwidth: Of rows and columns, cycles per metre.
        rate_factor: Range curvature over that of a straight flight at the same speed, R R̈ / V².
    """

    def __init__(self, profile: SensorProfile, geometry: SlantRangeGrid) -> None:
        self.profile, self.geometry = profile, geometry
        orbit = geometry.orbit
        factor = width_factor(profile.hamming)
        self.bandwidth = factor / profile.resolution_range_m, factor / profile.resolution_azimuth_m
        centre = np.array([geometry.centre_time_s]), np.array([geometry.centre_range_m])
        height = geometry.reference_height_m
        x, y = geometry.exact_ground(*centre, np.array([height]))
        lon, lat = geometry.frame.lonlat(x, y)
        self.scp = geometry.frame.ecef(x, y, height)[:, 0]
        self.llh = np.array([lat[0], lon[0], height])

        position, velocity = (v[:, 0] for v in orbit.state_vectors(geometry.centre_time_s))
        speed2 = float(velocity @ velocity)
        pull = (orbit.velocity(centre[0] + 0.5) - orbit.velocity(centre[0] - 0.5))[:, 0]
        self.rate_factor = 1.0 + float(pull @ (position - self.scp)) / speed2

        wavelength = LIGHT_M_PER_S / (profile.frequency_ghz * 1e9)
        ground_speed = geometry.column_spacing_m / abs(geometry.seconds_per_column)
        doppler = self.bandwidth[1] * ground_speed
        rate = 2.0 * self.rate_factor * speed2 / (wavelength * geometry.centre_range_m)
        half_aperture = doppler / rate / 2.0
        columns = np.array([0.0, geometry.shape[1] - 1.0])
        times, _ = geometry.abeam(np.zeros(2), columns)
        start = (orbit.utc(times.min() - half_aperture)).astype("datetime64[us]")
        self.start: datetime = start.astype(datetime)
        offset = (
            float((start.astype("datetime64[ns]") - orbit.start) / np.timedelta64(1, "ns")) / 1e9
        )
        self.duration = float(times.max() + half_aperture) - offset
        self.t_scp = geometry.centre_time_s - offset
        self.arp = _path(orbit, offset, self.duration)


def _path(orbit: Orbit, offset: float, duration: float) -> Floats:
    nodes = duration * (1.0 + np.cos(np.pi * (np.arange(32) + 0.5) / 32)) / 2.0
    places = orbit.position(offset + nodes)
    fits = [Polynomial.fit(nodes, axis, _PATH_DEGREE).convert().coef for axis in places]
    return np.stack(fits, axis=1)


def _metadata(passing: _Pass, polarization: str, world_name: str) -> lxml.etree._ElementTree:
    profile, geometry = passing.profile, passing.geometry
    element = lxml.etree.Element(f"{{{_NAMESPACE}}}SICD", nsmap={None: _NAMESPACE})
    root: Any = sicd.ElementWrapper(element)  # type: ignore[no-untyped-call]
    rows, columns = geometry.shape
    outline = np.array(geometry.outline())
    root.from_dict(
        {
            "CollectionInfo": {
                "CollectorName": f"SIMULATED {profile.platform}".upper(),
                "CoreName": f"{passing.start:%Y%m%dT%H%M%S}_{world_name}",
                "CollectType": "MONOSTATIC",
                "RadarMode": {"ModeType": "DYNAMIC STRIPMAP", "ModeID": profile.instrument_mode},
                "Classification": "UNCLASSIFIED",
            },
            "ImageCreation": {
                "Application": "sarknowlip simulator",
                "DateTime": passing.start,
                "Profile": profile.name,
            },
            "ImageData": {
                "PixelType": "RE32F_IM32F",
                "NumRows": rows,
                "NumCols": columns,
                "FirstRow": 0,
                "FirstCol": 0,
                "FullImage": {"NumRows": rows, "NumCols": columns},
                "SCPPixel": geometry.centre_pixel,
                "ValidData": outline,
            },
            "GeoData": {
                "EarthModel": "WGS_84",
                "SCP": {"ECF": passing.scp, "LLH": passing.llh},
                "ImageCorners": _lat_lon(
                    geometry,
                    np.array([0, 0, rows - 1, rows - 1]),
                    np.array([0, columns - 1, columns - 1, 0]),
                ),
                "ValidData": _lat_lon(geometry, outline[:, 0], outline[:, 1]),
            },
            "Grid": _grid(passing),
            "Timeline": {"CollectStart": passing.start, "CollectDuration": passing.duration},
            "Position": {"ARPPoly": passing.arp},
            **_formation(passing, f"{polarization[0]}:{polarization[1]}"),
            # Nothing errs in a simulation.
            "ErrorStatistics": {"CompositeSCP": {"Rg": 0.0, "Az": 0.0, "RgAz": 0.0}},
        }
    )  # fmt: skip
    root.from_dict(_migration(passing))
    tree = element.getroottree()
    at_scp = sicd.compute_scp_coa(tree)
    element.find("{*}ImageFormation").addnext(at_scp)
    angles: Any = sicd.XmlHelper(tree)  # type: ignore[no-untyped-call]
    root["Radiometric"] = _radiometric(
        passing, angles.load("{*}SCPCOA/{*}SlopeAng"), angles.load("{*}SCPCOA/{*}GrazeAng")
    )
    return tree


def _lat_lon(geometry: SlantRangeGrid, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Floats:
    """Return latitudes and longitudes of pixels at the reference height, shape (n, 2)."""
    at = geometry.abeam(np.asarray(rows, dtype=np.float64), np.asarray(columns, dtype=np.float64))
    x, y = geometry.exact_ground(*at, np.full(len(at[0]), geometry.reference_height_m))
    lon, lat = geometry.frame.lonlat(x, y)
    return np.stack([lat, lon], axis=1)


def _grid(passing: _Pass) -> dict[str, Any]:
    profile, geometry = passing.profile, passing.geometry
    position, velocity = (v[:, 0] for v in geometry.orbit.state_vectors(geometry.centre_time_s))
    row = passing.scp - position
    row /= np.linalg.norm(row)
    normal = np.cross(row, velocity)
    normal *= np.sign(normal @ passing.scp) / np.linalg.norm(normal)
    seconds_per_metre = geometry.seconds_per_column / geometry.column_spacing_m
    carrier = 2.0 * profile.frequency_ghz * 1e9 / LIGHT_M_PER_S

    def axis(index: int, width: float, direction: Floats, centre: float) -> dict[str, Any]:
        bandwidth = passing.bandwidth[index]
        return {
            "UVectECF": direction,
            "SS": geometry.spacing_m[index],
            "ImpRespWid": width,
            "Sgn": -1,
            "ImpRespBW": bandwidth,
            "KCtr": centre,
            "DeltaK1": -bandwidth / 2,
            "DeltaK2": bandwidth / 2,
            "DeltaKCOAPoly": np.zeros((1, 1)),
            **_weighting(profile.hamming),
        }

    return {
        "ImagePlane": "SLANT",
        "Type": "RGZERO",
        "TimeCOAPoly": np.array([[passing.t_scp, seconds_per_metre]]),
        "Row": axis(0, profile.resolution_range_m, row, carrier),
        "Col": axis(1, profile.resolution_azimuth_m, np.cross(normal, row), 0.0),
    }


def _weighting(hamming: float) -> dict[str, Any]:
    if hamming == 1.0:
        return {"WgtType": {"WindowName": "UNIFORM"}}
    across = np.linspace(-np.pi, np.pi, _WEIGHTS)
    return {
        "WgtType": {
            "WindowName": "HAMMING",
            "Parameter": [("COEFFICIENT", f"{hamming:g}")],
        },
        "WgtFunct": hamming + (1.0 - hamming) * np.cos(across),
    }


def _formation(passing: _Pass, polarization: str) -> Mapping[str, Any]:
    half = passing.bandwidth[0] * LIGHT_M_PER_S / 4.0
    carrier = passing.profile.frequency_ghz * 1e9
    return {
        "RadarCollection": {
            "TxFrequency": {"Min": carrier - half, "Max": carrier + half},
            "TxPolarization": polarization[0],
            "RcvChannels": {
                "@size": 1,
                "ChanParameters": [{"@index": 1, "TxRcvPolarization": polarization}],
            },
        },
        "ImageFormation": {
            "RcvChanProc": {"NumChanProc": 1, "ChanIndex": [1]},
            "TxRcvPolarizationProc": polarization,
            "TStartProc": 0.0,
            "TEndProc": passing.duration,
            "TxFrequencyProc": {"MinProc": carrier - half, "MaxProc": carrier + half},
            "ImageFormAlgo": "RMA",
            "STBeamComp": "NO",
            "ImageBeamComp": "NO",
            "AzAutofocus": "NO",
            "RgAutofocus": "NO",
        },
    }


def _migration(passing: _Pass) -> dict[str, Any]:
    geometry = passing.geometry
    seconds_per_metre = geometry.seconds_per_column / geometry.column_spacing_m
    return {
        "RMA": {
            "RMAlgoType": "OMEGA_K",
            "ImageType": "INCA",
            "INCA": {
                "TimeCAPoly": np.array([passing.t_scp, seconds_per_metre]),
                "R_CA_SCP": geometry.centre_range_m,
                "FreqZero": passing.profile.frequency_ghz * 1e9,
                "DRateSFPoly": np.array([[passing.rate_factor]]),
                "DopCentroidPoly": np.zeros((1, 1)),
                "DopCentroidCOA": True,
            },
        }
    }


def _radiometric(passing: _Pass, slope_deg: float, graze_deg: float) -> dict[str, Any]:
    slope, graze = np.deg2rad(slope_deg), np.deg2rad(graze_deg)
    hamming = passing.profile.hamming
    spread = 1.0 + (1.0 - hamming) ** 2 / (2.0 * hamming**2)
    cell = spread**2 / (passing.bandwidth[0] * passing.bandwidth[1])
    factors = {
        "RCSSFPoly": cell / np.cos(slope),
        "SigmaZeroSFPoly": 1.0,
        "BetaZeroSFPoly": 1.0 / np.cos(slope),
        "GammaZeroSFPoly": 1.0 / np.sin(graze),
    }
    return {
        "NoiseLevel": {
            "NoiseLevelType": "ABSOLUTE",
            "NoisePoly": np.array([[passing.profile.nesz_db]]),
        },
        **{name: np.array([[value]]) for name, value in factors.items()},
    }
