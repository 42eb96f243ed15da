"""One catalog row: everything that is known about a tile, under STAC names.

Projection properties are never null. A property that a provider may not give is null *and* named in
`sarknowlip:missing`.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import pyarrow as pa
import shapely
from pydantic import Field
from shapely.geometry import mapping, shape

from sarknowlip.core.config import Config
from sarknowlip.sar.product import Acquisition, Geocoding, Radiometry

COLLECTION = "sar-geovl"
STAC_VERSION = "1.1.0"
STAC_EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/sar/v1.0.0/schema.json",
    "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
)
MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
ROLES = ("data",)
"""STAC roles of a tile's image."""
UNKNOWN_START = "1978-06-27T00:00:00.000000Z"
"""Launch of Seasat, the first civil radar satellite: lower bound when a provider gives no time."""
UNKNOWN_END = "2099-12-31T23:59:59.000000Z"
"""STAC demands an interval even when the time is unknown; this is its upper bound."""

Split = Literal["train", "val", "test", "unassigned"]


class Projection(Config):
    """The complete geographic projection properties of one tile; none may be null.

    Attributes:
        code: Authority and code, "EPSG:32631"; null only if the CRS has none.
        wkt2: WKT2 of the CRS when it has no code.
        transform: Affine transform a, b, c, d, e, f: (column, row) → map coordinates.
        shape: Rows, columns.
        proj_bbox: West, south, east, north in map units.
        bbox: West, south, east, north in WGS 84 degrees; west > east across ±180°.
        footprint: GeoJSON geometry of the valid pixels in WGS 84.
        gsd_x: Pixel width on the ground, metres.
        gsd_y: Pixel height on the ground, metres.
        nodata_fraction: Share of pixels without data, 0…1.
        round_trip_px: Largest pixel → lon/lat → pixel error, pixels.
    """

    code: str | None = Field(alias="proj:code")
    wkt2: str | None = Field(None, alias="proj:wkt2")
    transform: tuple[float, float, float, float, float, float] = Field(alias="proj:transform")
    shape: tuple[int, int] = Field(alias="proj:shape")
    proj_bbox: tuple[float, float, float, float] = Field(alias="proj:bbox")
    bbox: tuple[float, float, float, float]
    footprint: dict[str, Any]
    gsd_x: float = Field(alias="sarknowlip:gsd_x")
    gsd_y: float = Field(alias="sarknowlip:gsd_y")
    nodata_fraction: float = Field(alias="sarknowlip:nodata_fraction")
    round_trip_px: float = Field(alias="sarknowlip:round_trip_px")


class Place(Config):
    """The nearest city of the gazetteer; distance in kilometres to its centre."""

    city_id: int = Field(alias="sarknowlip:city_id")
    city: str = Field(alias="sarknowlip:city")
    country: str = Field(alias="sarknowlip:country")
    population: int = Field(alias="sarknowlip:population")
    distance_km: float = Field(alias="sarknowlip:city_distance_km")


class Storage(Config):
    """How pixels are stored: dB = offset + scale · integer, 0 = no data."""

    href: str
    sha256: str = Field(alias="sarknowlip:sha256")
    scale: float = Field(alias="sarknowlip:scale")
    offset: float = Field(alias="sarknowlip:offset")
    clipped_fraction: float = Field(alias="sarknowlip:clipped_fraction")


