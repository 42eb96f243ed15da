"""Tell simulated from real Sentinel-1 patches by local statistics: the realism gap, as CSV.

    python benchmarks/measure_realism.py SEN1FLOODS11 WORK > benchmarks/results/realism.csv

SEN1FLOODS11 holds real chips (`S1Hand`: VV and VH in dB, EPSG:4326) and their water (`LabelHand`).
In WORK, worlds are simulated around cities, taken through this package's Sentinel-1 reader with
terrain correction onto 10 m UTM pixels, and from there by nearest neighbour onto a grid like the
chips', which came the same way. Power below `FLOOR` becomes `FLOOR` in both: that far below thermal
noise, what its removal leaves depends on how a processor treats negative numbers.

A random forest learns to part patches of 64 × 64 pixels. Scenes are held out, not patches: each
fold tests on one real chip and on the simulated worlds that stand in its turn. Rows of the CSV:

- "control": the same game with half of the real chips in the part of the simulated ones, mean over
  random halves; what the game yields where nothing is to be found, given so few scenes;
- "all content": all patches;
- "matched": simulated patches drawn so that open water, shores, towns and other land have the
  shares they have among the real ones. Water is the chips' own label where it is dark (flooded
  plants are labelled, too) and the worlds' own truth; towns of the real chips were marked by eye.
  Then the same with one family of statistics alone;
- single statistics of the matched patches: what held-out accuracy loses when one is shuffled, the
  chance that a simulated patch exceeds a real one (area under the curve), and both medians.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from patch_features import patch_features
from scipy.ndimage import uniform_filter
from scipy.stats import mannwhitneyu
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score

from conftest import hardware
from sarknowlip.geo.warp import warp
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.city import SimulationConfig, simulate
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.world.config import WorldConfig

CITIES = ("Khulna", "Phnom Penh", "Kumasi", "Ahmedabad", "Larkana", "Mogadishu", "Huelva", "Tamale")
SIZE_KM = 8.0
PATCH_PX = 64
FLOOR = 10**-3.0
DEGREES = 8.983152841195215e-05
WATER, BUILT = 80, 50
SHORE, OPEN, TOWN = 0.05, 0.5, 0.05
"""Least share of water at a shore and in open water; greatest share of towns elsewhere."""
DARK = 10**-1.4
"""Mean VV that no open water of the real chips exceeds: their labels hold flooded plants, too."""
TOWNS = {"Spain_6860600": (*((0, k) for k in range(5)), (1, 0), (3, 0), (3, 1), (4, 0), (4, 1))}
"""Patches (row, column) of real chips that show a town, judged by eye."""
KEPT = 12
"""Single statistics that are listed."""
HALVES = 6
"""Random halves of the control."""

Patch = dict[str, Any]
Scenes = list[list[Patch]]


def patches(power: np.ndarray, water: np.ndarray, town: np.ndarray) -> list[Patch]:
    """Return statistics ("found"), place and kind of all patches without gaps.

    Args:
        power: VV and VH, shape (2, rows, columns).
        water: Whether pixels are water, shape (rows, columns).
        town: Whether pixels are built-up.
    """
    rows = []
    for i in range(power.shape[1] // PATCH_PX):
        for j in range(power.shape[2] // PATCH_PX):
            part = np.s_[i * PATCH_PX : (i + 1) * PATCH_PX, j * PATCH_PX : (j + 1) * PATCH_PX]
            pixels = power[:, *part]
            if not np.isfinite(pixels).all():
                continue
            wet = water[part].mean()
            kind = "town" if town[part].mean() > TOWN else "land"
            kind = "open water" if wet >= OPEN else "shore" if wet >= SHORE else kind
            found = patch_features(np.maximum(pixels, FLOOR), ("VV", "VH"))
            rows.append({"kind": kind, "place": (i, j), "found": found})
    return rows


def real_scenes(folder: Path) -> Scenes:
    """Return each chip's patches."""
    scenes = []
    for path in sorted(folder.glob("S1Hand/*_S1Hand.tif")):
        product = open_product(path)
        power = product.power(product.grid)
        name = path.name.removesuffix("_S1Hand.tif")
        with rasterio.open(folder / f"LabelHand/{name}_LabelHand.tif") as labels:
            water = labels.read(1) == 1
        water &= uniform_filter(power[0], 7) < DARK
        town = np.zeros(water.shape, dtype=bool)
        for i, j in TOWNS.get(name, ()):
            town[i * PATCH_PX : (i + 1) * PATCH_PX, j * PATCH_PX : (j + 1) * PATCH_PX] = True
        scenes.append(patches(power, water, town))
    return scenes


def simulation(number: int) -> SimulationConfig:
    """Return a world and view of their own for each city: wind, soil, relief and angle vary."""
    return SimulationConfig(
        world=WorldConfig(
            city=CITIES[number], seed=number, size_km=SIZE_KM, relief_m=4.0 + 4.0 * number
        ),
        views=(
            AcquireConfig(
                orbit_state=("ascending", "descending")[number % 2],
                incidence_deg=31.0 + 1.9 * ((3 * number) % 8),
                conditions=Conditions(
                    wind_speed=2.0 + number % 4, soil_moisture=0.1 + 0.03 * ((5 * number) % 8)
                ),
            ),
        ),
    )


