"""Sentinel-1 level-1 products in SAFE folders: GRD and SLC of the IW, EW and SM modes.

Source: Sentinel-1 Product Specification, S1-RS-MDA-52-7441.
"""

from __future__ import annotations

import functools
import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Geod
from shapely.geometry import MultiPolygon
from shapely.ops import unary_union

from sarknowlip.geo.footprint import cut_at_antimeridian
from sarknowlip.geo.grid import pyproj_crs
from sarknowlip.sar.elevation import Elevation
from sarknowlip.sar.geolocation import height_roughness
from sarknowlip.sar.lattice import Floats, Power
from sarknowlip.sar.product import (
    Geocoding,
    Polarization,
    Radiometry,
    ReadOptions,
    SarProduct,
)
from sarknowlip.sar.radiometry import Coefficient
from sarknowlip.sar.safe import (
    MANIFEST,
    Manifest,
    image_shape,
    read_annotation,
    read_manifest,
)
from sarknowlip.sar.swath import Swath, check_raster, existing
from sarknowlip.sar.viewing import completed, frequency_band

NAMESPACE = b"http://www.esa.int/safe/sentinel-1.0"
HEAD_BYTES = 4096


class Sentinel1Safe(SarProduct):
    """A Sentinel-1 SAFE folder; see docs/sentinel1.md.

    Bands are the polarisations of the measurements that are there, in the manifest's order. The
    swaths of an SLC product are one image: a map pixel is filled from the first swath that sees it.

    Without elevation model, pixels are placed by the geolocation grid of the annotation (method
    "gcp"). With one, by orbit and heights ("range-doppler"), and γ⁰ is normalised by the area of
    the terrain rather than of the ellipsoid ("range-doppler-rtc").
    """

    sensor = "sentinel1-safe"
    options_used = frozenset({"quantity", "remove_noise", "dem", "dem_geoid_m", "acquisition"})

    def __init__(self, path: Path, manifest: Manifest, options: ReadOptions) -> None:
        self.path = path
        self.name = path.name.removesuffix(".SAFE")
        self._manifest = manifest
        self._polarizations: tuple[Polarization, ...] = tuple(
            dict.fromkeys(image.polarization for image in manifest.images)
        )
        self._swaths = _swaths(manifest, terrain=options.dem is not None)
        annotations = [swath.annotation for swath in self._swaths]
        done = all(annotation.noise_removed for annotation in annotations)
        self._quantity: Coefficient = options.quantity or "sigma0"
        self._remove_noise = options.remove_noise and not done
        _check_files(manifest, self._remove_noise)
        self.footprint = _together([cut_at_antimeridian(s.outline()) for s in self._swaths])
        first = annotations[0]
        slant = manifest.product_type == "SLC"
        to_ground = math.sin(math.radians(first.incidence)) if slant else 1.0
        self.gsd_m = (first.spacing_m[0] / to_ground, first.spacing_m[1])
        self.acquisition = completed(self._stated(), options)
        self.radiometry = Radiometry(
            quantity=self._quantity, calibrated=True, noise_removed=self._remove_noise or done
        )
        self._elevation: Elevation | None = None
        if options.dem is not None:
            self._elevation = Elevation.open(options.dem, options.dem_geoid_m, self.footprint)
        self.geocoding = self._geocoding()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell whether `path` is a folder with a manifest of Sentinel-1's namespace."""
        manifest = path / MANIFEST
        if not manifest.is_file():
            return False
        with manifest.open("rb") as handle:
            return NAMESPACE in handle.read(HEAD_BYTES)

    @classmethod
    def open(cls, path: Path, options: ReadOptions | None = None) -> Sentinel1Safe:
        """Read manifest and annotations.

        Of the options, quantity (default "sigma0"), remove_noise, dem, dem_geoid_m and acquisition
        have an effect.

        Raises:
            ProductError: Not a GRD or SLC product of IW, EW or SM; a file is missing, not XML,
                incomplete, or contradicts another.
            GeometryError: The elevation model has no CRS or lies elsewhere.
        """
        return cls(path, read_manifest(path), options or ReadOptions())

    def files(self) -> list[Path]:
        """Return manifest, annotations, measurements and the tables used."""
        found = [self.path / MANIFEST]
        for image in self._manifest.images:
            found += [image.annotation, image.measurement, existing(image, "calibration")]
            if self._remove_noise:
                found.append(existing(image, "noise"))
        return found

    def power(self, target: GeoBox) -> Power:
        """Return linear power on a map grid; see `SarProduct.power`.

        Power is averaged over the ground that a target pixel covers (a running mean in the raster,
        never less than one raster pixel) and then interpolated bilinearly at the pixel's centre.
        Places where the elevation model is silent have no data.
        """
        crs = pyproj_crs(target)
        height = None if self._elevation is None else self._elevation.on(target)
        result = np.full((len(self._polarizations), *target.shape), np.nan, dtype=np.float32)
        for swath in self._swaths:
            lines, samples = swath.positions(target, crs, height)
            if not swath.sees(lines, samples).any():
                continue
            looks = swath.looks(target, crs)
            area = self._terrain_area(swath, target)
            quantity: Coefficient = self._quantity if area is None else "beta0"
            for band, polarization in enumerate(self._polarizations):
                if polarization not in swath.images:
                    continue
                tables = swath.tables(polarization, quantity, self._remove_noise)
                power = swath.power(polarization, lines, samples, looks, tables)
                if area is not None:
                    power = (power / area).astype(np.float32)
                result[band] = np.where(np.isnan(result[band]), power, result[band])
        return result

    def _terrain_area(self, swath: Swath, target: GeoBox) -> Floats | None:
        """Return by how much terrain brightens β⁰, or None if that is not asked for."""
        if self._elevation is None or swath.flattening is None or self._quantity != "gamma0":
            return None
        lattice = swath.lattice(pyproj_crs(target))
        return swath.flattening.area(target, self._elevation, lattice)

    def _geocoding(self) -> Geocoding:
        """Say how pixels are placed; height errors become ground errors by 1 / tan(incidence)."""
        incidence = self.acquisition.incidence_angle or self._swaths[0].annotation.incidence
        slope = math.tan(math.radians(incidence))
        if self._elevation is None:
            heights = [swath.annotation.ties.height for swath in self._swaths]
            rough = max(height_roughness(height) for height in heights)
            return Geocoding(method="gcp", vertical_datum="ellipsoid", error_m=rough / slope)
        error = self._elevation.error_m / slope
        return Geocoding(
            method="range-doppler-rtc" if self._quantity == "gamma0" else "range-doppler",
            vertical_datum=self._elevation.vertical_datum,
            error_m=error if error > 0.0 else None,
        )

    def _stated(self) -> dict[str, Any]:
        manifest, first = self._manifest, self._swaths[0].annotation
        ends = [swath.incidences() for swath in self._swaths]
        looks = _same({looks for swath in self._swaths for looks in swath.annotation.looks})
        defined = _defined(manifest, looks)
        resolution = defined.get("resolution") or (None, None)
        return {
            "platform": f"sentinel-1{manifest.platform.lower()}",
            "constellation": "sentinel-1",
            "instruments": ("c-sar",),
            "start_datetime": manifest.start,
            "end_datetime": manifest.stop,
            "sar:instrument_mode": manifest.mode,
            "sar:frequency_band": frequency_band(first.frequency_ghz),
            "sar:center_frequency": round(first.frequency_ghz, 6),
            "sar:polarizations": self._polarizations,
            "sar:product_type": manifest.product_type,
            "sar:looks_range": looks[0],
            "sar:looks_azimuth": looks[1],
            "sar:looks_equivalent_number": defined.get("equivalent_number"),
            "sar:resolution_range": resolution[0],
            "sar:resolution_azimuth": resolution[1],
            "sar:observation_direction": "right",
            "sat:orbit_state": manifest.orbit_state,
            "sat:relative_orbit": manifest.relative_orbit,
            "sat:absolute_orbit": manifest.absolute_orbit,
            "view:incidence_angle": _central_incidence(self._swaths),
            "sarknowlip:incidence_near": min(near for near, _ in ends),
            "sarknowlip:incidence_far": max(far for _, far in ends),
            "sarknowlip:heading": first.heading,
        }