class TileRecord(Config):
    """A tile of the corpus.

    Attributes:
        id: Unique in the corpus.
        scene: Product it was cut from.
        sensor: Name in the sensor table.
        tile_key: Cell of the ground grid.
        block: Geographic block; tiles of one block never differ in split.
        split: Part of the data the tile belongs to.
    """

    id: str
    scene: str
    sensor: str
    tile_key: str
    block: str
    split: Split = "unassigned"
    acquisition: Acquisition
    radiometry: Radiometry
    geocoding: Geocoding
    projection: Projection
    place: Place
    storage: Storage

    def properties(self) -> dict[str, Any]:
        """Return the STAC item's properties, null where unknown."""
        properties = self.acquisition.stac_properties()
        properties["datetime"] = None
        missing = set(self.acquisition.missing)
        properties["start_datetime"] = properties["start_datetime"] or UNKNOWN_START
        properties["end_datetime"] = properties["end_datetime"] or UNKNOWN_END
        for part in (self.projection, self.place, self.storage):
            properties |= part.model_dump(
                mode="json", by_alias=True, exclude={"bbox", "footprint", "href"}
            )
        properties |= {
            "gsd": max(self.projection.gsd_x, self.projection.gsd_y),
            "processing:software": {"sarknowlip": _software_version()},
            "sarknowlip:scene": self.scene,
            "sarknowlip:sensor": self.sensor,
            "sarknowlip:tile_key": self.tile_key,
            "sarknowlip:block": self.block,
            "sarknowlip:split": self.split,
        }
        for prefix, record in (("", self.radiometry), ("geocoding_", self.geocoding)):
            for name, value in record.model_dump(mode="json").items():
                column = f"sarknowlip:{prefix}{name}"
                properties[column] = value
                if value is None and name != "speckle_filter":
                    missing.add(column)
        properties["sarknowlip:missing"] = sorted(missing)
        return properties

    def row(self) -> dict[str, Any]:
        """Return the stac-geoparquet row; `SCHEMA` gives the types."""
        west, south, east, north = self.projection.bbox
        return {
            "type": "Feature",
            "stac_version": STAC_VERSION,
            "stac_extensions": list(STAC_EXTENSIONS),
            "id": self.id,
            "collection": COLLECTION,
            "geometry": shapely.to_wkb(shape(self.projection.footprint), byte_order=1),
            "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north},
            "links": [],
            "assets": {
                "image": {
                    "href": self.storage.href,
                    "type": MEDIA_TYPE,
                    "roles": list(ROLES),
                }
            },
            **self.properties(),
        }

    def item(self) -> dict[str, Any]:
        """Return the STAC item as a JSON-ready dictionary."""
        row = self.row()
        properties = self.properties()
        core = {key: value for key, value in row.items() if key not in properties}
        core["geometry"] = mapping(shape(self.projection.footprint))
        core["bbox"] = list(self.projection.bbox)
        nullable = {"datetime", "proj:code"}
        core["properties"] = {k: v for k, v in properties.items() if v is not None or k in nullable}
        item: dict[str, Any] = json.loads(json.dumps(core))
        return item

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> TileRecord:
        """Rebuild a record from a catalog row (`row` as `pyarrow` gives it, geometry as WKB)."""

        def part(kind: type[Config], prefix: str | None = None, **extra: Any) -> dict[str, Any]:
            values: dict[str, Any] = dict(extra)
            for name, field in kind.model_fields.items():
                column = f"sarknowlip:{prefix}{name}" if prefix is not None else field.alias or name
                if name not in values and column in row:
                    values[name] = row[column]
            return values

        missing = set(row["sarknowlip:missing"])
        acquisition = part(Acquisition)
        for name in ("start_datetime", "end_datetime"):
            if name in missing:
                acquisition[name] = None
        bbox, footprint = row["bbox"], mapping(shapely.from_wkb(row["geometry"]))
        corners = tuple(bbox[k] for k in ("xmin", "ymin", "xmax", "ymax"))
        names = ("scene", "sensor", "tile_key", "block", "split")
        return cls(
            id=row["id"],
            **{name: row[f"sarknowlip:{name}"] for name in names},
            acquisition=Acquisition(**acquisition),
            radiometry=Radiometry(**part(Radiometry, "")),
            geocoding=Geocoding(**part(Geocoding, "geocoding_")),
            projection=Projection(**part(Projection, bbox=corners, footprint=footprint)),
            place=Place(**part(Place)),
            storage=Storage(**part(Storage, href=row["assets"]["image"]["href"])),
        )


