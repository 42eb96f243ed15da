"""Checking a catalog row by itself: presence, type, length, finiteness, range, honest nulls.

A row that passes `form_problems` can be used by every later check without raising.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, get_args

import pyarrow as pa
import pystac
import shapely
from shapely.geometry import MultiPolygon, Polygon

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.corpus.record import (
    COLLECTION,
    MEDIA_TYPE,
    ROLES,
    SCHEMA,
    STAC_EXTENSIONS,
    STAC_VERSION,
    UNKNOWN_END,
    UNKNOWN_START,
    TileRecord,
)
from sarknowlip.sar.product import GeocodingMethod, Polarization, Quantity
from sarknowlip.sar.sensors import SENSORS

NULLABLE = frozenset(
    {
        "platform",
        "constellation",
        "instruments",
        "start_datetime",
        "end_datetime",
        "sar:instrument_mode",
        "sar:frequency_band",
        "sar:center_frequency",
        "sar:product_type",
        "sar:looks_range",
        "sar:looks_azimuth",
        "sar:looks_equivalent_number",
        "sar:resolution_range",
        "sar:resolution_azimuth",
        "sar:observation_direction",
        "sat:orbit_state",
        "sat:relative_orbit",
        "sat:absolute_orbit",
        "view:incidence_angle",
        "sarknowlip:incidence_near",
        "sarknowlip:incidence_far",
        "sarknowlip:heading",
        "sarknowlip:noise_removed",
        "sarknowlip:geocoding_vertical_datum",
        "sarknowlip:geocoding_error_m",
    }
)
"""Properties a provider may not give: null if and only if named in `sarknowlip:missing`."""

FREE = frozenset({"datetime", "proj:code", "proj:wkt2", "sarknowlip:speckle_filter", "links"})
"""Columns with a rule of their own (`datetime` is null beside an interval, as STAC asks)."""

_LENGTHS = {"proj:transform": 6, "proj:shape": 2, "proj:bbox": 4}
_MAY_BE_EMPTY = frozenset({"links", "sarknowlip:missing"})
_RANGES: dict[str, tuple[float, float]] = {
    "gsd": (0.01, 10_000),
    "sarknowlip:gsd_x": (0.01, 10_000),
    "sarknowlip:gsd_y": (0.01, 10_000),
    "sarknowlip:nodata_fraction": (0, 1),
    "sarknowlip:clipped_fraction": (0, 1),
    "sarknowlip:geocoding_error_m": (0, 100_000),
    "sarknowlip:city_distance_km": (0, 20_040),
    "sarknowlip:population": (0, 10**8),
    "sar:center_frequency": (0.2, 120),
    "view:incidence_angle": (0, 90),
    "sarknowlip:incidence_near": (0, 90),
    "sarknowlip:incidence_far": (0, 90),
    "sarknowlip:heading": (-180, 360),
    "sar:looks_range": (0.1, 10_000),
    "sar:looks_azimuth": (0.1, 10_000),
    "sar:looks_equivalent_number": (0.1, 10_000),
    "sar:resolution_range": (0.01, 10_000),
    "sar:resolution_azimuth": (0.01, 10_000),
    "sat:relative_orbit": (0, 1000),
    "sat:absolute_orbit": (0, 10**6),
}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "type": ("Feature",),
    "stac_version": (STAC_VERSION,),
    "collection": (COLLECTION,),
    "sarknowlip:sensor": tuple(SENSORS),
    "sarknowlip:geocoding_method": get_args(GeocodingMethod),
    "sarknowlip:quantity": get_args(Quantity),
    "sarknowlip:split": ("train", "val", "test"),
    "sat:orbit_state": ("ascending", "descending", "geostationary"),
    "sar:observation_direction": ("left", "right"),
    "sar:frequency_band": ("P", "L", "S", "C", "X", "Ku", "K", "Ka"),
}

Found = Iterator[tuple[str, str]]
"""Property and what is wrong with it."""


def form_problems(row: dict[str, Any]) -> Found:
    """Yield what makes a row unusable: absent, of another type or length, or not finite."""
    for field in SCHEMA:
        name, value = field.name, row.get(field.name)
        if value is None:
            if name not in NULLABLE | FREE:
                yield name, "is mandatory but null"
            continue
        optional = frozenset({"type", "title"}) if name == "links" else frozenset()
        problem = _form(value, field.type, optional)
        length = _LENGTHS.get(name)
        if problem is None and length is not None and len(value) != length:
            problem = f"has {len(value)} values, not {length}"
        if problem is None and not value and name not in _MAY_BE_EMPTY:
            problem = "is empty" if isinstance(value, str | bytes | list) else None
        if problem is not None:
            yield name, problem
    if row.get("start_datetime") is None or row.get("end_datetime") is None:
        yield "start_datetime", "STAC needs both ends of the interval"
    if row.get("proj:code") is None and row.get("proj:wkt2") is None:
        yield "proj:code", "is null and there is no proj:wkt2"


def honesty_problems(row: dict[str, Any]) -> Found:
    """Yield nulls that `sarknowlip:missing` does not list, and values that it lists as missing."""
    missing = set(row["sarknowlip:missing"])
    for name in sorted(NULLABLE):
        value = row.get(name)
        unknown = value is None or (
            name in {"start_datetime", "end_datetime"}
            and _stamp(value) in {UNKNOWN_START, UNKNOWN_END}
        )
        if unknown and name not in missing:
            yield name, "is null but not listed in sarknowlip:missing"
        if not unknown and name in missing:
            yield name, "has a value but is listed in sarknowlip:missing"
    if missing - NULLABLE:
        names = ", ".join(sorted(missing - NULLABLE))
        yield "sarknowlip:missing", f"lists {names}, which can't be missing"


def value_problems(row: dict[str, Any]) -> Found:
    """Yield values that contradict the vocabulary, their range or each other."""
    for name, (low, high) in _RANGES.items():
        value = row.get(name)
        if value is not None and not low <= value <= high:
            yield name, f"{value} is outside {low}…{high}"
    for name, choices in _CHOICES.items():
        value = row.get(name)
        if value is not None and value not in choices:
            yield name, f"{value!r} is none of {', '.join(choices)}"
    if row["stac_extensions"] != list(STAC_EXTENSIONS):
        yield "stac_extensions", f"are not {', '.join(STAC_EXTENSIONS)}"
    image = row["assets"]["image"]
    if image["type"] != MEDIA_TYPE or image["roles"] != list(ROLES):
        yield "assets", f"image is no {MEDIA_TYPE} of role {', '.join(ROLES)}"
    unknown = set(row["sar:polarizations"]) - set(get_args(Polarization))
    if unknown:
        yield "sar:polarizations", f"unknown: {', '.join(sorted(unknown))}"
    if outline_of(row) is None:
        yield "geometry", "is no valid polygon in WGS 84 degrees"
    yield from _coherence(row)


def _coherence(row: dict[str, Any]) -> Found:
    code, wkt2 = row.get("proj:code"), row.get("proj:wkt2")
    if code is not None and not re.fullmatch(r"[A-Z][A-Za-z0-9_]*:[A-Za-z0-9]+", code):
        yield "proj:code", f"{code!r} is no AUTHORITY:CODE"
    if code is not None and wkt2 is not None:
        yield "proj:wkt2", "stands beside proj:code: it is for systems without a code"
    start, end, moment = row["start_datetime"], row["end_datetime"], row.get("datetime")
    if start > end:
        yield "end_datetime", "is before start_datetime"
    elif moment is not None and not start <= moment <= end:
        yield "datetime", "is outside start_datetime…end_datetime"
    near, centre, far = (
        "sarknowlip:incidence_near",
        "view:incidence_angle",
        "sarknowlip:incidence_far",
    )
    angles = [row[name] for name in (near, centre, far) if row.get(name) is not None]
    if angles != sorted(angles):
        yield centre, f"near, centre and far are not in order: {angles}"


def stac_problems(row: dict[str, Any]) -> Found:
    """Yield why a row with proper values makes no STAC item."""
    plain = {**row}
    for name in ("start_datetime", "end_datetime"):
        plain[name] = _stamp(row[name])
    try:
        pystac.Item.from_dict(TileRecord.from_row(plain).item())
    except (ValueError, KeyError, TypeError, SarKnowlipError, pystac.STACError) as error:
        yield "type", f"is no STAC item: {' '.join(str(error).split())}"


def outline_of(row: dict[str, Any]) -> Polygon | MultiPolygon | None:
    """Return a row's geometry if it is a valid polygon on Earth, with an area."""
    try:
        outline = shapely.from_wkb(row.get("geometry"))
    except (shapely.errors.ShapelyError, TypeError):
        return None
    if not isinstance(outline, Polygon | MultiPolygon) or outline.is_empty:
        return None
    west, south, east, north = outline.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        return None
    return outline if outline.is_valid and outline.area > 0 else None


