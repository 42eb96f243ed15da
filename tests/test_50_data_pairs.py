"""Rung 5: captions, pairs, order."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.pairs.make import make_corpus, write_texts
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import (
    TEXTS,
    WEIGHTS,
    annotation_folder,
    read_texts,
    texts_table,
    weights_table,
)
from sarknowlip.core.errors import CorpusError, ProductError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data.augment import AugmentConfig
from sarknowlip.data.captions import (
    CaptionConfig,
    Captions,
    DimensionWeights,
    LevelWeights,
    Said,
    caption_of,
    drawn_texts,
    read_captions,
    whole_caption,
)
from sarknowlip.data.loader import Collate, EpochBatches, train_loader, whole_loader
from sarknowlip.data.pairs import WHOLE, Pair, PairDataset, Visit
from sarknowlip.data.shards import build_shards
from sarknowlip.models.processing import ProcessorConfig, SarProcessor
from sarknowlip.models.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("pairs") / "corpus", 9, mixed=True)


@pytest.fixture(scope="module")
def pairs(corpus: Path) -> PairDataset:
    return PairDataset(corpus, "train", seed=5)


@pytest.fixture(scope="module")
def processor(pairs: PairDataset) -> SarProcessor:
    config = ProcessorConfig(image_px=16, text_tokens=64)
    return SarProcessor(config, train_tokenizer(pairs.texts(), 400))


def test_sentences_keep_file_order_and_leave_out_other_levels(corpus: Path) -> None:
    known = read_captions(annotation_folder(corpus))
    assert set(known) == {record.id for record in Catalog(corpus).records()}
    first = known[next(Catalog(corpus).records()).id].sentences
    assert [s.split()[0] for s in first] == ["The", "A", "Stripes", "The"]
    assert whole_caption(("A b.", "C d.")) == "A b. C d."


def sentences_of(words: str) -> Captions:
    return Captions(tuple(Said("sentence", "landform", word) for word in words))


def drawn(captions: Captions, config: CaptionConfig | None = None, **key: int) -> str:
    return caption_of(drawn_texts(captions, config or CaptionConfig(), **key))


@settings(max_examples=60)
@given(
    count=st.integers(1, 20),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 10**6),
    index=st.integers(0, 10**9),
)
def test_drawn_captions_are_arrangements(count: int, seed: int, epoch: int, index: int) -> None:
    sentences = "abcdefghijklmnopqrst"[:count]
    caption = drawn(sentences_of(sentences), seed=seed, epoch=epoch, index=index)
    words = caption.split()
    assert 1 <= len(words) == len(set(words)) <= min(count, CaptionConfig().most)
    assert set(words) <= set(sentences)
    assert caption == drawn(sentences_of(sentences), seed=seed, epoch=epoch, index=index)


def test_every_arrangement_occurs_about_as_often_as_it_should() -> None:
    abc = sentences_of("abc")
    draws = [drawn(abc, seed=1, epoch=e, index=i) for e in range(40) for i in range(150)]
    counts = Counter(len(d.split()) for d in draws)
    assert all(abs(counts[k] - 2000) < 200 for k in (1, 2, 3))
    whole = Counter(d for d in draws if len(d.split()) == 3)
    assert set(whole) == {" ".join(p) for p in permutations("abc")}
    other = [drawn(abc, seed=2, epoch=e, index=i) for e in range(40) for i in range(150)]
    assert 0.05 < np.mean([a == b for a, b in zip(draws, other, strict=True)]) < 0.4


MANY = Captions(
    (
        *(Said("sentence", "landform", f"land {k}.") for k in range(6)),
        *(Said("sentence", "target", f"ship {k}.") for k in range(2)),
        Said("paragraph", "summary", "All of it."),
        Said("tag", "landform", "water"),
        Said("tag", "target", "ship"),
    )
)


def test_levels_are_drawn_by_weight() -> None:
    config = CaptionConfig(levels=LevelWeights(sentence=1, paragraph=2, tag=1))
    draws = [drawn_texts(MANY, config, seed=0, epoch=e, index=0) for e in range(2000)]
    counts = Counter(said[0].level for said in draws)
    assert abs(counts["paragraph"] - 1000) < 90
    assert abs(counts["tag"] - 500) < 80
    assert all(len({text.level for text in said}) == 1 for said in draws)
    assert {caption_of(said) for said in draws if said[0].level == "tag"} == {
        "water", "ship", "water, ship", "ship, water",
    }  # fmt: skip
    only = CaptionConfig(levels=LevelWeights(sentence=0, phrase=1))
    assert drawn_texts(MANY, only, seed=0, epoch=0, index=0)[0].level == "sentence"


def test_dimensions_are_drawn_by_weight() -> None:
    def first(target: float, landform: float = 1.0) -> Counter[str]:
        weights = DimensionWeights(landform=landform, target=target)
        config = CaptionConfig(dimensions=weights)
        draws = (drawn_texts(MANY, config, seed=0, epoch=e, index=0) for e in range(2000))
        return Counter(said[0].dimension for said in draws)

    assert abs(first(1.0)["target"] - 500) < 80
    assert abs(first(3.0)["target"] - 1000) < 90
    assert first(0.0)["target"] == 0
    none = drawn_texts(
        sentences_of("ab"), CaptionConfig(dimensions=DimensionWeights(landform=0)),
        seed=0, epoch=0, index=0,
    )  # fmt: skip
    assert none
    for wrong in ({"levels": LevelWeights(sentence=0)}, {"most": 0}):
        with pytest.raises(ValueError):
            CaptionConfig(**wrong)


def test_texts_are_drawn_by_their_own_weight() -> None:
    def said(level: str, weights: tuple[float, ...]) -> Captions:
        return Captions(
            tuple(Said(level, "landform", str(k), weight=w) for k, w in enumerate(weights))
        )

    def first(captions: Captions, config: CaptionConfig) -> Counter[str]:
        draws = (drawn_texts(captions, config, seed=2, epoch=e, index=0) for e in range(2000))
        return Counter(texts[0].text for texts in draws)

    for level in ("sentence", "paragraph"):
        config = CaptionConfig(levels=LevelWeights(sentence=0, paragraph=1))
        config = config if level == "paragraph" else CaptionConfig()
        found = first(said(level, (1.0, 0.25, 0.5, 0.25)), config)
        for name, share in (("0", 0.5), ("1", 0.125), ("2", 0.25), ("3", 0.125)):
            assert abs(found[name] - 2000 * share) < 90, (level, found)
    mixed = Captions(
        (
            Said("sentence", "landform", "land", weight=0.5),
            Said("sentence", "target", "ship", weight=0.5),
        )
    )
    found = first(mixed, CaptionConfig(dimensions=DimensionWeights(target=3)))
    assert abs(found["ship"] - 1500) < 80
    found = first(mixed, CaptionConfig(dimensions=DimensionWeights(target=0, landform=0)))
    assert abs(found["ship"] - 1000) < 90


def test_equal_weights_are_no_weights() -> None:
    """Nothing that was drawn before changes where a version has no weights, or equal ones."""
    half = Captions(tuple(replace(text, weight=0.5) for text in MANY.said if text.level == "tag"))
    plain = Captions(tuple(text for text in MANY.said if text.level == "tag"))
    config = CaptionConfig(levels=LevelWeights(sentence=0, tag=1))
    for epoch in range(50):
        one, other = (
            drawn_texts(captions, config, seed=0, epoch=epoch, index=1)
            for captions in (half, plain)
        )
        assert [text.text for text in one] == [text.text for text in other]


def test_weights_of_a_version_are_read(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", 2)
    folder = annotation_folder(root)
    texts = list(read_texts(folder))
    pq.write_table(weights_table({texts[1].id: 0.25}), folder / WEIGHTS)
    known = read_captions(folder)[texts[1].tile_id]
    assert [said.weight for said in known.said] == [1.0, 0.25, 1.0, 1.0, 1.0]
    (folder / WEIGHTS).write_bytes(b"none")
    for augment in (None, AugmentConfig(turn=0.5)):
        with pytest.raises(CorpusError, match=r"cannot read .*weights\.parquet"):
            PairDataset(root, "train", augment=augment)


def test_pairs_hold_the_tile_and_its_own_sentences(corpus: Path, pairs: PairDataset) -> None:
    catalog = Catalog(corpus)
    known = read_captions(annotation_folder(corpus))
    assert len(pairs) == len(catalog) == 9
    for index, record in enumerate(catalog.records("train")):
        pair = pairs[Visit(WHOLE, index)]
        assert np.array_equal(pair.image.db, catalog.image(record).db, equal_nan=True)
        assert pair.image.acquisition == record.acquisition
        assert pair.caption == known[record.id].whole
        drawn = pairs[Visit(3, index)].caption
        assert all(part in " ".join(known[record.id].sentences) for part in drawn.split(". "))


def test_a_paragraph_is_the_whole_caption(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", 2)
    folder = annotation_folder(root)
    texts = list(read_texts(folder))
    told = texts[0]
    assert read_captions(folder)[told.tile_id].whole.startswith(told.text)
    summary = Text.of(told.tile_id, "summary", "paragraph", "All.", claim_ids=told.claim_ids)
    pq.write_table(texts_table([*texts, summary]), folder / TEXTS)
    captions = read_captions(folder)
    assert captions[told.tile_id].whole == "All."
    assert "All." not in captions[told.tile_id].sentences
    assert sum(caption.whole == "All." for caption in captions.values()) == 1


def test_newest_annotation_is_taken_unless_one_is_named(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", 2)
    (write_texts(root, "v0002") / "annotation.json").write_text("{}")
    assert PairDataset(root, "train", annotation="v0001").texts()
    with pytest.raises(CorpusError, match="has no annotations v0009"):
        PairDataset(root, "train", annotation="v0009")
    assert len(PairDataset(root, "test")) == 0
    with pytest.raises(CorpusError, match="0 tiles with sentences in split 'test', and 0 without"):
        PairDataset(root, "test").require_pairs()


def test_pixels_are_read_when_asked_for(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", 3)
    pairs = PairDataset(root, "train")
    before = pairs[Visit(0, 0)]
    for path in (root / "tiles").rglob("*.tif"):
        path.unlink()
    assert before.image.db.shape == (2, 32, 32)
    with pytest.raises(ProductError):
        pairs[Visit(0, 0)]


def test_memory_does_not_grow_with_what_was_read(pairs: PairDataset) -> None:
    import tracemalloc

    def read_all(times: int) -> int:
        tracemalloc.start()
        for epoch in range(times):
            for index in range(len(pairs)):
                pairs[Visit(epoch, index)]
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    read_all(1)
    tile_bytes = pairs[Visit(0, 0)].image.db.nbytes
    assert read_all(8) - read_all(1) < 4 * tile_bytes


@given(
    count=st.integers(1, 60),
    batch=st.integers(2, 20),
    seed=st.integers(0, 2**32),
    start=st.integers(0, 40),
)
def test_every_epoch_visits_every_tile_once(count: int, batch: int, seed: int, start: int) -> None:
    steps = EpochBatches(count, batch, seed=seed, start=0, stop=0).steps_per_epoch
    stop = 3 * steps
    batches = list(EpochBatches(count, batch, seed=seed, start=0, stop=stop))
    assert len(batches) == stop
    for epoch in range(3):
        visits = [v for part in batches[epoch * steps : (epoch + 1) * steps] for v in part]
        assert sorted(v.tile for v in visits) == list(range(count))
        assert {v.epoch for v in visits} == {epoch}
    sizes = {len(part) for part in batches}
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    start = min(start, stop)
    resumed = EpochBatches(count, batch, seed=seed, start=start, stop=stop)
    assert list(resumed) == batches[start:]
    assert len(resumed) == stop - start


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = {
        tuple(v.tile for part in EpochBatches(30, 30, seed=seed, start=e, stop=e + 1) for v in part)
        for seed in range(3)
        for e in range(3)
    }
    assert len(orders) == 9


@pytest.mark.slow
def test_batches_depend_neither_on_workers_nor_on_shards(
    corpus: Path, processor: SarProcessor, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    build_shards(root)
    augment = AugmentConfig(smallest_crop=0.5, turn=0.5, multilook=2, speckle=0.5)
    runs = []
    for workers, shards in ((0, False), (0, True), (2, True)):
        pairs = PairDataset(root, "train", seed=5, augment=augment, shards=shards)
        order = EpochBatches(len(pairs), 4, seed=5, start=2, stop=8)
        runs.append(list(train_loader(pairs, processor, order, workers)))
    for batches in runs[1:]:
        assert len(batches) == len(runs[0]) == 6
        for one, other in zip(runs[0], batches, strict=True):
            assert torch.equal(one.group, other.group)
            for mine, theirs in ((one.images, other.images), (one.texts, other.texts)):
                assert mine.keys() == theirs.keys()
                assert all(
                    torch.equal(mine[k].nan_to_num(9.0), theirs[k].nan_to_num(9.0)) for k in mine
                )
    assert any((batch.images["channel_ids"] == 0).any() for batch in runs[0])


def test_whole_loader_shows_each_pair_once(pairs: PairDataset, processor: SarProcessor) -> None:
    batches = list(whole_loader(pairs, processor, 4))
    assert [len(batch) for batch in batches] == [3, 3, 3]
    expected = processor.texts([pairs[Visit(WHOLE, i)].caption for i in range(3)])
    assert torch.equal(batches[0].texts["input_ids"], expected["input_ids"])


def test_group_is_equal_where_captions_are(pairs: PairDataset, processor: SarProcessor) -> None:
    from dataclasses import replace

    some = [replace(pairs[Visit(WHOLE, i)], caption=c) for i, c in enumerate("abacb")]
    group = Collate(processor)(some).group
    assert torch.equal(
        group[:, None] == group, torch.tensor([[x == y for y in "abacb"] for x in "abacb"])
    )


@pytest.mark.parametrize("shards", [True, False])
def test_questions_are_given_and_answers_told(
    corpus: Path, processor: SarProcessor, tmp_path: Path, shards: bool
) -> None:
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    write_texts(root, "v0002", asked=True)
    build_shards(root)
    mixed = CaptionConfig(levels=LevelWeights(sentence=1, question=1))
    pairs = PairDataset(root, "train", captions=mixed, shards=shards)
    visits = [Visit(epoch, index) for epoch in range(8) for index in range(len(pairs))]
    got = [pairs[visit] for visit in visits]
    asked = [pair for pair in got if pair.question]
    assert 0.25 * len(got) < len(asked) < 0.75 * len(got)
    assert all(re.fullmatch(r"A \w+ of type \d\.", pair.caption) for pair in asked)
    assert any("What fills the tile? A" in text for text in pairs.texts())

    batch = Collate(processor)(got)
    assert batch.prefix is not None
    ids, mask = batch.texts["input_ids"], batch.texts["attention_mask"].bool()
    for pair, row, seen, start in zip(got, ids, mask, batch.prefix.tolist(), strict=True):
        alone = processor.texts([pair.caption])["input_ids"][0]
        asks = alone[:1]
        if pair.question:
            asks = processor.texts([pair.question])["input_ids"][0][:-1]
        assert torch.equal(row[:start], asks)
        assert torch.equal(row[start:][seen[start:]], alone[1:])
        assert (row[~seen] == processor.marks.pad).all()
    one, other = got.index(asked[0]), next(k for k, pair in enumerate(got) if not pair.question)
    assert batch.group[one] != batch.group[other]

    plain = PairDataset(root, "train", shards=shards)
    told = [plain[visit] for visit in visits]
    assert not any(pair.question for pair in told)
    assert Collate(processor)(told).prefix is None


def test_an_answer_is_kept_where_its_question_is_too_long(pairs: PairDataset) -> None:
    config = ProcessorConfig(image_px=16, text_tokens=12)
    short = SarProcessor(config, train_tokenizer(pairs.texts(), 400))
    image = pairs[Visit(0, 0)].image
    batch = Collate(short)([Pair(image, "A sea.", "What fills the tile, and what else? " * 3)])
    answer = short.texts(["A sea."])["input_ids"][0]
    assert batch.texts["input_ids"].shape == (1, 12)
    assert torch.equal(batch.texts["input_ids"][0, -len(answer) + 1 :], answer[1:])
    assert batch.prefix.tolist() == [12 - len(answer) + 1]


def test_batches_are_pinned_where_there_is_a_gpu(
    pairs: PairDataset, processor: SarProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not whole_loader(pairs, processor, 4).pin_memory
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert whole_loader(pairs, processor, 4).pin_memory
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda value: value + 1)
    batch = Collate(processor)([pairs[Visit(0, 0)]])
    pinned = replace(batch, prefix=torch.tensor([1])).pin_memory()
    assert torch.equal(pinned.group, batch.group + 1)
    assert torch.equal(pinned.prefix, torch.tensor([2]))
    for name, value in batch.images.items():
        assert torch.allclose(pinned.images[name], value + 1, equal_nan=True)
    for name, value in batch.texts.items():
        assert torch.equal(pinned.texts[name], value + 1)


def test_whole_loader_reads_ahead_without_a_change(
    pairs: PairDataset, processor: SarProcessor
) -> None:
    alone, ahead = (list(whole_loader(pairs, processor, 4, workers)) for workers in (0, 2))
    for mine, theirs in zip(alone, ahead, strict=True):
        assert torch.equal(mine.group, theirs.group)
        assert torch.equal(mine.images["pixel_values"], theirs.images["pixel_values"])
