"""Draw simulated beside real images, and what tells them apart.

    python benchmarks/draw_realism.py DATA WORK

DATA holds the real samples (`sen1floods11-sample`, `opensarship`), WORK what measure_realism.py
left there. Writes docs/images/simulated-beside-real.png, and docs/images/realism.png from
benchmarks/results/realism.csv.
"""

from __future__ import annotations

import csv
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import rasterio
from measure_realism import (
    BUILT,
    CITIES,
    WATER,
    column,
    matched,
    real_scenes,
    simulated_patches,
    simulated_scene,
    simulation,
)
from scipy.ndimage import uniform_filter

from sarknowlip.simulate.acquire import Acquisition
from sarknowlip.simulate.city import make_world
from sarknowlip.simulate.image.points import image_positions

mpl.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CROPLAND = 40
# Kind, real chip, first row and column, pixels, grey scale in dB.
ROWS = (
    ("water", "India_900498", (60, 200), 256, (-26.0, -2.0)),
    ("farmland", "Spain_6860600", (250, 250), 192, (-18.0, -2.0)),
    ("urban", "Spain_6860600", (0, 216), 128, (-18.0, 6.0)),
)
COVER = {"water": WATER, "farmland": CROPLAND, "urban": BUILT}
SHARE = {"water": 0.5, "farmland": 1.0, "urban": 0.8}
"""Share of the land cover that the chosen simulated crop comes nearest to."""
SHIPS = "S1A_IW_GRDH_1SDV_20161018T095407_20161018T095432_013543_015ACD_AB15.zip"
SHIP_PX, SHIP_GRID = 32, (2, 3)
"""Pixels of a chip; rows and columns of chips."""
SHIP_DB = (-24.0, 12.0)
LEAST_M = 60.0
"""Least length of the ships that are shown, metres."""


def real_crop(data: Path, name: str, start: tuple[int, int], size: int) -> np.ndarray:
    """Return VV of a chip's part, dB."""
    path = data / f"sen1floods11-sample/S1Hand/{name}_S1Hand.tif"
    with rasterio.open(path) as image:
        found = image.read(1)
    return found[start[0] : start[0] + size, start[1] : start[1] + size]


def simulated_crop(work: Path, kind: str, size: int) -> tuple[np.ndarray, str]:
    """Return VV of the simulated part whose land cover comes nearest to a share, dB."""
    best: tuple[float, int, int, int] | None = None
    for number in range(len(CITIES)):
        cover = simulated_scene(work, number)[1]
        half = size // 2
        share = uniform_filter((cover == COVER[kind]).astype(float), size)
        share = share[half : cover.shape[0] - half, half : cover.shape[1] - half]
        miss = np.abs(share - SHARE[kind])
        i, j = np.unravel_index(miss.argmin(), miss.shape)
        if best is None or miss[i, j] < best[0]:
            best = float(miss[i, j]), number, int(i), int(j)
    assert best is not None
    _, number, i, j = best
    power = simulated_scene(work, number)[0][0, i : i + size, j : j + size]
    return 10 * np.log10(np.maximum(power, 1e-6)), CITIES[number]


