"""Make small Sentinel-1 SAFE folders: real file names and structure, a physical orbit, kilobytes.

python tests/data/safe/make.py FOLDER

The annotation holds what geocoding and calibration need, in the elements of the Sentinel-1 Product
Specification (S1-RS-MDA-52-7441); tie points are solved from range, Doppler and height. The orbit
is a circle in Earth-fixed coordinates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import Transformer
from scipy.optimize import brentq, fsolve

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data.safe.targets import LIGHT, RawAnnotation, Target

START = np.datetime64("2022-06-01T05:11:22.500000", "us")
SPEED, RADIUS = 7_450.0, 7_070_000.0
RATE_HZ = 64_345_238.125
SUFFIX = "20220601t051122-20220601t051123-043500-0531aa"
BACKGROUND = 100
SWATH_M = 8_000.0
"""Ground width of a swath; neighbours overlap by a quarter."""
TO_ECEF = Transformer.from_crs(4979, 4978, always_xy=True)
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Safe:
    """What to make.

    Attributes:
        product: "GRD" or "SLC".
        mode: "IW", "EW" or "SM".
        swaths: Swaths of an SLC product, 1 to 3; IW and EW only.
        polarizations: In the order in which the manifest lists them.
        centre: Longitude, latitude and height of the middle of the first swath.
        heading: Degrees clockwise from north.
        incidence: Degrees at the middle of the first swath.
        tie_height: Height of tie points; each second column lies `tie_step` higher.
        tie_step: Metres.
        noise_removed: What the annotation says.
        noise: Thermal noise, DN².
        targets: Point targets.
        amplitude: Digital number at their peak.
    """

    product: str = "GRD"
    mode: str = "IW"
    swaths: int = 1
    polarizations: Sequence[str] = ("VV", "VH")
    centre: Target = (12.5, 42.0, 100.0)
    heading: float = 350.0
    incidence: float = 36.0
    tie_height: float = 100.0
    tie_step: float = 0.0
    noise_removed: bool = False
    noise: float = 400.0
    targets: Sequence[Target] = field(default_factory=tuple)
    amplitude: float = 4000.0


@dataclass(frozen=True)
class Track:
    """A circular orbit that passes the scene's centre abeam, to its left, at time 0."""

    abeam: Vector
    ahead: Vector

    @classmethod
    def past(cls, safe: Safe) -> Track:
        """Return the track that sees the centre at the wanted incidence angle."""
        place = np.array(TO_ECEF.transform(*safe.centre))
        lon, lat, heading = np.deg2rad([*safe.centre[:2], safe.heading])
        up = place / np.linalg.norm(place)
        north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
        north -= up * (north @ up)
        north /= np.linalg.norm(north)
        east = np.cross(north, up)
        ahead = np.cos(heading) * north + np.sin(heading) * east
        angle = np.deg2rad(safe.incidence)
        turn = angle - np.arcsin(np.linalg.norm(place) * np.sin(angle) / RADIUS)
        return cls(np.cos(turn) * up - np.sin(turn) * np.cross(ahead, up), ahead)

    def position(self, t: float) -> Vector:
        """Return ECEF metres."""
        phase = SPEED / RADIUS * t
        return RADIUS * (np.cos(phase) * self.abeam + np.sin(phase) * self.ahead)

    def velocity(self, t: float) -> Vector:
        """Return ECEF metres per second."""
        phase = SPEED / RADIUS * t
        return SPEED * (-np.sin(phase) * self.abeam + np.cos(phase) * self.ahead)

    def ground(self, t: float, slant_m: float, height: float, near: Target) -> tuple[float, float]:
        """Return longitude and latitude of a point of given time, range and height."""
        place, flight = self.position(t), self.velocity(t) / SPEED

        def miss(shift: Vector) -> list[float]:
            sight = np.array(TO_ECEF.transform(*(shift + near[:2]), height)) - place
            return [(np.linalg.norm(sight) - slant_m) / 1e5, float(sight @ flight) / 1e5]

        shift = fsolve(miss, [0.0, 0.0], xtol=1e-8)
        return float(shift[0] + near[0]), float(shift[1] + near[1])


