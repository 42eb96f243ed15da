"""Rung 7: a benchmark run from corpus to files, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from data.bench.make import held_out, make_corpus, make_model, usual_sentences, write_texts
from sarknowlip.bench.baselines.majority import MajorityBaseline
from sarknowlip.bench.metrics import BenchError, bootstrap_interval
from sarknowlip.bench.protocol import Setting
from sarknowlip.bench.report import CSV_COLUMNS, BenchReport
from sarknowlip.bench.runner import run
from sarknowlip.bench.tasks.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE, RetrievalTask
from sarknowlip.core.errors import ConfigError, CorpusError, SarKnowlipError
from sarknowlip.corpus.catalog import Catalog, write_catalog
from sarknowlip.data.captions import whole_caption
from sarknowlip.infer.encoder import ModelEncoder
from sarknowlip.infer.ranking import chance_recall


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("runner"))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "run")


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def report(corpus, model, out) -> BenchReport:
    return run("retrieval", corpus, model, out)


def altered(corpus: Path, target: Path, change) -> Path:
    """Copy a corpus with `change(record, index)` applied to its catalog."""
    shutil.copytree(corpus, target)
    records = [change(record, i) for i, record in enumerate(Catalog(corpus).records())]
    write_catalog(target / "catalog.parquet", records)
    return target


def test_the_report_holds_model_baselines_and_chance(corpus: Path, report: BenchReport) -> None:
    names = ["trained (run)", "random", "majority", "untrained"]
    assert [row.model for row in report.rows] == [name for name in names for _ in range(2)]
    assert [row.direction for row in report.rows] == [TEXT_TO_IMAGE, IMAGE_TO_TEXT] * 4
    tiles = held_out(corpus)
    order = [record.id for record in Catalog(corpus).records()]
    captions = [whole_caption(usual_sentences(order.index(record.id))) for record in tiles]
    assert {row.n_queries for row in report.rows} == {len(tiles)}
    positives = np.array([captions.count(caption) for caption in captions])
    for row in report.rows:
        towards_images = row.direction == TEXT_TO_IMAGE
        assert row.gallery == (len(tiles) if towards_images else len(set(captions)))
        many = positives if towards_images else np.ones_like(positives)
        for k in (1, 5, 10):
            assert row.chance[k] == pytest.approx(chance_recall(many, row.gallery, k))
            value, low, high = row.scores[k]
            assert 0 <= low <= value <= high <= 1
        assert row.scores[1][0] <= row.scores[5][0] <= row.scores[10][0]
        assert row.seeds == ((0, 1, 2) if row.model in {"random", "untrained"} else ())
        if row.seeds:
            assert np.mean(row.by_seed[5]) == pytest.approx(row.scores[5][0])
    assert report.interval == "block"
    assert report.blocks == len({record.block for record in tiles}) >= 5
    assert f"{len(tiles)} tiles with {len(set(captions))} distinct captions" in report.note
    assert f"resample the {report.blocks} blocks" in report.note


def test_scores_equal_those_counted_by_hand(corpus: Path, model: Path, report: BenchReport) -> None:
    """Tile by tile from the stored files: caption, right answers, rank, block, interval."""
    catalog, tiles = Catalog(corpus), held_out(corpus)
    order = [record.id for record in catalog.records()]
    captions = [whole_caption(usual_sentences(order.index(record.id))) for record in tiles]
    encoder = ModelEncoder.load(model)
    images = encoder.images([catalog.image(record) for record in tiles]).astype(float)
    distinct = sorted(set(captions))
    texts = encoder.texts(distinct).astype(float)
    blocks = [record.block for record in tiles]
    for row in report.rows[:2]:
        ranks = []
        for image, caption in zip(images, captions, strict=True):
            if row.direction == TEXT_TO_IMAGE:
                scores = images @ texts[distinct.index(caption)]
                right = np.array([other == caption for other in captions])
            else:
                scores = texts @ image
                right = np.array([other == caption for other in distinct])
            ranks.append(1 + int((scores[~right] >= scores[right].max() - 1e-9).sum()))
        found = np.array(ranks)
        assert row.mrr == pytest.approx(np.mean(1 / found))
        assert row.median_rank == np.median(found)
        for k in (1, 5, 10):
            hit = (found <= k).astype(float)[:, None]
            low, high = bootstrap_interval(hit, blocks)
            assert row.scores[k] == pytest.approx((hit.mean(), low[0], high[0]))
    outcome = RetrievalTask.open(Setting(corpus)).evaluate(encoder)[0]
    assert outcome.ranks.positives.tolist() == [captions.count(caption) for caption in captions]
    assert list(outcome.blocks) == blocks


def test_random_weights_called_trained_score_like_the_untrained_baseline(
    corpus: Path, tmp_path: Path
) -> None:
    """The model under test *is* untrained here: seed 0, like the baseline's first seed."""
    again = make_model(tmp_path / "zero", seed=0)
    found = run("retrieval", corpus, again, tmp_path / "out", baselines=["untrained"], seeds=[0])
    ours, theirs = found.rows[:2], found.rows[2:]
    for one, other in zip(ours, theirs, strict=True):
        assert one.scores == other.scores
        assert one.mrr == pytest.approx(other.mrr, abs=1e-9)


