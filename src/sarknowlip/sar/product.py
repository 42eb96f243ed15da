"""What every SAR product offers, whatever its sensor or file format.

A product knows its acquisition (who looked, when, from where, how), its radiometry (what a pixel
value means) and its geometry (where a pixel lies), and can fill any map grid with linear power.
Everything above this rung uses this class only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from odc.geo.geobox import GeoBox
from pydantic import AfterValidator, Field, ValidationError
from shapely.geometry import MultiPolygon

from sarknowlip.core.config import Config
from sarknowlip.core.settings import first_problem
from sarknowlip.geo.grid import apply_affine

Polarization = Literal["VV", "VH", "HH", "HV"]
Quantity = Literal["sigma0", "gamma0", "beta0", "amplitude", "unknown"]
GeocodingMethod = Literal["provider", "gcp", "range-doppler", "range-doppler-rtc", "sensor-model"]


class Acquisition(Config):
    """How and when the radar looked; names and units of STAC and its sar, sat and view extensions.

    None means that the provider does not say; `missing` lists those fields. Angles are degrees,
    lengths metres, frequencies GHz (`sar:center_frequency`), times UTC.
    """

    platform: str | None = None
    constellation: str | None = None
    instruments: tuple[str, ...] | None = None
    start_datetime: datetime | None = None
    end_datetime: datetime | None = None
    instrument_mode: str | None = Field(None, alias="sar:instrument_mode")
    frequency_band: str | None = Field(None, alias="sar:frequency_band")
    center_frequency: float | None = Field(None, alias="sar:center_frequency")
    polarizations: tuple[Polarization, ...] = Field((), alias="sar:polarizations")
    product_type: str | None = Field(None, alias="sar:product_type")
    looks_range: float | None = Field(None, alias="sar:looks_range")
    looks_azimuth: float | None = Field(None, alias="sar:looks_azimuth")
    looks_equivalent_number: float | None = Field(None, alias="sar:looks_equivalent_number")
    resolution_range: float | None = Field(None, alias="sar:resolution_range")
    resolution_azimuth: float | None = Field(None, alias="sar:resolution_azimuth")
    observation_direction: Literal["left", "right"] | None = Field(
        None, alias="sar:observation_direction"
    )
    orbit_state: Literal["ascending", "descending", "geostationary"] | None = Field(
        None, alias="sat:orbit_state"
    )
    relative_orbit: int | None = Field(None, alias="sat:relative_orbit")
    absolute_orbit: int | None = Field(None, alias="sat:absolute_orbit")
    incidence_angle: float | None = Field(None, alias="view:incidence_angle")
    incidence_near: float | None = Field(None, alias="sarknowlip:incidence_near")
    incidence_far: float | None = Field(None, alias="sarknowlip:incidence_far")
    heading: float | None = Field(None, alias="sarknowlip:heading")

    def stac_properties(self) -> dict[str, Any]:
        """Return all fields under their STAC names, times in RFC 3339, None where unknown."""
        properties = self.model_dump(mode="json", by_alias=True)
        for name in ("start_datetime", "end_datetime"):
            moment: datetime | None = getattr(self, name)
            if moment is not None:
                properties[name] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return properties

    @property
    def missing(self) -> tuple[str, ...]:
        """STAC names of the fields that the provider does not give, sorted."""
        return tuple(sorted(k for k, v in self.stac_properties().items() if v is None))


def _checked(facts: dict[str, Any]) -> dict[str, Any]:
    try:
        Acquisition(**facts)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
    return facts


AcquisitionFacts = Annotated[dict[str, Any], AfterValidator(_checked)]
"""Some fields of an `Acquisition` under their STAC names."""


class Radiometry(Config):
    """What a pixel value means.

    Attributes:
        quantity: Backscatter coefficient, or "amplitude" for raw digital numbers squared.
        calibrated: Whether values are absolute.
        noise_removed: Whether thermal noise was subtracted; None if the provider does not say.
        speckle_filter: Name of the filter applied by this package, if any.
    """

    quantity: Quantity
    calibrated: bool
    noise_removed: bool | None = None
    speckle_filter: str | None = None


class Geocoding(Config):
    """How pixels were put on the map.

    Attributes:
        method: Who or what geocoded.
        vertical_datum: Datum of the heights used ("ellipsoid", "EGM96"); None if unknown.
        error_m: Estimate of the horizontal geolocation error, one sigma, metres; None if unknown.
    """

    method: GeocodingMethod
    vertical_datum: str | None = None
    error_m: float | None = None


class ReadOptions(Config):
    """What a user may ask of, or tell about, a product; see each sensor for what it needs.

    Attributes:
        quantity: Wanted backscatter coefficient; None takes the sensor's default.
        remove_noise: Subtract thermal noise when the product carries a noise table.
        dem: Elevation raster for terrain correction.
        dem_geoid_m: Geoid undulation in metres added to an orthometric DEM when PROJ has no grid.
        units: For files that don't say: "db", "power" or "amplitude".
        polarizations: For files that don't say: one per band.
        crs: For files that don't say.
        acquisition: Facts about the acquisition for files that don't say, STAC names.
    """

    quantity: Literal["sigma0", "gamma0", "beta0"] | None = None
    remove_noise: bool = True
    dem: Path | None = None
    dem_geoid_m: float | None = None
    units: Literal["db", "power", "amplitude"] | None = None
    polarizations: tuple[Polarization, ...] | None = None
    crs: str | None = None
    acquisition: AcquisitionFacts = Field(default_factory=dict)

    def given(self) -> frozenset[str]:
        """Return the names of the options that differ from their defaults."""
        default = ReadOptions()
        names = ReadOptions.model_fields
        return frozenset(n for n in names if getattr(self, n) != getattr(default, n))


class SarProduct(ABC):
    """One SAR product on local disk.

    Subclasses set `sensor` and the attributes below when they are made.

    Attributes:
        options_used: Names of the `ReadOptions` that the sensor looks at; all unless it says.
        path: File or folder.
        name: Product identifier, safe as a folder name.
        acquisition: How and when the radar looked.
        radiometry: What `to_grid` returns.
        geocoding: How `to_grid` finds pixels.
        footprint: Outline in WGS 84 degrees, cut at ±180°.
        gsd_m: Ground spacing of the product's own pixels (x or range, y or azimuth), metres.
        grid: The product's map grid if its provider geocoded it, else None (radar geometry).
    """

    sensor: ClassVar[str]
    options_used: ClassVar[frozenset[str]] = frozenset(ReadOptions.model_fields)

    path: Path
    name: str
    acquisition: Acquisition
    radiometry: Radiometry
    geocoding: Geocoding
    footprint: MultiPolygon
    gsd_m: tuple[float, float]
    grid: GeoBox | None = None

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Tell from names and first bytes, without reading pixels, whether `path` is one."""

    @classmethod
    @abstractmethod
    def open(cls, path: Path, options: ReadOptions | None = None) -> SarProduct:
        """Read metadata, no pixels.

        Raises:
            ProductError: Files are missing, truncated or contradictory.
        """

    @abstractmethod
    def files(self) -> list[Path]:
        """Return the files this product is made of; their content identifies it.

        All of them lie at or beside `path`.
        """

    @abstractmethod
    def power(self, target: GeoBox) -> npt.NDArray[np.float32]:
        """Return linear power on a map grid.

        Returns:
            Shape (polarisations, rows, columns), NaN where the product has no data.

        Raises:
            ProductError: The product's files cannot be read.
            GeometryError: The grid cannot be related to the product.
        """

    def scene(self, target: GeoBox) -> xr.DataArray:
        """Return `power` with dims (pol, y, x), coordinates, CRS and the records as attributes."""
        height, width = target.shape
        columns = np.arange(width, dtype=np.float64) + 0.5
        rows = np.arange(height, dtype=np.float64) + 0.5
        x, _ = apply_affine(target.affine, columns, np.full_like(columns, 0.5))
        _, y = apply_affine(target.affine, np.full_like(rows, 0.5), rows)
        array: xr.DataArray = xr.DataArray(
            self.power(target),
            dims=("pol", "y", "x"),
            coords={"pol": list(self.acquisition.polarizations), "y": y, "x": x},
            name=self.radiometry.quantity,
            attrs={
                "units": "1",
                "acquisition": self.acquisition.model_dump_json(by_alias=True),
                "radiometry": self.radiometry.model_dump_json(),
                "geocoding": self.geocoding.model_dump_json(),
            },
        )
        array = array.rio.write_crs(str(target.crs))
        georeferenced: xr.DataArray = array.rio.write_transform(target.affine)
        return georeferenced
