"""Folds: parts of the training split, by geographic block, so that some of it can be left out.

The fold of a block follows from its name and a seed alone: it stays as it is whatever else the
corpus holds, in whatever order. Tiles of one block are in one fold. Tiles of two blocks that
overlap a little at the blocks' border, and share a split for it, may be in two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from sarknowlip.core.config import Config
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.hashing import unit_interval
from sarknowlip.corpus.catalog import Catalog

BLOCK = "sarknowlip:block"
"""Column of the catalog."""


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
    """Return the tiles of a corpus, of any split, whose block is not in the fold left out.

    Args:
        root: Corpus folder.
        fold: Which fold is left out.

    Raises:
        CorpusError: The catalog is absent or damaged.
    """
    path = Catalog(root).path
    try:
        table = pq.read_table(path, columns=["id", BLOCK])
        ids, blocks = table["id"].to_pylist(), table[BLOCK].to_pylist()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise CorpusError(f"cannot read {path}: {error}", "rebuild the corpus") from error
    out = {
        block for block in set(blocks) if fold_of(block, fold.folds, fold.seed) == fold.leave_out
    }
    return frozenset(
        tile_id for tile_id, block in zip(ids, blocks, strict=True) if block not in out
    )
