"""What a Sentinel-1 SAFE folder holds: manifest, files, and the annotation of one swath.

Field names and meanings follow the Sentinel-1 Product Specification (S1-RS-MDA-52-7441, 3.9). Times
are UTC. Annotation is read without its schema: decoding a thousand tie points by it takes half a
minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import xmlschema
from xarray_sentinel import esa_safe

from sarknowlip.core.errors import ProductError
from sarknowlip.sar.product import Polarization

Floats = npt.NDArray[np.float64]

MANIFEST = "manifest.safe"
FETCH_AGAIN = "the product is incomplete or damaged; fetch it again"
MODES = ("IW", "EW", "SM")

_KINDS = {
    "s1Level1ProductSchema": "annotation",
    "s1Level1CalibrationSchema": "calibration",
    "s1Level1NoiseSchema": "noise",
    "s1Level1MeasurementSchema": "measurement",
}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image: one swath in one polarisation.

    Attributes:
        swath: "IW", "IW1", "S3", …
        polarization: Transmit and receive.
        annotation: Annotation XML.
        measurement: GeoTIFF of digital numbers.
        calibration: Calibration table, None if the manifest lists none; may be absent.
        noise: Noise table, None if the manifest lists none; may be absent.
    """

    swath: str
    polarization: Polarization
    annotation: Path
    measurement: Path
    calibration: Path | None
    noise: Path | None


@dataclass(frozen=True)
class Manifest:
    """What manifest.safe says, and the images whose files are there.

    Attributes:
        platform: Letter of the unit: "A", "B", "C", "D".
        mode: "IW", "EW" or "SM".
        product_type: "GRD" or "SLC".
        orbit_state: "ascending" or "descending".
        absolute_orbit: Orbit number at the start.
        relative_orbit: Relative orbit number at the start.
        start: Start of the acquisition.
        stop: End of the acquisition.
        images: Swath by swath, polarisations as the manifest lists them.
    """

    platform: str
    mode: str
    product_type: str
    orbit_state: str
    absolute_orbit: int
    relative_orbit: int
    start: datetime
    stop: datetime
    images: tuple[ImageFiles, ...]


@dataclass(frozen=True)
class Bursts:
    """The bursts of a TOPS SLC image.

    Attributes:
        start_s: Azimuth time of each burst's first line, seconds after the image's first line.
        lines: Raster lines per burst.
        first_valid: First valid sample of each raster line, −1 if none, shape (bursts · lines,).
        last_valid: Last valid sample of each raster line, −1 if none.
    """

    start_s: Floats
    lines: int
    first_valid: npt.NDArray[np.int64]
    last_valid: npt.NDArray[np.int64]


@dataclass(frozen=True)
class TiePoints:
    """The geolocation grid of an annotation, shape (rows, columns) unless noted.

    Attributes:
        line: Raster lines, shape (rows,).
        pixel: Raster pixels, shape (columns,).
        azimuth_s: Zero-Doppler time, seconds after the image's first line.
        range_s: Two-way slant range time, seconds.
        lon: Longitude, degrees.
        lat: Latitude, degrees.
        height: Height above the WGS 84 ellipsoid, metres.
        incidence: Incidence angle on the ellipsoid, degrees.
    """

    line: Floats
    pixel: Floats
    azimuth_s: Floats
    range_s: Floats
    lon: Floats
    lat: Floats
    height: Floats
    incidence: Floats


@dataclass(frozen=True)
class Annotation:
    """What the annotation of one swath says; both polarisations of a swath share it.

    Attributes:
        path: File.
        shape: Raster lines and pixels.
        first_line: Zero-Doppler time of the first line.
        line_interval_s: Azimuth time between lines.
        range_start_s: Two-way slant range time of the first sample.
        sampling_hz: Range sampling rate.
        spacing_m: Pixel spacing in range (slant for SLC, ground for GRD) and azimuth.
        frequency_ghz: Carrier frequency.
        heading: Direction of flight, degrees clockwise from north, 0…360.
        incidence: Incidence angle at mid-swath, degrees.
        noise_removed: Whether the processor already subtracted thermal noise.
        looks: Number of looks in range and azimuth, per sub-swath.
        ties: Geolocation grid.
        bursts: Bursts of a TOPS SLC image, else None.
    """

    path: Path
    shape: tuple[int, int]
    first_line: np.datetime64
    line_interval_s: float
    range_start_s: float
    sampling_hz: float
    spacing_m: tuple[float, float]
    frequency_ghz: float
    heading: float
    incidence: float
    noise_removed: bool
    looks: tuple[tuple[int, int], ...]
    ties: TiePoints
    bursts: Bursts | None


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Turn whatever parsers raise about one XML file into a `ProductError` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ProductError(f"missing {path}", FETCH_AGAIN) from error
    except ElementTree.ParseError as error:
        raise ProductError(f"{path} is not XML: {error}", FETCH_AGAIN) from error
    except (
        ValueError, KeyError, TypeError, IndexError, AssertionError, OSError,
        xmlschema.XMLSchemaException,
    ) as error:  # fmt: skip
        detail = f"{type(error).__name__}: {error}"
        raise ProductError(f"{path} lacks what a SAFE file holds: {detail}", FETCH_AGAIN) from error


