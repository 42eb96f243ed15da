"""Folds: parts of the training split, by geographic block, so that some of it can be left out.

The fold of a block follows from its name and a seed alone: it stays as it is whatever else the
corpus holds, in whatever order. Tiles of one block are in one fold. Tiles of two blocks may overlap
on the ground (tiles of several sizes, native placement, seams between UTM zones) and be in two
folds; where one fold is left out, so is every tile that shares ground with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pydantic import Field, model_validator

from sarknowlip.core.config import Config
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.hashing import unit_interval
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.split import OVERLAP

BLOCK, GEOMETRY = "sarknowlip:block", "geometry"
"""Columns of the catalog."""

Wholes = npt.NDArray[np.int64]


class FoldConfig(Config):
    """Which fold is left out.

    Attributes:
        folds: Number of folds.
        leave_out: The fold that is not seen, from 0.
        seed: Changes which blocks go together.
    """

    folds: Annotated[int, Field(ge=2)]
    leave_out: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _there(self) -> FoldConfig:
        if self.leave_out >= self.folds:
            raise ValueError(f"leave_out={self.leave_out} is not below folds={self.folds}")
        return self


def fold_of(block: str, folds: int, seed: int) -> int:
    """Return the fold of a block, 0 … folds − 1, each equally likely.

    Args:
        block: Name of a geographic block.
        folds: Number of folds.
        seed: Changes which blocks go together.
    """
    return min(folds - 1, int(unit_interval("fold", str(seed), block) * folds))


def tiles_left(root: Path, fold: FoldConfig) -> frozenset[str]:
    """Return the tiles of a corpus, of any split, that share no ground with the fold left out.

    Args:
        root: Corpus folder.
        fold: Which fold is left out.

    Raises:
        CorpusError: The catalog is absent or damaged.
    """
    path = Catalog(root).path
    try:
        table = pq.read_table(path, columns=["id", BLOCK, GEOMETRY])
        ids, blocks = table["id"].to_pylist(), table[BLOCK].to_pylist()
        footprints = shapely.from_wkb(table[GEOMETRY].to_pylist())
    except (pa.ArrowException, shapely.GEOSException, OSError, ValueError, KeyError) as error:
        raise CorpusError(f"cannot read {path}: {error}", "rebuild the corpus") from error
    fold_N = np.array([fold_of(block, fold.folds, fold.seed) for block in blocks])
    out_N = fold_N == fold.leave_out
    seen_N = ~out_N
    seen_N[_sharing(footprints, out_N)] = False
    return frozenset(np.array(ids, dtype=object)[seen_N])


def _sharing(footprints: npt.NDArray[np.object_], out_N: npt.NDArray[np.bool_]) -> Wholes:
    """Return the tiles that are not out but share ground with one that is."""
    out, others = np.flatnonzero(out_N), np.flatnonzero(~out_N)
    other, one = shapely.STRtree(footprints[out]).query(footprints[others], predicate="intersects")
    near = footprints[others[other]], footprints[out[one]]
    smaller = np.minimum(*map(shapely.area, near))
    shares = shapely.area(shapely.intersection(*near)) > OVERLAP * smaller
    found: Wholes = others[np.unique(other[shares])]
    return found