def _swaths(manifest: Manifest, terrain: bool) -> tuple[Swath, ...]:
    """Read one annotation a swath; the polarisations of a swath share their geometry."""
    swaths = []
    for name in dict.fromkeys(image.swath for image in manifest.images):
        images = {image.polarization: image for image in manifest.images if image.swath == name}
        annotation = read_annotation(next(iter(images.values())).annotation)
        swaths.append(Swath(annotation, images, terrain))
    return tuple(swaths)


def _together(footprints: list[MultiPolygon]) -> MultiPolygon:
    if len(footprints) == 1:
        return footprints[0]
    whole = unary_union(footprints)
    outline: MultiPolygon = MultiPolygon(getattr(whole, "geoms", [whole])).normalize()
    return outline


def _check_files(manifest: Manifest, noise: bool) -> None:
    """Make sure that all files are there and that rasters have the shape their annotation says."""
    for image in manifest.images:
        existing(image, "calibration")
        if noise:
            existing(image, "noise")
        check_raster(image, image_shape(image.annotation))


def _same(looks: set[tuple[int, int]]) -> tuple[int | None, int | None]:
    """Return the number of looks if it is the same in all sub-swaths."""
    return next(iter(looks)) if len(looks) == 1 else (None, None)


def _defined(manifest: Manifest, looks: tuple[int | None, int | None]) -> dict[str, Any]:
    """Return what the Product Definition says about GRD products of this mode and these looks."""
    if manifest.product_type != "GRD":
        return {}
    wanted = (manifest.mode, list(looks))
    return next((row for row in _definitions() if (row["mode"], row["looks"]) == wanted), {})


@functools.cache
def _definitions() -> list[dict[str, Any]]:
    text = resources.files("sarknowlip.sar.sensors").joinpath("sentinel1.json").read_text("utf-8")
    rows: list[dict[str, Any]] = json.loads(text)
    return rows


def _central_incidence(swaths: tuple[Swath, ...]) -> float:
    """Return the incidence angle halfway over the ground between near and far range."""
    if len(swaths) == 1:
        return swaths[0].annotation.incidence
    rows = [
        np.stack([values[len(values) // 2] for values in (t.range_s, t.incidence, t.lon, t.lat)])
        for t in (swath.annotation.ties for swath in swaths)
    ]
    range_s, incidence, lon, lat = np.concatenate(rows, axis=1)
    order = np.argsort(range_s)
    near = order[0]
    _, _, away = Geod(ellps="WGS84").inv(
        np.full_like(lon, lon[near]), np.full_like(lat, lat[near]), lon, lat
    )
    return float(np.interp(max(away) / 2, np.asarray(away)[order], incidence[order]))
