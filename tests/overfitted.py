"""A model that knows a few tiles and their texts by heart, for tests of what scores texts."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from data.pairs.make import make_corpus, write_texts
from data.runs.small import SIZE
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.data.captions import CaptionConfig, LevelWeights
from sarknowlip.data.loader import Collate
from sarknowlip.data.pairs import PairDataset, Visit
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import ProcessorConfig, SarProcessor
from sarknowlip.models.tokenizer import train_tokenizer
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import CombinedConfig, ObjectiveConfig
from sarknowlip.train.optim import OptimConfig, make_optimizer
from sarknowlip.train.step import TrainStep

TILES, STEPS = 8, 250


@dataclass(frozen=True)
class Overfitted:
    """A model, the corpus it knows, and its texts."""

    root: Path
    model: SarKnowLIP
    processor: SarProcessor
    catalog: Catalog
    records: list[TileRecord]
    texts: list[Text]

    @property
    def annotation(self) -> Path:
        return annotation_folder(self.root)


def overfit(folder: Path) -> Overfitted:
    """Train on sentences, tags and questions of eight tiles."""
    root = make_corpus(folder / "corpus", TILES)
    write_texts(root, "v0002", asked=True)
    levels = LevelWeights(sentence=1.0, tag=0.3, question=0.3)
    pairs = PairDataset(root, "train", captions=CaptionConfig(levels=levels, most=2))
    pairs.source.image = functools.cache(pairs.source.image)  # type: ignore[method-assign]
    tokenizer = train_tokenizer(pairs.texts(), 400)
    limits = ProcessorConfig(image_px=SIZE.image_px, text_tokens=SIZE.text_tokens)
    processor = SarProcessor(limits, tokenizer)
    model = SarKnowLIP.fresh(SIZE, tokenizer.get_vocab_size())
    asked = ObjectiveConfig(name="combined", mask_share=0.0, combined=CombinedConfig(masked=0.0))
    step = TrainStep(model, OBJECTIVES[asked.name](asked, SIZE), "fp32")
    optimizer = make_optimizer(step, OptimConfig())
    collate, chance = Collate(processor), torch.Generator().manual_seed(0)
    for number in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (number + 1) / 5) * min(1.0, 4 - 4 * number / STEPS)
        loss = step(collate([pairs[Visit(number, tile)] for tile in range(TILES)]), chance)[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), 1.0)
        optimizer.step()
    model.eval()
    catalog = Catalog(root)
    records, texts = list(catalog.records()), list(read_texts(annotation_folder(root)))
    return Overfitted(root, model, processor, catalog, records, texts)
