"""Point targets written into copies of SAFE products, placed by arithmetic of their own.

Nothing here uses the package: XML by ElementTree, positions between state vectors by Hermite
polynomials of positions and velocities, zero Doppler by root finding, one target at a time. Timing
follows the Sentinel-1 Product Specification (S1-RS-MDA-52-7441): a line's time is the zero-Doppler
time at mid-swath; elsewhere half the difference in two-way travel time comes on top.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import Transformer
from rasterio.windows import Window
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import brentq

LIGHT = 299_792_458.0
BACKGROUND = 12
Target = tuple[float, float, float]
"""Longitude, latitude in degrees, height above the ellipsoid in metres."""


@dataclass
class RawAnnotation:
    """The numbers of one annotation file that place a target in the raster."""

    root: ElementTree.Element

    def __post_init__(self) -> None:
        image = "imageAnnotation/imageInformation/"
        self.first = np.datetime64(self.text(image + "productFirstLineUtcTime"), "ns")
        self.interval = float(self.text(image + "azimuthTimeInterval"))
        self.range_start = float(self.text(image + "slantRangeTime"))
        self.spacing = float(self.text(image + "rangePixelSpacing"))
        self.shape = tuple(int(self.text(image + n)) for n in ("numberOfLines", "numberOfSamples"))
        self.rate = float(self.text("generalAnnotation/productInformation/rangeSamplingRate"))
        states = self.root.findall("generalAnnotation/orbitList/orbit")
        self.orbit = CubicHermiteSpline(
            [self.seconds(state.findtext("time")) for state in states],
            [[float(state.findtext(f"position/{a}")) for a in "xyz"] for state in states],
            [[float(state.findtext(f"velocity/{a}")) for a in "xyz"] for state in states],
        )
        corner = self.root.find("geolocationGrid/geolocationGridPointList/geolocationGridPoint")
        assert (corner.findtext("line"), corner.findtext("pixel")) == ("0", "0")
        early = self.seconds(corner.findtext("azimuthTime"))
        self.range_middle = float(corner.findtext("slantRangeTime")) - 2 * early

    def text(self, path: str) -> str:
        """Return the text of an element."""
        found = self.root.findtext(path)
        assert found is not None, path
        return found

    def seconds(self, moment: str | None) -> float:
        """Return seconds after the first line."""
        return float((np.datetime64(moment, "ns") - self.first) / np.timedelta64(1, "s"))

    def times(self, target: Target) -> tuple[float, float]:
        """Return the line time (seconds after the first line) and the two-way travel time."""
        place = np.array(Transformer.from_crs(4979, 4978, always_xy=True).transform(*target))
        velocity = self.orbit.derivative()

        def ahead(t: float) -> float:
            return float(np.dot(place - self.orbit(t), velocity(t)))

        zero = float(brentq(ahead, -20.0, 60.0, xtol=1e-9))
        travel = 2 * float(np.linalg.norm(place - self.orbit(zero))) / LIGHT
        return zero - (travel - self.range_middle) / 2, travel

    def place(self, target: Target) -> list[tuple[float, float]]:
        """Return raster row and column of a target, once for every burst that saw it."""
        time, travel = self.times(target)
        bursts = self.root.findall("swathTiming/burstList/burst")
        column = (travel - self.range_start) * self.rate
        if self.root.findall("coordinateConversion/coordinateConversionList/*"):
            column = self._ground(time, travel) / self.spacing
        if not bursts:
            return [(time / self.interval, column)]
        lines = int(self.text("swathTiming/linesPerBurst"))
        found = []
        for number, burst in enumerate(bursts):
            row = (time - self.seconds(burst.findtext("azimuthTime"))) / self.interval
            first = np.array(burst.findtext("firstValidSample").split(), dtype=int)
            last = np.array(burst.findtext("lastValidSample").split(), dtype=int)
            if not 0 <= row <= lines - 1 or first[round(row)] < 0:
                continue
            if first[round(row)] <= column <= last[round(row)]:
                found.append((number * lines + row, column))
        return found

    def _ground(self, time: float, travel: float) -> float:
        """Return ground range, polynomials interpolated linearly in time."""
        updates = self.root.findall("coordinateConversion/coordinateConversionList/*")
        times = [self.seconds(update.findtext("azimuthTime")) for update in updates]
        index = int(np.searchsorted(times, time)) - 1
        share = (time - times[index]) / (times[index + 1] - times[index])
        mix = [1 - share, share]
        pair = updates[index : index + 2]
        origin = sum(m * float(u.findtext("sr0")) for m, u in zip(mix, pair, strict=True))
        coefficients = [np.array(u.findtext("srgrCoefficients").split(), dtype=float) for u in pair]
        powers = (travel * LIGHT / 2 - origin) ** np.arange(coefficients[0].size)
        return sum(m * float(powers @ c) for m, c in zip(mix, coefficients, strict=True))


def copy_with_targets(
    source: Path, folder: Path, targets: Sequence[Target], *, amplitude: float = 4000.0
) -> Path:
    """Copy a SAFE folder, its measurements replaced by sparse rasters that show targets.

    Args:
        source: SAFE folder.
        folder: Where to put the copy.
        targets: Targets; each is drawn in every burst that saw it.
        amplitude: Digital number at the peak.
    """
    copy = folder / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.tiff", "support"))
    for raster in sorted((source / "measurement").glob("*.tiff")):
        annotation = source / "annotation" / f"{raster.stem}.xml"
        raw = RawAnnotation(ElementTree.parse(annotation).getroot())
        slant = bool(raw.root.findall("swathTiming/burstList/burst"))
        places = [place for target in targets for place in raw.place(target)]
        draw(copy / "measurement" / raster.name, raw.shape, places, slant, amplitude)
    return copy


def draw(
    path: Path,
    shape: tuple[int, ...],
    places: Sequence[tuple[float, float]],
    slant: bool,
    amplitude: float,
) -> None:
    """Write a raster that is empty but for a patch of background and a spot at each place."""
    path.parent.mkdir(exist_ok=True)
    width = (1.2, 4.0) if slant else (1.2, 1.2)
    half = (60, 220) if slant else (60, 60)
    with rasterio.open(
        path, "w+", driver="GTiff", height=shape[0], width=shape[1], count=1,
        dtype="complex_int16" if slant else "uint16", compress="deflate", tiled=True,
        blockxsize=256, blockysize=256, SPARSE_OK="TRUE",
    ) as raster:  # fmt: skip
        for row, column in places:
            top, left = round(row) - half[0], round(column) - half[1]
            size = (2 * half[0] + 1, 2 * half[1] + 1)
            bottom, right = min(top + size[0], shape[0]), min(left + size[1], shape[1])
            top, left = max(top, 0), max(left, 0)
            window = Window(left, top, right - left, bottom - top)
            rows, columns = np.mgrid[top:bottom, left:right]
            spot = ((rows - row) / width[0]) ** 2 + ((columns - column) / width[1]) ** 2
            value = BACKGROUND + amplitude * np.exp(-spot / 2)
            old = raster.read(1, window=window)
            number: npt.NDArray[np.generic] = np.maximum(np.abs(old), np.rint(value))
            raster.write(number.astype(old.dtype), 1, window=window)
