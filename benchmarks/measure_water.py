"""Print how the water found in Sen1Floods11 chips agrees with the hand labels, as CSV.

    python benchmarks/measure_water.py FOLDER > water.csv

FOLDER holds `S1Hand` and `LabelHand`. Pixels without label (−1) or without data don't count. IoU is
empty where neither map nor label has water.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import rasterio

from sarknowlip.knowledge.looks import equivalent_looks
from sarknowlip.knowledge.surface import map_surfaces
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.sensors.geotiff import GeoTiffProduct
from sarknowlip.sar.tile import TileImage

COLUMNS = (
    "chip", "labelled_share", "iou", "precision", "recall", "found_share", "label_share",
    "confidence", "origin",
)  # fmt: skip


def chips(folder: Path) -> list[tuple[TileImage, np.ndarray]]:
    """Return the tiles with their labels: −1 unknown, 0 land, 1 water."""
    found = []
    for path in sorted((folder / "S1Hand").glob("*_S1Hand.tif")):
        product = GeoTiffProduct.open(path)
        assert product.grid is not None
        db = power_to_db(product.power(product.grid))
        name = path.stem.removesuffix("_S1Hand")
        tile = TileImage(name, db, product.grid, product.acquisition, product.radiometry)
        with rasterio.open(folder / "LabelHand" / f"{name}_LabelHand.tif") as source:
            found.append((tile, source.read(1)))
    return found


def main() -> None:
    """Measure all chips."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for tile, label in chips(Path(sys.argv[1])):
        looks = equivalent_looks(tile.power[0], tile.valid) or 1.0
        surfaces = map_surfaces(tile, looks)
        known = (label >= 0) & tile.valid
        if surfaces is None or not known.any():
            table.writerow([tile.id, f"{known.mean():.3f}", *[""] * 7])
            continue
        found, truth = surfaces.masks["water"] & known, (label == 1) & known
        both = np.count_nonzero(found & truth)
        counts = [np.count_nonzero(part) for part in (found | truth, found, truth)]
        scores = [f"{both / count:.3f}" if count else "" for count in counts]
        shares = [f"{count / known.sum():.4f}" for count in counts[1:]]
        origins = "+".join(sorted({threshold.origin for threshold in surfaces.thresholds}))
        table.writerow(
            [
                tile.id,
                f"{known.mean():.3f}",
                *scores,
                *shares,
                f"{surfaces.confidence['water']:.3f}",
                origins,
            ]
        )


if __name__ == "__main__":
    main()
