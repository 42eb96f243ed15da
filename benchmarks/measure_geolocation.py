"""Print how far point targets of known place are from where a map grid shows them, as CSV.

Products are the synthetic ones of the tests; targets were imaged from measured distances, not with
the sensor models that are measured here. Offsets are distances in metres and in output pixels.

    python benchmarks/measure_geolocation.py [GSD_M] > geolocation.csv
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from data.elevation.make import make_dem
from data.sicd.make import ROME, Target, collect, make_sicd
from data.sicd.targets import GSD_M, find_all, grid_at, targets_around
from data.sidd.make import make_sidd
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors.sicd import SicdProduct
from sarknowlip.sar.sensors.sidd import SiddProduct

SYDNEY, SVALBARD = (-33.86, 151.21, 40.0), (78.22, 15.65, 30.0)
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


def main() -> None:
    """Measure all cases."""
    table = csv.writer(sys.stdout)
    table.writerow(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        for sensor, case, offsets, gsd in cases(Path(folder)):
            px = np.array(offsets)
            figures = (px.mean() * gsd, px.max() * gsd, px.mean(), px.max())
            table.writerow([sensor, case, len(px), gsd, *(f"{value:.3f}" for value in figures)])


if __name__ == "__main__":
    main()
