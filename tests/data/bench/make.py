"""A small annotated corpus and an untrained tiny model, for tests of embedding and benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch
from affine import Affine

from data.geotiff.make import make_geotiff
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import MANIFEST, TEXTS, texts_table
from sarknowlip.core.files import write_json
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig
from sarknowlip.models.config import ModelSize, SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import ProcessorConfig, SarProcessor
from sarknowlip.models.tokenizer import train_tokenizer

WORDS = ("Calm water.", "Fields and forest.", "A harbour with ships.", "Dense buildings.")
SIZE = ModelSize(
    image_px=32,
    patch_px=8,
    image_width=32,
    image_depth=2,
    image_heads=2,
    text_width=32,
    text_depth=2,
    text_heads=2,
    text_tokens=16,
    embed_dim=24,
)


def usual_sentences(index: int) -> tuple[str, ...]:
    """Return one or two of `WORDS`: 16 combinations, so that captions repeat."""
    first, second = WORDS[index % 4], WORDS[(index // 4) % 4]
    return (first,) if first == second else (first, second)


def make_corpus(
    folder: Path,
    *,
    scenes: int = 3,
    block_km: float = 1.0,
    shares: tuple[float, float] = (0.1, 0.4),
    sentences: Callable[[int], tuple[str, ...]] = usual_sentences,
) -> Path:
    """Build a corpus of 64-pixel tiles, the last scene HH only, and annotate it.

    Args:
        folder: Where products and corpus go.
        scenes: Products.
        block_km: Edge of a split block.
        shares: Shares of validation and test blocks.
        sentences: Sentences of the tile of a position in the catalog; empty for none.
    """
    for index in range(scenes):
        bands = ("HH",) if index == scenes - 1 else ("VV", "VH")
        place = Affine(10, 0, 500_000 + 5000 * index, 0, -10, 4_700_000)
        path = folder / "in" / f"scene{index}.tif"
        make_geotiff(path, seed=index, transform=place, shape=(330, 330), bands=bands)
    split = SplitConfig(block_km=block_km, val=shares[0], test=shares[1])
    config = BuildConfig(grid=GridConfig(tile_px=64), split=split)
    build([folder / "in"], folder / "corpus", config)
    write_texts(folder / "corpus", sentences)
    return folder / "corpus"


def write_texts(
    corpus: Path, sentences: Callable[[int], tuple[str, ...]], version: str = "v0001"
) -> None:
    """Write a version that holds texts only."""
    texts = [
        Text.of(record.id, "landform", "sentence", sentence, claim_ids=["c"])
        for index, record in enumerate(Catalog(corpus).records())
        for sentence in sentences(index)
    ]
    folder = corpus / ANNOTATIONS / version
    folder.mkdir(parents=True)
    pq.write_table(texts_table(texts), folder / TEXTS)
    write_json(folder / MANIFEST, {})


def make_model(run: Path, seed: int = 0) -> Path:
    """Save a model with random weights as a training run would; return the run's folder."""
    tokenizer = train_tokenizer(WORDS, 300)
    torch.manual_seed(seed)
    model = SarKnowLIP(SarKnowLIPConfig.of(SIZE, tokenizer.get_vocab_size()))
    model.save_pretrained(run / "model")
    processor = SarProcessor(
        ProcessorConfig(image_px=SIZE.image_px, text_tokens=SIZE.text_tokens), tokenizer
    )
    processor.save_pretrained(run / "model")
    return run


def held_out(corpus: Path) -> Sequence[TileRecord]:
    """Return the records of the test split."""
    return list(Catalog(corpus).records("test"))
