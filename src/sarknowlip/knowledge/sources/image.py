"""What the image itself shows: backscatter, texture, surfaces, bright targets.

Surfaces need published levels for the tile's band and polarisation (see `constants`); without them
two populations of pixels are told apart only relative to each other. Targets are searched for in
the first co-polarised channel (the first channel if there is none).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pyproj import Geod
from scipy.ndimage import binary_dilation

from sarknowlip.geo.grid import ground_sample_distance, lonlat_of_pixels
from sarknowlip.knowledge.cfar import CfarConfig, Detections, detect
from sarknowlip.knowledge.clusters import join_fragments
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.findings import Findings
from sarknowlip.knowledge.lines import Line, find_lines
from sarknowlip.knowledge.looks import equivalent_looks, texture_variation
from sarknowlip.knowledge.relative import Tones, tell_tones
from sarknowlip.knowledge.shadow import look_vector, shadow_mask
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.surface import SURFACES, SurfaceMap, map_surfaces
from sarknowlip.knowledge.targets import Target, measure_targets
from sarknowlip.knowledge.windows import Floats, Mask, to_db
from sarknowlip.sar.product import Acquisition
from sarknowlip.sar.tile import TileImage

LISTED = 16
SHIP_SURE = 0.8
"""Confidence that what stands alone on water is a ship; our own estimate."""
CALM_IS_WATER = 0.75
"""Confidence that calm ground of an image without absolute levels is water; our own estimate."""
LENGTH_SURE = 0.85
"""Confidence that a length freed from blur is right within a quarter; our own estimate."""
SHADOW_SURE = 0.4
"""Confidence of a share of shadow: own estimate; below half, so that texts don't tell it."""
LINE_SURE = 0.4
"""Confidence that an edge of ground runs where a line is told: a third to three quarters did in
simulated worlds. Below half, so that texts don't tell it."""
BESIDE_PX = 4
"""What is nearer to a bright target does not count as ground."""
LEAST_SURFACE_PX = 64
"""A surface smaller than this has no mean of its own."""


class ImageSource:
    """Facts measured on the tile's own pixels; needs no file.

    Args:
        options: Not used.
        cfar: Settings of the target detector.
        listed: Targets described one by one, those of greatest contrast; all are counted.
    """

    name: ClassVar[str] = "image"
    looks_at: ClassVar[str] = "pixels"
    attribution: ClassVar[str] = ""
    version = "3"

    def __init__(
        self,
        options: SourceOptions | None = None,
        cfar: CfarConfig | None = None,
        listed: int = LISTED,
    ) -> None:
        self.cfar = cfar or CfarConfig()
        self.listed = listed

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return facts about the whole tile, its surfaces, then its targets; see the module."""
        facts = _Facts(tile)
        valid = tile.valid
        rows, columns = valid.shape
        facts.add("image", "rows", rows, "px")
        facts.add("image", "columns", columns, "px")
        gsd_m = ground_sample_distance(tile.geobox)
        facts.add("image", "gsd_x", gsd_m[0], "m")
        facts.add("image", "gsd_y", gsd_m[1], "m")
        up = _bearing_of_up(tile)
        if up is not None:
            facts.add("image", "up", up, "deg")
        _viewing(facts, tile.acquisition)
        partly = valid.any() and not valid.all()
        facts.add(
            "image", "valid_share", float(valid.mean()), "share", mask=valid if partly else None
        )
        if not valid.any():
            return facts.facts
        names = tile.acquisition.polarizations
        power = tile.power.astype(np.float64)
        channel = next((i for i, name in enumerate(names) if name in {"VV", "HH"}), 0)
        looks = equivalent_looks(power[channel], valid)
        if looks is not None:
            facts.add("image", "looks", looks, "looks", confidence=0.8)
        _backscatter(facts, tile, power, valid)
        gsd = math.sqrt(gsd_m[0] * gsd_m[1])
        alarms = detect(power[channel], valid, looks or 1.0, gsd, self.cfar)
        detections = join_fragments(alarms, gsd)
        ground = valid & ~binary_dilation(alarms.labels > 0, iterations=BESIDE_PX)
        variation = texture_variation(
            power[channel], ground if ground.any() else valid, looks or 1.0
        )
        facts.add("image", "texture_variation", variation, "1")
        surfaces = map_surfaces(tile, looks or 1.0)
        if surfaces is None:
            tones = tell_tones(power[channel], ground, gsd, looks or 1.0)
            _populations(facts, tones, valid)
            water, like_water = tones.calm, CALM_IS_WATER
        else:
            _surfaces(facts, surfaces, power, names, valid)
            water, like_water = surfaces.masks["water"], 1.0
        targets = measure_targets(
            tile,
            power[channel],
            detections,
            gsd_m,
            water,
            resolution_m=_resolution(tile.acquisition),
        )
        # The chance that speckle alone raised none of the alarms.
        sure = math.exp(-self.cfar.pfa * float(valid.sum()))
        _targets(facts, targets, detections, self.listed, sure=sure, like_water=like_water)
        _shadow(facts, tile, power[channel], looks or 1.0, gsd)
        _lines(facts, tile, find_lines(power[channel], valid, looks or 1.0))
        return facts.facts


class _Facts(Findings):
    """Facts of one tile from this source, sure unless said otherwise."""

    def __init__(self, tile: TileImage) -> None:
        moment = tile.acquisition.start_datetime
        time = None if moment is None else moment.isoformat().replace("+00:00", "Z")
        super().__init__(tile.id, ImageSource.name, ImageSource.version, time)
        self.decibel = "dB" if tile.radiometry.calibrated else "dB relative"


def _resolution(acquisition: Acquisition) -> float | None:
    """Return the coarser half-power width of range and azimuth, metres, if both are known."""
    widths = acquisition.resolution_range, acquisition.resolution_azimuth
    return None if widths[0] is None or widths[1] is None else max(widths[0], widths[1])


def _bearing_of_up(tile: TileImage) -> float | None:
    """Return the image's upward direction at its centre, degrees from true north, 0…360."""
    rows, columns = tile.geobox.shape
    across, down = np.full(2, columns / 2), np.array([rows / 2, rows / 2 - 1])
    lon, lat = lonlat_of_pixels(tile.geobox, across, down)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    azimuth, _, _ = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
    return float(azimuth) % 360.0