def real_ships(path: Path) -> list[tuple[float, np.ndarray]]:
    """Return length and VV (σ⁰) of OpenSARShip's calibrated chips, cut to one size."""
    found = []
    with zipfile.ZipFile(path) as archive:
        inside = archive.namelist()
        tree = ElementTree.fromstring(archive.read(next(n for n in inside if "Ship.xml" in n)))
        for ship in tree.iter("ship"):
            length = float(ship.findtext("AISShipInformation/Length") or 0)
            x, y = (ship.findtext(f"SARShipInformation/Center_{axis}") for axis in ("x", "y"))
            names = [n for n in inside if "Patch_Cal/" in n and n.endswith(f"_x{x}_y{y}.tif")]
            if not names:
                continue
            with rasterio.io.MemoryFile(archive.read(names[0])) as file, file.open() as image:
                vv = np.abs(image.read(image.count)).astype(float)
            if min(vv.shape) < SHIP_PX:
                continue
            top, left = ((n - SHIP_PX) // 2 for n in vv.shape)
            found.append((length, vv[top : top + SHIP_PX, left : left + SHIP_PX]))
    return found


def simulated_ships(work: Path) -> list[tuple[float, np.ndarray]]:
    """Return length and VV (σ⁰) of ships away from land, as pixels of the SAFE products."""
    found = []
    for number, city in enumerate(CITIES):
        config = simulation(number)
        world = make_world(config.world)
        acquisition = Acquisition.of(world, config.views[0])
        folder = next((work / f"{number}_{city.replace(' ', '')}/products").glob("*.SAFE"))
        with rasterio.open(next(folder.glob("measurement/*-vv-*"))) as image:
            digital = image.read(1).astype(float)
        table = ElementTree.parse(next(folder.glob("annotation/calibration/calibration*-vv-*")))
        text = table.findtext(".//sigmaNought")
        assert text is not None
        power = (digital / np.mean([float(v) for v in text.split()])) ** 2
        targets = world.layers(world.bounds).targets
        ships = targets.take((targets.kind == "ship") & (targets.length >= LEAST_M))
        angle = np.radians(ships.heading)
        rows, columns = image_positions(
            acquisition.grid,
            ships.x,
            ships.y,
            np.asarray(world.height(ships.x, ships.y)),
            vx=ships.speed * np.sin(angle),
            vy=ships.speed * np.cos(angle),
        )
        half = SHIP_PX // 2
        for length, row, col in zip(ships.length, np.rint(rows), np.rint(columns), strict=True):
            i, j = int(row) - half, int(col) - half
            chip = power[max(i, 0) : i + SHIP_PX, max(j, 0) : j + SHIP_PX]
            if chip.shape == (SHIP_PX, SHIP_PX) and np.percentile(chip, 70) < 10**-1.5:
                found.append((float(length), chip))
    return found


def mosaic(ships: list[tuple[float, np.ndarray]], lengths: list[float]) -> tuple[np.ndarray, str]:
    """Return chips whose ships come nearest to given lengths, dB, and the lengths."""
    left = list(ships)
    chosen = []
    for length in lengths[: len(left)]:
        nearest = min(range(len(left)), key=lambda k: abs(left[k][0] - length))
        chosen.append(left.pop(nearest))
    sheet = np.full([n * SHIP_PX for n in SHIP_GRID], np.nan)
    for k, (_, chip) in enumerate(chosen):
        i, j = (v * SHIP_PX for v in divmod(k, SHIP_GRID[1]))
        sheet[i : i + SHIP_PX, j : j + SHIP_PX] = 10 * np.log10(np.maximum(chip, 1e-6))
    return sheet, ", ".join(f"{length:.0f}" for length, _ in chosen)


def draw_pairs(data: Path, work: Path) -> None:
    """Draw water, farmland, towns and ships, real and simulated."""
    figure, axes = plt.subplots(4, 2, figsize=(9, 17), layout="constrained")
    for (kind, name, start, size, grey), pair in zip(ROWS, axes[:3], strict=True):
        made, city = simulated_crop(work, kind, size)
        real = real_crop(data, name, start, size)
        captions = (
            f"{kind}: real, Sen1Floods11 {name}",
            f"{kind}: simulated, world around {city}",
        )
        for axis, image, caption in zip(pair, (real, made), captions, strict=True):
            show(axis, image, grey, f"{caption}\nVV, {size} px, {grey[0]:g} … {grey[1]:g} dB")
    real_all = [s for s in real_ships(data / "opensarship" / SHIPS) if s[0] >= LEAST_M]
    made_all = simulated_ships(work)
    both = [np.array([s[0] for s in ships]) for ships in (real_all, made_all)]
    low = max(v.min() for v in both)
    high = min(v.max() for v in both)
    lengths = list(np.linspace(low, high, SHIP_GRID[0] * SHIP_GRID[1]))
    for axis, ships, caption in zip(
        axes[3], (real_all, made_all), ("real, OpenSARShip", "simulated"), strict=True
    ):
        sheet, text = mosaic(ships, lengths)
        show(axis, sheet, SHIP_DB, f"ships: {caption}; lengths in m by rows\n{text}")
    figure.suptitle(
        "Sentinel-1 IW GRDH. Rows 1-3: EPSG:4326 at 10 m; ships: ground range, 10 m", fontsize=10
    )
    figure.savefig(IMAGES / "simulated-beside-real.png", dpi=80)
    plt.close(figure)


def show(axis: Any, image: np.ndarray, grey: tuple[float, float], title: str) -> None:
    """Show decibels in grey."""
    axis.imshow(image, cmap="gray", vmin=grey[0], vmax=grey[1], interpolation="nearest")
    axis.set_title(title, fontsize=8)
    axis.axis("off")


def draw_gap(data: Path, work: Path) -> None:
    """Draw accuracies, and the distributions of what gives simulated patches away most."""
    with (ROOT / "benchmarks/results/realism.csv").open() as file:
        table = list(csv.DictReader(file))
    accuracies = [row for row in table if row["balanced_accuracy"]]
    single = [row["what"] for row in table if row["area_under_curve"]][:5]
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.4), layout="constrained")
    bars = axes[0, 0]
    labels = [row["what"] for row in accuracies][::-1]
    values = [float(row["balanced_accuracy"]) for row in accuracies][::-1]
    bars.barh(labels, values, color="0.6")
    for place, value in enumerate(values):
        bars.text(value, place, f" {value:.2f}", va="center", fontsize=7)
    bars.axvline(0.5, color="k", lw=0.8, ls="--")
    bars.set_xlim(0.3, 1.0)
    bars.tick_params(labelsize=7)
    bars.set_title("balanced accuracy on held-out scenes", fontsize=9)
    real = real_scenes(data / "sen1floods11-sample")
    made = matched(real, [simulated_patches(work, number) for number in range(len(CITIES))])
    for axis, name in zip(axes.ravel()[1:], single, strict=True):
        both = column(real, name), column(made, name)
        edges = np.linspace(*np.percentile(np.concatenate(both), [1, 99]), 30)
        for values_of, label, colour in zip(
            both, ("real", "simulated, matched"), ("k", "tab:orange"), strict=True
        ):
            axis.hist(values_of, edges, density=True, histtype="step", label=label, color=colour)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.set_yticks([])
    axes[0, 1].legend(fontsize=7)
    figure.savefig(IMAGES / "realism.png", dpi=90)
    plt.close(figure)


def main() -> None:
    """Draw both."""
    data, work = Path(sys.argv[1]), Path(sys.argv[2])
    draw_pairs(data, work)
    draw_gap(data, work)


if __name__ == "__main__":
    main()