def test_majority_knows_training_captions_only(corpus: Path, report: BenchReport) -> None:
    order = {record.id: i for i, record in enumerate(Catalog(corpus).records())}
    trained = [
        whole_caption(usual_sentences(order[record.id]))
        for record in Catalog(corpus).records("train")
    ]
    most = max(sorted(set(trained)), key=trained.count)
    encoder = MajorityBaseline.make(Setting(corpus), 0)
    texts = sorted(set(trained))
    scores = encoder.images([None])[0] @ encoder.texts(texts).T  # type: ignore[list-item]
    assert np.allclose(scores, [trained.count(t) / trained.count(most) for t in texts], atol=1e-6)
    assert (encoder.images([None])[0] @ encoder.texts(["never said"]).T) == 0  # type: ignore[list-item]
    rows = {row.direction: row for row in report.rows if row.model == "majority"}
    assert rows[TEXT_TO_IMAGE].scores[1][0] == 0, "it cannot tell tiles apart"


def test_the_table_is_what_the_page_reads(report: BenchReport) -> None:
    table = report.as_table()
    assert [row["direction"] for row in table] == [TEXT_TO_IMAGE] * 5 + [IMAGE_TO_TEXT] * 5
    assert [row["model"] for row in table[:5]] == [
        "trained (run)",
        "random",
        "majority",
        "untrained",
        "chance",
    ]
    for row in table:
        assert list(row["scores"]) == [1, 5, 10]
        for value, low, high in row["scores"].values():
            assert (low is None) == (high is None) == (row["model"] == "chance")
            assert 0 <= value <= 1


