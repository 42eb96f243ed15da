"""Make small SICD files (NGA.STND.0024, version 1.4.0) of an X-band collect over Rome.

The geometry is physical: a circular orbit at 514 km in an inertial frame, seen from the rotating
Earth, a fifth-order position polynomial through it, and the image grid that a polar-format
(spotlight) or a range-migration (stripmap) processor would state for it. Only pixels are made up:
thermal clutter, a constant, or point targets with the impulse response that the metadata claims.
Where a point target appears follows from the distances that the antenna measured to it, by numeric
means of this file alone: not from sarkit's or this package's projections.

    python tests/data/sicd/make.py OUT.ntf
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lxml.etree
import numpy as np
import numpy.typing as npt
import sarkit.sicd as sicd
import sarkit.wgs84 as wgs84
from numpy.polynomial import polynomial
from scipy import optimize

LIGHT = 299_792_458.0
EARTH_RATE = np.array([0.0, 0.0, wgs84.NOMINAL_MEAN_ANGULAR_VELOCITY])
ROME = (41.8902, 12.4922, 95.0)
CENTER_HZ = 9.65e9
BANDWIDTH_PER_M = 1.6
SPACING_M = 0.5
START = datetime(2024, 5, 17, 9, 41, 12, 250000, tzinfo=UTC)

Vector = npt.NDArray[np.float64]
Point = tuple[float, float, float]
Target = tuple[float, float, float, float]
"""Longitude and latitude in degrees, height above the ellipsoid in metres, amplitude."""

OFFSETS = {
    "ARPPosSCPCOA": np.array([3.0, -2.0, 1.0]),
    "ARPVel": np.array([0.01, 0.02, -0.01]),
    "TxTimeSCPCOA": 0.0,
    "RcvTimeSCPCOA": 1e-8,
}
"""Adjustable parameter offsets: what must be added to the stated antenna path and timing."""


@dataclasses.dataclass(frozen=True)
class Collect:
    """A satellite passing a scene.

    Attributes:
        scp: Scene centre, ECEF metres.
        scp_llh: Scene centre, degrees and metres above the ellipsoid.
        arp: Position polynomial, shape (6, 3), seconds → ECEF metres.
        t_coa: Time of the scene centre's centre of aperture, seconds after the start.
        duration: Length of the collect, seconds.
    """

    scp: Vector
    scp_llh: Point
    arp: Vector
    t_coa: float
    duration: float

    def position(self, t: float | Vector) -> Vector:
        """Return ECEF positions, shape (…, 3)."""
        return np.moveaxis(polynomial.polyval(np.asarray(t), self.arp), 0, -1)

    def adjusted(self) -> Collect:
        """Return the pass with `OFFSETS` applied to the antenna's position and velocity."""
        arp = self.arp.copy()
        arp[0] += OFFSETS["ARPPosSCPCOA"] - OFFSETS["ARPVel"] * self.t_coa
        arp[1] += OFFSETS["ARPVel"]
        return dataclasses.replace(self, arp=arp)

    def distance(self, t: float | Vector, ground: Vector) -> Vector:
        """Return metres from the antenna to an ECEF point."""
        return np.asarray(np.linalg.norm(self.position(t) - ground, axis=-1))

    def velocity(self, t: float | Vector) -> Vector:
        """Return ECEF velocities, shape (…, 3)."""
        return np.moveaxis(polynomial.polyval(np.asarray(t), polynomial.polyder(self.arp)), 0, -1)