def read_manifest(folder: Path) -> Manifest:
    """Read manifest.safe and find the images whose annotation and measurement are there.

    An image of which the folder holds neither, or no measurement, is left out; a warning says so.

    Raises:
        ProductError: No manifest, not Sentinel-1 GRD or SLC of IW, EW or SM, a measurement without
            its annotation, or no measurement at all.
    """
    path = folder / MANIFEST
    with parsing(path), path.open("rb") as handle:
        root = ElementTree.parse(handle).getroot()
        if esa_safe.findtext(root, ".//safe:platform/safe:familyName") != "SENTINEL-1":
            raise ProductError(f"{path} is not of Sentinel-1", "check the path")
        mode = esa_safe.findtext(root, ".//s1sarl1:instrumentMode/s1sarl1:mode")
        product_type = root.findtext(".//s1sarl1:productType", None, esa_safe.SENTINEL1_NAMESPACES)
        if mode not in MODES or product_type not in {"GRD", "SLC"}:
            raise ProductError(
                f"{path} is of a {mode} {product_type or 'level-2'} product",
                "only IW, EW and SM GRD and SLC are read",
            )
        order = esa_safe.findall(root, ".//s1sarl1:transmitterReceiverPolarisation")
        return Manifest(
            platform=esa_safe.findtext(root, ".//safe:platform/safe:number"),
            mode=mode,
            product_type=product_type,
            orbit_state=esa_safe.findtext(root, ".//s1:pass").lower(),
            absolute_orbit=int(esa_safe.findtext(root, ".//safe:orbitNumber")),
            relative_orbit=int(esa_safe.findtext(root, ".//safe:relativeOrbitNumber")),
            start=_moment(esa_safe.findtext(root, ".//safe:startTime")),
            stop=_moment(esa_safe.findtext(root, ".//safe:stopTime")),
            images=_images(folder, root, order),
        )


def read_annotation(path: Path) -> Annotation:
    """Read the annotation of one image.

    Raises:
        ProductError: The file is absent, not XML, or incomplete.
    """
    with parsing(path):
        root = ElementTree.parse(path).getroot()
        product = _within(root, "generalAnnotation/productInformation")
        image = _within(root, "imageAnnotation/imageInformation")
        processing = _within(root, "imageAnnotation/processingInformation")
        first_line = np.datetime64(_text(image, "productFirstLineUtcTime"), "ns")
        return Annotation(
            path=path,
            shape=_shape(root),
            first_line=first_line,
            line_interval_s=float(_text(image, "azimuthTimeInterval")),
            range_start_s=float(_text(image, "slantRangeTime")),
            sampling_hz=float(_text(product, "rangeSamplingRate")),
            spacing_m=(
                float(_text(image, "rangePixelSpacing")),
                float(_text(image, "azimuthPixelSpacing")),
            ),
            frequency_ghz=float(_text(product, "radarFrequency")) / 1e9,
            heading=float(_text(product, "platformHeading")) % 360.0,
            incidence=float(_text(image, "incidenceAngleMidSwath")),
            noise_removed=_boolean(_text(processing, "thermalNoiseCorrectionPerformed")),
            looks=tuple(
                (
                    int(_text(swath, "rangeProcessing/numberOfLooks")),
                    int(_text(swath, "azimuthProcessing/numberOfLooks")),
                )
                for swath in processing.iterfind("swathProcParamsList/swathProcParams")
            ),
            ties=_tie_points(root, first_line),
            bursts=_bursts(_within(root, "swathTiming"), first_line),
        )


