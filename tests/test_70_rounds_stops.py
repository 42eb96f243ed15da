"""Rung 7: when a closed loop stops, which version it takes, and what it refuses before it begins.

Trainings and models are played; texts, evidence, decisions and versions are real.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.runs.small import config as small_training
from data.told.make import GRID, make_told
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.compose import Composer, TextConfig
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.store import (
    annotation_folder,
    read_changes,
    read_texts,
    read_weights,
    versions,
)
from sarknowlip.annotate.support import Following, Supporter
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import unit_interval
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.train.rounds import calibration, classifiers, fusion, loop
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.rounds.loop import ScioReport, scio
from sarknowlip.train.rounds.record import JUDGED, Round, round_folder, rounds_of
from sarknowlip.train.rounds.scorer import ABOUT, ScoreConfig
from sarknowlip.train.rounds.validation import Validation

BAD, GOOD = -3.0, 3.0


@dataclass
class Played:
    """A corpus with planted errors, and models that know them.

    Attributes:
        root: Corpus.
        wrong: Texts that score badly.
        trusted: Texts that were looked at.
        recalls: Recall and rank of each round.
        trained: Folder and version of each training.
        captions: From tile and version to what the models tell.
        doubtful: Texts that score between good and bad.
    """

    root: Path
    wrong: frozenset[str]
    trusted: Path
    recalls: list[tuple[float, float] | None] = field(default_factory=lambda: [(0.5, 20.0)] * 9)
    trained: list[tuple[str, str]] = field(default_factory=list)
    captions: Callable[[str, Path], tuple[str, ...]] = lambda _, __: ()
    doubtful: frozenset[str] = frozenset()

    def value(self, text: Text) -> float:
        middle = BAD if text.id in self.wrong else GOOD
        if text.id in self.doubtful:
            middle = 0.0
        return middle + unit_interval("score", text.id)


@dataclass(frozen=True)
class Spoilt:
    """A corpus with planted errors, which they are, and a file of texts that were looked at."""

    root: Path
    wrong: frozenset[str]
    trusted: str


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Spoilt:
    folder = tmp_path_factory.mktemp("spoilt")
    root = make_told(folder, GRID[:192, :])
    config = CorruptConfig(levels=("sentence",), splits=("train",))
    corrupt(root, config, folder / "ledger.parquet")
    wrong = frozenset(pq.read_table(folder / "ledger.parquet")["text_id"].to_pylist())
    tiles = {record.id for record in Catalog(root).records("train")}
    texts = [t.id for t in read_texts(annotation_folder(root)) if t.level == "sentence"
             and t.tile_id in tiles]  # fmt: skip
    rows = "".join(f"{key},{int(key in wrong)}\n" for key in sorted(texts)[:60])
    return Spoilt(root, wrong, f"text_id,bad\n{rows}")


@pytest.fixture
def played(spoilt: Spoilt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    root = shutil.copytree(spoilt.root, tmp_path / "corpus")
    trusted = tmp_path / "trusted.csv"
    trusted.write_text(spoilt.trusted)
    play = Played(root, spoilt.wrong, trusted)

    class Scorer:
        def __init__(self, catalog: Catalog, out: Path, *_: Any) -> None:
            self.encoders: list[Any] = []

        def score(self, texts: Sequence[Text], *_: Any) -> pa.Table:
            about = {"text_id": "id", "tile_id": "tile_id", "level": "level"}
            columns: dict[str, Any] = {
                name: pa.array([getattr(t, about.get(name, name)) for t in texts], pa.string())
                for name in ABOUT
            }
            columns["matching.logit"] = pa.array(map(play.value, texts), pa.float64())
            columns["fold"] = pa.array(["0"] * len(texts), pa.string())
            return pa.table(columns)

        def captions(self, tiles: Sequence[str], folder: Path) -> dict[str, tuple[str, ...]]:
            return {tile: play.captions(tile, folder) for tile in tiles}

    def train(config: Any, data: Path, out: Path, **_: Any) -> Any:
        play.trained.append((out.name, config.data.annotation))
        return SimpleNamespace(loss=1.0)

    def validate(*_: Any) -> Validation | None:
        told = play.recalls.pop(0)
        return None if told is None else Validation(tiles=9, recall=told[0], rank=told[1])

    monkeypatch.setattr(loop, "FoldScorer", Scorer)
    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(loop, "validate", validate)
    monkeypatch.setattr(loop, "going_on", lambda config, run: config)
    # what a fusion reports is tested elsewhere; here it need not take long
    monkeypatch.setattr(classifiers, "STRENGTHS", (0.3,))
    monkeypatch.setattr(calibration, "RESAMPLES", 10)
    monkeypatch.setattr(fusion, "held_out_probabilities", lambda some: np.full(len(some), 0.3))
    return play


def config(play: Played, **changes: object) -> ScioConfig:
    values: dict[str, object] = {
        "recipe": "test",
        "train": small_training(),
        "later_steps": 1,
        "folds": 2,
        "rounds": 4,
        "trusted": str(play.trusted),
    }
    return ScioConfig.model_validate(values | changes)


def run(play: Played, out: Path, **changes: object) -> tuple[ScioReport, list[Round]]:
    report = scio(config(play, **changes), play.root, out, resume=True)
    return report, [one for _, one in rounds_of(out)]


def test_the_loop_tells_once_what_labels_lack(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, bool]] = []

    def warning_of(table: pa.Table, trusted: dict[str, bool]) -> str:
        assert set(trusted) <= set(table["text_id"].to_pylist())
        asked.append(trusted)
        return "few labels"

    monkeypatch.setattr(loop, "warning_of", warning_of)
    told: list[str] = []
    scio(config(played), played.root, tmp_path / "loop", tell=told.append)
    assert told.count("few labels") == len(asked) == 1, "of two rounds"
    assert told.index("few labels") < next(
        n for n, t in enumerate(told) if t.startswith("round 1: ")
    )
    told.clear()
    scio(config(played, trusted=None), played.root, tmp_path / "alone", tell=told.append)
    assert told
    assert "few labels" not in told


def test_what_was_done_is_written_and_the_loop_settles(played: Played, tmp_path: Path) -> None:
    report, rounds = run(played, tmp_path / "loop")
    assert report.stop == "nothing is to change"
    assert len(rounds) == 2
    assert rounds[0].revised == report.ended == rounds[1].version
    changes = {c.text_id: c for c in read_changes(annotation_folder(played.root, report.ended))}
    rows = pq.read_table(round_folder(tmp_path / "loop", 1) / JUDGED).to_pylist()
    for row in rows:
        change = changes.get(row["text_id"])
        done = ("keep", "") if change is None else (change.action, change.reason)
        assert (row["action"], row["reason"]) == done
        assert list(json.loads(row["signals"])) == ["matching.logit"]
    assert {row["action"] for row in rows} >= {"keep", "rewrite"}
    assert report.changed == {k: n for k, n in rounds[0].actions.items() if k != "keep"}
    assert played.trained[-1] == ("final", report.ended)


def test_the_share_of_bad_texts_is_that_of_now(played: Played, tmp_path: Path) -> None:
    _, rounds = run(played, tmp_path / "loop")
    first, second = (one.fusion for one in rounds)
    assert first is not None
    assert second is not None
    assert first.share == pytest.approx(first.bad / first.labels)
    assert second.share < 0.2 * first.share, "they were mended"


def test_embeddings_that_collapse_end_the_loop(played: Played, tmp_path: Path) -> None:
    played.recalls = [(0.5, 20.0), (0.9, 9.0)]
    report, rounds = run(played, tmp_path / "loop")
    assert report.stop == "rank fell to 9, below 10, so that the version before is taken"
    assert report.ended == report.started == rounds[0].version
    assert rounds[1].revised is None
    assert report.changed == {}, "what the first round did is not taken"
    assert played.trained[-1] == ("final", report.started)


def test_texts_that_make_recall_fall_are_not_taken(played: Played, tmp_path: Path) -> None:
    played.recalls = [(0.5, 20.0), (0.4, 20.0)]
    report, rounds = run(played, tmp_path / "loop")
    assert "fell by 0.1000, so that the version before is taken" in report.stop
    assert (rounds[1].best, report.ended, rounds[1].revised) == ("v0002", "v0002", None)
    assert len(versions(played.root)) == 3


def test_a_small_gain_ends_the_loop_with_the_newest_texts(played: Played, tmp_path: Path) -> None:
    played.recalls = [(0.5, 20.0), (0.505, 20.0)]
    few = {"most": 0.1}  # so that something is left for the second round
    report, rounds = run(played, tmp_path / "loop", gain=0.01, decide=few)
    assert report.stop == "mean recall on validation tiles rose by 0.0050, less than wanted"
    assert report.ended == rounds[1].revised != rounds[0].revised


def test_time_of_earlier_processes_counts(played: Played, tmp_path: Path) -> None:
    out = tmp_path / "loop"

    def tell(line: str) -> None:
        if line.startswith("round 2, fold 0"):
            raise KeyboardInterrupt

    fewer = {"decide": {"most": 0.1}}
    with pytest.raises(KeyboardInterrupt):
        scio(config(played, minutes=1000.0, **fewer), played.root, out, tell=tell)
    path = round_folder(out, 1) / "round.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 61_000.0}))
    report, _ = run(played, out, minutes=1000.0, **fewer)
    assert (report.rounds, report.stop) == (2, "1017 minutes are spent")


def test_changes_are_halved_until_the_floor_is_kept(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    answers = ["too few words", "too few words", None]
    real = loop.revise

    def revise(root: Path, parent: str, wanted: Any, **options: Any) -> Any:
        asked.append(len(wanted))
        return real(root, parent, wanted, **options)

    monkeypatch.setattr(loop, "revise", revise)
    monkeypatch.setattr(loop, "fallen", lambda *_: answers.pop(0) if answers else "too few words")
    _, rounds = run(played, tmp_path / "loop", rounds=1)
    assert asked == [asked[0], asked[0] // 2, asked[0] // 4]
    assert asked[2] > 0
    actions = rounds[0].actions
    assert 0 < sum(actions.values()) - actions["keep"] + rounds[0].followed <= asked[2]
    # the likeliest bad ones are left
    rows = pq.read_table(round_folder(tmp_path / "loop", 1) / JUDGED).to_pylist()
    changed = [row["score"] for row in rows if row["action"] != "keep"]
    wanted = sorted((row["score"] for row in rows), reverse=True)[: len(rows) // 2]
    assert min(changed) >= min(wanted)


def test_where_nothing_keeps_the_floor_nothing_changes(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(loop, "fallen", lambda *_: asked.append(1) or "too few words")
    report, rounds = run(played, tmp_path / "loop", rounds=2)
    assert len(asked) == loop.TRIES
    assert report.stop == "no change would keep the floor of diversity"
    assert (rounds[0].revised, rounds[0].best) == (None, rounds[0].version)
    assert rounds[0].actions == {"keep": rounds[0].judged}


def test_texts_that_are_doubted_no_more_count_in_full(played: Played, tmp_path: Path) -> None:
    tiles = {record.id for record in Catalog(played.root).records("train")}
    texts = [t for t in read_texts(annotation_folder(played.root)) if t.tile_id in tiles]
    known = {line.partition(",")[0] for line in played.trusted.read_text().splitlines()}
    free = [t.id for t in texts if t.level == "sentence" and t.id not in known]
    doubtful = played.doubtful = frozenset(free[:40]) - played.wrong

    def tell(line: str) -> None:
        if line.startswith("round 1: "):
            played.doubtful = doubtful if "judged" in line else frozenset()

    decide = {"weigh": 0.1, "change": 0.95}
    asked = config(played, decide=decide, gain=-1.0)
    report = scio(asked, played.root, tmp_path / "loop", tell=tell)
    rounds = [one for _, one in rounds_of(tmp_path / "loop")]
    assert rounds[0].actions["weight"] > 0
    assert rounds[0].revised is not None
    was = read_weights(annotation_folder(played.root, rounds[0].revised))
    now = read_weights(annotation_folder(played.root, report.ended))
    assert doubtful & set(was)
    assert not doubtful & set(now), "nothing speaks against them any more"
    assert report.stop == "nothing is to change"


def test_what_a_model_tells_takes_the_place_of_what_nothing_derives(
    played: Played, tmp_path: Path
) -> None:
    def captions(tile_id: str, folder: Path) -> tuple[str, ...]:
        """Tell all that evidence derives, one sentence a claim."""
        held = stored(folder, [tile_id])[tile_id]
        facts = [fact for fact in held.evidence if fact.intact]
        composer = Composer(TextConfig(levels=("sentence",), wordings=1))
        claims = Following(Supporter.of(folder).stages, tile_id, facts).claims
        return tuple(text.text for claim in claims for text in composer.texts([claim], facts))

    played.captions = captions
    texts = [t for t in read_texts(annotation_folder(played.root)) if t.level == "sentence"]
    report, rounds = run(played, tmp_path / "loop", rounds=1)
    assert rounds[0].actions["replace"] > 0
    folder = annotation_folder(played.root, report.ended)
    new = {text.id: text for text in read_texts(folder)}
    was = {text.id: text for text in texts}
    for change in read_changes(folder):
        if change.action != "replace":
            continue
        assert change.new_text_id is not None
        text = new[change.new_text_id]
        assert text.text in captions(text.tile_id, folder)
        others = [t.text for t in was.values() if t.tile_id == text.tile_id]
        assert text.text not in others


def test_without_trusted_texts_and_validation_tiles(played: Played, tmp_path: Path) -> None:
    played.recalls = [None] * 4
    report, rounds = run(played, tmp_path / "loop", trusted=None)
    assert [one.fusion for one in rounds] == [None] * len(rounds)
    assert report.recall == (None,) * len(rounds)
    assert report.changed["rewrite"] > 0
    left = {text.id for text in read_texts(annotation_folder(played.root, report.ended))}
    tiles = {record.id for record in Catalog(played.root).records("train")}
    before = [t for t in read_texts(annotation_folder(played.root, report.started))
              if t.id in played.wrong and t.tile_id in tiles]  # fmt: skip
    assert sum(text.id in left for text in before) < 0.1 * len(before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": ScoreConfig(signals=("matching", "gut"))}, "gut"),
        ({"score": ScoreConfig(hidden=("rumour",))}, "'rumour' can be hidden"),
        ({"folds": 50}, r"fold \d+ of 50 has no tile"),
        ({"trusted": "few"}, "3 trusted texts are too few"),
        ({"trusted": "bad"}, "bad and 0 good: 3 good ones are needed"),
        ({"trusted": "strange"}, "none of the 1 texts"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(
    played: Played, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    out = tmp_path / "loop"
    lines = played.trusted.read_text().splitlines()
    given = {
        "few": lines[:4],
        "bad": [lines[0], *(f"{line.partition(',')[0]},1" for line in lines[1:])],
        "strange": [lines[0], "abc,1"],
    }
    if "trusted" in changes:
        played.trusted.write_text("\n".join(given[changes["trusted"]]) + "\n")
        changes = {}
    with pytest.raises(ConfigError, match=message) as caught:
        scio(config(played, **changes), played.root, out)
    assert "\n" not in str(caught.value)
    assert played.trained == []
    assert not (out / "loop.json").exists()
    if message.endswith("too few"):  # mended, in the same folder
        played.trusted.write_text("\n".join(lines) + "\n")
        assert scio(config(played), played.root, out).rounds == 2


def test_a_folder_may_be_moved_with_its_trusted_set(played: Played, tmp_path: Path) -> None:
    out, leftover = tmp_path / "loop", tmp_path / "loop" / "rounds" / "01" / ".partial-x.parquet"

    def tell(line: str) -> None:
        if line.startswith("round 2, fold 0"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scio(config(played), played.root, out, tell=tell)
    leftover.write_text("cut off")
    moved = out.rename(tmp_path / "moved")
    elsewhere = played.trusted.rename(tmp_path / "elsewhere.csv")
    with pytest.raises(ConfigError, match="unfinished loop"):
        scio(config(played, trusted=str(elsewhere)), played.root, moved)
    report, rounds = run(played, moved, trusted=str(elsewhere))
    assert len(rounds) == 2
    assert not list(moved.rglob(".partial-*"))
    assert report.model == str(moved / "final")
    again = moved.rename(tmp_path / "again")
    known, _ = run(played, again, trusted=str(elsewhere))
    assert known == report.model_copy(update={"model": str(again / "final")})
    elsewhere.write_text(elsewhere.read_text() + "other,0\n")
    with pytest.raises(ConfigError, match="differs in trusted_sha256"):
        run(played, again, trusted=str(elsewhere))


def test_what_the_loop_sets_is_not_for_others() -> None:
    values = {"recipe": "test", "later_steps": 1}
    with pytest.raises(ValueError, match=r"train\.start: there is for the loop to set"):
        ScioConfig.model_validate(values | {"train": small_training(start="there")})
    data = {"batch": 4, "fold": {"folds": 2, "leave_out": 0}}
    with pytest.raises(ValueError, match=r"train\.data\.fold: .* is for the loop to set"):
        ScioConfig.model_validate(values | {"train": small_training(data=data)})
