"""Rung 9: a closed loop from the command line: it runs, goes on, and tells what it did."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.cli import app
from sarknowlip.corpus.catalog import Catalog

SMALL = (
    "train.steps=2", "train.data.batch=4", "train.device=cpu", "train.model.image_depth=1",
    "later_steps=1", "final_steps=1", "folds=2", "rounds=1", "score.how.references=4",
    'score.signals=["contrastive", "evidence"]',
)  # fmt: skip


@pytest.fixture(scope="module")
def spoilt(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a corpus that has errors, and 22 texts looked at, two of them bad.

    That is too few to learn from (docs/scio.md), so that no more than these two shall change.
    """
    folder = tmp_path_factory.mktemp("scio")
    root = shutil.copytree(told, folder / "corpus")
    ledger = folder / "ledger.parquet"
    corrupt(root, CorruptConfig(levels=("sentence",), splits=("train",)), ledger)
    wrong = set(pq.read_table(ledger)["text_id"].to_pylist())
    tiles = {record.id for record in Catalog(root).records("train")}
    texts = read_texts(annotation_folder(root))
    ids = sorted(t.id for t in texts if t.level == "sentence" and t.tile_id in tiles)
    bad, good = ([i for i in ids if (i in wrong) == kind] for kind in (True, False))
    rows = [("text_id", "bad"), *((i, 1) for i in bad[:2]), *((i, 0) for i in good[:20])]
    with (folder / "looked_at.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def arguments(folder: Path) -> list[str]:
    paths = ["--data", folder / "corpus", "--out", folder / "loop"]
    trusted = ["--trusted", folder / "looked_at.csv"]
    settings = [part for setting in SMALL for part in ("--set", setting)]
    return [str(part) for part in ("nano", *paths, *trusted, *settings, "--json")]


def ask(*asked: str | Path) -> Result:
    """Run a verb in this process."""
    done = CliRunner().invoke(app, ["scio", *map(str, asked)])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def ran(spoilt: Path) -> Result:
    """Return what a loop said that ran."""
    return ask(*arguments(spoilt))


def test_a_loop_tells_what_it_did(spoilt: Path, ran: Result) -> None:
    told = json.loads(ran.stdout)
    assert (told["recipe"], told["rounds"], told["stop"]) == ("nano", 1, "1 rounds are done")
    assert (told["started"], told["ended"]) == ("v0002", "v0003")
    assert sum(told["changed"].values()) == 2
    assert "round 1: " in ran.stderr, "stages are told, beside the JSON"
    assert "wrote v0003" in ran.stderr
    assert Path(told["report"]).read_text("utf-8").count("<section>") == 2
    assert (Path(told["model"]) / "model" / "model.safetensors").is_file()
    found = json.loads(ask("diff", spoilt / "corpus", "v0002", "v0003", "--json").stdout)
    assert sum(found["hows"].values()) >= 2


def test_a_finished_loop_answers_again_and_does_nothing(spoilt: Path, ran: Result) -> None:
    told = json.loads(ran.stdout)
    weights = Path(told["model"]) / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert json.loads(ask(*arguments(spoilt), "--resume").stdout) == told
    assert weights.stat().st_mtime_ns == before
    page = ask("report", spoilt / "loop", "--data", spoilt / "corpus", "--json")
    assert json.loads(page.stdout) == {"report": told["report"]}


@pytest.mark.usefixtures("ran")
def test_what_is_unfinished_asks_for_resume(spoilt: Path, tmp_path: Path) -> None:
    begun = tmp_path / "loop"
    begun.mkdir()
    shutil.copy(spoilt / "loop" / "loop.json", begun)
    asked = [str(begun) if part == str(spoilt / "loop") else part for part in arguments(spoilt)]
    done = CliRunner().invoke(app, ["scio", *asked])
    assert "holds an unfinished loop; add --resume or choose a new folder" in str(done.exception)