def image_shape(path: Path) -> tuple[int, int]:
    """Return only the number of raster lines and pixels that an annotation states.

    Raises:
        ProductError: The file is absent, not XML, or incomplete.
    """
    with parsing(path):
        return _shape(ElementTree.parse(path).getroot())


def _images(folder: Path, root: ElementTree.Element, order: list[str]) -> tuple[ImageFiles, ...]:
    """Return the images that are complete, sorted by swath and the manifest's polarisations."""
    listed: dict[tuple[str, str], dict[str, Path]] = {}
    for entry in root.iterfind(".//dataObjectSection/dataObject"):
        kind = _KINDS.get(entry.attrib["repID"])
        location = entry.find(".//fileLocation")
        if kind is None or location is None:
            continue
        path = folder / location.attrib["href"]
        _, swath, polarization, _ = esa_safe.parse_annotation_filename(path.name)
        listed.setdefault((swath.upper(), polarization.upper()), {})[kind] = path
    found: list[ImageFiles] = []
    absent: list[Path] = []
    for (swath, polarization), files in sorted(
        listed.items(), key=lambda item: (item[0][0], order.index(item[0][1]))
    ):
        if polarization not in get_args(Polarization):
            raise ProductError(f"{folder} has polarisation {polarization}", "it is not supported")
        measurement, annotation = files["measurement"], files["annotation"]
        if not measurement.is_file():
            _LOG.warning("%s is absent: %s %s is left out", measurement, swath, polarization)
            absent.append(measurement)
            continue
        if not annotation.is_file():
            raise ProductError(f"missing {annotation}", FETCH_AGAIN)
        found.append(
            ImageFiles(
                swath,
                polarization,  # type: ignore[arg-type]
                annotation,
                measurement,
                files.get("calibration"),
                files.get("noise"),
            )
        )
    if not found:
        raise ProductError(
            f"missing {absent[0]}" if absent else f"{folder} lists no measurement", FETCH_AGAIN
        )
    return tuple(found)


def _tie_points(root: ElementTree.Element, first_line: np.datetime64) -> TiePoints:
    points = list(root.iterfind("geolocationGrid/geolocationGridPointList/geolocationGridPoint"))
    points.sort(key=lambda point: (int(_text(point, "line")), int(_text(point, "pixel"))))
    line, pixel = (sorted({int(_text(p, name)) for p in points}) for name in ("line", "pixel"))
    shape = (len(line), len(pixel))
    if min(shape) < 2 or len(points) != shape[0] * shape[1]:
        raise ValueError(f"geolocation grid of {len(points)} points is not regular")

    def field(name: str) -> Floats:
        return np.array([float(_text(point, name)) for point in points]).reshape(shape)

    return TiePoints(
        line=np.array(line, dtype=np.float64),
        pixel=np.array(pixel, dtype=np.float64),
        azimuth_s=np.array(
            [_seconds(_text(point, "azimuthTime"), first_line) for point in points]
        ).reshape(shape),
        range_s=field("slantRangeTime"),
        lon=field("longitude"),
        lat=field("latitude"),
        height=field("height"),
        incidence=field("incidenceAngle"),
    )


def _bursts(timing: ElementTree.Element, first_line: np.datetime64) -> Bursts | None:
    bursts = list(timing.iterfind("burstList/burst"))
    if not bursts:
        return None

    def samples(name: str) -> npt.NDArray[np.int64]:
        return np.array(" ".join(_text(burst, name) for burst in bursts).split(), dtype=np.int64)

    return Bursts(
        start_s=np.array([_seconds(_text(b, "azimuthTime"), first_line) for b in bursts]),
        lines=int(_text(timing, "linesPerBurst")),
        first_valid=samples("firstValidSample"),
        last_valid=samples("lastValidSample"),
    )


def _within(root: ElementTree.Element, path: str) -> ElementTree.Element:
    found = root.find(path)
    if found is None:
        raise ValueError(f"no {path}")
    return found


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no {path}")
    return text


def _boolean(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.strip()]


def _shape(root: ElementTree.Element) -> tuple[int, int]:
    image = _within(root, "imageAnnotation/imageInformation")
    return int(_text(image, "numberOfLines")), int(_text(image, "numberOfSamples"))


def _seconds(moment: str, since: np.datetime64) -> float:
    return float((np.datetime64(moment, "ns") - since) / np.timedelta64(1, "s"))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
