"""Print how far point targets of known place are from where a map grid shows them, as CSV.

Products are the synthetic ones of the tests, and the genuine SAFE folders of the sample data where
they are at hand; targets were imaged from measured distances, not with the sensor models that are
measured here. Offsets are distances in metres and in output pixels; Sentinel-1 is put on a map grid
of 10 m, the others on one of GSD_M.

    python benchmarks/measure_geolocation.py [GSD_M] > geolocation.csv
"""

from __future__ import annotations

import csv
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from conftest import data_root
from data.elevation.make import make_dem
from data.safe.make import Safe, make_safe
from data.safe.targets import copy_with_targets
from data.sicd.make import ROME, Target, collect, make_sicd
from data.sicd.targets import GSD_M, find_all, grid_at, offset_px, targets_around
from data.sidd.make import make_sidd
from sarknowlip.sar.elevation import Elevation
from sarknowlip.sar.product import ReadOptions, SarProduct
from sarknowlip.sar.safe import read_annotation, read_manifest
from sarknowlip.sar.sensors.sentinel1 import Sentinel1Safe
from sarknowlip.sar.sensors.sicd import SicdProduct
from sarknowlip.sar.sensors.sidd import SiddProduct

SYDNEY, SVALBARD = (-33.86, 151.21, 40.0), (78.22, 15.65, 30.0)
SAFE_GSD_M = 10.0
SAFE_GRD = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE"
SAFE_SLC = "S1A_IW_SLC__1SDV_20220104T170557_20220104T170624_041314_04E951_F1F1.SAFE"
COLUMNS = ("sensor", "case", "targets", "gsd_m", "mean_m", "max_m", "mean_px", "max_px")


def passes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and orbits."""
    for side in "RL":
        for ascending in (True, False):
            way = "ascending" if ascending else "descending"
            name = f"{'right' if side == 'R' else 'left'} {way}"
            yield name, {"side": side, "ascending": ascending}
    yield "22° incidence, south", {"scp_llh": SYDNEY, "incidence_deg": 22.0}
    yield "50° incidence, 78° north", {"scp_llh": SVALBARD, "incidence_deg": 50.0}
    yield "across ±180°", {"scp_llh": (-16.5, 179.99995, 60.0)}


def hillside(folder: Path) -> tuple[list[Target], Path]:
    """Return targets on a slope of 29 % and an elevation model of it, ellipsoidal heights."""
    grid = grid_at(ROME[1], ROME[0], 140.0)
    to_map = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    x0, y0 = to_map.transform(ROME[1], ROME[0])

    def height(x: Any, y: Any) -> Any:
        return ROME[2] + 0.25 * (x - x0) - 0.15 * (y - y0)

    targets = [
        (lon, lat, float(height(*to_map.transform(lon, lat))), amplitude)
        for lon, lat, _, amplitude in targets_around(ROME)
    ]
    return targets, make_dem(folder / "dem.tif", grid, height, step=4.0)


def cases(folder: Path) -> Iterator[tuple[str, str, list[float], float]]:
    """Yield sensor, case, offsets in pixels, and pixel size."""
    gsd = float(sys.argv[1]) if len(sys.argv) > 1 else GSD_M
    path = folder / "a.ntf"
    for name, orbit in passes():
        targets = targets_around(orbit.get("scp_llh", ROME))
        for grid, label in (("PFA", "spotlight"), ("INCA", "stripmap")):
            passing = collect(**orbit, squint_deg=4.0 if grid == "PFA" else 0.0)
            make_sicd(path, passing=passing, grid=grid, points=targets)
            yield "sicd", f"{label}, {name}", find_all(SicdProduct.open(path), targets, gsd), gsd
        for projection in ("plane", "geographic"):
            size = (240, 400)
            passing = collect(**orbit)
            make_sidd(path, passing=passing, projection=projection, points=targets, shape=size)
            yield (
                "sidd",
                f"{projection}, {name}",
                find_all(SiddProduct.open(path), targets, gsd),
                gsd,
            )
    targets, dem = hillside(folder)
    for options, label in ((ReadOptions(dem=dem, dem_geoid_m=0.0), "with"), (None, "without")):
        make_sicd(path, points=targets, shape=(200, 200))
        found = find_all(SicdProduct.open(path, options), targets, gsd)
        yield "sicd", f"hillside {label} elevation model", found, gsd
        make_sidd(path, points=targets)
        found = find_all(SiddProduct.open(path, options), targets, gsd)
        yield "sidd", f"hillside {label} elevation model", found, gsd


def safe_offsets(product: SarProduct, targets: list[tuple[float, float, float]]) -> list[float]:
    """Return the offset of every target in the first band, pixels of `SAFE_GSD_M`."""
    found = []
    for lon, lat, _ in targets:
        grid = grid_at(lon, lat, 400.0, SAFE_GSD_M)
        found.append(offset_px(product.power(grid)[0], grid, lon, lat))
    return found


def synthetic_safe(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Yield cases and offsets of made Sentinel-1 products on a slope of 18 %."""
    lon0, lat0, high = 12.5, 42.0, 100.0
    grid = grid_at(lon0, lat0, 6000.0, SAFE_GSD_M)
    move = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    x0, y0 = move.transform(lon0, lat0)
    for slope, terrain in (((0.0, 0.0), "flat"), ((0.15, -0.1), "slope")):

        def height(x: Any, y: Any, slope: tuple[float, float] = slope) -> Any:
            return high + slope[0] * (x - x0) + slope[1] * (y - y0)

        dem = make_dem(folder / "safe.tif", grid, height, step=10.0, margin=3000.0)
        # Far enough from one another that no target lies in the window of the next.
        shifts = zip(np.linspace(-0.0271, 0.0268, 12), [0.0049, -0.0007, -0.0053] * 4, strict=True)
        places = [(lon0 + dx, lat0 + dy) for dx, dy in shifts]
        targets = [(*p, float(height(*move.transform(*p)))) for p in places]
        for product in ("GRD", "SLC"):
            for heading in (350.0, 193.0):
                name = (
                    f"made {product}, {'ascending' if heading > 270 else 'descending'}, {terrain}"
                )
                made = Safe(
                    product=product, heading=heading, targets=targets, polarizations=("VV",)
                )
                path = make_safe(folder / name, made)
                options = ReadOptions(dem=dem, dem_geoid_m=0.0)
                found = safe_offsets(Sentinel1Safe.open(path, options), targets)
                yield f"{name}, elevation model", found
                if terrain == "flat":
                    found = safe_offsets(Sentinel1Safe.open(path), targets)
                    yield f"{name}, geolocation grid", found