def _viewing(facts: _Facts, acquisition: Acquisition) -> None:
    """Add where the radar looks, clockwise from true north, and how steeply, where known."""
    look = _look_azimuth(acquisition)
    if look is not None:
        facts.add("image", "look_azimuth", look, "deg")
    if acquisition.incidence_angle is not None:
        facts.add("image", "incidence", acquisition.incidence_angle, "deg")


def _look_azimuth(acquisition: Acquisition) -> float | None:
    """Return the bearing in which the radar looks, degrees, None if unknown."""
    heading, side = acquisition.heading, acquisition.observation_direction
    if heading is None or side is None:
        return None
    return (heading + (90.0 if side == "right" else -90.0)) % 360.0


def _backscatter(facts: _Facts, tile: TileImage, power: Floats, valid: Mask) -> None:
    """Add mean power and percentiles per polarisation, and the cross-polarisation ratio."""
    names = tile.acquisition.polarizations
    means = {}
    for name, band in zip(names, power, strict=True):
        inside = band[valid]
        means[name] = _mean_db(inside)
        if means[name] is None:
            continue
        facts.add(name, "mean", means[name], facts.decibel)
        for percent in (10, 90):
            level = float(to_db(np.percentile(inside, percent)))
            if math.isfinite(level):
                facts.add(name, f"p{percent}", level, facts.decibel)
    for cross, co in (("VH", "VV"), ("HV", "HH")):
        numerator, denominator = means.get(cross), means.get(co)  # type: ignore[call-overload]
        if numerator is not None and denominator is not None:
            facts.add(f"{cross}/{co}", "ratio", numerator - denominator, "dB")


def _surfaces(
    facts: _Facts, surfaces: SurfaceMap, power: Floats, names: tuple[str, ...], valid: Mask
) -> None:
    """Add area share and mean backscatter of each surface, and the thresholds of water."""
    for threshold in surfaces.thresholds:
        facts.add(
            "water",
            f"threshold_{threshold.polarization}",
            threshold.db,
            "dB",
            label=threshold.origin,
            confidence=surfaces.confidence["water"],
        )
    for surface in SURFACES:
        sure = surfaces.confidence[surface]
        mask = surfaces.masks[surface] & valid
        drawn = mask if surface != "land" and mask.any() else None
        facts.add(
            surface, "share", surfaces.share(surface), "share", confidence=sure, mask=drawn
        )  # fmt: skip
        if np.count_nonzero(mask) < LEAST_SURFACE_PX:
            continue
        for name, band in zip(names, power, strict=True):
            mean = _mean_db(band[mask])
            if mean is not None:
                facts.add(surface, f"mean_{name}", mean, "dB", confidence=sure)


