"""Print how ships found by the image source agree with truth, as CSV.

    python benchmarks/measure_ships.py HRSID_FOLDER [WORLD ...] > ships.csv

HRSID_FOLDER holds `images` and `masks` (HRSID, Wei et al. 2020). A labelled ship is an 8-connected
part of the mask, its box that of the part: ships that touch count as one. Found ships are the
targets that the image source calls ship candidates ("open water") or all targets ("any ground").
Boxes are matched greedily, best overlap first, at an intersection over union of 0.3. Images in even
places of the list sorted by name were looked at in development ("development"), those in odd places
were not ("held out"); both halves hold cuts of the same products.

HRSID gives no georeference: tiles lie on a made-up grid of 3 m, the resolution of the Sentinel-1
stripmap products that most of its images come from, and values are 8-bit amplitudes without
calibration.

A WORLD is a folder of `sarknowlip simulate`. A ship counts as in open water when nine tenths of the
ground within 100 m of it are water; found ships are matched when the centre of the one lies within
half a length and 30 m of the other's. "count" is the mean absolute error of the number of ships in
a tile, over tiles with open water on more than a tenth.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image
from scipy.ndimage import find_objects, label

from sarknowlip.knowledge.evidence import Box, Facts
from sarknowlip.knowledge.sources.image import ImageSource
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage

COLUMNS = (
    "data",
    "part",
    "ground",
    "images",
    "labelled",
    "found",
    "matched",
    "precision",
    "recall",
)
GSD_M = 3.0
LEAST_IOU = 0.3


def hrsid_tile(path: Path) -> TileImage:
    """Return an image as an uncalibrated tile; amplitude 0 counts as half a step."""
    with Image.open(path) as image:
        amplitude = np.maximum(np.asarray(image.convert("L"), dtype=np.float32), 0.5)
    box = GeoBox(amplitude.shape, Affine(GSD_M, 0, 500_000, 0, -GSD_M, 3_500_000), "EPSG:32651")
    return TileImage(
        path.stem,
        20.0 * np.log10(amplitude)[None],
        box,
        Acquisition(polarizations=("VV",)),
        Radiometry(quantity="amplitude", calibrated=False),
    )


def labelled_boxes(path: Path) -> list[Box]:
    """Return the boxes of the connected parts of a mask image."""
    with Image.open(path) as image:
        parts, _ = label(np.asarray(image.convert("L")) > 0, np.ones((3, 3), dtype=bool))
    return [(c.start, r.start, c.stop, r.stop) for r, c in find_objects(parts)]


def found_boxes(tile: TileImage) -> tuple[list[Box], list[Box]]:
    """Return the boxes of ship candidates and of all listed targets."""
    facts = Facts(ImageSource(listed=10_000).evidence(tile))
    ships, targets = [], []
    for subject in facts.subjects("target/"):
        fact = facts.find(subject, "column")
        assert fact is not None
        assert fact.bbox_px is not None
        targets.append(fact.bbox_px)
        if facts.label(subject, "water_beside") == "ship candidate":
            ships.append(fact.bbox_px)
    return ships, targets


def matches(found: list[Box], truth: list[Box]) -> int:
    """Return how many boxes match one to one, best overlap first."""
    overlap = np.array([[iou(a, b) for b in truth] for a in found]).reshape(len(found), len(truth))
    count = 0
    while overlap.size and overlap.max() >= LEAST_IOU:
        row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
        overlap[row, :] = overlap[:, column] = -1.0
        count += 1
    return count


def iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    sizes = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return shared / (sum(sizes) - shared)


@dataclass
class Tally:
    """Sums over images."""

    images: int = 0
    labelled: int = 0
    found: int = 0
    matched: int = 0

    def add(self, labelled: int, found: int, matched: int) -> None:
        """Count an image."""
        self.images += 1
        self.labelled += labelled
        self.found += found
        self.matched += matched

    def cells(self) -> list[str]:
        """Return the columns from `images` on; a share of nothing is empty."""
        shares = [f"{self.matched / n:.3f}" if n else "" for n in (self.found, self.labelled)]
        return [str(n) for n in (self.images, self.labelled, self.found, self.matched)] + shares


def measure_hrsid(folder: Path) -> dict[tuple[str, str], Tally]:
    """Return tallies by half and ground."""
    tallies: dict[tuple[str, str], Tally] = {}
    for place, path in enumerate(sorted((folder / "images").glob("*.jpg"))):
        truth = labelled_boxes(folder / "masks" / f"{path.stem}.png")
        half = "held out" if place % 2 else "development"
        boxes = found_boxes(hrsid_tile(path))
        for ground, found in zip(("open water", "any ground"), boxes, strict=True):
            count = matches(found, truth)
            if "-v" in sys.argv and half == "development" and ground == "open water":
                print(path.stem, len(truth), len(found), len(boxes[1]), count, file=sys.stderr)
            for part in (half, "all"):
                tallies.setdefault((part, ground), Tally()).add(len(truth), len(found), count)
    return tallies


def main() -> None:
    """Measure."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for (part, ground), tally in measure_hrsid(Path(sys.argv[1])).items():
        table.writerow(["hrsid", part, ground, *tally.cells()])


if __name__ == "__main__":
    main()
