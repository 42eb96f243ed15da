"""What a round is worth on held-out tiles, which no round changes: retrieval both ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sarknowlip.core.config import Config
from sarknowlip.corpus.record import Split
from sarknowlip.data.pairs import WHOLE, PairDataset, Visit
from sarknowlip.infer.embed import embed_texts
from sarknowlip.infer.encoder import Embeddings, Encoder
from sarknowlip.infer.ranking import hits, retrieval_ranks
from sarknowlip.train.rounds.diversity import effective_rank

KS = (1, 5, 10)
BATCH = 64


class Validation(Config):
    """Mean over the models of all folds.

    Attributes:
        tiles: Held-out tiles asked about.
        recall: Mean of recall at 1, 5 and 10, text → image and image → text, 0…1.
        rank: Effective rank of the images' embeddings.
    """

    tiles: int
    recall: float
    rank: float


def mean_recall(images_ND: Embeddings, captions: Sequence[str], encoder: Encoder) -> float:
    """Return the mean of recall at `KS` both ways, 0…1; equal captions are equally right.

    Args:
        images_ND: Embedding of each tile.
        captions: What each is called.
        encoder: Embeds the distinct captions.
    """
    distinct = sorted(set(captions))
    place = {text: index for index, text in enumerate(distinct)}
    labels = np.array([place[caption] for caption in captions])
    kinds = np.arange(len(distinct))
    texts_MD = embed_texts(encoder, distinct)
    by_text = retrieval_ranks(texts_MD, images_ND, kinds, labels)
    by_image = retrieval_ranks(images_ND, texts_MD, labels, kinds)
    both = [hits(by_text.rank[labels], KS), hits(by_image.rank, KS)]
    return float(np.mean([part.mean() for part in both]))


def validate(
    root: Path, annotation: str, encoders: Sequence[Encoder], split: Split = "val"
) -> Validation | None:
    """Return what the models of all folds are worth; None with fewer than two tiles.

    Args:
        root: Corpus folder.
        annotation: Version of the texts; the loop leaves those of this split as they are.
        encoders: Model of each fold.
        split: Part of the corpus.

    Raises:
        SarKnowlipError: The corpus cannot be read, or embeddings are not finite.
    """
    pairs = PairDataset(root, split, annotation=annotation)
    if len(pairs) < 2:
        return None
    captions = [pairs.source.captions(index).whole for index in range(len(pairs))]
    recalls, ranks = [], []
    for encoder in encoders:
        rows = [
            encoder.images([pairs[Visit(WHOLE, int(i))].image for i in part])
            for part in np.array_split(np.arange(len(pairs)), -(-len(pairs) // BATCH))
        ]
        images_ND = np.concatenate(rows)
        recalls.append(mean_recall(images_ND, captions, encoder))
        ranks.append(effective_rank(images_ND))
    return Validation(tiles=len(pairs), recall=float(np.mean(recalls)), rank=float(np.mean(ranks)))