def _software_version() -> str:
    from sarknowlip import __version__

    return __version__


_TIME = pa.timestamp("us", tz="UTC")
_F8, _TEXT, _WHOLE, _BOOL = pa.float64(), pa.string(), pa.int64(), pa.bool_()
_BBOX = pa.struct([(k, _F8) for k in ("xmin", "ymin", "xmax", "ymax")])
_ASSET = pa.struct([("href", _TEXT), ("type", _TEXT), ("roles", pa.list_(_TEXT))])
_LINK = pa.struct([("href", _TEXT), ("rel", _TEXT), ("type", _TEXT), ("title", _TEXT)])

SCHEMA = pa.schema(
    [
        ("type", _TEXT),
        ("stac_version", _TEXT),
        ("stac_extensions", pa.list_(_TEXT)),
        ("id", _TEXT),
        ("collection", _TEXT),
        ("geometry", pa.binary()),
        ("bbox", _BBOX),
        ("links", pa.list_(_LINK)),
        ("assets", pa.struct([("image", _ASSET)])),
        ("datetime", _TIME),
        ("start_datetime", _TIME),
        ("end_datetime", _TIME),
        *((name, _TEXT) for name in ("platform", "constellation")),
        ("instruments", pa.list_(_TEXT)),
        ("gsd", _F8),
        ("sar:instrument_mode", _TEXT),
        ("sar:frequency_band", _TEXT),
        ("sar:center_frequency", _F8),
        ("sar:polarizations", pa.list_(_TEXT)),
        ("sar:product_type", _TEXT),
        *(
            (f"sar:{name}", _F8)
            for name in (
                "looks_range",
                "looks_azimuth",
                "looks_equivalent_number",
                "resolution_range",
                "resolution_azimuth",
            )
        ),
        ("sar:observation_direction", _TEXT),
        ("sat:orbit_state", _TEXT),
        ("sat:relative_orbit", _WHOLE),
        ("sat:absolute_orbit", _WHOLE),
        ("view:incidence_angle", _F8),
        *((f"sarknowlip:{name}", _F8) for name in ("incidence_near", "incidence_far", "heading")),
        ("proj:code", _TEXT),
        ("proj:wkt2", _TEXT),
        ("proj:transform", pa.list_(_F8)),
        ("proj:shape", pa.list_(_WHOLE)),
        ("proj:bbox", pa.list_(_F8)),
        *(
            (f"sarknowlip:{name}", _F8)
            for name in ("gsd_x", "gsd_y", "nodata_fraction", "round_trip_px")
        ),
        ("sarknowlip:geocoding_method", _TEXT),
        ("sarknowlip:geocoding_vertical_datum", _TEXT),
        ("sarknowlip:geocoding_error_m", _F8),
        ("sarknowlip:quantity", _TEXT),
        ("sarknowlip:calibrated", _BOOL),
        ("sarknowlip:noise_removed", _BOOL),
        ("sarknowlip:speckle_filter", _TEXT),
        ("sarknowlip:scale", _F8),
        ("sarknowlip:offset", _F8),
        ("sarknowlip:clipped_fraction", _F8),
        ("sarknowlip:sha256", _TEXT),
        ("sarknowlip:city_id", _WHOLE),
        ("sarknowlip:city", _TEXT),
        ("sarknowlip:country", _TEXT),
        ("sarknowlip:population", _WHOLE),
        ("sarknowlip:city_distance_km", _F8),
        *(
            (f"sarknowlip:{name}", _TEXT)
            for name in ("scene", "sensor", "tile_key", "block", "split")
        ),
        ("sarknowlip:missing", pa.list_(_TEXT)),
        ("processing:software", pa.struct([("sarknowlip", _TEXT)])),
    ]
)
"""Arrow types of the catalog; fixed, so that an all-null column keeps its type."""
