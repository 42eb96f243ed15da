"""What is known of a radar and its product; the table is profiles.json."""

from __future__ import annotations

from typing import Literal

from sarknowlip.core.config import Config
from sarknowlip.sar.product import Polarization

Band = Literal["X", "C", "L"]
Output = Literal["safe", "sicd", "geotiff"]


class SensorProfile(Config):
    """One imaging mode of one constellation and one kind of product.

    Attributes:
        name: Name on the command line, "sentinel1-iw-grd".
        title: Name for people.
        constellation: STAC constellation, lower case.
        platform: STAC platform, lower case.
        instrument: STAC instrument, lower case.
        instrument_mode: "IW", "SM", "SL", …
        product_type: "GRD", "SLC", "GEC", …
        band: Radar band.
        frequency_ghz: Carrier.
        polarizations: What the product holds by default, in file order.
        polarizations_offered: All combinations that can be asked for.
        resolution_range_m: 3 dB width of one look's response, ground range (slant range for
            "sicd"), metres.
        resolution_azimuth_m: The same along track, metres.
        spacing_range_m: Pixel spacing, same plane, metres.
        spacing_azimuth_m: Pixel spacing, metres.
        looks_range: Looks averaged in range.
        looks_azimuth: Looks averaged along track.
        enl: Equivalent number of looks of the product, ≤ looks_range · looks_azimuth.
        hamming: Coefficient of the generalised Hamming spectral weighting, 1 = none (sinc).
        nesz_db: Noise-equivalent σ⁰, dB.
        incidence_deg: Least, default and greatest incidence angle, degrees.
        altitude_km: Of the orbit above the equator.
        inclination_deg: Of the orbit.
        look_sides: "right", or both.
        output: File format.
        sources: Where the numbers are from, by field name.
    """

    name: str
    title: str
    constellation: str
    platform: str
    instrument: str
    instrument_mode: str
    product_type: str
    band: Band
    frequency_ghz: float
    polarizations: tuple[Polarization, ...]
    polarizations_offered: tuple[tuple[Polarization, ...], ...]
    resolution_range_m: float
    resolution_azimuth_m: float
    spacing_range_m: float
    spacing_azimuth_m: float
    looks_range: int
    looks_azimuth: int
    enl: float
    hamming: float
    nesz_db: float
    incidence_deg: tuple[float, float, float]
    altitude_km: float
    inclination_deg: float
    look_sides: tuple[Literal["left", "right"], ...]
    output: Output
    sources: dict[str, str]


class View(Config):
    """How one acquisition looks at a world.

    Attributes:
        orbit_state: Direction of flight.
        look: Side to which the radar looks.
        incidence_deg: Incidence angle at the world's centre, degrees.
        start: Zero-Doppler time of the world's centre, UTC, RFC 3339.
    """

    orbit_state: Literal["ascending", "descending"] = "ascending"
    look: Literal["left", "right"] = "right"
    incidence_deg: float = 36.0
    start: str = "2024-06-01T06:00:00Z"
