"""Geographic-block split: train, validation and test never share ground.

A block is a cell of a global grid of nearly square cells, found from a tile's centre. Tiles that
overlap on the ground although their centres fall into different blocks (other projections, other
grids) tie their blocks together; a group is a whole chain of tied blocks and goes to one split.

Every block has its own luck, a hash of its name; a group has the least luck of its blocks. So a
group is test if any of its blocks is, else validation if any is, else training, whatever the order
of scenes. New scenes can only add blocks to a group, which only lowers its luck: towards test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import unit_interval
from sarknowlip.corpus.record import Split

KM_PER_DEGREE = 111.195
"""Mean length of one degree of latitude on the WGS 84 ellipsoid."""

OVERLAP = 1e-4
"""Share of the smaller tile above which two tiles share ground; neighbours that only touch differ
by slivers between their projected edges, below 1e-5."""


class SplitConfig(Config):
    """How blocks are made and shared out.

    Attributes:
        block_km: Edge of a block in kilometres.
        val: Share of blocks for validation.
        test: Share of blocks for test.
        salt: Changes the assignment.
    """

    block_km: float = 10.0
    val: float = 0.1
    test: float = 0.2
    salt: str = "sar-geovl"

    def model_post_init(self, context: object, /) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A share outside 0…1, or no share left for training.
        """
        if not 0.01 <= self.block_km <= 1000:
            raise ConfigError(f"block_km={self.block_km} is outside 0.01…1000", "give kilometres")
        if min(self.val, self.test) < 0 or self.val + self.test >= 1:
            raise ConfigError(f"val={self.val} and test={self.test}", "their sum must be below 1")


def block_name(lon: float, lat: float, block_km: float) -> str:
    """Return the name of the block at a point in WGS 84 degrees."""
    rows = max(1, round(180 * KM_PER_DEGREE / block_km))
    row = min(rows - 1, int((lat + 90) / 180 * rows))
    middle = math.radians((row + 0.5) / rows * 180 - 90)
    columns = max(1, round(360 * KM_PER_DEGREE * math.cos(middle) / block_km))
    column = min(columns - 1, int(((lon + 180) % 360) / 360 * columns))
    return f"{block_km:g}km_{row}_{column}"


def assign_splits(
    blocks: Sequence[str], footprints: Sequence[BaseGeometry], config: SplitConfig
) -> list[Split]:
    """Return the split of each tile.

    Groups are ranked by luck; the lowest are test, the next validation, the rest training. Where
    luck leaves a split empty, the ends of these runs move just enough for one group each: first
    for training, then for test (from two groups on), then for validation (from three on).

    When a corpus grows, blocks go from training to validation or test, and from validation to
    test. They go back only where luck leaves a split empty, which no rule without memory avoids:

    - A stand-in, held out only because no group was test (or validation) by luck, goes back when a
      group of less luck comes. With n untied blocks and `test=0.2` that concerns 0.8ⁿ of corpora.
    - Of a grown corpus whose groups are all held out by luck, or that is a single group, the group
      of highest luck trains; where at most one group is not test by luck, the second highest
      validates.

    Args:
        blocks: Block of each tile.
        footprints: Footprint of each tile in WGS 84.
        config: Shares and salt.
    """
    names = sorted(set(blocks))
    groups = _groups(names, blocks, footprints)
    luck = np.ones(len(set(groups.tolist())))
    np.minimum.at(luck, groups, [unit_interval(config.salt, name) for name in names])
    test, held_out = _ends(luck, config)
    ranks = luck.argsort(kind="stable").argsort()[groups].tolist()
    chosen: dict[str, Split] = {
        name: "test" if rank < test else "val" if rank < held_out else "train"
        for name, rank in zip(names, ranks, strict=True)
    }
    return [chosen[block] for block in blocks]


def shared_ground(
    splits: Sequence[Split], footprints: Sequence[BaseGeometry]
) -> list[tuple[int, int]]:
    """Return pairs of tiles that overlap on the ground but lie in different splits."""
    pairs = _overlapping(footprints)
    return [(i, j) for i, j in pairs if splits[i] != splits[j]]


def _ends(luck: npt.NDArray[np.float64], config: SplitConfig) -> tuple[int, int]:
    """Return how many of the groups are test, and how many are test or validation."""
    count = len(luck)
    least_test = int(config.test > 0 and count > 1)
    least_val = int(config.val > 0 and count > 1 + least_test)
    test = int(np.count_nonzero(luck < config.test))
    test = min(max(test, least_test), count - 1 - least_val)
    held_out = int(np.count_nonzero(luck < config.test + config.val))
    return test, min(max(held_out, test + least_val), count - 1)


def _overlapping(footprints: Sequence[BaseGeometry]) -> list[tuple[int, int]]:
    if len(footprints) < 2:
        return []
    first, second = STRtree(list(footprints)).query(list(footprints), predicate="intersects")
    return [
        (int(i), int(j))
        for i, j in zip(first, second, strict=True)
        if i < j and _shared_fraction(footprints[i], footprints[j]) > OVERLAP
    ]


def _shared_fraction(first: BaseGeometry, second: BaseGeometry) -> float:
    return float(first.intersection(second).area / min(first.area, second.area))


def _groups(
    names: Sequence[str], blocks: Sequence[str], footprints: Sequence[BaseGeometry]
) -> npt.NDArray[np.int32]:
    """Return the number of each named block's group, counted from 0."""
    index = {name: position for position, name in enumerate(names)}
    ties = [(index[blocks[i]], index[blocks[j]]) for i, j in _overlapping(footprints)]
    if not ties:
        return np.arange(len(names), dtype=np.int32)
    rows, columns = np.asarray(ties).T
    graph = coo_array((np.ones(len(ties)), (rows, columns)), shape=(len(names), len(names)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int32)
