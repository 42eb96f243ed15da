"""Embedding a corpus: any number of tiles or texts, one batch of pixels in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.infer.encoder import Embeddings, Encoder

Item = TypeVar("Item")


def embed_tiles(
    encoder: Encoder,
    catalog: Catalog,
    records: Sequence[TileRecord],
    batch_size: int = 32,
    *,
    progress: Progress | None = None,
) -> Embeddings:
    """Embed tiles of a corpus.

    Args:
        encoder: Model.
        catalog: Corpus that `records` come from.
        records: Tiles, in the order wanted.
        batch_size: Tiles read and encoded together; the result does not depend on it (to 1e-5).
        progress: Told after every batch.

    Returns:
        Shape (len(records), width), float32, rows of unit length.

    Raises:
        SarKnowlipError: No records are given, or the encoder returns another shape.
        ProductError: A tile is absent or damaged.
    """

    def encode(part: Sequence[TileRecord]) -> Embeddings:
        return encoder.images([catalog.image(record) for record in part])

    return _in_batches(encode, records, batch_size, progress, lambda record: record.id)


def embed_texts(
    encoder: Encoder,
    texts: Sequence[str],
    batch_size: int = 256,
    *,
    progress: Progress | None = None,
) -> Embeddings:
    """Embed texts, every distinct one once, so that equal texts have equal rows to the last bit.

    Args:
        encoder: Model.
        texts: Texts, in the order wanted.
        batch_size: Texts encoded together; the result does not depend on it (to 1e-5).
        progress: Told after every batch.

    Returns:
        Shape (len(texts), width), float32, rows of unit length.

    Raises:
        SarKnowlipError: No texts are given, or the encoder returns another shape.
    """
    place = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    rows = _in_batches(encoder.texts, list(place), batch_size, progress, lambda text: text)
    return rows[[place[text] for text in texts]]


def _in_batches(
    encode: Callable[[Sequence[Item]], Embeddings],
    items: Sequence[Item],
    batch_size: int,
    progress: Progress | None,
    name: Callable[[Item], str],
) -> Embeddings:
    if not items:
        raise SarKnowlipError("nothing to embed", "give at least one item")
    if batch_size < 1:
        raise SarKnowlipError(f"batch size {batch_size}", "give at least 1")
    whole: Embeddings | None = None
    for start in range(0, len(items), batch_size):
        part = items[start : start + batch_size]
        rows = encode(part)
        if whole is None:
            whole = np.empty((len(items), *rows.shape[1:]), dtype=np.float32)
        if rows.ndim != 2 or rows.shape != (len(part), whole.shape[1]):
            raise SarKnowlipError(
                f"the encoder returned shape {rows.shape} for {len(part)} items",
                "it must return one row an item, always of one width",
            )
        whole[start : start + len(part)] = rows
        if progress is not None:
            progress(start + len(part), len(items), name(part[-1]))
    assert whole is not None
    return whole