def _populations(facts: _Facts, tones: Tones, valid: Mask) -> None:
    """Add the populations of pixels and the calm ground of an image without absolute levels."""
    facts.add("populations", "count", 1 if tones.two is None else 2, "count", confidence=0.7)
    facts.add(
        "calm_ground", "share", float(tones.calm.sum() / valid.sum()), "share",
        confidence=CALM_IS_WATER, mask=tones.calm if tones.calm.any() else None,
    )  # fmt: skip
    if tones.two is None:
        return
    dark, bright = tones.two.mean
    facts.add("populations", "separation", tones.two.ashman, "1")
    facts.add("dark_population", "share", tones.two.share[0], "share", confidence=0.8)
    facts.add("populations", "contrast", bright - dark, "dB", confidence=0.8)


def _targets(
    facts: _Facts,
    targets: list[Target],
    detections: Detections,
    listed: int,
    *,
    sure: float,
    like_water: float,
) -> None:
    """Add the number of targets and ships, and what is known of the clearest."""
    facts.add("targets", "count", len(targets), "count", confidence=sure)
    ships = sum(bool(target.is_ship_candidate) for target in targets)
    facts.add("ships", "count", ships, "count", confidence=SHIP_SURE * like_water * sure)
    for number, target in enumerate(targets[:listed]):
        mask = detections.labels == target.number
        subject = f"target/{number:02d}"
        for predicate, value, unit in (
            ("column", target.column, "px"),
            ("row", target.row, "px"),
            ("longitude", target.lon, "deg"),
            ("latitude", target.lat, "deg"),
            ("length", target.length_m, "m"),
            ("width", target.width_m, "m"),
            ("peak", target.peak_db, facts.decibel),
            ("contrast", target.contrast_db, "dB"),
        ):
            if math.isfinite(value):  # a target in a corner may have no ring to stand out from
                facts.add(subject, predicate, value, unit, box=target.box, confidence=sure)
        if target.resolved_m is not None:
            facts.add(
                subject, "resolved_length", target.resolved_m, "m", box=target.box,
                confidence=LENGTH_SURE,
            )  # fmt: skip
        if target.orientation_deg is not None:
            facts.add(
                subject, "orientation", target.orientation_deg, "deg", box=target.box,
                confidence=0.8,
            )  # fmt: skip
        if target.water_share is not None:
            facts.add(
                subject, "water_beside", target.water_share, "share",
                label="ship candidate" if target.is_ship_candidate else "not alone on water",
                confidence=SHIP_SURE * like_water, mask=mask,
            )  # fmt: skip


def _shadow(facts: _Facts, tile: TileImage, power: Floats, looks: float, gsd: float) -> None:
    """Add the share of radar shadow if it is known where the radar looks."""
    look, up = _look_azimuth(tile.acquisition), _bearing_of_up(tile)
    if look is None or up is None:
        return
    mask = shadow_mask(power, tile.valid, looks, look_vector(look, up), gsd)
    if mask is None:
        return
    share = float(mask.sum() / tile.valid.sum())
    facts.add(
        "image", "shadow_share", share, "share", confidence=SHADOW_SURE,
        mask=mask if mask.any() else None,
    )  # fmt: skip


def _lines(facts: _Facts, tile: TileImage, lines: Sequence[Line]) -> None:
    """Add place, length, bearing and contrast of lines that have a place on Earth."""
    rows, columns = tile.valid.shape
    for number, line in enumerate(lines):
        across, down = (np.array(pair) for pair in zip(line.start, line.end, strict=True))
        lon, lat = lonlat_of_pixels(tile.geobox, across, down)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            continue
        azimuth, _, length = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
        half = line.width_px / 2
        box = (
            max(0, math.floor(across.min() - half)),
            max(0, math.floor(down.min() - half)),
            min(columns, math.ceil(across.max() + half)),
            min(rows, math.ceil(down.max() + half)),
        )
        for predicate, value, unit in (
            ("column", float(across.mean()), "px"),
            ("row", float(down.mean()), "px"),
            ("length", float(length), "m"),
            ("orientation", float(azimuth) % 180.0, "deg"),
            ("contrast", line.contrast_db, "dB"),
        ):
            facts.add(f"line/{number:02d}", predicate, value, unit, box=box, confidence=LINE_SURE)


def _mean_db(power: Floats) -> float | None:
    """Return the mean power in dB, None if it is not positive."""
    mean = float(power.mean()) if power.size else 0.0
    return 10.0 * math.log10(mean) if mean > 0 else None
