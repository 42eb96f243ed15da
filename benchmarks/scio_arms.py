"""Arms of the measurement of the closed loop, each measured into one table; see `measure_scio.py`.

What arms of a seed have in common is made once, as arm "begin": the corpus with its errors, the
trusted set, the folds' first trainings and all their scores. They are those of arm "loop"; a loop
without a signal begins with the same ones, and the loop itself compares configuration and digests
of what it finds with what it would have made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from learning_cities import tell
from learning_fewer import linked, sharded
from learning_scores import HeldOut, Scorer, load
from sklearn.metrics import roc_auc_score

from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.core.config import Config
from sarknowlip.core.files import write_json
from sarknowlip.core.hashing import unit_interval
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.train.loop import train
from sarknowlip.train.rounds.begun import begun
from sarknowlip.train.rounds.config import ScioConfig, with_settings
from sarknowlip.train.rounds.folds import SCORES, FoldScorer, folds_of, judged_texts
from sarknowlip.train.rounds.fusion import Fusion
from sarknowlip.train.rounds.loop import FINAL, FUSION, LOOP, scio
from sarknowlip.train.rounds.recipes import SCIO_RECIPES
from sarknowlip.train.rounds.record import JUDGED, ROUNDS, round_folder, rounds_of

SIGNALS = ("contrastive", "matching", "reconstruction", "regeneration", "evidence")
CLEAN = "v0001"
BEGIN, UNTRUSTED = "begin", "loop-trusted"
SINGLE = ("clean", "corrupted")
BEGUN = ("loop", *(f"loop-{name}" for name in SIGNALS), UNTRUSTED)
ENDED = ("loop", "loop-evidence", UNTRUSTED)
"""Arms whose last models are asked about the first texts again."""
ARMS = (*SINGLE, *BEGUN, "clean-loop")
CHANGED = ("rewrite", "replace", "drop")
SCORED_PER_STEP, TILES_PER_STEP = 150, 30
"""Texts scored, and tiles captioned, in the time of a training step, about."""
HELD_STEPS = 60
"""Steps in the time of scoring a model on held-out tiles, about."""

Row = list[Any]


class Setting(Config):
    """What is measured.

    Attributes:
        recipe: Of the loop.
        share: Of the training sentences that become wrong.
        trusted: Sentences that a person looks at.
        folds: Of the loop.
        rounds: Of the loop, at most.
        steps: Of a fold in the first round.
        later: Of a fold in a later round.
        final: Of the model in the end.
        ended: Texts of the first version that are scored again in the end, at most.
        settings: Further settings of the loop.
    """

    recipe: str
    share: float
    trusted: int
    folds: int
    rounds: int
    steps: int
    later: int
    final: int
    ended: int
    settings: tuple[str, ...]

    @property
    def all_steps(self) -> int:
        """Steps of a loop that does all its rounds."""
        return self.folds * (self.steps + (self.rounds - 1) * self.later) + self.final

    def effort(self, arm: str, tiles: int, texts: int) -> float:
        """Return about how long an arm takes, in training steps."""
        scored = texts / SCORED_PER_STEP + tiles / TILES_PER_STEP
        begin = self.folds * self.steps + scored
        if arm == BEGIN:
            return begin
        if arm in SINGLE:
            return self.final + self.all_steps + 2 * HELD_STEPS
        loop = (self.rounds - 1) * (self.folds * self.later + scored) + self.final + HELD_STEPS
        loop += min(texts, self.ended) / SCORED_PER_STEP + scored / 3 if arm in ENDED else 0
        return loop + (begin if arm == "clean-loop" else 0)


class Seed:
    """All arms of one seed.

    Args:
        setting: What is measured.
        seed: Of trainings and errors.
        folder: Where its arms lie.
        corpus: Corpus that is learned from, whose texts `CLEAN` are right.
        held: The one that is measured on; None measures detection alone.
    """

    def __init__(
        self,
        setting: Setting,
        seed: int,
        folder: Path,
        corpus: Path,
        held: Path | None,
    ) -> None:
        self.setting, self.seed, self.folder = setting, seed, folder
        self.corpus, self.held = corpus, held
        self.ledger, self.trusted = folder / "ledger.parquet", folder / "trusted.parquet"

    def measured(self, arm: str) -> list[Row]:
        """Run an arm, or go on with it; return its rows, the last ones with the time it took."""
        start, busy = time.monotonic(), time.process_time()
        if arm == BEGIN:
            found = list(self._begin())
        elif arm in SINGLE:
            found = list(self._single(arm))
        else:
            found = list(self._loop(arm))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        took = {"seconds": time.monotonic() - start, "processor": time.process_time() - busy}
        times = [["", "", name, device, "", f"{value:.0f}", "", ""] for name, value in took.items()]
        return [*found, *times]

    def _begin(self) -> Iterator[Row]:
        """Plant errors, train the folds of the first round, and score all texts."""
        root = linked(self.corpus, self.folder / BEGIN / "corpus")
        config = CorruptConfig(
            share=self.setting.share, splits=("train",), levels=("sentence",), seed=self.seed
        )
        report = corrupt(root, config, self.ledger, version=CLEAN)
        sharded(root)
        tell(f"{report.version}: planted {report.planted}, {report.unplaced} found no room")
        for kind, count in report.planted.items():
            yield ["", "", "planted", kind, "", count, "", report.texts]
        self._looked_at(root, report.version)
        asked = self.config("loop", report.version)
        out, catalog = self.folder / BEGIN / "loop", Catalog(root)
        folds, runs = folds_of(catalog, asked), []
        for fold in folds:
            runs.append(round_folder(out, 1) / f"fold-{fold.number}")
            one = asked.of_fold(1, fold.number, report.version)
            train(one, root, runs[-1], resume=True, progress=_progress(f"fold {fold.number}"))
        version = annotation_folder(root, report.version)
        tiles = {record.id for fold in folds for record in fold.records}
        texts = list(judged_texts(version, asked, tiles))
        scorer = FoldScorer(catalog, out, asked, folds, runs)
        scorer.score(texts, version, _progress("scores"))
        yield ["", "", "texts", "judged", "", len(texts), "", len(tiles)]

    def _looked_at(self, root: Path, version: str) -> None:
        """Write which of some random training sentences are bad, as a person would find."""
        wrong = set(self._kinds())
        tiles = {record.id for record in Catalog(root).records("train")}
        texts = read_texts(annotation_folder(root, version))
        ids = sorted(t.id for t in texts if t.level == "sentence" and t.tile_id in tiles)
        random = np.random.default_rng(self.seed)
        chosen = sorted(random.choice(ids, min(self.setting.trusted, len(ids)), replace=False))
        bad = [i in wrong for i in chosen]
        pq.write_table(pa.table({"text_id": list(map(str, chosen)), "bad": bad}), self.trusted)

    def _kinds(self) -> dict[str, str]:
        """Return the kind of error of each wrong text."""
        return {row["text_id"]: row["kind"] for row in pq.read_table(self.ledger).to_pylist()}

    def config(self, arm: str, version: str) -> ScioConfig:
        """Return the loop of an arm; that of an arm without one tells its training."""
        left_out = arm.removeprefix("loop-") if arm.startswith("loop-") else ""
        names = [name for name in SIGNALS if name != left_out]
        asked = self.setting
        settings = [
            f"train.data.annotation={version}",
            f"train.seed={self.seed}",
            f"train.steps={asked.steps}",
            "train.log_every=25",
            "train.validate_every=1000000",
            "train.checkpoint_every=250",
            f"later_steps={asked.later}",
            f"final_steps={asked.final}",
            f"rounds={asked.rounds}",
            f"folds={asked.folds}",
            "gain=-1",
            "score.signals=" + str(names).replace("'", '"'),
            *asked.settings,
        ]
        if arm in BEGUN and arm != UNTRUSTED:
            settings.append(f"trusted={self.trusted}")
        return with_settings(SCIO_RECIPES[asked.recipe](), settings)

    def _single(self, arm: str) -> Iterator[Row]:
        """Train as long as a loop's last model, and as long as a loop in all."""
        root, version = self.corpus, CLEAN
        if arm == "corrupted":
            root = self.folder / BEGIN / "corpus"
            version = _newest(root)
        config = self.config(arm, version)
        for steps in dict.fromkeys((self.setting.final, self.setting.all_steps)):
            run = self.folder / arm / f"run-{steps}"
            one = config.model_copy(update={"final_steps": steps}).at_the_end(version)
            train(one, root, run, resume=True, progress=_progress(f"{arm} {steps}"))
            yield from self.held_out(run, steps)

    def _loop(self, arm: str) -> Iterator[Row]:
        """Run a loop."""
        out, root = self.folder / arm / "loop", self.folder / arm / "corpus"
        kinds: Mapping[str, str] = {}
        looked_at: set[str] = set()
        if arm == "clean-loop":
            linked(self.corpus, root)
            config = self.config(arm, CLEAN)
        else:
            begin = self.folder / BEGIN
            linked(begin / "corpus", root)
            config, kinds = self.config(arm, _newest(begin / "corpus")), self._kinds()
            looked_at = set(pq.read_table(self.trusted)["text_id"].to_pylist())
            if not (out / LOOP).is_file():
                for part in (ROUNDS, SCORES):
                    linked(begin / "loop" / part, out / part)
                # what it finds there it compares with what it would do itself
                write_json(out / LOOP, begun(config, root, out / LOOP)[1])

        def told(line: str) -> None:
            tell(f"seed {self.seed}, {arm}: {line}")
            sharded(root)

        scio(config, root, out, resume=True, progress=_progress(arm), tell=told)
        yield from detections(out, kinds, looked_at)
        if kinds and arm in ENDED and self.setting.ended:
            yield from self._at_the_end(config, root, out, looked_at)
        yield from self.held_out(out / FINAL, self.setting.final)

    def _at_the_end(
        self, config: ScioConfig, root: Path, out: Path, trusted: Collection[str]
    ) -> Iterator[Row]:
        """Yield how well the models of the last round tell the errors of the first version."""
        last, _ = rounds_of(out)[-1]
        catalog = Catalog(root)
        folds = folds_of(catalog, config)
        runs = [last / f"fold-{fold.number}" for fold in folds]
        first = annotation_folder(root, config.train.data.annotation)
        tiles = {record.id for fold in folds for record in fold.records}
        texts = [text for text in judged_texts(first, config, tiles) if text.id not in trusted]
        drawn = sorted(texts, key=lambda text: unit_interval("ended", text.id))
        chosen = {text.id for text in drawn[: self.setting.ended]}
        scorer = FoldScorer(catalog, out, config, folds, runs)
        asked = [text for text in texts if text.id in chosen]
        table = scorer.score(asked, first, _progress("end"))
        chances = Fusion.load(last / FUSION).probability(table)
        told = list(zip(table["text_id"].to_pylist(), chances.tolist(), strict=True))
        yield from aurocs("end", told, self._kinds())

    def held_out(self, run: Path, steps: int) -> Iterator[Row]:
        """Yield what a model is worth on cities never seen."""
        if self.held is None:
            return
        model, processor = load(run)
        scorer = Scorer(model, processor, HeldOut.read(self.held, "test", CLEAN, processor))
        recalls: list[float] = []
        for part in (scorer.retrieval(), scorer.matching(), scorer.said()):
            for s in part:
                if s.metric == "whole":
                    recalls.append(s.value)
                chance = "" if np.isnan(s.chance) else f"{s.chance:.4f}"
                head = ["", steps, s.metric, s.direction, s.k or ""]
                yield [*head, f"{s.value:.4f}", chance, s.count]
        mean = f"{np.mean(recalls):.4f}"
        yield ["", steps, "mean recall", "both", "", mean, "", len(scorer.held)]