def collect(
    *,
    scp_llh: Point = ROME,
    side: str = "R",
    ascending: bool = True,
    incidence_deg: float = 35.0,
    squint_deg: float = 4.0,
    altitude_m: float = 514_000.0,
    duration: float = 2.4,
) -> Collect:
    """Return a pass on a circular orbit that sees `scp_llh` at the given incidence angle."""
    scp = wgs84.geodetic_to_cartesian(scp_llh)
    heading = np.deg2rad(-12.0 if ascending else 192.0)
    to_sensor = heading + (-np.pi / 2 if side == "R" else np.pi / 2)
    incidence = np.deg2rad(incidence_deg)
    horizontal = np.sin(to_sensor) * wgs84.east(scp_llh) + np.cos(to_sensor) * wgs84.north(scp_llh)
    sight = np.cos(incidence) * wgs84.up(scp_llh) + np.sin(incidence) * horizontal
    radius = wgs84.A + altitude_m
    along = scp @ sight
    position = scp + sight * (np.sqrt(along**2 + radius**2 - scp @ scp) - along)
    radial = position / radius
    broadside = np.cross(radial, sight)
    broadside /= np.linalg.norm(broadside)
    broadside *= np.sign(broadside[2]) * (1 if ascending else -1)
    squint = np.deg2rad(squint_deg)
    track = np.cos(squint) * broadside + np.sin(squint) * np.cross(radial, broadside)
    inertial = _circular_velocity(position, track)

    t_coa = duration / 2
    t = np.linspace(-0.2, duration + 0.2, 41)
    angle = np.linalg.norm(inertial) / radius * (t - t_coa)
    forward = inertial / np.linalg.norm(inertial)
    orbit = radius * (np.cos(angle)[:, None] * radial + np.sin(angle)[:, None] * forward)
    turn = -EARTH_RATE[2] * (t - t_coa)
    x = np.cos(turn) * orbit[:, 0] - np.sin(turn) * orbit[:, 1]
    y = np.sin(turn) * orbit[:, 0] + np.cos(turn) * orbit[:, 1]
    arp = polynomial.polyfit(t, np.stack([x, y, orbit[:, 2]], axis=1), 5)
    return Collect(scp, scp_llh, arp, t_coa, duration)


def _circular_velocity(position: Vector, track: Vector) -> Vector:
    """Return the inertial velocity of a circular orbit whose ECEF velocity points along `track`."""
    carried = np.cross(EARTH_RATE, position)
    speed = np.sqrt(wgs84.GM / np.linalg.norm(position))
    along = carried @ track
    factor = -along + np.sqrt(along**2 + speed**2 - carried @ carried)
    return np.asarray(factor * track + carried)


def slant_axes(passing: Collect) -> tuple[Vector, Vector, Vector]:
    """Return unit vectors of rows (away from the sensor), columns, and the upward plane normal."""
    sight = passing.scp - passing.position(passing.t_coa)
    row = sight / np.linalg.norm(sight)
    normal = np.cross(row, passing.velocity(passing.t_coa))
    normal *= np.sign(normal @ passing.scp) / np.linalg.norm(normal)
    return row, np.cross(normal, row), normal