def genuine_safe(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Yield cases and offsets of genuine annotations with targets drawn into blank rasters."""
    samples = data_root() / "sentinel1-safe"
    if not samples.is_dir():
        print(f"no genuine SAFE folders at {samples}", file=sys.stderr)
        return
    rng = np.random.default_rng(2)
    lon, lat = rng.uniform((12.46, 41.96), (12.54, 42.04), (20, 2)).T
    options = ReadOptions(dem=samples / "Rome-30m-DEM.tif", dem_geoid_m=48.0)
    footprint = Sentinel1Safe.open(samples / SAFE_GRD).footprint
    height = Elevation.open(options.dem, 48.0, footprint).at(lon, lat)
    targets = list(zip(lon, lat, height, strict=True))
    copy = copy_with_targets(samples / SAFE_GRD, folder / "rome", targets)
    found = safe_offsets(Sentinel1Safe.open(copy, options), targets)
    yield "genuine GRD, Rome, 30 m elevation model", found
    found = safe_offsets(Sentinel1Safe.open(copy), targets)
    yield "genuine GRD, Rome, geolocation grid", found

    grid = grid_at(11.45, 41.80, 24_000.0, 100.0)
    move = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    x0, y0 = move.transform(11.45, 41.80)

    def hills(x: Any, y: Any) -> Any:
        return 300.0 + 250.0 * np.sin((x - x0) / 2000.0) * np.cos((y - y0) / 3000.0)

    dem = make_dem(folder / "hills.tif", grid, hills, step=20.0)
    places = [(11.45 + dx, 41.80 + dy) for dx, dy in rng.uniform(-0.09, 0.09, (20, 2))]
    targets = [(*p, float(hills(*move.transform(*p)))) for p in places]
    copy = copy_with_targets(samples / SAFE_SLC, folder / "hills", targets)
    options = ReadOptions(dem=dem, dem_geoid_m=0.0, remove_noise=False)
    found = safe_offsets(Sentinel1Safe.open(copy, options), targets)
    yield "genuine SLC, made hills, elevation model", found

    for name in (SAFE_GRD, SAFE_SLC):
        kind = "GRD" if "GRD" in name else "SLC"
        ties = read_annotation(read_manifest(samples / name).images[0].annotation).ties
        inner = [(i, j) for i in range(1, 9, 2) for j in range(3, 18, 4)]
        targets = [(ties.lon[at], ties.lat[at], ties.height[at]) for at in inner]
        copy = copy_with_targets(samples / name, folder / f"ties {kind}", targets)
        found = safe_offsets(Sentinel1Safe.open(copy, ReadOptions(remove_noise=False)), targets)
        yield f"genuine {kind}, at tie points, geolocation grid", found


def main() -> None:
    """Measure all cases."""
    table = csv.writer(sys.stdout)
    table.writerow(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        safe = itertools.chain(synthetic_safe(root), genuine_safe(root))
        rows = (("sentinel1-safe", case, found, SAFE_GSD_M) for case, found in safe)
        for sensor, case, offsets, gsd in itertools.chain(cases(root), rows):
            px = np.array(offsets)
            figures = (px.mean() * gsd, px.max() * gsd, px.mean(), px.max())
            table.writerow([sensor, case, len(px), gsd, *(f"{value:.3f}" for value in figures)])


if __name__ == "__main__":
    main()