@dataclass(frozen=True)
class Swath:
    """Geometry of one swath."""

    safe: Safe
    track: Track
    name: str
    number: int

    @property
    def slant(self) -> bool:
        return self.safe.product == "SLC"

    @property
    def tops(self) -> bool:
        return self.slant and self.safe.mode != "SM"

    @property
    def bursts(self) -> int:
        return 3 if self.tops else 0

    @property
    def burst_lines(self) -> int:
        return 90

    @property
    def interval(self) -> float:
        return 2.0e-3 if self.slant else 1.5e-3

    @property
    def line_spacing(self) -> float:
        """Ground distance of two lines, roughly."""
        return self.interval * SPEED * 6_356_000 / RADIUS

    @property
    def lines(self) -> int:
        return self.burst_lines * self.bursts if self.tops else 300

    @property
    def starts(self) -> list[float]:
        """Times of the bursts' first lines; bursts repeat every 70 lines."""
        return [70 * i * self.interval for i in range(self.bursts)] or [0.0]

    @property
    def first_s(self) -> float:
        """Track time of the first line."""
        return -0.2 + 0.004 * self.number

    @property
    def range_spacing(self) -> float:
        return LIGHT / 2 / RATE_HZ if self.slant else 10.0

    @property
    def sine(self) -> float:
        return float(np.sin(np.deg2rad(self.safe.incidence)))

    @property
    def near_m(self) -> float:
        """Slant range of the first sample."""
        middle = np.linalg.norm(
            np.array(TO_ECEF.transform(*self.safe.centre)) - self.track.position(0)
        )
        return float(middle + (0.75 * self.number - 0.5) * SWATH_M * self.sine)

    @property
    def middle_s(self) -> float:
        """Two-way travel time at which lines carry the zero-Doppler time."""
        first = Swath(self.safe, self.track, self.name, 0)
        return 2 * (first.near_m + SWATH_M * self.sine / 2) / LIGHT

    @property
    def samples(self) -> int:
        spacing = self.range_spacing / self.sine if self.slant else self.range_spacing
        return int(SWATH_M / spacing)

    def updates(self) -> list[tuple[float, Vector]]:
        """Return times after the first line and ground-range polynomials in slant range."""
        base = np.array([0.0, 1 / self.sine, -1.5e-6])
        jump, back = np.array([25.0, 0.002, 0.0]), np.array([5.0, 0.0, 0.0])
        return [(-0.3, base), (0.2, base + jump), (1.2, base + back)]

    def slant_of(self, line_s: float, pixel: float) -> float:
        """Return the slant range of a pixel, metres."""
        if self.slant:
            return self.near_m + pixel * self.range_spacing
        times, rows = zip(*self.updates(), strict=True)
        mixed = [np.interp(line_s, times, column) for column in np.array(rows).T]

        def ground(slant: float) -> float:
            powers = (slant - self.near_m) ** np.arange(3)
            return float(powers @ mixed) - pixel * self.range_spacing

        return float(brentq(ground, self.near_m - 500, self.near_m + 2 * SWATH_M))


def stamp(seconds: float) -> str:
    """Return a time of the track as text."""
    return str(START + np.timedelta64(round(seconds * 1e6), "us"))


def orbit_xml(swath: Swath) -> str:
    rows = []
    for t in np.arange(-60.0, 61.0, 10.0):
        vectors = {"position": swath.track.position(t), "velocity": swath.track.velocity(t)}
        parts = "".join(
            f"<{name}>" + "".join(f"<{a}>{v:.9e}</{a}>" for a, v in zip("xyz", vector, strict=True))
            + f"</{name}>"
            for name, vector in vectors.items()
        )  # fmt: skip
        rows.append(f"<orbit><time>{stamp(t)}</time><frame>Earth Fixed</frame>{parts}</orbit>")
    return f'<orbitList count="{len(rows)}">{"".join(rows)}</orbitList>'


