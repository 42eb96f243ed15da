"""Groups that stay together: published splits kept, others dealt, look-alikes joined.

Legend of array names: N pictures, D numbers of a fingerprint.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.fingerprint import Floats32, alike
from sarknowlip.core.hashing import unit_interval


def dealt(
    groups: Sequence[str],
    kinds: Sequence[object] | None = None,
    *,
    share: float = 0.3,
    salt: str = "",
) -> frozenset[str]:
    """Return the groups of a test part, about a share of the items of each kind.

    Groups of a kind are taken in the order of a hash of their names until they hold the share;
    both parts get a group of every kind that has two, and each part at least one group if there
    are two. The outcome depends on names and sizes of groups alone.

    Args:
        groups: Group of each item.
        kinds: Class of each item, for parts of like composition; a group's kind is its most common
            one. None deals all alike.
        share: Of items in the test part, between 0 and 1.
        salt: Name of the set.
    """

    def luck(name: str) -> tuple[float, str]:
        return unit_interval("test part", salt, name), name

    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for group, kind in zip(groups, kinds or [""] * len(groups), strict=True):
        seen[group][str(kind)] += 1
    by_kind: dict[str, list[str]] = defaultdict(list)
    for group, counts in seen.items():
        by_kind[min(counts, key=lambda kind: (-counts[kind], kind))].append(group)
    test: set[str] = set()
    for members in by_kind.values():
        members.sort(key=luck)
        wanted = share * sum(seen[name].total() for name in members)
        held = 0.0
        for name in members[:-1]:
            if held >= wanted:
                break
            test.add(name)
            held += seen[name].total()
    if not test and len(seen) > 1:
        test.add(min(seen, key=luck))
    return frozenset(test)


def kept_apart(
    scenes: Sequence[str], parts: Sequence[Part]
) -> tuple[tuple[str, ...], frozenset[str], int]:
    """Return groups that follow a published split.

    A scene that its authors cut on both sides becomes two groups; the third value says of how many
    scenes that is so, for a note.

    Args:
        scenes: Scene of each item.
        parts: Part of each item, as published.

    Returns:
        Group of each item, groups of the test part, scenes in both parts.
    """
    sides: dict[str, set[Part]] = defaultdict(set)
    for scene, part in zip(scenes, parts, strict=True):
        sides[scene].add(part)
    both = {scene for scene, found in sides.items() if len(found) > 1}
    groups = tuple(
        f"{scene} ({part})" if scene in both else scene
        for scene, part in zip(scenes, parts, strict=True)
    )
    test = frozenset(g for g, part in zip(groups, parts, strict=True) if part == "test")
    return groups, test, len(both)


def look_alikes(prints_ND: Floats32, least: float) -> tuple[npt.NDArray[np.int64], int]:
    """Join pictures that look alike, and those that look like these.

    Args:
        prints_ND: Fingerprints of pictures (`bench.fingerprint`).
        least: Correlation from which two are joined.

    Returns:
        Number of the group of each picture (N,), counted in the order of first members, and how
        many pairs were joined.
    """
    nothing = np.zeros(0, np.int64)
    found = [(nothing, nothing), *((i, j) for i, j, _ in alike(prints_ND, prints_ND, least))]
    first, second = (np.concatenate(side) for side in zip(*found, strict=True))
    pair = first < second
    links = coo_array(
        (np.ones(pair.sum(), bool), (first[pair], second[pair])), shape=(len(prints_ND),) * 2
    )
    _, label_N = connected_components(links, directed=False)
    _, place = np.unique(label_N, return_index=True)
    order = np.argsort(np.argsort(place, kind="stable"), kind="stable")
    return order[label_N].astype(np.int64), int(pair.sum())
