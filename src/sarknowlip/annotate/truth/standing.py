"""What stands or floats in a tile, as a radar shows it: what bright targets may be."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from sarknowlip.annotate.truth import tolerance

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """What stands or floats, where a radar shows it: tall things lean towards it.

    Attributes:
        shapes: From foot to top, shape (n,).
        sizes: Length and width in metres and heading in degrees, shape (n, 3).
        reach: What is no farther from a target than that, metres, may be it. What is no farther
            apart than a pixel is one group.
    """

    shapes: npt.NDArray[Any]
    sizes: Floats
    reach: float

    def at(self, point: BaseGeometry) -> npt.NDArray[np.intp]:
        """Return which of them a target at a point may be."""
        return np.asarray(self._tree.query(point, "dwithin", self.reach))

    def longest(self, which: int) -> float:
        """Return the length of the group in which one stands, metres."""
        return float(self._lengths[self._groups[which]])

    @functools.cached_property
    def _lengths(self) -> Floats:
        points, which = shapely.get_coordinates(self.shapes, return_index=True)
        return np.asarray(
            2.0 * shapely.minimum_bounding_radius(strung(points, self._groups[which]))
        )

    @functools.cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.shapes)

    @functools.cached_property
    def _groups(self) -> npt.NDArray[np.int32]:
        one, other = self._tree.query(self.shapes, "dwithin", self.reach / tolerance.TARGET_PX)
        number = len(self.shapes)
        graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(number, number))
        return np.asarray(connected_components(graph, directed=False)[1])


def strung(points: Floats, which: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a line through the points of each index, in the order of these, shape (n,)."""
    order = np.argsort(which, kind="stable")
    return np.asarray(shapely.linestrings(points[order], indices=which[order]))
