"""Tell simulated from real Sentinel-1 patches by local statistics: the realism gap, as CSV.

    python benchmarks/measure_realism.py S1HAND WORK > realism.csv

S1HAND holds Sen1Floods11 chips (`*_S1Hand.tif`: VV and VH in dB, EPSG:4326). In WORK, worlds are
simulated around cities, taken through this package's Sentinel-1 reader with terrain correction onto
10 m UTM pixels, and from there by nearest neighbour onto the chips' grid, as the chips were. A
random forest then learns to part patches of 64 × 64 pixels; scenes, not patches, are held out: each
fold tests on one real chip and on as many simulated worlds as stand in its turn.

The first row is balanced accuracy over held-out scenes with all statistics (0.5: cannot be told
apart); then the same with one family of statistics alone; then the single statistics that held-out
accuracy suffers most from when they are shuffled.
"""

from __future__ import annotations

import csv
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from patch_features import patch_features
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score

from sarknowlip.geo.grid import utm_epsg
from sarknowlip.geo.warp import warp
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.city import SimulationConfig, simulate
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.world.config import WorldConfig

CITIES = ("Khulna", "Phnom Penh", "Kumasi", "Ahmedabad", "Larkana", "Mogadishu", "Huelva", "Tamale")
PATCH_PX = 64
DEGREES = 8.983152841195215e-05
SIZE_KM = 6.0
KEPT = 10
"""Single statistics that are listed."""


def patches(power: np.ndarray) -> list[dict[str, float]]:
    """Return the statistics of all patches without gaps."""
    found = []
    for i in range(0, power.shape[1] - PATCH_PX + 1, PATCH_PX):
        for j in range(0, power.shape[2] - PATCH_PX + 1, PATCH_PX):
            part = power[:, i : i + PATCH_PX, j : j + PATCH_PX]
            if np.isfinite(part).all() and (part > 0).all():
                found.append(patch_features(part, ("VV", "VH")))
    return found


def real_scenes(folder: Path) -> list[list[dict[str, float]]]:
    """Return the statistics of each chip's patches."""
    found = []
    for path in sorted(folder.glob("*_S1Hand.tif")):
        product = open_product(path)
        found.append(patches(product.power(product.grid)))
    return found


def simulated_power(work: Path, number: int, city: str) -> np.ndarray:
    """Return VV and VH of a simulated city on a grid like the chips'."""
    config = SimulationConfig(
        world=WorldConfig(city=city, seed=number, size_km=SIZE_KM),
        views=(
            AcquireConfig(
                orbit_state=("ascending", "descending")[number % 2],
                conditions=Conditions(wind_speed=3.0 + number % 4),
            ),
        ),
    )
    out = work / f"{number}_{city.replace(' ', '')}"
    report = simulate(config, out, bar=lambda _: nullcontext(lambda *_: None), workers=2)
    options = ReadOptions(quantity="sigma0", dem=report.truth[0] / "dem.tif")
    product = open_product(report.products[0], options)
    place = config.world.place
    size = int(SIZE_KM * 100)
    epsg = utm_epsg(place.lon, place.lat)
    bounds = config.world.bounds()
    utm = GeoBox((size, size), Affine(10, 0, bounds.west, 0, -10, bounds.north), f"EPSG:{epsg}")
    edge = int(SIZE_KM * 0.7 * 100)
    half = edge / 2 * DEGREES
    chip = GeoBox(
        (edge, edge),
        Affine(DEGREES, 0, place.lon - half, 0, -DEGREES, place.lat + half),
        "EPSG:4326",
    )
    return warp(product.power(utm), utm, chip, "nearest")


def folds(real: list, simulated: list) -> list[tuple[list[int], list[int]]]:
    """Return numbers of the real and of the simulated scenes that each fold tests on."""
    return [
        ([i], [j for j in range(len(simulated)) if j % len(real) == i]) for i in range(len(real))
    ]


def held_out(real: list, simulated: list, names: list[str]) -> tuple[float, dict[str, float]]:
    """Return balanced accuracy over all held-out patches, and what shuffling a statistic costs."""
    truth, told, costs = [], [], []
    for number, (out_real, out_made) in enumerate(folds(real, simulated)):
        train, test = ([], []), ([], [])
        for label, scenes, out in ((0, real, out_real), (1, simulated, out_made)):
            for i, scene in enumerate(scenes):
                x, y = test if i in out else train
                x.extend([row[name] for name in names] for row in scene)
                y.extend([label] * len(scene))
        if not test[0]:
            continue
        forest = RandomForestClassifier(300, class_weight="balanced", random_state=number)
        forest.fit(*train)
        truth.extend(test[1])
        told.extend(forest.predict(test[0]))
        if len(set(test[1])) == 2:
            cost = permutation_importance(
                forest, *test, scoring="balanced_accuracy", n_repeats=5, random_state=number
            )
            costs.append(cost.importances_mean)
    mean = dict(zip(names, np.mean(costs, axis=0), strict=True))
    return balanced_accuracy_score(truth, told), mean


def main() -> None:
    """Measure and print."""
    real = [scene for scene in real_scenes(Path(sys.argv[1])) if scene]
    simulated = [
        patches(simulated_power(Path(sys.argv[2]), number, city))
        for number, city in enumerate(CITIES)
    ]
    names = sorted(real[0][0])
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["statistics", "balanced_accuracy", "cost_of_shuffling", "real", "simulated"])
    counts = [sum(map(len, scenes)) for scenes in (real, simulated)]
    accuracy, costs = held_out(real, simulated, names)
    table.writerow(["all", f"{accuracy:.3f}", "", *counts])
    for family in sorted({name.split("/")[0] for name in names}):
        some = [name for name in names if name.startswith(f"{family}/")]
        accuracy, _ = held_out(real, simulated, some)
        table.writerow([family, f"{accuracy:.3f}", "", *counts])
    for name in sorted(costs, key=costs.__getitem__, reverse=True)[:KEPT]:
        medians = [
            f"{np.median([row[name] for scene in scenes for row in scene]):.3f}"
            for scenes in (real, simulated)
        ]
        table.writerow([name, "", f"{costs[name]:.3f}", *medians])


if __name__ == "__main__":
    main()