def test_files_say_what_the_report_says_and_repeat_to_the_byte(
    report: BenchReport, out: Path, corpus: Path, model: Path, tmp_path: Path
) -> None:
    assert sorted(path.name for path in out.iterdir()) == ["retrieval.csv", "retrieval.json"]
    stored = json.loads((out / "retrieval.json").read_text("utf-8"))
    assert BenchReport.model_validate(stored) == report
    with (out / "retrieval.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    assert tuple(reader.fieldnames or ()) == CSV_COLUMNS
    assert len(lines) == 8 * 3
    first = report.rows[0]
    assert (lines[1]["model"], lines[1]["k"]) == (first.model, "5")
    assert float(lines[1]["recall"]) == pytest.approx(first.scores[5][0], abs=1e-6)
    assert float(lines[1]["chance"]) == pytest.approx(first.chance[5], abs=1e-6)
    run("retrieval", corpus, model, tmp_path, batch_size=32)
    for name in ("retrieval.csv", "retrieval.json"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_without_a_model_only_baselines_are_scored(corpus: Path, tmp_path: Path) -> None:
    report = run("retrieval", corpus, None, tmp_path, baselines=["random", "untrained"])
    assert {row.model for row in report.rows} == {"random"}
    assert "Baseline untrained needs a model and is left out." in report.notes
    with pytest.raises(BenchError, match="nothing to score"):
        run("retrieval", corpus, None, tmp_path, baselines=["untrained"])
    with pytest.raises(BenchError, match="need a seed"):
        run("retrieval", corpus, None, tmp_path, baselines=["random"], seeds=[])


def test_a_block_on_both_sides_is_refused(corpus: Path, tmp_path: Path) -> None:
    block = held_out(corpus)[0].block
    members = [record.id for record in Catalog(corpus).records() if record.block == block]

    def leak(record, index):
        split = "train" if record.id == members[0] else record.split
        return record.model_copy(update={"split": split})

    bad = altered(corpus, tmp_path / "bad", leak)
    assert len(members) > 1, "the fixture needs a block of several tiles"
    with pytest.raises(BenchError, match=rf"block {block} of split test also holds {members[0]}"):
        run("retrieval", bad, None, tmp_path / "out", baselines=["random"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("other", ["train", "val"])
def test_shared_ground_is_refused_although_blocks_differ(
    corpus: Path, tmp_path: Path, other: str
) -> None:
    asked = held_out(corpus)[0]
    moved = next(Catalog(corpus).records("train"))

    def leak(record, index):
        if record.id != moved.id:
            return record
        return record.model_copy(
            update={"split": other, "projection": asked.projection, "block": "elsewhere"}
        )

    bad = altered(corpus, tmp_path / "bad", leak)
    with pytest.raises(BenchError, match=f"shares ground with|{moved.id}") as caught:
        RetrievalTask.open(Setting(bad))
    assert {moved.id, asked.id} <= {word.strip(",;") for word in str(caught.value).split()}


def test_an_empty_split_says_how_to_get_one(corpus: Path, tmp_path: Path) -> None:
    def drop(record, index):
        return record.model_copy(update={"split": "train"})

    bad = altered(corpus, tmp_path / "bad", drop)
    with pytest.raises(BenchError, match=r"split 'test' holds no tile; .*--block-km") as caught:
        RetrievalTask.open(Setting(bad))
    assert "\n" not in str(caught.value)


def test_silent_tiles_are_left_out_and_counted(corpus: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(corpus, tmp_path / "copy")
    order = [record.id for record in Catalog(corpus).records()]
    silenced = {record.id for record in held_out(corpus)[::3]}
    write_texts(copy, lambda i: () if order[i] in silenced else usual_sentences(i), "v0002")
    task = RetrievalTask.open(Setting(copy))
    assert {record.id for record in task.records} == {
        record.id for record in held_out(corpus) if record.id not in silenced
    }
    assert f"{len(silenced)} held-out tiles carry no text and are left out." in task.notes
    assert len(RetrievalTask.open(Setting(copy, "v0001")).records) == len(held_out(corpus))
    write_texts(copy, lambda i: (), "v0003")
    with pytest.raises(BenchError, match="no text for any tile"):
        RetrievalTask.open(Setting(copy))
    with pytest.raises(CorpusError, match="has no annotations v0009"):
        run("retrieval", copy, None, tmp_path / "out", annotations="v0009")


def test_small_galleries_few_blocks_and_equal_captions_are_said(
    corpus: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(corpus, tmp_path / "copy")
    keep = sorted({record.block for record in held_out(corpus)})[:4]
    ids = [record.id for record in held_out(corpus) if record.block in keep]
    order = [record.id for record in Catalog(corpus).records()]
    write_texts(copy, lambda i: ("Water.",) if order[i] in ids else (), "v0002")
    report = run("retrieval", copy, None, tmp_path / "out", baselines=["random"])
    assert report.interval == "query"
    assert "Only 4 held-out block(s), fewer than 5" in report.note
    assert "All captions are the same" in report.note
    assert "image → text: the gallery holds 1 item(s), so that R@1 and R@5 and R@10" in report.note
    assert "no certainty" in report.note
    for row in report.rows:
        assert row.chance == {1: 1.0, 5: 1.0, 10: 1.0}
        assert row.scores[1] == (1.0, 1.0, 1.0)


def test_unknown_names_are_one_line(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown task 'detection'; choose one of: retrieval"):
        run("detection", corpus, None, tmp_path)
    with pytest.raises(ConfigError, match="unknown baseline 'clip'; choose one of: majority"):
        run("retrieval", corpus, None, tmp_path, baselines=["clip"])
    with pytest.raises(SarKnowlipError, match="no model at"):
        run("retrieval", corpus, tmp_path / "nowhere", tmp_path)
    with pytest.raises(CorpusError):
        run("retrieval", tmp_path / "nowhere", None, tmp_path)


def test_command_line(corpus: Path, model: Path, report: BenchReport, tmp_path: Path) -> None:
    from sarknowlip.cli.bench import app

    shell = CliRunner()
    common = ["corpus", str(corpus), "--out", str(tmp_path)]
    told = shell.invoke(app, [*common, "--model", str(model), "--json"])
    assert told.exit_code == 0, told.output
    assert BenchReport.model_validate_json(told.stdout) == report
    shown = shell.invoke(app, [*common, "--baseline", "random"])
    assert shown.exit_code == 0
    for word in ("R@10", "random", "chance", "text → image"):
        assert word in shown.stdout
    wrong = shell.invoke(app, [*common, "--task", "chess"])
    assert wrong.exit_code == 1
    assert isinstance(wrong.exception, ConfigError)
