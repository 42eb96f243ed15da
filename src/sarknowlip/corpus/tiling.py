"""From one product to its tiles and their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from shapely.geometry import mapping

from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.core.files import write_bytes
from sarknowlip.core.hashing import bytes_sha256
from sarknowlip.corpus.catalog import TILES
from sarknowlip.corpus.record import Place, Projection, Storage, TileRecord
from sarknowlip.corpus.split import block_name
from sarknowlip.geo.footprint import (
    extent_footprint,
    map_bbox,
    pixel_round_trip_error,
    valid_footprint,
    wgs84_bbox,
)
from sarknowlip.geo.gazetteer import City, nearest_city
from sarknowlip.geo.grid import (
    GridConfig,
    Tile,
    TileGrid,
    circular_centre,
    ground_sample_distance,
    native_tile_grid,
    preferred_gsd,
    pyproj_crs,
    utm_tile_grid,
)
from sarknowlip.geo.raster import StoredTile, encode_tile
from sarknowlip.geo.warp import aligned_window
from sarknowlip.sar.product import SarProduct
from sarknowlip.sar.scaling import CALIBRATED, RELATIVE
from sarknowlip.sar.speckle import SpeckleConfig, despeckle, reach

CHUNK_PX = 1024
"""Edge of a square block of target pixels held in memory at a time; strips hold as many."""

MARGIN_DEG = 0.05
"""How far a footprint given by corner points may be wrong."""


@dataclass
class SceneTiles:
    """What came of one product.

    Attributes:
        records: Accepted tiles.
        rejected: How many tiles were refused, by reason.
    """

    records: list[TileRecord] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


def tile_grid(product: SarProduct, config: GridConfig) -> TileGrid:
    """Return the tiles that touch a product.

    Raises:
        GeometryError: The product has no position on Earth, or native placement is asked of a
            product in radar geometry.
    """
    if product.footprint.is_empty:
        raise GeometryError(
            f"{product.path} has no coordinate reference system",
            "give --crs, or a sidecar with crs and transform",
        )
    if config.placement == "native":
        if product.grid is None:
            raise GeometryError(
                f"{product.path} is in radar geometry: it has no native map grid",
                "use --placement utm",
            )
        return native_tile_grid(product.grid, config.tile_px)
    return utm_tile_grid(product.footprint, config.gsd_m or _own_gsd(product), config.tile_px)


def cut(
    product: SarProduct,
    scene: str,
    root: Path,
    grid_config: GridConfig,
    *,
    block_km: float,
    max_nodata: float,
    speckle: SpeckleConfig | None = None,
) -> SceneTiles:
    """Write a product's tiles below `root` and return their records.

    Args:
        product: Opened product.
        scene: Name of the scene in the corpus.
        root: Corpus folder.
        grid_config: How tiles are cut.
        block_km: Edge of a split block, kilometres.
        max_nodata: Largest share of no-data pixels that a tile may have.
        speckle: Filter applied to the pixels of the grid, if any.

    Raises:
        ConfigError: The filter needs a number of looks, or its settings don't fit.
        ProductError: The product's pixels cannot be read.
        GeometryError: It cannot be placed on the grid.
        StorageError: A tile cannot be written.
    """
    grid = tile_grid(product, grid_config)
    result = SceneTiles()
    radiometry = product.radiometry
    if speckle is not None:
        speckle = _with_looks(speckle, product)
        name = f"{speckle.method} {speckle.window} × {speckle.window}, {speckle.looks:g} looks"
        radiometry = radiometry.model_copy(update={"speckle_filter": name})
    for tile, power in tile_pixels(product, grid, speckle):
        valid: npt.NDArray[np.bool_] = np.asarray(np.isfinite(power).all(axis=0))
        nodata = 1.0 - float(valid.mean())
        if nodata == 1.0:
            result.rejected["no valid pixel"] += 1
        elif nodata > max_nodata:
            result.rejected[f"more than {max_nodata:.0%} no data"] += 1
        else:
            record = _store(product, scene, root, tile, power=power, valid=valid, block_km=block_km)
            result.records.append(record.model_copy(update={"radiometry": radiometry}))
    return result


def _own_gsd(product: SarProduct) -> float:
    """Return the pixel size of the world grid: exact for square metric pixels, else preferred."""
    if product.grid is not None and pyproj_crs(product.grid).is_projected:
        affine = product.grid.affine
        unit = pyproj_crs(product.grid).axis_info[0].unit_name
        if unit == "metre" and affine.b == affine.d == 0 and np.isclose(affine.a, -affine.e):
            return float(affine.a)
    return preferred_gsd(max(product.gsd_m))


def _with_looks(speckle: SpeckleConfig, product: SarProduct) -> SpeckleConfig:
    looks = speckle.looks or product.acquisition.looks_equivalent_number
    if looks is None:
        raise ConfigError(
            f"{product.path} does not state its number of looks, needed for {speckle.method}",
            "give --looks",
        )
    return speckle.model_copy(update={"looks": looks})


def _power(
    product: SarProduct, block: GeoBox, speckle: SpeckleConfig | None
) -> npt.NDArray[np.float32]:
    """Return the power of a block, filtered as if it had no edge."""
    if speckle is None:
        return product.power(block)
    assert speckle.looks is not None
    margin = reach(speckle.window)
    wide = product.power(block.pad(margin))
    filtered = despeckle(wide, speckle.method, speckle.looks, speckle.window)
    return filtered[:, margin:-margin, margin:-margin]


def tile_pixels(
    product: SarProduct, grid: TileGrid, speckle: SpeckleConfig | None
) -> Iterator[tuple[Tile, npt.NDArray[np.float32]]]:
    """Yield the tiles of a grid near a product with their linear power, block by block.

    Args:
        product: Opened product.
        grid: As `tile_grid` gives it.
        speckle: Filter with its number of looks, or None.

    Yields:
        A tile and its power, shape (polarisations, rows, columns), NaN for no data.
    """
    ratio = max(1.0, max(ground_sample_distance(grid.geobox)) / min(product.gsd_m))
    near = product.footprint.buffer(MARGIN_DEG)
    chunk_px = max(grid.tile_px, int(CHUNK_PX / ratio))
    for block, tiles in grid.chunks(chunk_px, strips=product.grid is not None):
        if not extent_footprint(block).intersects(near):
            continue
        power = _power(product, block, speckle)
        for tile in tiles:
            row, column = _position(block, tile)
            size = grid.tile_px
            yield tile, power[:, row : row + size, column : column + size]


def _position(block: GeoBox, tile: Tile) -> tuple[int, int]:
    shift = aligned_window(block, tile.geobox)
    assert shift is not None, "a tile is a window of its block"
    return shift


def _store(
    product: SarProduct,
    scene: str,
    root: Path,
    tile: Tile,
    *,
    power: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    block_km: float,
) -> TileRecord:
    projection = _projection(tile.geobox, valid)
    lon, lat = circular_centre(extent_footprint(tile.geobox))
    city, distance_km = nearest_city(lon, lat)
    encoding = CALIBRATED if product.radiometry.calibrated else RELATIVE
    stored, clipped = encoding.encode(power)
    tile_id = f"{scene}_{tile.key}"
    content = encode_tile(
        StoredTile(
            pixels=stored,
            geobox=tile.geobox,
            bands=product.acquisition.polarizations,
            scale=encoding.scale,
            offset=encoding.offset,
            tags={
                "TILE_ID": tile_id,
                "QUANTITY": product.radiometry.quantity,
                "CALIBRATED": "YES" if product.radiometry.calibrated else "NO",
            },
        )
    )
    href = f"{TILES}/{city.slug}/{scene}/{tile_id}.tif"
    write_bytes(root / href, content)
    return TileRecord(
        id=tile_id,
        scene=scene,
        sensor=product.sensor,
        tile_key=tile.key,
        block=block_name(lon, lat, block_km),
        acquisition=product.acquisition,
        radiometry=product.radiometry,
        geocoding=product.geocoding,
        projection=projection,
        place=_place(city, distance_km),
        storage=Storage(
            href=href,
            sha256=bytes_sha256(content),
            scale=encoding.scale,
            offset=encoding.offset,
            clipped_fraction=clipped / stored.size,
        ),
    )


def _projection(geobox: GeoBox, valid: npt.NDArray[np.bool_]) -> Projection:
    footprint = valid_footprint(valid, geobox)
    crs = pyproj_crs(geobox)
    authority = crs.to_authority(min_confidence=100)
    affine, (height, width) = geobox.affine, geobox.shape
    gsd_x, gsd_y = ground_sample_distance(geobox)
    return Projection(
        code=":".join(authority) if authority else None,
        wkt2=None if authority else crs.to_wkt("WKT2_2019"),
        transform=(affine.a, affine.b, affine.c, affine.d, affine.e, affine.f),
        shape=(height, width),
        proj_bbox=map_bbox(geobox),
        bbox=wgs84_bbox(footprint),
        footprint=mapping(footprint),
        gsd_x=gsd_x,
        gsd_y=gsd_y,
        nodata_fraction=1.0 - float(valid.mean()),
        round_trip_px=pixel_round_trip_error(geobox),
    )


def _place(city: City, distance_km: float) -> Place:
    return Place(
        city_id=city.id,
        city=city.name,
        country=city.country,
        population=city.population,
        distance_km=distance_km,
    )
