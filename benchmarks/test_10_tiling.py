"""Cutting an 8,192² uint16 zstd raster into 512² arrays, beside a bare rasterio whole read.

Peer: `rasterio.open(path, num_threads=n).read()`. Rounds are interleaved; the ratio is peer time by
our time, so 1 is equal and more is better. `geo.raster.iter_tiles` gives stored values. The corpus
builder's path (`product_tiles`) also turns them to linear power in float32, places each tile on the
map, and holds less at a time; it is measured beside the same peer, without a gate.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from sarknowlip.corpus.tiling import tile_grid, tile_pixels
from sarknowlip.geo.grid import GridConfig
from sarknowlip.geo.raster import iter_tiles
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors.geotiff import GeoTiffProduct

EDGE, SIZE, ROUNDS = 8192, 512, 9


@pytest.fixture(scope="module", params=["striped", "tiled-512"])
def raster(request, tmp_path_factory) -> tuple[str, Path]:
    """Return layout and path of a raster with the statistics of speckle, so that zstd works."""
    path = tmp_path_factory.mktemp("tiling") / f"{request.param}.tif"
    rng = np.random.default_rng(0)
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    options = layout if request.param == "tiled-512" else {"blockysize": 16}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=EDGE,
        width=EDGE,
        count=1,
        dtype="uint16",
        crs="EPSG:32633",
        transform=Affine(10, 0, 500_000, 0, -10, 4_700_000),
        compress="zstd",
        predictor=2,
        num_threads="ALL_CPUS",
        **options,
    ) as target:
        for row in range(0, EDGE, 1024):
            block = 35_000 + 1000 * np.log(rng.gamma(4.4, 1 / 4.4, (1, 1024, EDGE)))
            target.write(block.astype(np.uint16), window=Window(0, row, EDGE, 1024))
    return request.param, path


def whole_read(path: Path, threads: int) -> int:
    with rasterio.open(path, num_threads=threads) as source:
        return int(source.read()[0, ::4096, ::4096].sum())


def tiles(path: Path, threads: int) -> int:
    count = 0
    for _, _, tile in iter_tiles(path, SIZE, threads=threads):
        count += tile.shape == (1, SIZE, SIZE)
    return count


def product_tiles(path: Path) -> int:
    """Walk over a raster as the corpus builder does, up to where tiles are encoded."""
    product = GeoTiffProduct.open(path, ReadOptions(units="amplitude", polarizations=("VV",)))
    grid = tile_grid(product, GridConfig(tile_px=SIZE, placement="native"))
    return sum(power.shape == (1, SIZE, SIZE) for _, power in tile_pixels(product, grid, None))


def test_product_tiling(raster, record, benchmark) -> None:
    layout, path = raster
    ours, peer = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        whole_read(path, 2)
        middle = time.perf_counter()
        assert product_tiles(path) == (EDGE // SIZE) ** 2
        peer.append(middle - start)
        ours.append(time.perf_counter() - middle)
    ratios = sorted(p / o for p, o in zip(peer, ours, strict=True))
    record(
        "tiling",
        layout=f"{layout}, to power and map",
        threads=2,
        ratio=f"{statistics.median(ratios):.3f}",
        low=f"{ratios[0]:.3f}",
        high=f"{ratios[-1]:.3f}",
        rounds=ROUNDS,
        megapixels_per_s=f"{EDGE * EDGE / 1e6 / statistics.median(ours):.0f}",
    )
    benchmark.pedantic(product_tiles, args=(path,), rounds=3)


@pytest.mark.parametrize("threads", [1, 2])
def test_tiling(raster, threads: int, record, benchmark) -> None:
    layout, path = raster
    with rasterio.open(path) as source:
        whole = source.read()
    for row, column, tile in iter_tiles(path, SIZE):
        assert np.array_equal(tile, whole[:, row : row + SIZE, column : column + SIZE])
    del whole
    ours, peer = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        whole_read(path, threads)
        middle = time.perf_counter()
        assert tiles(path, threads) == (EDGE // SIZE) ** 2
        end = time.perf_counter()
        peer.append(middle - start)
        ours.append(end - middle)
    ratios = sorted(p / o for p, o in zip(peer, ours, strict=True))
    record(
        "tiling",
        layout=layout,
        threads=threads,
        ratio=f"{statistics.median(ratios):.3f}",
        low=f"{ratios[0]:.3f}",
        high=f"{ratios[-1]:.3f}",
        rounds=ROUNDS,
        megapixels_per_s=f"{EDGE * EDGE / 1e6 / statistics.median(ours):.0f}",
    )
    benchmark.pedantic(tiles, args=(path, threads), rounds=3)