def ties_xml(swath: Swath) -> str:
    safe, points = swath.safe, []
    lines = [*range(0, swath.lines, swath.burst_lines), swath.lines - 1]
    for line in lines:
        burst = min(line // swath.burst_lines, max(swath.bursts - 1, 0)) if swath.tops else 0
        line_s = swath.starts[burst] + (line - burst * swath.burst_lines) * swath.interval
        for column, pixel in enumerate(np.linspace(0, swath.samples - 1, 7).round().astype(int)):
            slant = swath.slant_of(line_s, pixel)
            travel = 2 * slant / LIGHT
            zero = swath.first_s + line_s + (travel - swath.middle_s) / 2
            height = safe.tie_height + safe.tie_step * (column % 2)
            lon, lat = swath.track.ground(zero, slant, height, safe.centre)
            place = np.array(TO_ECEF.transform(lon, lat, height))
            sight = swath.track.position(zero) - place
            up = np.array(TO_ECEF.transform(lon, lat, height + 1)) - place
            angle = np.rad2deg(np.arccos(sight @ up / np.linalg.norm(sight)))
            lon = (lon + 180) % 360 - 180
            points.append(
                f"<geolocationGridPoint><azimuthTime>{stamp(zero)}</azimuthTime>"
                f"<slantRangeTime>{travel:.15e}</slantRangeTime><line>{line}</line>"
                f"<pixel>{pixel}</pixel><latitude>{lat:.15e}</latitude>"
                f"<longitude>{lon:.15e}</longitude><height>{height:.6e}</height>"
                f"<incidenceAngle>{angle:.9e}</incidenceAngle>"
                f"<elevationAngle>{angle - 4:.9e}</elevationAngle></geolocationGridPoint>"
            )
    return (
        f'<geolocationGrid><geolocationGridPointList count="{len(points)}">{"".join(points)}'
        "</geolocationGridPointList></geolocationGrid>"
    )


def bursts_xml(swath: Swath) -> str:
    """Bursts whose first and last three lines, and twenty samples at each end, are invalid."""
    inner = swath.burst_lines - 6
    first = " ".join(["-1"] * 3 + ["20"] * inner + ["-1"] * 3)
    last = " ".join(["-1"] * 3 + [str(swath.samples - 21)] * inner + ["-1"] * 3)
    count = f'count="{swath.burst_lines}"'
    rows = [
        f"<burst><azimuthTime>{stamp(swath.first_s + start)}</azimuthTime>"
        f"<firstValidSample {count}>{first}</firstValidSample>"
        f"<lastValidSample {count}>{last}</lastValidSample></burst>"
        for start in swath.starts[: swath.bursts]
    ]
    return (
        f"<swathTiming><linesPerBurst>{swath.burst_lines if rows else 0}</linesPerBurst>"
        f"<samplesPerBurst>{swath.samples if rows else 0}</samplesPerBurst>"
        f'<burstList count="{len(rows)}">{"".join(rows)}</burstList></swathTiming>'
    )


def conversion_xml(swath: Swath) -> str:
    rows = [] if swath.slant else swath.updates()
    parts = [
        f"<coordinateConversion><azimuthTime>{stamp(swath.first_s + t)}</azimuthTime>"
        f"<slantRangeTime>{2 * swath.near_m / LIGHT:.15e}</slantRangeTime>"
        f"<sr0>{swath.near_m:.15e}</sr0>"
        f'<srgrCoefficients count="3">{" ".join(f"{c:.15e}" for c in row)}</srgrCoefficients>'
        f'<gr0>0.0</gr0><grsrCoefficients count="3">{swath.near_m:.15e} {swath.sine:.15e} 0.0'
        "</grsrCoefficients></coordinateConversion>"
        for t, row in rows
    ]
    return (
        f'<coordinateConversion><coordinateConversionList count="{len(parts)}">{"".join(parts)}'
        "</coordinateConversionList></coordinateConversion>"
    )


def annotation_xml(swath: Swath) -> str:
    safe = swath.safe
    looks = (1, 1) if swath.slant else (5, 1)
    last = swath.first_s + swath.starts[-1] + (swath.burst_lines - 1) * swath.interval
    processing = [
        f"<{name}Processing><numberOfLooks>{n}</numberOfLooks></{name}Processing>"
        for name, n in zip(("range", "azimuth"), looks, strict=True)
    ]
    return (
        "<product><generalAnnotation><productInformation>"
        f"<pass>Ascending</pass><platformHeading>{safe.heading - 360:.6e}</platformHeading>"
        f"<projection>{'Slant Range' if swath.slant else 'Ground Range'}</projection>"
        f"<rangeSamplingRate>{RATE_HZ:.15e}</rangeSamplingRate>"
        "<radarFrequency>5.405000454334350e+09</radarFrequency></productInformation>"
        f"{orbit_xml(swath)}</generalAnnotation><imageAnnotation><imageInformation>"
        f"<productFirstLineUtcTime>{stamp(swath.first_s)}</productFirstLineUtcTime>"
        f"<productLastLineUtcTime>{stamp(last)}</productLastLineUtcTime>"
        f"<slantRangeTime>{2 * swath.slant_of(0.0, 0.0) / LIGHT:.15e}</slantRangeTime>"
        f"<rangePixelSpacing>{swath.range_spacing:.15e}</rangePixelSpacing>"
        f"<azimuthPixelSpacing>{swath.line_spacing:.9e}</azimuthPixelSpacing>"
        f"<azimuthTimeInterval>{swath.interval:.15e}</azimuthTimeInterval>"
        f"<numberOfSamples>{swath.samples}</numberOfSamples>"
        f"<numberOfLines>{swath.lines}</numberOfLines>"
        f"<incidenceAngleMidSwath>{safe.incidence:.9e}</incidenceAngleMidSwath>"
        "</imageInformation><processingInformation><thermalNoiseCorrectionPerformed>"
        f"{str(safe.noise_removed).lower()}</thermalNoiseCorrectionPerformed>"
        f'<swathProcParamsList count="1"><swathProcParams><swath>{swath.name}</swath>'
        f"{''.join(processing)}</swathProcParams></swathProcParamsList>"
        f"</processingInformation></imageAnnotation>{bursts_xml(swath)}{ties_xml(swath)}"
        f"{conversion_xml(swath)}</product>"
    )


def calibration_xml(swath: Swath) -> str:
    """Tables that rise along lines and pixels; γ⁰, σ⁰, β⁰ consistent with the incidence angle."""
    pixels = np.unique([*range(0, swath.samples, 40), swath.samples - 1])
    angle = np.deg2rad(swath.safe.incidence)
    vectors = []
    for line in (0, swath.lines // 2, swath.lines - 1):
        beta = 300.0 + 0.05 * line + 0.01 * pixels
        tables = {
            "sigmaNought": beta / np.sqrt(np.sin(angle)),
            "betaNought": beta,
            "gamma": beta / np.sqrt(np.tan(angle)),
            "dn": np.full(pixels.size, 300.0),
        }
        vectors.append(
            f"<calibrationVector><azimuthTime>{stamp(swath.first_s)}</azimuthTime><line>{line}</line>"
            f'<pixel count="{pixels.size}">{" ".join(map(str, pixels))}</pixel>'
            + "".join(
                f'<{name} count="{pixels.size}">{" ".join(f"{v:.6e}" for v in values)}</{name}>'
                for name, values in tables.items()
            )
            + "</calibrationVector>"
        )
    return (
        "<calibration><calibrationInformation><absoluteCalibrationConstant>1.0"
        "</absoluteCalibrationConstant></calibrationInformation>"
        f'<calibrationVectorList count="3">{"".join(vectors)}</calibrationVectorList></calibration>'
    )


def noise_xml(swath: Swath) -> str:
    """Range noise of one level; azimuth factors 1 at the first and 2 at the last line."""
    pixels = f"0 {swath.samples - 1}"
    last = swath.lines - 1
    vectors = "".join(
        f"<noiseRangeVector><azimuthTime>{stamp(swath.first_s)}</azimuthTime><line>{line}</line>"
        f'<pixel count="2">{pixels}</pixel><noiseRangeLut count="2">{swath.safe.noise:.6e} '
        f"{swath.safe.noise:.6e}</noiseRangeLut></noiseRangeVector>"
        for line in (0, last)
    )
    return (
        f'<noise><noiseRangeVectorList count="2">{vectors}</noiseRangeVectorList>'
        f'<noiseAzimuthVectorList count="1"><noiseAzimuthVector><swath>{swath.name}</swath>'
        "<firstAzimuthLine>0</firstAzimuthLine><firstRangeSample>0</firstRangeSample>"
        f"<lastAzimuthLine>{last}</lastAzimuthLine>"
        f"<lastRangeSample>{swath.samples - 1}</lastRangeSample>"
        f'<line count="2">0 {last}</line><noiseAzimuthLut count="2">1.0 2.0</noiseAzimuthLut>'
        "</noiseAzimuthVector></noiseAzimuthVectorList></noise>"
    )


def measure(path: Path, swath: Swath, raw: RawAnnotation) -> None:
    """Write a raster of even background with the targets in; invalid samples are zero."""
    amplitude = np.full((swath.lines, swath.samples), float(BACKGROUND))
    rows, columns = np.mgrid[: swath.lines, : swath.samples]
    width = (1.2, 4.0) if swath.slant else (1.2, 1.2)
    for target in swath.safe.targets:
        for row, column in raw.place(target):
            burst = rows // swath.burst_lines == row // swath.burst_lines
            spot = ((rows - row) / width[0]) ** 2 + ((columns - column) / width[1]) ** 2
            seen = burst if swath.tops else 1.0
            amplitude += swath.safe.amplitude * np.exp(-spot / 2) * seen
    if swath.tops:
        line = rows % swath.burst_lines
        amplitude[(line < 3) | (line >= swath.burst_lines - 3)] = 0.0
        amplitude[:, :20] = amplitude[:, swath.samples - 20 :] = 0.0
    with rasterio.open(
        path, "w", driver="GTiff", height=swath.lines, width=swath.samples, count=1,
        dtype="complex_int16" if swath.slant else "uint16", compress="deflate",
    ) as raster:  # fmt: skip
        phase = np.exp(0.3j) if swath.slant else 1.0
        values = np.rint(amplitude * phase)
        raster.write(values.astype("complex64" if swath.slant else "uint16"), 1)


MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0" \
xmlns:s1="http://www.esa.int/safe/sentinel-1.0/sentinel-1" \
xmlns:s1sarl1="http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1"><metadataSection>
<safe:platform><safe:familyName>SENTINEL-1</safe:familyName><safe:number>A</safe:number>
<s1sarl1:instrumentMode><s1sarl1:mode>{mode}</s1sarl1:mode></s1sarl1:instrumentMode></safe:platform>
<safe:orbitNumber type="start">43500</safe:orbitNumber>
<safe:relativeOrbitNumber type="start">103</safe:relativeOrbitNumber>
<s1:pass>ASCENDING</s1:pass>{polarizations}
<s1sarl1:productType>{product}</s1sarl1:productType>
<safe:startTime>{start}</safe:startTime><safe:stopTime>{stop}</safe:stopTime>
</metadataSection><dataObjectSection>{objects}</dataObjectSection></xfdu:XFDU>
"""


def make_safe(folder: Path, safe: Safe | None = None) -> Path:
    """Write a SAFE folder into `folder` and return its path."""
    safe = safe or Safe()
    kind = "GRDH" if safe.product == "GRD" else "SLC_"
    mode = "S3" if safe.mode == "SM" else safe.mode
    name = f"S1A_{mode}_{kind}_1SDV_20220601T051122_20220601T051123_043500_0531AA_1A2B.SAFE"
    root = folder / name
    (root / "annotation" / "calibration").mkdir(parents=True)
    (root / "measurement").mkdir()
    track = Track.past(safe)
    objects, number = [], 0
    for index in range(safe.swaths):
        label = f"{safe.mode}{index + 1}" if safe.product == "SLC" and safe.mode != "SM" else mode
        swath = Swath(safe, track, label, index)
        text = annotation_xml(swath)
        raw = RawAnnotation(ElementTree.fromstring(text))
        for polarization in safe.polarizations:
            number += 1
            stem = f"s1a-{label}-{kind[:3]}-{polarization}-{SUFFIX}-{number:03d}".lower()
            files = {
                "Product": (f"annotation/{stem}.xml", text),
                "Calibration": (
                    f"annotation/calibration/calibration-{stem}.xml", calibration_xml(swath)
                ),
                "Noise": (f"annotation/calibration/noise-{stem}.xml", noise_xml(swath)),
            }  # fmt: skip
            for path, content in files.values():
                (root / path).write_text(content)
            measure(root / "measurement" / f"{stem}.tiff", swath, raw)
            paths = {k: v[0] for k, v in files.items()} | {
                "Measurement": f"measurement/{stem}.tiff"
            }
            objects += [
                f'<dataObject repID="s1Level1{k}Schema"><byteStream><fileLocation '
                f'locatorType="URL" href="./{p}"/></byteStream></dataObject>'
                for k, p in paths.items()
            ]
    tag = "s1sarl1:transmitterReceiverPolarisation"
    (root / "manifest.safe").write_text(
        MANIFEST.format(
            mode=safe.mode, product=safe.product, start=stamp(-0.2), stop=stamp(0.5),
            polarizations="".join(f"<{tag}>{p}</{tag}>" for p in safe.polarizations),
            objects="".join(objects),
        )
    )  # fmt: skip
    return root


if __name__ == "__main__":
    print(make_safe(Path(sys.argv[1])))
