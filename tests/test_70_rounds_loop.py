"""Rung 7: the closed loop finds planted errors, mends them, and goes on where it was stopped."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from data.runs.small import config as small_training
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.store import MANIFEST, annotation_folder, read_texts, versions
from sarknowlip.annotate.verify import verify
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data.folds import FoldConfig, tiles_left
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.pipeline.scio_report import write_scio_report
from sarknowlip.train.rounds import folds as folds_module
from sarknowlip.train.rounds.config import ScioConfig, with_settings
from sarknowlip.train.rounds.folds import FoldScorer, folds_of, judged_texts
from sarknowlip.train.rounds.loop import ScioReport, scio
from sarknowlip.train.rounds.record import JUDGED, round_folder, rounds_of
from sarknowlip.train.rounds.scorer import ScoreConfig, TextScorer
from sarknowlip.train.rounds.signals.signal import SignalConfig

HOW = SignalConfig(references=6, others=1, beginnings=1, new_tokens=4, continued_tokens=2)
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
        "train": small_training(steps=5, threads=1, objective={"name": "combined"}),
        "later_steps": 2,
        "final_steps": 2,
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
    looped: tuple[Spoilt, Path, ScioReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt, out, report = looped
    asked: list[tuple[str, set[str]]] = []

    class Spy(TextScorer):
        def score(self, texts: Sequence[Text], progress: Progress | None = None) -> pa.Table:
            asked.append((weights_of(self.view.model), {text.tile_id for text in texts}))
            return super().score(texts, progress)

    monkeypatch.setattr(folds_module, "TextScorer", Spy)
    config = loop_config(spoilt.trusted).model_copy(
        update={"score": ScoreConfig(signals=("contrastive",), how=HOW)}
    )
    folds = folds_of(Catalog(spoilt.root), config)
    folder = annotation_folder(spoilt.root, report.started)
    tiles = {record.id for fold in folds for record in fold.records}
    texts = list(judged_texts(folder, config, tiles))
    runs = [round_folder(out, 1) / f"fold-{fold.number}" for fold in folds]
    seen = {}
    for run in runs:
        trained = read_json(run / "config.json", "")["config"]["data"]["fold"]
        model = SarKnowLIP.from_pretrained(run / "model")
        seen[weights_of(model)] = tiles_left(spoilt.root, FoldConfig(**trained))
    FoldScorer(Catalog(spoilt.root), tmp_path, config, folds, runs).score(texts, folder)
    assert [model for model, _ in asked] == list(seen), "a fold has a model"
    for model, told in asked:
        assert told
        assert not told & seen[model]
    assert set().union(*(told for _, told in asked)) == {text.tile_id for text in texts}


def weights_of(model: SarKnowLIP) -> str:
    return str(sum(float(weight.detach().double().abs().sum()) for weight in model.parameters()))


def test_a_fold_goes_on_from_its_own_model(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    _, out, _ = looped
    for number, fold in itertools.product((1, 2), (0, 1)):
        told = read_json(round_folder(out, number) / f"fold-{fold}" / "config.json", "")["config"]
        assert told["data"]["fold"]["leave_out"] == fold
        before = str(round_folder(out, 1) / f"fold-{fold}" / "model")
        assert told["start"] == (None if number == 1 else before)


def test_what_no_later_round_needs_is_deleted(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    _, out, _ = looped
    kept = {path.name.rpartition("-")[0] for path in (out / "scores" / "scores").iterdir()}
    assert kept == {"evidence"}
    assert not (out / "scores" / "tokens").exists()
    assert not (out / "scores" / "captions").exists()


def test_the_page_shows_what_changed_and_why(looped: tuple[Spoilt, Path, ScioReport]) -> None:
    spoilt, out, _ = looped
    page = write_scio_report(out, spoilt.root).read_text("utf-8")
    assert page.count("<section>") == 3
    assert "it does not follow from evidence" in page
    assert "data:image/png" in page
    assert "<del>" in page
    assert "<ins>" in page


def test_a_frugal_loop_mends_as_much(
    told: Path, looped: tuple[Spoilt, Path, ScioReport], tmp_path: Path
) -> None:
    """Models judge what evidence is silent on."""
    _, _, report = looped
    spoilt = spoil(told, tmp_path)
    config = loop_config(spoilt.trusted, score=ScoreConfig(how=HOW, models="silent"))
    frugal = scio(config, spoilt.root, tmp_path / "loop")
    assert frugal.started == report.started
    for row in judged(tmp_path / "loop", 1):
        known = {name.partition(".")[0] for name in json.loads(str(row["signals"]))}
        assert ("evidence" in known) != ("matching" in known)
    before = read_texts(annotation_folder(spoilt.root, frugal.started))
    wrong = {t.id for t in before if t.id in spoilt.wrong}
    left = {text.id for text in read_texts(annotation_folder(spoilt.root, frugal.ended))}
    assert len(wrong & left) < 0.2 * len(wrong)


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


PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.rounds.loop import scio
config, corpus, out, die_at = sys.argv[1:]
def progress(done, total, what):
    if what.startswith(die_at):
        os.kill(os.getpid(), signal.SIGKILL)
scio(ScioConfig.model_validate(json.loads(config)), Path(corpus), Path(out), progress=progress)
"""


def test_a_loop_that_was_stopped_anywhere_ends_the_same(
    looped: tuple[Spoilt, Path, ScioReport], told: Path, tmp_path: Path
) -> None:
    _, out, report = looped
    spoilt = spoil(told, tmp_path)
    config, again = loop_config(spoilt.trusted, rounds=1), tmp_path / "loop"

    def stop_at(stage: str) -> None:
        """Go on until a stage, and stop in it."""

        def progress(done: int, total: int, what: str) -> None:
            if what.startswith(stage) and done > 1:
                raise KeyboardInterrupt

        def tell(line: str) -> None:
            if line.startswith(stage):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            scio(config, spoilt.root, again, resume=True, progress=progress, tell=tell)

    # within a training, by a kill that can't be caught
    command = [sys.executable, "-c", PROGRAM, config.model_dump_json(), spoilt.root, again]
    killed = subprocess.run(
        [*command, "rounds/01/fold-1"], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(ConfigError, match="unfinished loop"):
        scio(config, spoilt.root, again)
    stop_at("matching")  # in scoring
    stop_at("round 1: ")  # judged, not written
    stop_at("final")
    again = again.rename(tmp_path / "moved")
    (round_folder(again, 1) / "round.json").unlink()  # a version is written, and it is not noted
    found = scio(config, spoilt.root, again, resume=True)
    assert (found.started, found.ended, found.changed) == (
        report.started, report.ended, report.changed,
    )  # fmt: skip
    assert found.recall[0] == pytest.approx(report.recall[0])
    assert judged(out, 1) == judged(again, 1)
    texts = [list(read_texts(annotation_folder(root, found.ended)))
             for root in (spoilt.root, looped[0].root)]  # fmt: skip
    assert texts[0] == texts[1]
