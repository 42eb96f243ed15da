"""Tiles of a simulated world with what truly lies in them, for the measuring scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.warp import Resampling, reproject

from sarknowlip.corpus.tiling import tile_grid, tile_pixels
from sarknowlip.geo.grid import GridConfig, pyproj_crs
from sarknowlip.sar.scaling import CALIBRATED
from sarknowlip.sar.sensors import find_products, open_product
from sarknowlip.sar.tile import TileImage

WATER = 80
"""Permanent water in ESA WorldCover."""


@dataclass(frozen=True)
class KnownTile:
    """A tile with its truth.

    Attributes:
        tile: What the radar shows.
        cover: ESA WorldCover codes, shape (rows, columns), 0 outside the world.
        ships: Outlines of ships whose centres lie in the tile, in its map coordinates.
    """

    tile: TileImage
    cover: npt.NDArray[np.uint8]
    ships: gpd.GeoDataFrame


def known_tiles(world: Path, tile_px: int = 256, max_nodata: float = 0.2) -> Iterator[KnownTile]:
    """Yield the tiles of all products of a world that `sarknowlip simulate` wrote.

    Products and truth folders pair up in the order of their names, those of one
    sensor.
    """
    products = find_products(world / "products")
    for path, truth in zip(products, sorted((world / "truth").iterdir()), strict=True):
        product = open_product(path)
        objects = gpd.read_parquet(truth / "objects.parquet")
        for cell, power in tile_pixels(
            product, tile_grid(product, GridConfig(tile_px=tile_px)), None
        ):
            if not np.isfinite(power).all(axis=0).mean() > 1.0 - max_nodata:
                continue
            box, crs = cell.geobox, pyproj_crs(cell.geobox)
            cover = np.zeros(box.shape, np.uint8)
            with rasterio.open(truth / "landcover.tif") as source:
                reproject(
                    rasterio.band(source, 1), cover, dst_transform=box.affine, dst_crs=crs.to_wkt(),
                    resampling=Resampling.nearest, dst_nodata=0,
                )  # fmt: skip
            ships = objects[objects.kind == "ship"].to_crs(crs)
            left, bottom, right, top = box.boundingbox.bbox
            ships = ships[ships.centroid.within(shapely.box(left, bottom, right, top))]
            name = f"{world.name}/{truth.name}/{cell.key}"
            stored, _ = CALIBRATED.encode(power)
            tile = TileImage(
                name, CALIBRATED.decode_db(stored), box, product.acquisition, product.radiometry
            )
            yield KnownTile(tile, cover, ships)
