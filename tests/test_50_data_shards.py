"""Rung 5: shards: equal to the corpus, deterministic, resumable; damage is told in one line."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.pairs.make import make_corpus, write_texts
from sarknowlip.annotate.store import WEIGHTS, annotation_folder, read_texts, weights_table
from sarknowlip.core.errors import CorpusError, SarKnowlipError
from sarknowlip.core.files import read_json, write_json
from sarknowlip.core.hashing import tree_sha256
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data import shards as module
from sarknowlip.data.augment import AugmentConfig
from sarknowlip.data.captions import CaptionConfig, Captions, Heads, LevelWeights
from sarknowlip.data.pairs import WHOLE, PairDataset, Visit
from sarknowlip.data.shard_reader import Shards
from sarknowlip.data.shards import SHARDS, build_shards
from sarknowlip.geo.raster import decode_tile

TILES = 9
ALL = AugmentConfig(
    smallest_crop=0.5, turn=0.5, drop_polarization=0.5, multilook=2, speckle=0.5
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILES", 4)
    monkeypatch.setattr(module, "BATCH", 3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("shards") / "corpus", TILES, mixed=True, val=0.3)


@pytest.fixture
def corpus(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "corpus"))


def content(root: Path) -> str:
    return tree_sha256(root / SHARDS, (p for p in (root / SHARDS).rglob("*") if p.is_file()))


def same(one: PairDataset, other: PairDataset, epochs: tuple[int, ...]) -> None:
    assert len(one) == len(other)
    assert one.untold == other.untold
    assert one.texts() == other.texts()
    for epoch in epochs:
        for index in range(len(one)):
            mine, theirs = one[Visit(epoch, index)], other[Visit(epoch, index)]
            assert mine.caption == theirs.caption
            assert np.array_equal(mine.image.db, theirs.image.db, equal_nan=True)
            assert mine.image.db.dtype == theirs.image.db.dtype
            for name in ("id", "geobox", "acquisition", "radiometry"):
                assert getattr(mine.image, name) == getattr(theirs.image, name), name


def test_pairs_from_shards_equal_those_from_the_corpus(corpus: Path) -> None:
    assert PairDataset(corpus, "train").texts()
    with pytest.raises(CorpusError, match=r"has no shards of v0001; run `sarknowlip corpus shards"):
        PairDataset(corpus, "train", shards=True)
    report = build_shards(corpus)
    assert (report.tiles, report.untold, report.files, report.written) == (TILES, 0, 6, 6)
    for split in ("train", "val"):
        for augment in (None, ALL):
            one, other = (
                PairDataset(corpus, split, seed=3, augment=augment, shards=shards)
                for shards in (True, False)
            )
            same(one, other, (WHOLE, 0, 1, 2))
    for path in (corpus / "tiles").rglob("*.tif"):
        path.unlink()
    assert PairDataset(corpus, "train")[Visit(0, 0)].image.db.shape[1:] == (32, 32)


def weighted(corpus: Path, share: float = 0.5) -> Path:
    """Give a random share of the texts of the newest version small weights."""
    folder, rng = annotation_folder(corpus), np.random.default_rng(1)
    weights = {t.id: 0.1 + 0.5 * rng.random() for t in read_texts(folder) if rng.random() < share}
    assert weights
    pq.write_table(weights_table(weights), folder / WEIGHTS)
    return folder / WEIGHTS


def test_weights_of_texts_are_carried(corpus: Path) -> None:
    write_texts(corpus, "v0002", asked=True)
    captions = CaptionConfig(levels=LevelWeights(sentence=1, tag=1, question=1))

    def told() -> list[str]:
        pairs = PairDataset(corpus, "train", captions=captions, shards=True)
        return [pairs[Visit(epoch, 0)].caption for epoch in range(30)]

    build_shards(corpus)
    before = told()
    path = weighted(corpus)
    with pytest.raises(CorpusError, match="another state of the corpus"):
        PairDataset(corpus, "train")
    report = build_shards(corpus)
    assert (report.files, report.written) == (6, 3)
    for augment in (None, ALL):
        one, other = (
            PairDataset(corpus, "train", captions=captions, augment=augment, shards=shards)
            for shards in (True, False)
        )
        same(one, other, (WHOLE, 0, 1, 2, 3))
        for row in range(len(one)):
            mine, theirs = one.source.captions(row), other.source.captions(row)
            assert [said.weight for said in mine.said] == [said.weight for said in theirs.said]
            assert not augment or mine == theirs  # without, the corpus does not read scopes
    assert told() != before
    path.unlink()
    assert build_shards(corpus).written == 3
    assert told() == before


def test_texts_are_a_sequence_like_any_other(corpus: Path) -> None:
    write_texts(corpus, "v0002", asked=True)
    weighted(corpus, 0.2)
    build_shards(corpus)
    shards = Shards(corpus, "v0002")
    for row in range(TILES):
        captions = shards.captions(row, asked=True)
        said = tuple(captions.said)
        assert [text.level for text in said] == [*["sentence"] * 4, "tag", "question-answer"]
        assert len(captions.said) == 6
        assert said == tuple(captions.said[k] for k in range(6)) == captions.said[:]
        assert captions.said[-1] == said[-1]
        assert captions == Captions(said)
        for mine, theirs in zip(captions.heads, Heads.of(said), strict=True):
            assert (mine is None and theirs is None) or np.array_equal(mine, theirs)
        with pytest.raises(IndexError):
            captions.said[6]


def test_shards_of_an_older_layout_are_refused_and_written_anew(corpus: Path) -> None:
    build_shards(corpus)
    path = corpus / SHARDS / "v0001" / "shards.json"
    write_json(path, read_json(path, "") | {"format": 1})
    with pytest.raises(
        CorpusError, match=r"not of format 2; run `sarknowlip corpus shards`"
    ) as old:
        PairDataset(corpus, "train")
    one_line(old.value)
    assert build_shards(corpus).written == 3
    assert len(PairDataset(corpus, "train", shards=True))


def test_tiles_without_a_sentence_are_left_out(corpus: Path) -> None:
    path = annotation_folder(corpus) / "texts.parquet"
    table = pq.read_table(path)
    first = table["tile_id"][0].as_py()
    pq.write_table(table.filter(pa.compute.field("tile_id") != first), path)
    assert build_shards(corpus).untold == 1
    total = 0
    for split in ("train", "val"):
        one, other = (PairDataset(corpus, split, shards=shards) for shards in (True, False))
        same(one, other, (WHOLE,))
        total += one.untold
    assert total == 1


def test_pixels_are_those_of_the_files(corpus: Path) -> None:
    build_shards(corpus)
    shards = Shards(corpus, "v0001")
    catalog = Catalog(corpus)
    records = list(catalog.records())
    assert [tile.id for tile in shards.tiles] == [record.id for record in records]
    for row, record in enumerate(records):
        assert np.array_equal(shards.pixels(row), decode_tile(catalog.tile_path(record)).pixels)
        assert shards.pixels(row).dtype == np.uint16
        assert not shards.pixels(row).flags.writeable
    rows = [row for row, tile in enumerate(shards.tiles) if tile.shape == shards.tiles[0].shape]
    stack = shards.stack(np.array(rows[::-1]))
    assert np.array_equal(stack, np.stack([shards.pixels(row) for row in rows[::-1]]))
    other = next(row for row in range(TILES) if row not in rows)
    with pytest.raises(ValueError):
        shards.stack([rows[0], other])
    copy = pickle.loads(pickle.dumps(shards))
    assert np.array_equal(copy.pixels(1), shards.pixels(1))
    assert len(pickle.dumps(shards)) < 40_000


def test_bytes_do_not_depend_on_processes_or_interruptions(corpus: Path, monkeypatch) -> None:
    build_shards(corpus)
    before = content(corpus)
    shutil.rmtree(corpus / SHARDS)
    real, calls = module._made, []

    def failing(job):
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(module, "_made", failing)
    with pytest.raises(KeyboardInterrupt):
        build_shards(corpus)
    assert Shards.find(corpus, "v0001") is None
    monkeypatch.setattr(module, "_made", real)
    report = build_shards(corpus)
    assert report.written == 4
    assert content(corpus) == before
    assert build_shards(corpus).written == 0
    assert content(corpus) == before


@pytest.mark.slow
def test_a_killed_build_goes_on(plain: Path, tmp_path: Path, monkeypatch) -> None:
    corpus = Path(shutil.copytree(plain, tmp_path / "corpus"))
    code = (
        "import sys; from pathlib import Path; from sarknowlip.data import shards as s\n"
        "s.TILES = 1; s.build_shards(Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(corpus)])
    while not list((corpus / SHARDS).rglob("0000*.arrow")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setattr(module, "TILES", 1)
    build_shards(corpus, workers=2)
    one = content(corpus)
    assert not list((corpus / SHARDS).rglob(".partial-*"))
    shutil.rmtree(corpus / SHARDS)
    build_shards(corpus)
    assert content(corpus) == one


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert "corpus shards" in text
    return text


@pytest.mark.parametrize("part", ["images", "v0001"])
def test_missing_and_cut_files_are_told(corpus: Path, part: str) -> None:
    build_shards(corpus)
    path = corpus / SHARDS / part / "00001.arrow"
    before = path.read_bytes()
    for damage in (None, before[:-1], before[: len(before) // 2], b""):
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        with pytest.raises(CorpusError, match=r"00001\.arrow is damaged: ") as caught:
            PairDataset(corpus, "train")
        one_line(caught.value)
        assert build_shards(corpus).written == 1
        assert path.read_bytes() == before
    manifest = path.parent / "shards.json"
    for text in ("{", "[]", '{"format": 99}', '{"format": 1}'):
        manifest.write_text(text)
        with pytest.raises(SarKnowlipError) as caught:
            PairDataset(corpus, "train")
        one_line(caught.value)
    build_shards(corpus)
    assert len(PairDataset(corpus, "train", shards=True))


def test_flipped_bits_are_found(corpus: Path) -> None:
    build_shards(corpus)
    rng = np.random.default_rng(0)
    for part in ("images", "v0001"):
        path = corpus / SHARDS / part / "00000.arrow"
        before = path.read_bytes()
        shards = Shards(corpus, "v0001")
        truth = [(shards.image(row), shards.captions(row)) for row in range(4)]
        told = 0
        for place in rng.integers(0, len(before), 40):
            flip(path, int(place))
            try:
                found = Shards(corpus, "v0001")
                for row in range(4):
                    image, captions = found.image(row), found.captions(row)
                    assert np.array_equal(image.db, truth[row][0].db, equal_nan=True)
                    assert image.acquisition == truth[row][0].acquisition
                    assert captions == truth[row][1]
            except CorpusError as error:
                one_line(error)
                told += 1
            path.write_bytes(before)
        assert told == 40 if part == "v0001" else told > 20


def test_shards_of_another_corpus_are_refused(corpus: Path) -> None:
    build_shards(corpus)
    path = corpus / SHARDS / "images" / "shards.json"
    manifest = read_json(path, "")
    write_json(path, manifest | {"complete": False})
    with pytest.raises(CorpusError, match="are unfinished") as caught:
        PairDataset(corpus, "train")
    one_line(caught.value)
    write_json(path, manifest)
    (write_texts(corpus, "v0002") / "annotation.json").write_text("{}")
    assert Shards.find(corpus, "v0002") is None
    assert len(PairDataset(corpus, "train"))
    report = build_shards(corpus)
    assert (report.version, report.written) == ("v0002", 3)
    assert len(PairDataset(corpus, "train", annotation="v0001", shards=True))
    with (annotation_folder(corpus, "v0001") / "texts.parquet").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(CorpusError, match="another state of the corpus") as caught:
        Shards(corpus, "v0001")
    one_line(caught.value)


def test_a_tile_that_differs_from_the_catalog_is_refused(corpus: Path) -> None:
    first, second = sorted((corpus / "tiles").rglob("*.tif"))[:2]
    first.replace(second)
    with pytest.raises(SarKnowlipError):
        build_shards(corpus)


def test_two_builds_at_once_are_refused(corpus: Path) -> None:
    from sarknowlip.core.files import exclusive

    with exclusive(corpus / SHARDS / ".lock"), pytest.raises(SarKnowlipError, match="another"):
        build_shards(corpus)


def test_files_open_in_arrow_alone(corpus: Path) -> None:
    build_shards(corpus)
    table = pa.ipc.open_file(corpus / SHARDS / "v0001" / "00000.arrow").read_all()
    told = table.to_pylist()[0]
    assert told["captions"][0]["text"] == "The image shows land and water."
    claims = {claim["id"]: claim for claim in told["claims"]}
    assert claims[told["captions"][0]["claim_ids"][0]]["predicate"] == "dominant_surface"
    images = pa.ipc.open_file(corpus / SHARDS / "images" / "00000.arrow").read_all().to_pylist()
    assert images[0]["polarizations"] == ["VV", "VH"]
    assert len(images[0]["pixels"]) == 2 * images[0]["rows"] * images[0]["columns"]
