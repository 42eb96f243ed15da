"""Rung 7: the closed loop finds planted errors, mends them, and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from data.runs.small import config as small_training
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.store import MANIFEST, annotation_folder, read_texts, versions
from sarknowlip.annotate.verify import verify
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.pipeline.scio_report import write_scio_report
from sarknowlip.train.rounds.config import FloorConfig, ScioConfig, with_settings
from sarknowlip.train.rounds.loop import ScioReport, scio
from sarknowlip.train.rounds.record import JUDGED, round_folder, rounds_of
from sarknowlip.train.rounds.scorer import ScoreConfig
from sarknowlip.train.rounds.signals.signal import SignalConfig

HOW = SignalConfig(references=6, others=1, beginnings=1, new_tokens=8, continued_tokens=4)
TRUSTED = 60


@dataclass(frozen=True)
class Spoilt:
    """A corpus with planted errors, which they are, and some texts that were looked at."""

    root: Path
    wrong: frozenset[str]
    trusted: Path


def loop_config(trusted: Path, **changes: object) -> ScioConfig:
    values: dict[str, object] = {
        "recipe": "test",
        "train": small_training(steps=8, threads=1, objective={"name": "combined"}),
        "later_steps": 4,
        "final_steps": 6,
        "folds": 2,
        "rounds": 2,
        "gain": -1.0,
        "trusted": str(trusted),
        "score": ScoreConfig(how=HOW),
    }
    return ScioConfig.model_validate(values | changes)


def spoil(told: Path, folder: Path) -> Spoilt:
    root = shutil.copytree(told, folder / "corpus")
    ledger = folder / "ledger.parquet"
    corrupt(root, CorruptConfig(levels=("sentence",)), ledger)
    wrong = frozenset(pq.read_table(ledger)["text_id"].to_pylist())
    tiles = {record.id for record in Catalog(root).records("train")}
    judged = [t for t in read_texts(annotation_folder(root)) if t.level == "sentence"]
    chosen = sorted(t.id for t in judged if t.tile_id in tiles)[:TRUSTED]
    trusted = folder / "trusted.parquet"
    pq.write_table(pa.table({"text_id": chosen, "bad": [key in wrong for key in chosen]}), trusted)
    return Spoilt(root, wrong, trusted)


@pytest.fixture(scope="module")
def looped(told: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Spoilt, Path, ScioReport]:
    folder = tmp_path_factory.mktemp("looped")
    spoilt = spoil(told, folder)
    report = scio(loop_config(spoilt.trusted), spoilt.root, folder / "loop")
    return spoilt, folder / "loop", report


def judged(out: Path, number: int) -> list[dict[str, object]]:
    return pq.read_table(round_folder(out, number) / JUDGED).to_pylist()


def test_planted_errors_are_found_and_mended(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    spoilt, out, report = looped
    first = judged(out, 1)
    truth = [row["text_id"] in spoilt.wrong for row in first]
    assert 0 < sum(truth) < len(truth)
    assert roc_auc_score(truth, [row["score"] for row in first]) > 0.95
    left = {text.id for text in read_texts(annotation_folder(spoilt.root, report.ended))}
    tiles = {record.id for record in Catalog(spoilt.root).records("train")}
    before = [
        t
        for t in read_texts(annotation_folder(spoilt.root, report.started))
        if t.tile_id in tiles and t.id in spoilt.wrong
    ]
    assert len([t for t in before if t.id in left]) < 0.2 * len(before)
    # evidence tells all at once, so that the second round finds nothing
    assert report.rounds == 2
    assert report.stop == "nothing is to change"
    assert (Path(report.model) / "model" / "model.safetensors").is_file()


def test_what_the_loop_wrote_holds(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    spoilt, out, report = looped
    manifest = read_json(annotation_folder(spoilt.root, report.ended) / MANIFEST, "")
    assert (manifest["made_by"], manifest["round"], manifest["parent"]) == (
        "scio", 1, report.started,
    )  # fmt: skip
    told = verify(spoilt.root, report.ended)
    was = verify(spoilt.root, report.started)
    assert told.texts.precision is not None
    assert was.texts.precision is not None
    assert told.texts.precision > was.texts.precision
    for _, one in rounds_of(out):
        assert sum(one.actions.values()) == one.judged


def test_held_out_texts_stay(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    spoilt, _, report = looped
    train = {record.id for record in Catalog(spoilt.root).records("train")}
    one, two = (
        [t for t in read_texts(annotation_folder(spoilt.root, v)) if t.tile_id not in train]
        for v in (report.started, report.ended)
    )
    assert one
    assert one == two


def test_a_text_is_scored_by_a_model_that_never_saw_its_tile(
    looped: tuple[Spoilt, Path, ScioReport],
) -> None:
    _, out, _ = looped
    for number in (1, 2):
        folds = [
            read_json(round_folder(out, number) / f"fold-{fold}" / "config.json", "")
            for fold in (0, 1)
        ]
        assert [f["config"]["data"]["fold"]["leave_out"] for f in folds] == [0, 1]
        begins = [f["config"]["start"] for f in folds]
        assert begins == (
            [None, None]
            if number == 1
            else [str(round_folder(out, 1) / f"fold-{fold}" / "model") for fold in (0, 1)]
        )


def test_the_page_shows_what_changed_and_why(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    spoilt, out, _ = looped
    page = write_scio_report(out, spoilt.root).read_text("utf-8")
    assert page.count("<section>") == 3
    assert "it does not follow from evidence" in page
    assert "data:image/png" in page
    assert "<del>" in page
    assert "<ins>" in page


def test_a_finished_loop_does_nothing_more(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    spoilt, out, report = looped
    before = [path.name for path in versions(spoilt.root)]
    assert scio(loop_config(spoilt.trusted), spoilt.root, out) == report
    assert [path.name for path in versions(spoilt.root)] == before


def test_another_loop_is_refused(looped: tuple[Spoilt, Path, ScioReport], tmp_path: Path) -> None:
    spoilt, out, _ = looped
    with pytest.raises(ConfigError, match=r"differs in config\.decide\.change"):
        scio(with_settings(loop_config(spoilt.trusted), ["decide.change=0.7"]), spoilt.root, out)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds mine\.txt and no loop"):
        scio(loop_config(spoilt.trusted), spoilt.root, tmp_path)
    absent = tmp_path / "none.csv"
    with pytest.raises(ConfigError, match="cannot read the trusted set"):
        scio(loop_config(absent), spoilt.root, tmp_path / "loop")
    strange = tmp_path / "strange.csv"
    strange.write_text("text_id,bad\nabc,1\n")
    with pytest.raises(ConfigError, match="none of the 1 texts"):
        scio(loop_config(strange), spoilt.root, tmp_path / "other")
    with pytest.raises(ConfigError, match=r"fold \d+ of 50 has no tile"):
        scio(loop_config(spoilt.trusted, folds=50), spoilt.root, tmp_path / "third")


PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.rounds.loop import scio
config, corpus, out, die_at = sys.argv[1:]
told = []
def tell(line):
    told.append(line)
    if len(told) == int(die_at):
        os.kill(os.getpid(), signal.SIGKILL)
scio(ScioConfig.model_validate(json.loads(config)), Path(corpus), Path(out), resume=True, tell=tell)
"""