def detections(out: Path, kinds: Mapping[str, str], trusted: Collection[str]) -> Iterator[Row]:
    """Yield how well errors are told, and what was done, round by round; trusted texts apart."""
    for folder, one in rounds_of(out):
        table = pq.read_table(folder / JUDGED, columns=["text_id", "bad", "action"])
        rows = [row for row in table.to_pylist() if row["text_id"] not in trusted]
        yield from aurocs(one.number, [(row["text_id"], row["bad"]) for row in rows], kinds)
        for action, count in one.actions.items():
            share = count / one.judged
            yield [one.number, "", "share", action, "", f"{share:.4f}", "", count]
        for name, actions in (("changed", CHANGED), ("dropped", ("drop",))):
            done = [row["text_id"] in kinds for row in rows if row["action"] in actions]
            if done:
                right = f"{sum(done) / len(done):.4f}"
                yield [one.number, "", "precision", name, "", right, "", len(done)]
        wrong = [row["action"] in CHANGED for row in rows if row["text_id"] in kinds]
        if wrong:
            found = f"{sum(wrong) / len(wrong):.4f}"
            yield [one.number, "", "found", "changed", "", found, "", len(wrong)]
        yield [one.number, "", "vocabulary", "", "", one.before.vocabulary, "", one.judged]
        yield [one.number, "", "distinct-2", "", "", f"{one.before.distinct_2:.4f}", "", ""]
        if one.validation is not None:
            yield [one.number, "", "effective rank", "", "", f"{one.validation.rank:.2f}", "", ""]
            yield [one.number, "", "val recall", "", "", f"{one.validation.recall:.4f}", "", ""]
        if one.stop is not None:
            yield [one.number, "", "stop", one.stop, "", one.number, "", ""]


def aurocs(
    number: int | str, chances: Sequence[tuple[str, float]], kinds: Mapping[str, str]
) -> Iterator[Row]:
    """Yield how well each kind of error, and all of them, are told from texts that are right."""
    good = [chance for text_id, chance in chances if text_id not in kinds]
    of_kind: dict[str, list[float]] = {"all": []}
    for text_id, chance in chances:
        if text_id in kinds:
            of_kind["all"].append(chance)
            of_kind.setdefault(kinds[text_id], []).append(chance)
    for kind, bad in sorted(of_kind.items()):
        if bad and good:
            auroc = roc_auc_score([1] * len(bad) + [0] * len(good), bad + good)
            yield [number, "", "detection auroc", kind, "", f"{auroc:.4f}", 0.5, len(bad)]


def _newest(root: Path) -> str:
    """Return the version with the errors: the arm that made them wrote nothing after it."""
    return annotation_folder(root).name


def _progress(what: str) -> Callable[[int, int, str], None]:
    said = 0.0

    def told(done: int, total: int, item: str) -> None:
        nonlocal said
        if time.monotonic() - said > 60:
            said = time.monotonic()
            tell(f"{what} {done}/{total} {item}")

    return told
