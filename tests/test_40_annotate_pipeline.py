"""Rung 4: annotating a corpus (determinism, resumption, damage); verifying it (planted errors)."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rasterio.transform import Affine

from data.geotiff.make import make_geotiff
from sarknowlip.annotate import pipeline
from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    TEXTS,
    annotation_folder,
    claims_table,
    read_claims,
    read_texts,
    texts_table,
    versions,
)
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.annotate.verify import verify
from sarknowlip.core.errors import CorpusError, SarKnowlipError, StorageError
from sarknowlip.core.files import remove_partials
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig
from sarknowlip.geo.raster import decode_tile, encode_tile

CONFIG = AnnotateConfig()
BUILD = BuildConfig(grid=GridConfig(tile_px=64), split=SplitConfig(block_km=1.0))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return a corpus of about 40 tiles without annotations."""
    folder = tmp_path_factory.mktemp("annotate")
    for index, shape in enumerate([(400, 390), (200, 200)]):
        place = Affine(10, 0, 500_000 + 9000 * index, 0, -10, 4_700_000)
        make_geotiff(folder / "in" / f"s{index}.tif", seed=index, shape=shape, transform=place)
    build([folder / "in"], folder / "corpus", BUILD)
    return folder / "corpus"


@pytest.fixture
def corpus(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "corpus")


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_every_tile_is_annotated_and_everything_holds(corpus: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = annotate(corpus, CONFIG, progress=lambda done, total, _: seen.append((done, total)))
    assert report.tiles == len(Catalog(corpus)) == seen[-1][0] == seen[-1][1]
    assert {"landform", "target"} <= set(report.claims)
    folder = annotation_folder(corpus)
    claims, texts = list(read_claims(folder)), list(read_texts(folder))
    assert report.claims == Counter(claim.dimension for claim in claims)
    assert report.texts == len(texts)
    assert report.distinct_texts == len({text.text for text in texts})
    assert {key for text in texts for key in text.claim_ids} <= {claim.id for claim in claims}
    assert {text.tile_id for text in texts} == {record.id for record in Catalog(corpus).records()}
    result = verify(corpus)
    assert result.sound
    assert result.claim_precision == 1.0
    assert result.evidence.total == report.evidence
    assert result.tiles == report.tiles
    assert 0.1 < result.coverage < 1.0


def test_repeating_changes_nothing_and_another_recipe_makes_a_version(corpus: Path) -> None:
    annotate(corpus, CONFIG)
    before = digests(annotation_folder(corpus))
    again = annotate(corpus, CONFIG)
    assert not again.fresh
    assert digests(annotation_folder(corpus)) == before
    assert [path.name for path in versions(corpus)] == ["v0001"]
    second = annotate(corpus, AnnotateConfig(stages=("landform",)))
    assert second.version == "v0002"
    assert set(second.claims) == {"landform"}
    assert digests(annotation_folder(corpus, "v0001")) == before
    with pytest.raises(CorpusError, match=r"has no annotations v0009; choose one of v0001, v0002"):
        annotation_folder(corpus, "v0009")


def test_worker_count_does_not_matter(built: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 8)
    found = []
    for workers in (1, 2):
        root = shutil.copytree(built, tmp_path / str(workers))
        annotate(root, CONFIG, workers=workers)
        found.append(digests(annotation_folder(root)))
    assert found[0] == found[1]


KILLED = """
import sys
from pathlib import Path
from sarknowlip.annotate import pipeline
pipeline.CHUNK = 4
pipeline.annotate(Path(sys.argv[1]), pipeline.AnnotateConfig())
"""


def test_kill_nine_then_rerun_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    def start(root: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", KILLED, str(root)])

    whole = shutil.copytree(built, tmp_path / "whole")
    assert start(whole).wait() == 0
    chance, interrupted = random.Random(7), 0
    for attempt in range(3):
        root = shutil.copytree(built, tmp_path / f"killed{attempt}")
        process, goal = start(root), chance.randint(1, 30)
        build_folder = root / ANNOTATIONS / pipeline.BUILD
        while process.poll() is None and len(list(build_folder.glob("*/*/*.parquet"))) < goal:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        interrupted += process.wait() == -signal.SIGKILL
        assert versions(root) == [] or verify(root).sound, "a version is whole or absent"
        assert start(root).wait() == 0
        assert digests(annotation_folder(root)) == digests(annotation_folder(whole))
        assert [p.name for p in (root / ANNOTATIONS).iterdir() if p.name[0] == "v"] == ["v0001"]
    assert interrupted >= 2


def test_a_damaged_tile_is_listed_and_the_rest_goes_on(corpus: Path) -> None:
    record = next(Catalog(corpus).records())
    path = Catalog(corpus).tile_path(record)
    path.write_bytes(path.read_bytes()[:100])
    report = annotate(corpus, CONFIG)
    assert list(report.failed) == [record.id]
    assert str(path) in report.failed[record.id]
    assert report.tiles == len(Catalog(corpus)) - 1
    for tile in (corpus / "tiles").rglob("*.tif"):
        tile.write_bytes(b"")
    shutil.rmtree(corpus / ANNOTATIONS)
    with pytest.raises(SarKnowlipError, match="no tile could be annotated"):
        annotate(corpus, CONFIG)
    assert versions(corpus) == []


def test_a_mended_tile_is_tried_again_and_others_are_not(
    built: Path, corpus: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 8)
    whole = shutil.copytree(built, tmp_path / "whole")
    annotate(whole, CONFIG)
    catalog = Catalog(corpus)
    records = list(catalog.records())
    kept = {}
    for record in (records[2], records[5], records[20]):
        path = catalog.tile_path(record)
        kept[record.id] = path, path.read_bytes()
        path.write_bytes(b"junk")
    first = annotate(corpus, CONFIG)
    assert set(first.failed) == set(kept)
    assert annotate(corpus, CONFIG) == first.model_copy(update={"fresh": False})
    asked: list[str] = []
    really = pipeline.TileAnnotator.annotate

    def watched(annotator, tiles):
        asked.extend(tile.id for tile in tiles)
        return really(annotator, tiles)

    def stopped(*_: object) -> None:
        raise StorageError("killed when a chunk's tables were written")

    monkeypatch.setattr(pipeline.TileAnnotator, "annotate", watched)
    for record, left in ((records[5], 2), (records[2], 1), (records[20], 0)):
        path, content = kept[record.id]
        path.write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "write_json", stopped)
            with pytest.raises(StorageError):
                annotate(corpus, CONFIG)
        asked.clear()
        report = annotate(corpus, CONFIG)
        assert report.fresh
        assert len(report.failed) == left
        assert asked.pop() == record.id
        assert not asked
        assert report.tiles == len(records) - left
    assert not annotate(corpus, CONFIG).fresh
    assert report.version == "v0004"
    found, sought = (digests(annotation_folder(root)) for root in (corpus, whole))
    assert {k: found[k] for k in (EVIDENCE, CLAIMS, TEXTS)} == {
        k: sought[k] for k in (EVIDENCE, CLAIMS, TEXTS)
    }
    assert [path.name for path in (corpus / ANNOTATIONS / pipeline.BUILD).iterdir()] == ["lock"]


def test_a_full_disk_leaves_no_version(corpus: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.pq, "write_table", full)
        with pytest.raises(StorageError, match="No space left on device"):
            annotate(corpus, CONFIG)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.pq, "ParquetWriter", full)
        with pytest.raises(StorageError, match="No space left on device"):
            annotate(corpus, CONFIG)
    assert versions(corpus) == []
    assert not list(corpus.rglob(".partial-*"))
    assert annotate(corpus, CONFIG).version == "v0001"


