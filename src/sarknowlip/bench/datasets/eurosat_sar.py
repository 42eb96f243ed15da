"""EuroSAT-SAR: ten classes of land use in Sentinel-1 pictures of 64 × 64 pixels.

No split is published with the pictures. They lie close together, so groups are blocks of ground of
50 km, whose names follow from the place in each file.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import rasterio
from rasterio.warp import transform

from sarknowlip.bench.datasets.grd import grd_reader
from sarknowlip.bench.datasets.grouped import dealt
from sarknowlip.bench.datasets.pictures import listed, unplaced
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example, Label
from sarknowlip.corpus.split import block_name
from sarknowlip.geo.raster import guarded

BLOCK_KM = 50.0


class EuroSatSar(Published):
    """EuroSAT-SAR."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("classification", "few-shot", "zero-shot")

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; headers of pictures are read.

        Raises:
            BenchError: The set is not there or lacks files.
            ProductError: A picture is damaged.
        """
        root = cls.found(data)
        examples: list[Example] = []
        unplaced_count = 0
        for index, name in enumerate(cls.card.classes):
            for path in listed(root / name, (".tif", ".tiff")):
                block = _block(path)
                unplaced_count += block is None
                read = grd_reader(cls.card, path.stem, path)
                examples.append(Example(path.stem, block or path.stem, read, Label(index)))
        if len({example.group for example in examples}) < 2:
            raise cls.absent(data, "pictures in folders named by class")
        kinds = [example.id.rsplit("_", 1)[0] for example in examples]
        held_out = dealt([e.group for e in examples], kinds, salt=cls.card.name)
        notes = [f"{unplaced_count} pictures without a place are groups of their own"]
        return cls(dict.fromkeys(cls.tasks, examples), held_out, notes * bool(unplaced_count))


def _block(path: Path) -> str | None:
    """Return the block of ground of a picture's centre, None where the file has no place."""
    with guarded(path), unplaced(), rasterio.open(path) as source:
        if source.crs is None:
            return None
        edges = source.bounds
        x, y = (edges.left + edges.right) / 2, (edges.bottom + edges.top) / 2
        (lon,), (lat,) = transform(source.crs, "EPSG:4326", [x], [y])
    return block_name(lon, lat, BLOCK_KM)