def simulated_scene(work: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return VV and VH of a city on a grid like the chips', and its land cover."""
    config = simulation(number)
    out = work / f"{number}_{CITIES[number].replace(' ', '')}"
    stored = out / "chip.npz"
    if not stored.is_file():
        report = simulate(config, out)
        dem = report.truth[0] / "dem.tif"
        product = open_product(report.products[0], ReadOptions(quantity="sigma0", dem=dem))
        with rasterio.open(report.truth[0] / "landcover.tif") as truth:
            utm = GeoBox(truth.shape, truth.transform, truth.crs)
            cover = truth.read()
        place = config.world.place
        edge = int(SIZE_KM * 97)
        corner = place.lon - edge / 2 * DEGREES, place.lat + edge / 2 * DEGREES
        matrix = Affine(DEGREES, 0, corner[0], 0, -DEGREES, corner[1])
        chip = GeoBox((edge, edge), matrix, "EPSG:4326")
        power = warp(product.power(utm), utm, chip, "nearest")
        cover = warp(cover.astype(np.float32), utm, chip, "nearest")[0]
        np.savez(stored, power=power, cover=cover)
    found = np.load(stored)
    return found["power"], found["cover"]


def simulated_patches(work: Path, number: int) -> list[Patch]:
    """Return a city's patches."""
    power, cover = simulated_scene(work, number)
    return patches(power, cover == WATER, cover == BUILT)


def matched(real: Scenes, simulated: Scenes) -> Scenes:
    """Return simulated patches whose kinds have the same shares as among the real ones."""
    wanted = Counter(patch["kind"] for scene in real for patch in scene)
    present = Counter(patch["kind"] for scene in simulated for patch in scene)
    factor = min(present[kind] / count for kind, count in wanted.items())
    random = np.random.default_rng(0)
    drawn = set()
    for kind, count in sorted(wanted.items()):
        places = [
            (s, p)
            for s, scene in enumerate(simulated)
            for p, patch in enumerate(scene)
            if patch["kind"] == kind
        ]
        number = min(round(factor * count), len(places))
        drawn |= {places[k] for k in random.permutation(len(places))[:number]}
    return [
        [patch for p, patch in enumerate(scene) if (s, p) in drawn]
        for s, scene in enumerate(simulated)
    ]


def held_out(
    real: Scenes, simulated: Scenes, names: list[str], *, costly: bool = False
) -> tuple[float, dict[str, float]]:
    """Return balanced accuracy over all held-out patches.

    Args:
        real: Patches by scene.
        simulated: Likewise.
        names: Statistics to use.
        costly: Whether to find what shuffling of each statistic costs, the second result.
    """
    truth, told, costs = [], [], []
    for fold in range(len(real)):
        train: tuple[list[Any], list[int]] = [], []
        test: tuple[list[Any], list[int]] = [], []
        for label, scenes in ((0, real), (1, simulated)):
            for i, scene in enumerate(scenes):
                x, y = test if i % len(real) == fold else train
                x.extend([patch["found"][name] for name in names] for patch in scene)
                y.extend([label] * len(scene))
        forest = RandomForestClassifier(200, class_weight="balanced", random_state=fold)
        forest.fit(*train)
        truth.extend(test[1])
        told.extend(forest.predict(test[0]))
        if costly and len(set(test[1])) == 2:
            cost = permutation_importance(
                forest, *test, scoring="balanced_accuracy", n_repeats=3, random_state=fold
            )
            costs.append(cost.importances_mean)
    mean = dict(zip(names, np.mean(costs, axis=0), strict=True)) if costs else {}
    return float(balanced_accuracy_score(truth, told)), mean


def control(real: Scenes, names: list[str]) -> float:
    """Return the mean balanced accuracy at telling random halves of the real chips apart."""
    found = []
    for seed in range(HALVES):
        order = np.random.default_rng(seed).permutation(len(real))
        half = len(real) // 2
        one, other = ([real[k] for k in part] for part in (order[:half], order[half : 2 * half]))
        found.append(held_out(one, other, names)[0])
    return float(np.mean(found))


def column(scenes: Scenes, name: str) -> list[float]:
    """Return one statistic of all patches."""
    return [patch["found"][name] for scene in scenes for patch in scene]


def main() -> None:
    """Measure and print."""
    data, work = Path(sys.argv[1]), Path(sys.argv[2])
    real = real_scenes(data)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        numbers = range(len(CITIES))
        simulated = list(pool.map(simulated_patches, [work] * len(CITIES), numbers))
    drawn = matched(real, simulated)
    names = sorted(real[0][0]["found"])
    machine = hardware()
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(
        [
            "what",
            "balanced_accuracy",
            "cost_of_shuffling",
            "area_under_curve",
            "real",
            "simulated",
            *list(machine),
        ]
    )

    def row(what: str, *values: Any) -> None:
        table.writerow([what, *values, *machine.values()])

    counts = [sum(map(len, scenes)) for scenes in (real, simulated)]
    row("control", f"{control(real, names):.3f}", "", "", counts[0], "")
    row("all content", f"{held_out(real, simulated, names)[0]:.3f}", "", "", *counts)
    counts[1] = sum(map(len, drawn))
    accuracy, costs = held_out(real, drawn, names, costly=True)
    row("matched", f"{accuracy:.3f}", "", "", *counts)
    for family in sorted({name.split("/")[0] for name in names}):
        some = [name for name in names if name.startswith(f"{family}/")]
        row(f"matched: {family}", f"{held_out(real, drawn, some)[0]:.3f}", "", "", *counts)
    for kind in ("land", "open water", "shore", "town"):
        both = [sum(patch["kind"] == kind for s in x for patch in s) for x in (real, drawn)]
        row(f"patches: {kind}", "", "", "", *both)
    for name in sorted(costs, key=costs.__getitem__, reverse=True)[:KEPT]:
        a, b = column(real, name), column(drawn, name)
        area = mannwhitneyu(b, a).statistic / (len(a) * len(b))
        medians = f"{np.median(a):.3f}", f"{np.median(b):.3f}"
        row(name, "", f"{costs[name]:.3f}", f"{area:.3f}", *medians)


if __name__ == "__main__":
    main()
