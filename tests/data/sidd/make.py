"""Make small SIDD files (NGA.STND.0025, version 3.0) of the collect of `tests/data/sicd/make.py`.

The product plane touches the ellipsoid at the scene centre, rows run away from the sensor along the
ground. Pixels are amplitudes mapped for display: a constant, or points as pixel-sized Gaussians.

    python tests/data/sidd/make.py OUT.ntf
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lxml.etree
import numpy as np
import numpy.typing as npt
import sarkit.sidd as sidd
import sarkit.wgs84 as wgs84
from scipy import optimize

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data.sicd.make import START, Collect, Target, Vector, collect, make_sicd

SPACING_M = 0.6
SPACING_ARCSEC = (0.02, 0.025)
NAMESPACE = "urn:SIDD:3.0.0"
ISM = "urn:us:gov:ic:ism:13"
COMMON = "urn:SICommon:1.0"


def plane_axes(passing: Collect) -> tuple[Vector, Vector]:
    """Return unit vectors of rows (away from the sensor) and columns in the product plane."""
    up = wgs84.up(passing.scp_llh)
    sight = passing.scp - passing.position(passing.t_coa)
    row = sight - (sight @ up) * up
    row /= np.linalg.norm(row)
    return row, np.cross(up, row)


def make_sidd(
    path: Path,
    *,
    passing: Collect | None = None,
    shape: tuple[int, int] = (240, 300),
    pixel_type: str = "MONO8I",
    projection: str = "plane",
    points: Sequence[Target] = (),
    background: int = 10,
    polarization: tuple[str, str] = ("V", "V"),
    valid_data: Sequence[tuple[int, int]] | None = None,
    with_sicd: bool = False,
    lookup: npt.NDArray[np.uint8] | None = None,
    images: int = 1,
) -> Path:
    """Write a SIDD file and return its path.

    Args:
        path: File to write.
        passing: Orbit and scene; None takes `collect()`.
        shape: Rows and columns.
        pixel_type: "MONO8I", "MONO16I", "MONO8LU" or "RGB24I".
        projection: "plane" (PGD), "geographic" (GGD, north up) or "cylindrical" (CGD).
        points: Point targets.
        background: Value of all other pixels.
        polarization: Transmit and receive.
        valid_data: Vertices (row, column) of the valid region; None for the whole image.
        with_sicd: Whether the file carries the metadata of the SICD it was made from.
        lookup: Table of MONO8LU pixels.
        images: How many images the file holds; each is brighter by one than the one before.
    """
    passing = passing or collect()
    tree = _metadata(passing, shape, pixel_type, projection, polarization, valid_data)
    security = {"security": {"clas": "U"}}
    metadata = sidd.NitfMetadata(
        file_header_part={"ostaid": "sarknowlip", "ftitle": "synthetic SIDD", **security},
        images=[
            sidd.NitfProductImageMetadata(
                xmltree=tree,
                im_subheader_part=security,
                de_subheader_part=security,
                lookup_table=lookup,
            )
        ]
        * images,
    )
    if with_sicd:
        metadata.sicd_xmls.append(
            sidd.NitfSicdXmlMetadata(_source(path, passing), de_subheader_part=security)
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle, sidd.NitfWriter(handle, metadata) as writer:
        spots = [
            (*image_position(passing, shape, projection, place), amplitude)
            for *place, amplitude in points
        ]
        for index in range(images):
            writer.write_image(index, _pixels(shape, pixel_type, spots, background + index))
    return path


def image_position(
    passing: Collect, shape: tuple[int, int], projection: str, place: Sequence[float]
) -> tuple[float, float]:
    """Return the row and column at which a ground point appears; pixel centres are whole.

    In the product plane it lies where the plane has the point's range and range rate at the centre
    of aperture; a geographic grid has it at its longitude and latitude.
    """
    lon, lat, height = place
    middle = shape[0] // 2, shape[1] // 2
    if projection == "geographic":
        south, east = passing.scp_llh[0] - lat, lon - passing.scp_llh[1]
        down, across = south * 3600 / SPACING_ARCSEC[0], east * 3600 / SPACING_ARCSEC[1]
        return middle[0] + down, middle[1] + across
    position, velocity = passing.position(passing.t_coa), passing.velocity(passing.t_coa)
    row, column = plane_axes(passing)

    def seen(ground: Vector) -> Vector:
        sight = ground - position
        distance = np.linalg.norm(sight)
        return np.array([distance, sight @ velocity / distance])

    wanted = seen(wgs84.geodetic_to_cartesian([lat, lon, height]))
    found = optimize.root(
        lambda at: seen(passing.scp + SPACING_M * (at[0] * row + at[1] * column)) - wanted,
        [0.0, 0.0],
        tol=1e-12,
    )
    assert np.abs(found.fun).max() < 1e-6, found.message
    return middle[0] + float(found.x[0]), middle[1] + float(found.x[1])


def _source(path: Path, passing: Collect) -> Any:
    import sarkit.sicd as sicd

    source = make_sicd(path.with_suffix(".sicd"), passing=passing, shape=(8, 8))
    with source.open("rb") as handle, sicd.NitfReader(handle) as reader:
        tree = reader.metadata.xmltree
    source.unlink()
    return tree


def _pixels(
    shape: tuple[int, int],
    pixel_type: str,
    points: Sequence[tuple[float, float, float]],
    background: int,
) -> npt.NDArray[Any]:
    dtype = sidd.PIXEL_TYPES[pixel_type]["dtype"]
    if dtype.names:
        return np.full(shape, background, dtype)
    row, column = np.mgrid[: shape[0], : shape[1]]
    amplitude = np.full(shape, float(background))
    for r, c, peak in points:
        amplitude += peak * np.exp(-((row - r) ** 2 + (column - c) ** 2) / 2.0)
    return np.clip(np.rint(amplitude), 0, np.iinfo(dtype).max).astype(dtype)


def _metadata(
    passing: Collect,
    shape: tuple[int, int],
    pixel_type: str,
    projection: str,
    polarization: tuple[str, str],
    valid_data: Sequence[tuple[int, int]] | None,
) -> Any:
    element = lxml.etree.Element(
        f"{{{NAMESPACE}}}SIDD", nsmap={None: NAMESPACE, "sicommon": COMMON, "ism": ISM}
    )
    root = sidd.ElementWrapper(element)
    root.from_dict(
        {
            "ProductCreation": {
                "ProcessorInformation": {
                    "Application": "tests/data/sidd/make.py",
                    "ProcessingDateTime": START,
                    "Site": "none",
                },
                "Classification": {
                    "@DESVersion": "13",
                    "@ISMCATCESVersion": "201903",
                    "@resourceElement": "true",
                    "@compliesWith": "USGov",
                    "@createDate": "2024-05-17",
                    "@classification": "U",
                    "@ownerProducer": "USA",
                },
                "ProductName": "synthetic",
                "ProductClass": "Detected image",
            },
            "Display": _display(pixel_type),
            "GeoData": {"EarthModel": "WGS_84", "ImageCorners": np.zeros((4, 2))},
            "Measurement": _measurement(passing, shape, projection, valid_data),
            "ExploitationFeatures": _exploitation(passing, polarization),
        }
    )
    tree = element.getroottree()
    last = shape[0] - 0.5, shape[1] - 0.5
    corners = [(-0.5, -0.5), (-0.5, last[1]), last, (last[0], -0.5)]
    ground = wgs84.cartesian_to_geodetic(sidd.pixel_to_ecef(tree, np.array(corners)))
    root["GeoData"]["ImageCorners"] = ground[:, :2]
    root["GeoData"]["ValidData"] = ground[:, :2]
    _angles(root, passing)
    return tree


def _display(pixel_type: str) -> dict[str, Any]:
    bands = 3 if pixel_type == "RGB24I" else 1
    table = {"LUTName": "linear", "Predefined": {"DatabaseName": "LINEAR"}}

    def kernel(operation: str) -> dict[str, Any]:
        return {
            "FilterName": "none",
            "FilterKernel": {"Predefined": {"DatabaseName": "NEAREST NEIGHBOR"}},
            "Operation": operation,
        }

    return {
        "PixelType": pixel_type,
        "NumBands": bands,
        "NonInteractiveProcessing": [
            {
                "@band": band + 1,
                "ProductGenerationOptions": {"DataRemapping": table},
                "RRDS": {"DownsamplingMethod": "DECIMATE"},
            }
            for band in range(bands)
        ],
        "InteractiveProcessing": [
            {
                "@band": band + 1,
                "GeometricTransform": {
                    "Scaling": {
                        "AntiAlias": kernel("CONVOLUTION"),
                        "Interpolation": kernel("CORRELATION"),
                    },
                    "Orientation": {"ShadowDirection": "DOWN"},
                },
                "SharpnessEnhancement": {
                    "ModularTransferFunctionCompensation": kernel("CONVOLUTION")
                },
                "DynamicRangeAdjustment": {"AlgorithmType": "NONE", "BandStatsSource": 1},
            }
            for band in range(bands)
        ],
    }


def _measurement(
    passing: Collect,
    shape: tuple[int, int],
    projection: str,
    valid_data: Sequence[tuple[int, int]] | None,
) -> dict[str, Any]:
    last = shape[0] - 1, shape[1] - 1
    outline = valid_data or [(0, 0), (0, last[1]), last, (last[0], 0)]
    reference = {
        "ECEF": passing.scp,
        "Point": np.array([shape[0] // 2, shape[1] // 2], dtype=float),
    }
    time = np.array([[passing.t_coa]])
    row, column = plane_axes(passing)
    if projection == "plane":
        grid: dict[str, Any] = {
            "PlaneProjection": {
                "ReferencePoint": reference,
                "SampleSpacing": np.array([SPACING_M, SPACING_M]),
                "TimeCOAPoly": time,
                "ProductPlane": {"RowUnitVector": row, "ColUnitVector": column},
            }
        }
    elif projection == "cylindrical":
        grid = {
            "CylindricalProjection": {
                "ReferencePoint": reference,
                "SampleSpacing": np.array([SPACING_M, SPACING_M]),
                "TimeCOAPoly": time,
                "StripmapDirection": column,
            }
        }
    else:
        grid = {
            "GeographicProjection": {
                "ReferencePoint": reference,
                "SampleSpacing": np.array(SPACING_ARCSEC),
                "TimeCOAPoly": time,
            }
        }
    return {
        **grid,
        "PixelFootprint": np.array(shape),
        "ARPPoly": passing.arp,
        "ValidData": np.asarray(outline),
    }


def _exploitation(passing: Collect, polarization: tuple[str, str]) -> dict[str, Any]:
    return {
        "Collection": [
            {
                "@identifier": "20240517T094112_ROME",
                "Information": {
                    "SensorName": "SARKNOWLIP-X1",
                    "RadarMode": {"ModeType": "SPOTLIGHT"},
                    "CollectionDateTime": START,
                    "CollectionDuration": passing.duration,
                    "Resolution": np.array([0.55, 0.56]),
                    "Polarization": [
                        {"TxPolarization": polarization[0], "RcvPolarization": polarization[1]}
                    ],
                },
            }
        ],
        "Product": [
            {
                "Resolution": np.array([0.97, 0.56]),
                "Ellipticity": 1.7,
                "Polarization": [
                    {
                        "TxPolarizationProc": polarization[0],
                        "RcvPolarizationProc": polarization[1],
                    }
                ],
            }
        ],
    }


def _angles(root: Any, passing: Collect) -> None:
    row, column = plane_axes(passing)
    angles = sidd.compute_angles(
        passing.scp,
        passing.position(passing.t_coa),
        passing.velocity(passing.t_coa),
        row,
        column,
    )
    root["ExploitationFeatures"]["Collection"][0]["Geometry"] = {
        "Azimuth": angles.Azimuth,
        "Slope": angles.Slope,
        "Graze": angles.Graze,
        "Tilt": angles.Tilt,
        "DopplerConeAngle": angles.DopplerCone,
    }


if __name__ == "__main__":
    print(make_sidd(Path(sys.argv[1])))
