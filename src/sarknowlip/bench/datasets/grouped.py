"""Groups that stay together: published splits kept, others dealt, near-duplicates joined.

The perceptual hash is of the discrete cosine transform (Zauner, Implementation and benchmarking of
perceptual image hash functions, 2010): sign of the low frequencies of a small grey picture against
their median. A mirrored or turned copy is found because one of the two is hashed in all eight
symmetries of the square.

Legend of array names: N pictures, S symmetries, B bits, W words of 64 bits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sarknowlip.bench.dataset import Part
from sarknowlip.core.hashing import unit_interval

EDGE = 32
"""Pixels along the small picture."""
FREQUENCIES = 16
"""Rows and columns of low frequencies; all but the mean become bits: 255."""
CHUNK = 256
"""Pictures compared with all others at a time."""

Words = npt.NDArray[np.uint64]


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


def perceptual_hashes(pictures: Iterable[npt.NDArray[np.uint8]]) -> tuple[Words, Words]:
    """Return the hash of each picture (N, W), and of each of its eight symmetries (N, S, W)."""
    small = [
        np.asarray(
            Image.fromarray(picture).resize((EDGE, EDGE), Image.Resampling.BOX), dtype=np.float32
        )
        for picture in pictures
    ]
    if not small:
        return np.zeros((0, 4), np.uint64), np.zeros((0, 8, 4), np.uint64)
    thumbs = np.stack(small)
    turned_NSW = np.stack(
        [
            _hashed(np.rot90(side, turns, (1, 2)))
            for side in (thumbs, thumbs[:, :, ::-1])
            for turns in range(4)
        ],
        axis=1,
    )
    return turned_NSW[:, 0], turned_NSW


def _hashed(thumbs: npt.NDArray[np.float32]) -> Words:
    waves = dctn(thumbs, axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES]
    waves_NB = waves.reshape(len(thumbs), -1)[:, 1:]
    bits_NB = waves_NB > np.median(waves_NB, axis=1, keepdims=True)
    packed = np.packbits(np.pad(bits_NB, ((0, 0), (0, 1))), axis=1)
    return np.ascontiguousarray(packed).view(np.uint64)


def near_duplicates(
    hash_NW: Words, turned_NSW: Words, most_bits: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Join pictures whose hashes differ little, in whatever symmetry.

    Args:
        hash_NW: Hashes.
        turned_NSW: Hashes of all symmetries.
        most_bits: Bits of 255 that near-duplicates may differ in.

    Returns:
        Number of the group of each picture (N,), counted in the order of first members, and how
        many pairs were joined.
    """
    first: list[npt.NDArray[np.intp]] = [np.zeros(0, np.intp)]
    second: list[npt.NDArray[np.intp]] = [np.zeros(0, np.intp)]
    count = len(hash_NW)
    for start in range(0, count, CHUNK):
        rows = hash_NW[start : start + CHUNK]
        close = np.zeros((len(rows), count), dtype=bool)
        for turned_NW in np.moveaxis(turned_NSW, 1, 0):
            differing = sum(
                np.bitwise_count(rows[:, None, word] ^ turned_NW[None, :, word]).astype(np.int16)
                for word in range(rows.shape[1])
            )
            close |= differing <= most_bits
        i, j = np.nonzero(close)
        ahead = i + start < j
        first.append(i[ahead] + start)
        second.append(j[ahead])
    i, j = np.concatenate(first), np.concatenate(second)
    links = coo_array((np.ones(len(i), bool), (i, j)), shape=(count, count))
    _, label_N = connected_components(links, directed=False)
    _, place = np.unique(label_N, return_index=True)
    order = np.argsort(np.argsort(place, kind="stable"), kind="stable")
    return order[label_N].astype(np.int64), len(i)
