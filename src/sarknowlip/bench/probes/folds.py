"""Parts of the training rows, by whole groups, so that heads choose their settings within them.

Legend of array names: N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Wholes = npt.NDArray[np.int64]


def deal(groups: Sequence[str], labels_N: Wholes, folds: int) -> Wholes:
    """Return the fold of each row, 0 … folds − 1; rows of one group are in one fold.

    Large groups are dealt first, by size and then name. Each goes to the fold that holds fewest
    rows of the group's most frequent label, and of those to the one with fewest rows. The order of
    rows changes nothing.

    Args:
        groups: Group of each row.
        labels_N: Whole number of each row, so that folds hold like shares of each; zeros if none.
        folds: At least 1; no more than there are groups.
    """
    names, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    labels = np.unique(labels_N, return_inverse=True)[1]
    size = np.bincount(member)
    pairs, counts = np.unique(np.stack([member, labels], axis=1), axis=0, return_counts=True)
    main = np.zeros(len(names), dtype=np.int64)
    for place in np.lexsort((-pairs[:, 1], counts)):  # the last to write is the most frequent
        main[pairs[place, 0]] = pairs[place, 1]
    held = np.zeros((labels.max() + 1, folds), dtype=np.int64)
    rows = np.zeros(folds, dtype=np.int64)
    fold = np.empty(len(names), dtype=np.int64)
    for group in np.lexsort((np.arange(len(names)), -size)):
        own = held[main[group]]
        fold[group] = np.lexsort((rows, own))[0]
        own[fold[group]] += size[group]
        rows[fold[group]] += size[group]
    return fold[member]


def splits(groups: Sequence[str], labels_N: Wholes, most: int) -> Iterator[tuple[Wholes, Wholes]]:
    """Yield rows to learn from and rows to look at, `most` times or once a group if these are few.

    With a single group nothing is yielded: there is nothing to look at that is not of the group.
    """
    folds = min(most, len(set(groups)))
    if folds < 2:
        return
    fold_N = deal(groups, labels_N, folds)
    for number in range(folds):
        yield np.flatnonzero(fold_N != number), np.flatnonzero(fold_N == number)