def make_sicd(
    path: Path,
    *,
    passing: Collect | None = None,
    shape: tuple[int, int] = (160, 200),
    grid: str = "PFA",
    pixel_type: str = "RE32F_IM32F",
    points: Sequence[Target] = (),
    constant: float | None = None,
    clutter: float = 1.0,
    radiometric: dict[str, Any] | None = None,
    polarization: str = "V:V",
    valid_data: Sequence[tuple[int, int]] | None = None,
    errors: bool = True,
    offsets: bool = False,
    first: tuple[int, int] = (0, 0),
    seed: int = 7,
) -> Path:
    """Write a SICD file and return its path.

    Args:
        path: File to write.
        passing: Orbit and scene; None takes `collect()` (broadside for stripmap).
        shape: Rows and columns.
        grid: "PFA" (spotlight, RGAZIM) or "INCA" (stripmap, RGZERO, centre of aperture varies).
        pixel_type: Any of the three that SICD allows.
        points: Point targets.
        constant: Amplitude of every pixel, instead of clutter.
        clutter: Mean power of complex Gaussian clutter.
        radiometric: Content of the Radiometric block; None for all three backscatter polynomials
            and an absolute noise level; {} for none.
        polarization: Transmit and receive, "V:H".
        valid_data: Vertices (row, column) of the valid region; the rest is zero.
        errors: Whether to state error statistics.
        offsets: Whether to state adjustable parameter offsets (metres, metres per second).
        first: Row and column of the first pixel within the full image.
        seed: Of the random numbers.
    """
    passing = passing or collect(squint_deg=4.0 if grid == "PFA" else 0.0)
    tree = _metadata(passing, shape, grid, pixel_type, polarization, valid_data, first)
    root = sicd.ElementWrapper(tree.getroot())
    root["Radiometric"] = RADIOMETRIC if radiometric is None else radiometric
    if not root["Radiometric"].to_dict():
        del root["Radiometric"]
    if errors:
        root["ErrorStatistics"] = {"CompositeSCP": {"Rg": 0.8, "Az": 0.5, "RgAz": 0.1}}
    if offsets:
        root["ErrorStatistics"]["AdjustableParameterOffsets"] = OFFSETS
    responses = [
        (*image_coordinates(passing, grid, place, offsets=offsets), amplitude)
        for *place, amplitude in points
    ]
    pixels = _pixels(shape, responses, constant, clutter, seed)
    if valid_data is not None:
        pixels[~_inside(shape, valid_data, first)] = 0
    security = {"security": {"clas": "U"}}
    metadata = sicd.NitfMetadata(
        xmltree=tree,
        file_header_part={"ostaid": "sarknowlip", "ftitle": "synthetic SICD", **security},
        im_subheader_part={"isorce": "simulated", **security},
        de_subheader_part=security,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle, sicd.NitfWriter(handle, metadata) as writer:
        writer.write_image(_stored(pixels, pixel_type))
    return path


AMPLITUDES = np.linspace(0.0, 25.5, 256) ** 1.5
"""Amplitude table of the AMP8I_PHS8I fixtures."""

RADIOMETRIC = {
    "NoiseLevel": {
        "NoiseLevelType": "ABSOLUTE",
        "NoisePoly": np.array([[-9.0, 0.001], [0.002, 0]]),
    },
    "RCSSFPoly": np.array([[4.0e-3]]),
    "SigmaZeroSFPoly": np.array([[2.0e-2, 1.0e-5], [3.0e-5, 0.0]]),
    "BetaZeroSFPoly": np.array([[3.5e-2, 1.8e-5], [5.2e-5, 0.0]]),
    "GammaZeroSFPoly": np.array([[2.4e-2, 1.2e-5], [3.7e-5, 0.0]]),
}


def image_coordinates(
    passing: Collect, grid: str, place: Sequence[float], *, offsets: bool = False
) -> tuple[float, float]:
    """Return where a ground point is imaged, metres from the scene centre (rows, columns).

    A polar-format image puts a point where a plane wave front has, around the centre of aperture,
    the range that was measured to the point less that to the scene centre; a range-migration image
    puts it at the time and range of closest approach.

    Args:
        passing: Orbit and scene as the file states them.
        grid: "PFA" or "INCA".
        place: Longitude, latitude, height.
        offsets: Whether the true path and timing differ from the stated ones by `OFFSETS`.
    """
    ground = wgs84.geodetic_to_cartesian([place[1], place[0], place[2]])
    true = passing.adjusted() if offsets else passing
    late = LIGHT / 2 * (OFFSETS["RcvTimeSCPCOA"] - OFFSETS["TxTimeSCPCOA"]) if offsets else 0.0
    if grid == "INCA":

        def closing(t: float) -> float:
            return float((true.position(t) - ground) @ true.velocity(t))

        t = optimize.brentq(closing, -5.0, passing.duration + 5.0, xtol=1e-12)
        row = true.distance(t, ground) - late - passing.distance(passing.t_coa, passing.scp)
        return float(row), (t - passing.t_coa) / _seconds_per_metre(passing)
    t = passing.t_coa + np.array([-0.01, 0.01])
    measured = true.distance(t, ground) - late - passing.distance(t, passing.scp)
    block = _polar_format(passing)["PFA"]
    angle = polynomial.polyval(t, block["PolarAngPoly"])
    stretch = polynomial.polyval(angle, block["SpatialFreqSFPoly"])
    row, column = np.linalg.solve(
        stretch[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), measured
    )
    return float(row), float(column)


def _pixels(
    shape: tuple[int, int],
    points: Sequence[Point],
    constant: float | None,
    clutter: float,
    seed: int,
) -> npt.NDArray[np.complex128]:
    random = np.random.default_rng(seed)
    if constant is not None:
        return constant * np.exp(2j * np.pi * random.random(shape))
    noise = random.standard_normal((2, *shape)) * np.sqrt(clutter / 2)
    pixels = noise[0] + 1j * noise[1]
    row, column = (np.arange(n) - n // 2 for n in shape)
    for x, y, amplitude in points:
        response = np.outer(
            np.sinc(BANDWIDTH_PER_M * (row * SPACING_M - x)),
            np.sinc(BANDWIDTH_PER_M * (column * SPACING_M - y)),
        )
        pixels += amplitude * response * np.exp(2j * np.pi * random.random())
    return np.asarray(pixels)


def _stored(pixels: npt.NDArray[np.complex128], pixel_type: str) -> npt.NDArray[Any]:
    dtype = sicd.PIXEL_TYPES[pixel_type]["dtype"]
    if pixel_type == "RE32F_IM32F":
        return pixels.astype(dtype)
    stored = np.zeros(pixels.shape, dtype)
    if pixel_type == "RE16I_IM16I":
        stored["real"], stored["imag"] = np.rint(pixels.real), np.rint(pixels.imag)
        return stored
    middle = (AMPLITUDES[1:] + AMPLITUDES[:-1]) / 2
    stored["amp"] = np.digitize(np.abs(pixels), middle)
    stored["phase"] = np.rint(np.angle(pixels) / (2 * np.pi) * 256) % 256
    return stored


def _inside(
    shape: tuple[int, int], vertices: Sequence[tuple[int, int]], first: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Tell which pixels lie in a convex polygon with clockwise (row down) vertices."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    row, column = row + first[0], column + first[1]
    inside = np.ones(shape, dtype=bool)
    for (r0, c0), (r1, c1) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        inside &= (c1 - c0) * (row - r0) - (r1 - r0) * (column - c0) >= 0
    return inside


def _metadata(
    passing: Collect,
    shape: tuple[int, int],
    grid: str,
    pixel_type: str,
    polarization: str,
    valid_data: Sequence[tuple[int, int]] | None,
    first: tuple[int, int],
) -> Any:
    namespace = "urn:SICD:1.4.0"
    element = lxml.etree.Element(f"{{{namespace}}}SICD", nsmap={None: namespace})
    root = sicd.ElementWrapper(element)
    image: dict[str, Any] = {
        "PixelType": pixel_type,
        "NumRows": shape[0],
        "NumCols": shape[1],
        "FirstRow": first[0],
        "FirstCol": first[1],
        "FullImage": {"NumRows": shape[0] + first[0], "NumCols": shape[1] + first[1]},
        "SCPPixel": (first[0] + shape[0] // 2, first[1] + shape[1] // 2),
    }
    if pixel_type == "AMP8I_PHS8I":
        image["AmpTable"] = AMPLITUDES
    root.from_dict(
        {
            "CollectionInfo": {
                "CollectorName": "SARKNOWLIP-X1",
                "CoreName": "20240517T094112_ROME",
                "CollectType": "MONOSTATIC",
                "RadarMode": {"ModeType": "SPOTLIGHT" if grid == "PFA" else "STRIPMAP"},
                "Classification": "UNCLASSIFIED",
            },
            "ImageData": image,
            "GeoData": {
                "EarthModel": "WGS_84",
                "SCP": {"ECF": passing.scp, "LLH": np.array(passing.scp_llh)},
                "ImageCorners": np.zeros((4, 2)),
            },
            "Grid": _grid(passing, grid),
            "Timeline": {"CollectStart": START, "CollectDuration": passing.duration},
            "Position": {"ARPPoly": passing.arp},
            "RadarCollection": _radar(polarization),
            "ImageFormation": _formation(passing, grid, polarization),
        }
    )
    algorithm = _polar_format(passing) if grid == "PFA" else _range_migration(passing)
    root.from_dict(algorithm)
    tree = element.getroottree()
    element.find("{*}ImageFormation").addnext(sicd.compute_scp_coa(tree))
    _corners(root, tree, shape, first, valid_data)
    return tree


def _corners(
    root: Any,
    tree: Any,
    shape: tuple[int, int],
    first: tuple[int, int],
    valid_data: Sequence[tuple[int, int]] | None,
) -> None:
    last = first[0] + shape[0] - 1, first[1] + shape[1] - 1
    corners = [first, (first[0], last[1]), last, (last[0], first[1])]

    def on_ground(pixels: Any) -> Any:
        coordinates = sicd.rowcol_to_xrowycol(tree, np.asarray(pixels, dtype=float))
        height = root["GeoData"]["SCP"]["LLH"][2]
        ground, _, _ = sicd.image_to_constant_hae_surface(tree, coordinates, height)
        return wgs84.cartesian_to_geodetic(ground)[:, :2]

    root["GeoData"]["ImageCorners"] = on_ground(corners)
    if valid_data is not None:
        root["ImageData"]["ValidData"] = np.asarray(valid_data)
        root["GeoData"]["ValidData"] = on_ground(valid_data)


def _grid(passing: Collect, grid: str) -> dict[str, Any]:
    row, column, _ = slant_axes(passing)
    axis = {
        "SS": SPACING_M,
        "ImpRespWid": 0.8859 / BANDWIDTH_PER_M,
        "Sgn": -1,
        "ImpRespBW": BANDWIDTH_PER_M,
        "DeltaK1": -BANDWIDTH_PER_M / 2,
        "DeltaK2": BANDWIDTH_PER_M / 2,
        "DeltaKCOAPoly": np.array([[0.0]]),
        "WgtType": {"WindowName": "UNIFORM"},
    }
    time = np.array([[passing.t_coa]])
    if grid == "INCA":
        time = np.array([[passing.t_coa, _seconds_per_metre(passing)]])
    return {
        "ImagePlane": "SLANT",
        "Type": "RGAZIM" if grid == "PFA" else "RGZERO",
        "TimeCOAPoly": time,
        "Row": {**axis, "UVectECF": row, "KCtr": 2 * CENTER_HZ / LIGHT},
        "Col": {**axis, "UVectECF": column, "KCtr": 0.0},
    }


def _radar(polarization: str) -> dict[str, Any]:
    half = BANDWIDTH_PER_M * LIGHT / 4
    return {
        "TxFrequency": {"Min": CENTER_HZ - half, "Max": CENTER_HZ + half},
        "TxPolarization": polarization.split(":", maxsplit=1)[0],
        "RcvChannels": {
            "@size": 1,
            "ChanParameters": [{"@index": 1, "TxRcvPolarization": polarization}],
        },
    }


def _formation(passing: Collect, grid: str, polarization: str) -> dict[str, Any]:
    half = BANDWIDTH_PER_M * LIGHT / 4
    return {
        "RcvChanProc": {"NumChanProc": 1, "ChanIndex": [1]},
        "TxRcvPolarizationProc": polarization,
        "TStartProc": 0.0,
        "TEndProc": passing.duration,
        "TxFrequencyProc": {"MinProc": CENTER_HZ - half, "MaxProc": CENTER_HZ + half},
        "ImageFormAlgo": "PFA" if grid == "PFA" else "RMA",
        "STBeamComp": "NO",
        "ImageBeamComp": "NO",
        "AzAutofocus": "NO",
        "RgAutofocus": "NO",
    }


def _polar_format(passing: Collect) -> dict[str, Any]:
    """Return the polar-format block for a focus plane that is the slant plane."""
    row, column, normal = slant_axes(passing)
    t = np.linspace(0.0, passing.duration, 41)
    away = passing.scp - passing.position(t)
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    polar_angle = np.arctan2(away @ column, away @ row)
    in_plane = np.hypot(away @ column, away @ row)
    center = 2 * CENTER_HZ / LIGHT
    return {
        "PFA": {
            "FPN": normal,
            "IPN": normal,
            "PolarAngRefTime": passing.t_coa,
            "PolarAngPoly": polynomial.polyfit(t, polar_angle, 4),
            "SpatialFreqSFPoly": polynomial.polyfit(polar_angle, in_plane, 3),
            "Krg1": center - BANDWIDTH_PER_M / 2,
            "Krg2": center + BANDWIDTH_PER_M / 2,
            "Kaz1": -BANDWIDTH_PER_M / 2,
            "Kaz2": BANDWIDTH_PER_M / 2,
        }
    }


def _range_migration(passing: Collect) -> dict[str, Any]:
    closest = passing.scp - passing.position(passing.t_coa)
    return {
        "RMA": {
            "RMAlgoType": "OMEGA_K",
            "ImageType": "INCA",
            "INCA": {
                "TimeCAPoly": np.array([passing.t_coa, _seconds_per_metre(passing)]),
                "R_CA_SCP": float(np.linalg.norm(closest)),
                "FreqZero": CENTER_HZ,
                "DRateSFPoly": np.array([[_doppler_rate_factor(passing)]]),
            },
        }
    }


def _doppler_rate_factor(passing: Collect) -> float:
    """Return the Doppler rate over that of a straight flight at the same speed."""
    velocity = passing.velocity(passing.t_coa)
    acceleration = polynomial.polyval(passing.t_coa, polynomial.polyder(passing.arp, 2))
    away = passing.position(passing.t_coa) - passing.scp
    return float(1 + acceleration @ away / (velocity @ velocity))


def _seconds_per_metre(passing: Collect) -> float:
    """Return the change of the time of closest approach along the column axis."""
    velocity = passing.velocity(passing.t_coa)
    _, column, _ = slant_axes(passing)
    speed = np.linalg.norm(velocity) * _doppler_rate_factor(passing)
    return float(np.sign(column @ velocity) / speed)


if __name__ == "__main__":
    print(make_sicd(Path(sys.argv[1])))
