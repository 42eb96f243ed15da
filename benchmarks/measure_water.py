"""Print how the water found in Sen1Floods11 chips agrees with the hand labels, as CSV.

    python benchmarks/measure_water.py FOLDER > water.csv

FOLDER holds `S1Hand` and `LabelHand`. Pixels without label (−1) or without data don't count. IoU is
empty where neither map nor label has water. `said_share` is what the texts say of water, from
claims: a share, "absent" as 0, or what dominant land leaves (`said_by`); empty where no claim is
made. It is of all valid pixels, as texts are, the labelled share of labelled ones. The last row has
the mean absolute error of what is said, and the number of labelled chips with and without a claim.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import rasterio

from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.knowledge.looks import equivalent_looks
from sarknowlip.knowledge.surface import map_surfaces
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.sensors.geotiff import GeoTiffProduct
from sarknowlip.sar.tile import TileImage

COLUMNS = (
    "chip", "labelled_share", "iou", "precision", "recall", "found_share", "label_share",
    "confidence", "origin", "said_share", "said_by", "said_error",
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


def said(annotator: TileAnnotator, tile: TileImage) -> tuple[float | None, str]:
    """Return the share of water that is claimed, and by which predicate."""
    (annotation,) = annotator.annotate([tile])
    told = {
        (claim.predicate, claim.arguments["surface"]): claim.arguments.get("share_pct", 0)
        for claim in annotation.claims
        if claim.predicate in {"surface_share", "dominant_surface", "surface_absent"}
    }
    for (predicate, surface), percent in told.items():
        if surface == "water":
            return percent / 100, predicate
    land = told.get(("dominant_surface", "land"))
    return (None, "") if land is None else (1 - land / 100, "dominant_surface land")


def main() -> None:
    """Measure all chips."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    annotator = TileAnnotator(AnnotateConfig(sources=("image",)))
    errors: list[float] = []
    silent = 0
    for tile, label in chips(Path(sys.argv[1])):
        looks = equivalent_looks(tile.power[0], tile.valid) or 1.0
        surfaces = map_surfaces(tile, looks)
        known = (label >= 0) & tile.valid
        if surfaces is None or not known.any():
            table.writerow([tile.id, f"{known.mean():.3f}", *[""] * 10])
            continue
        found, truth = surfaces.masks["water"] & known, (label == 1) & known
        both = np.count_nonzero(found & truth)
        counts = [np.count_nonzero(part) for part in (found | truth, found, truth)]
        scores = [f"{both / count:.3f}" if count else "" for count in counts]
        shares = [f"{count / known.sum():.4f}" for count in counts[1:]]
        origins = "+".join(sorted({threshold.origin for threshold in surfaces.thresholds}))
        share, by = said(annotator, tile)
        error = None if share is None else abs(share - counts[2] / known.sum())
        silent += error is None
        errors += [] if error is None else [error]
        table.writerow(
            [
                tile.id,
                f"{known.mean():.3f}",
                *scores,
                *shares,
                f"{surfaces.confidence['water']:.3f}",
                origins,
                "" if share is None else f"{share:.2f}",
                by,
                "" if error is None else f"{error:.4f}",
            ]
        )
    mean = f"{np.mean(errors):.4f}" if errors else ""
    table.writerow([f"all: {len(errors)} with a claim, {silent} without", *[""] * 10, mean])


if __name__ == "__main__":
    main()