def test_kill_nine_changes_nothing(
    looped: tuple[Spoilt, Path, ScioReport], told: Path, tmp_path: Path
) -> None:
    _, out, report = looped
    spoilt = spoil(told, tmp_path)
    config = loop_config(spoilt.trusted).model_dump_json()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def run(die_at: int) -> int:
        command = [sys.executable, "-c", PROGRAM, config, spoilt.root, tmp_path / "loop"]
        return subprocess.run([*command, str(die_at)], env=environment, check=False).returncode

    # between judging and writing; then when a version is written, and the round is not noted
    assert [run(die_at) for die_at in (3, 4)] == [-signal.SIGKILL] * 2
    (round_folder(tmp_path / "loop", 1) / "round.json").unlink()
    with pytest.raises(ConfigError, match="unfinished loop"):
        scio(loop_config(spoilt.trusted), spoilt.root, tmp_path / "loop")
    assert run(0) == 0
    again = json.loads((tmp_path / "loop" / "report.json").read_text())
    for name in ("rounds", "started", "ended", "changed", "stop"):
        assert again[name] == report.model_dump(mode="json")[name]
    assert again["recall"] == pytest.approx(report.recall)
    for number in (1, 2):
        assert judged(out, number) == judged(tmp_path / "loop", number)


def test_the_floor_keeps_texts_from_becoming_uniform(told: Path, tmp_path: Path) -> None:
    spoilt = spoil(told, tmp_path)
    floor = FloorConfig(vocabulary=1.0, distinct_2=1.0, rank=0.0)
    config = loop_config(spoilt.trusted, rounds=1, floor=floor, final_steps=3)
    config = config.model_copy(update={"decide": config.decide.model_copy(update={"change": 0.3})})
    scio(config, spoilt.root, tmp_path / "loop")
    ((_, one),) = rounds_of(tmp_path / "loop")
    if one.revised is None:
        assert one.stop == "no change would keep the floor of diversity"
        assert one.best == one.version
    else:
        assert one.after is not None
        assert one.after.vocabulary >= one.before.vocabulary
        assert one.after.distinct_2 >= one.before.distinct_2
