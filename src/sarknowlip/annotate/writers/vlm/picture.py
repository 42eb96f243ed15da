"""The picture of a tile that a model sees: stretched decibels, scale bar and north arrow below.

Calibrated images are stretched over fixed ranges, so that the same grey means the same backscatter
in every picture; others between their 2nd and 98th percentiles. Two polarisations make a
false-colour composite (red co-polarised, green cross-polarised, blue their ratio), one is grey.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pyproj import Transformer

from sarknowlip.geo.grid import ground_sample_distance, lonlat_of_pixels, pyproj_crs
from sarknowlip.sar.tile import TileImage

VERSION = "1"
"""Changes with the look of the picture."""
RANGE_DB = {"VV": (-25.0, 5.0), "HH": (-25.0, 5.0), "VH": (-32.0, -2.0), "HV": (-32.0, -2.0)}
"""Black and white of calibrated images, dB."""
RATIO_DB = (0.0, 15.0)
"""Black and full blue of co- over cross-polarised power of calibrated images, dB."""
NO_DATA = (255, 0, 255)
FOOTER_PX = 44
BAR_SHARE = 1 / 3
"""Share of the width that the scale bar takes at most."""

_PAIRS = (("VV", "VH"), ("HH", "HV"))
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A PNG, and in words what it shows."""

    png: bytes
    description: str


def draw(tile: TileImage, longer_px: int) -> Picture:
    """Return the picture of a tile.

    Args:
        tile: What to show.
        longer_px: Longer side of the image above the footer, pixels.
    """
    names = tuple(tile.acquisition.polarizations)
    pair = next((pair for pair in _PAIRS if set(pair) <= set(names)), None)
    shown = pair or names[:1]
    layers = [tile.db[names.index(name)] for name in shown]
    ranges = [_range(tile, name) for name in shown]
    if pair:
        layers.append(layers[0] - layers[1])
        ranges.append(RATIO_DB if tile.radiometry.calibrated else _percentiles(layers[2]))
    grey = [_stretched(layer, *limits) for layer, limits in zip(layers, ranges, strict=True)]
    pixels = np.stack(grey if pair else grey * 3, axis=-1)
    pixels[~np.isfinite(np.stack(layers)).all(axis=0)] = NO_DATA
    gsd = ground_sample_distance(tile.geobox)
    rows, columns = pixels.shape[:2]
    scale = longer_px / max(columns * gsd[0], rows * gsd[1])
    size = max(1, round(columns * gsd[0] * scale)), max(1, round(rows * gsd[1] * scale))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    page = Image.new("RGB", (size[0], size[1] + FOOTER_PX), "white")
    page.paste(image, (0, 0))
    metres = _footer(page, scale, north_up(tile))
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    said = _description(tile, shown, ranges) + f" The scale bar below is {_length(metres)} long."
    return Picture(buffer.getvalue(), said)


def north_up(tile: TileImage) -> float:
    """Return the bearing of true north in the picture, degrees clockwise from up."""
    rows, columns = tile.geobox.shape
    lon, lat = lonlat_of_pixels(tile.geobox, np.array([columns / 2]), np.array([rows / 2]))
    step = 1e-3 if lat[0] < 89.99 else -1e-3
    to_map = Transformer.from_crs(4326, pyproj_crs(tile.geobox), always_xy=True)
    x, y = to_map.transform(lon[0], lat[0] + step)
    column, row = ~tile.geobox.affine * (x, y)
    width, height = ground_sample_distance(tile.geobox)
    right, down = (column - columns / 2) * width * step, (row - rows / 2) * height * step
    return math.degrees(math.atan2(right, -down))


def bar_metres(width_m: float) -> float:
    """Return the longest of 1, 2, 5, 10, … metres within the bar's share of a width."""
    most = BAR_SHARE * width_m
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most)


def _footer(page: Image.Image, scale: float, north_deg: float) -> float:
    """Draw scale bar and arrow below the image; return the bar's length in metres."""
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=14)
    top = page.height - FOOTER_PX
    metres = bar_metres(page.width / scale)
    length = round(metres * scale)
    pen.rectangle((8, top + 8, 8 + length, top + 13), fill="black")
    pen.text((8, top + 18), _length(metres), fill="black", font=font)
    x, y, reach = page.width - 20, top + FOOTER_PX // 2, 16
    angle = math.radians(north_deg)
    ahead = np.array([math.sin(angle), -math.cos(angle)])
    aside = np.array([-ahead[1], ahead[0]])
    tip, tail = np.array([x, y]) + reach * ahead, np.array([x, y]) - reach * ahead
    wings = [tip - 9 * ahead + side * 5 * aside for side in (1, -1)]
    pen.line([tuple(tail), tuple(tip)], fill="black", width=2)
    pen.polygon([tuple(tip), *(tuple(wing) for wing in wings)], fill="black")
    pen.text((x - 26, y - 8), "N", fill="black", font=font)
    return metres


def _range(tile: TileImage, name: str) -> tuple[float, float]:
    if tile.radiometry.calibrated:
        return RANGE_DB[name]
    layer = tile.polarization(name)
    return (0.0, 1.0) if layer is None else _percentiles(layer)


def _percentiles(layer: Floats) -> tuple[float, float]:
    finite = layer[np.isfinite(layer)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, (2, 98)))
    return low, max(high, low + 1.0)


def _stretched(layer: Floats, low: float, high: float) -> Bytes:
    filled = np.nan_to_num(layer, nan=low, posinf=high, neginf=low)
    level = np.clip((filled - low) / (high - low), 0, 1)
    return np.asarray(np.rint(255 * level), dtype=np.uint8)


def _description(tile: TileImage, shown: tuple[str, ...], ranges: list[tuple[float, float]]) -> str:
    names = {"sigma0": "σ⁰", "gamma0": "γ⁰", "beta0": "β⁰"}
    quantity = names.get(tile.radiometry.quantity, "uncalibrated power")
    if not tile.radiometry.calibrated:
        quantity = "uncalibrated power"
    said = [
        f"{name} {quantity} from {low:.0f} dB (black) to {high:.0f} dB"
        for name, (low, high) in zip(shown, ranges, strict=False)
    ]
    if len(shown) == 1:
        text = f"Grey: {said[0]} (white)."
    else:
        low, high = ranges[2]
        ratio = f"{shown[0]}/{shown[1]} from {low:.0f} to {high:.0f} dB"
        text = f"False colour. Red: {said[0]}. Green: {said[1]}. Blue: {ratio}."
    return text + " Magenta: no data. The arrow below points to true north."


def _length(metres: float) -> str:
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