def rewrite(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd")


def planted_claims(claims: list[Claim], chance: random.Random) -> tuple[list[Claim], set[int]]:
    """Return the claims, some with a changed number and an identifier made to fit it."""
    wrong, where = [], set()
    for index, claim in enumerate(claims):
        numbers = [k for k, v in claim.arguments.items() if isinstance(v, int | float)]
        if not numbers or chance.random() < 0.6:
            wrong.append(claim)
            continue
        name = chance.choice(numbers)
        changed = claim.arguments | {name: claim.arguments[name] + chance.choice([-7, 5, 11])}
        rest = claim.model_dump(exclude={"id", "arguments", "tile_id", "dimension", "predicate"})
        wrong.append(Claim.of(claim.tile_id, claim.dimension, claim.predicate, changed, **rest))
        where.add(index)
    return wrong, where


def test_planted_claims_are_found_all_and_only(corpus: Path) -> None:
    annotate(corpus, CONFIG)
    folder = annotation_folder(corpus)
    before = list(read_claims(folder))
    claims, where = planted_claims(before, random.Random(1))
    assert len(where) > 20
    gone = {before[index].id for index in where}
    without = sum(not gone.isdisjoint(text.claim_ids) for text in read_texts(folder))
    rewrite(folder / CLAIMS, claims_table(claims))
    result = verify(corpus)
    total = sum(count.total for count in result.claims.values())
    assert total - sum(count.held for count in result.claims.values()) == len(where)
    assert result.texts.total - result.texts.held == without, "texts of what does not hold"
    assert result.evidence.held == result.evidence.total


def test_planted_texts_are_found(corpus: Path) -> None:
    annotate(corpus, CONFIG)
    folder = annotation_folder(corpus)
    texts = list(read_texts(folder))
    first = texts[0].model_dump(exclude={"id"})
    texts[0] = Text.of(**first | {"text": "There is an airport."})
    texts[1] = texts[1].model_copy(update={"text": texts[1].text + " Surely."})
    texts.insert(5, texts[4])
    foreign = texts[6].model_dump(exclude={"id", "tile_id"})
    texts.append(Text.of(tile_id="elsewhere", **foreign))
    rewrite(folder / TEXTS, texts_table(texts))
    result = verify(corpus)
    assert result.texts.total - result.texts.held == 4
    assert any("airport" in problem for problem in result.problems)
    assert any(problem.startswith("elsewhere") for problem in result.problems)


def test_changed_evidence_and_pixels_are_found(corpus: Path) -> None:
    annotate(corpus, CONFIG)
    folder = annotation_folder(corpus)
    table = pq.read_table(folder / EVIDENCE)
    values = table["value"].to_pylist()
    values[3] = values[3] + 1.0
    index = table.schema.get_field_index("value")
    rewrite(folder / EVIDENCE, table.set_column(index, table.schema.field(index), pa.array(values)))
    result = verify(corpus)
    assert result.evidence.total - result.evidence.held == 1
    rewrite(folder / EVIDENCE, table)
    assert verify(corpus).sound
    record = next(Catalog(corpus).records())
    stored = decode_tile(Catalog(corpus).tile_path(record))
    brighter = replace(stored, pixels=stored.pixels // 2 + np.uint16(9000))
    Catalog(corpus).tile_path(record).write_bytes(encode_tile(brighter))
    result = verify(corpus)
    assert not result.sound
    assert {problem.split(":")[0] for problem in result.problems} == {record.id}


def test_no_annotations_and_damaged_ones_are_one_line(corpus: Path) -> None:
    with pytest.raises(CorpusError, match="has no annotations; run `sarknowlip annotate` first"):
        verify(corpus)
    annotate(corpus, CONFIG)
    claims = annotation_folder(corpus) / CLAIMS
    claims.write_bytes(claims.read_bytes()[:-50])
    with pytest.raises(CorpusError, match=f"cannot read {claims}"):
        verify(corpus)


def test_annotating_again_mends_a_damaged_version(corpus: Path) -> None:
    annotate(corpus, CONFIG)
    texts = annotation_folder(corpus) / TEXTS
    whole = texts.read_bytes()
    texts.write_bytes(b"junk")
    report = annotate(corpus, CONFIG)
    assert report.fresh
    assert report.version == "v0002"
    assert (annotation_folder(corpus) / TEXTS).read_bytes() == whole
    assert verify(corpus).sound


def test_what_a_kill_left_hinders_nobody(corpus: Path) -> None:
    """A version half assembled is a folder; building and annotating clear it away."""
    for clear in (lambda: remove_partials(corpus), lambda: annotate(corpus, CONFIG)):
        left = corpus / ANNOTATIONS / ".partial-x"
        left.mkdir(parents=True, exist_ok=True)
        (left / TEXTS).write_bytes(b"half")
        clear()
        assert not left.exists()


def test_stored_tables_are_plain_parquet(corpus: Path) -> None:
    """Any reader gets at them; arguments are JSON; every citation resolves within its tile."""
    annotate(corpus, CONFIG)
    folder = annotation_folder(corpus)
    claims, evidence = pq.read_table(folder / CLAIMS), pq.read_table(folder / EVIDENCE)
    assert all(isinstance(json.loads(a), dict) for a in claims["arguments"].to_pylist())
    owner = dict(zip(evidence["id"].to_pylist(), evidence["tile_id"].to_pylist(), strict=True))
    for tile_id, cited in zip(
        claims["tile_id"].to_pylist(), claims["evidence_ids"].to_pylist(), strict=True
    ):
        assert {owner[key] for key in cited} == {tile_id}
    assert pc.min(claims["confidence"]).as_py() > 0.3
