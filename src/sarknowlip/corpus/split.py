"""Geographic-block split: train, validation and test never share ground.

A block is a cell of a global grid of nearly square cells, found from a tile's centre. Tiles that
overlap on the ground although their centres fall into different blocks (other projections, other
grids) tie their blocks together, so that a whole chain goes to one split. A block's split follows
from a hash of its name: it does not depend on the order of scenes, and a block once in the test set
stays there when the corpus grows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
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

    When chance leaves the test (then the validation) set empty although there are blocks enough,
    the group nearest to the threshold moves there; adding scenes later can only move such a group
    back to training, never a training group into an existing test set.

    Args:
        blocks: Block of each tile.
        footprints: Footprint of each tile in WGS 84.
        config: Shares and salt.
    """
    groups = _tie_overlapping(blocks, footprints)
    luck = {group: unit_interval(config.salt, group) for group in set(groups.values())}
    ranked = sorted(luck, key=lambda group: luck[group])
    chosen: dict[str, Split] = {group: _by_luck(luck[group], config) for group in ranked}
    if config.test > 0 and len(ranked) >= 2 and "test" not in chosen.values():
        chosen[ranked[0]] = "test"
    if config.val > 0 and len(ranked) >= 3 and "val" not in chosen.values():
        rest = [group for group in ranked if chosen[group] == "train"]
        if len(rest) >= 2:
            chosen[rest[0]] = "val"
    return [chosen[groups[block]] for block in blocks]


def shared_ground(
    splits: Sequence[Split], footprints: Sequence[BaseGeometry]
) -> list[tuple[int, int]]:
    """Return pairs of tiles that overlap on the ground but lie in different splits."""
    pairs = _overlapping(footprints)
    return [(i, j) for i, j in pairs if splits[i] != splits[j]]


def _by_luck(value: float, config: SplitConfig) -> Split:
    if value < config.test:
        return "test"
    return "val" if value < config.test + config.val else "train"


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


def _tie_overlapping(
    blocks: Sequence[str], footprints: Sequence[BaseGeometry]
) -> Mapping[str, str]:
    """Return the group (its alphabetically first block) of each block."""
    names = sorted(set(blocks))
    index = {name: position for position, name in enumerate(names)}
    edges = [(index[blocks[i]], index[blocks[j]]) for i, j in _overlapping(footprints)]
    edges = [(a, b) for a, b in edges if a != b]
    if not edges:
        return {name: name for name in names}
    rows, columns = np.asarray(edges).T
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(len(names), len(names)))
    _, labels = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for name, label in zip(names, labels, strict=True):
        first.setdefault(int(label), name)
    return {name: first[int(label)] for name, label in zip(names, labels, strict=True)}