def _form(value: Any, kind: pa.DataType, optional: frozenset[str]) -> str | None:
    """Return what keeps `value` from being of an Arrow type, all parts present and finite."""
    if pa.types.is_list(kind):
        if not isinstance(value, list):
            return f"is {type(value).__name__}, not a list"
        parts = [(f"[{i}]", part, kind.value_type) for i, part in enumerate(value)]
    elif pa.types.is_struct(kind):
        if not isinstance(value, dict):
            return f"is {type(value).__name__}, not a structure"
        inner = [kind.field(i) for i in range(kind.num_fields)]
        parts = [
            (f".{field.name}", value.get(field.name), field.type)
            for field in inner
            if not (field.name in optional and value.get(field.name) is None)
        ]
    else:
        return _scalar_form(value, kind)
    for where, part, part_kind in parts:
        problem = "is null" if part is None else _form(part, part_kind, optional)
        if problem is None and part in ("", []):
            problem = "is empty"
        if problem is not None:
            return f"{where.removeprefix('.')} {problem}"
    return None


def _scalar_form(value: Any, kind: pa.DataType) -> str | None:
    if pa.types.is_floating(kind):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"is {type(value).__name__}, not a number"
        return None if math.isfinite(value) else f"is {value}"
    if pa.types.is_timestamp(kind):
        aware = isinstance(value, datetime) and value.tzinfo is not None
        return None if aware else "is no time with a zone"
    python: type = next(
        python
        for test, python in (
            (pa.types.is_boolean, bool),
            (pa.types.is_integer, int),
            (pa.types.is_string, str),
            (pa.types.is_binary, bytes),
        )
        if test(kind)
    )
    if not isinstance(value, python) or (python is int and isinstance(value, bool)):
        return f"is {type(value).__name__}, not {python.__name__}"
    return None


def _stamp(moment: datetime) -> str:
    """Return an RFC 3339 time as records spell it."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
