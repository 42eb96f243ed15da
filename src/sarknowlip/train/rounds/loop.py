"""The closed loop: train, score, revise, round after round; then a model on what is left.

A folder of a loop holds `loop.json` (configuration and what it started from), `rounds/NN/` (the
models of the folds, `judged.parquet`, `round.json`), `scores/` (kept scores, which may be deleted),
`final/` (the training of the model) and `report.json`. Every stage appears whole, so that a loop
that was killed at any moment goes on with the stage that it was in. Versions of the texts are
written to the corpus; none is ever changed, and validation and test texts stay as they are.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.revise import Decision, revise
from sarknowlip.annotate.store import (
    Change,
    annotation_folder,
    read_changes,
    read_texts,
    read_weights,
)
from sarknowlip.annotate.support import Supporter
from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import exclusive, read_json, remove_partials, write_json
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.train.folder import MODEL, refuse_other_content
from sarknowlip.train.loop import train
from sarknowlip.train.rounds.begun import begun
from sarknowlip.train.rounds.candidates import candidates
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.rounds.decide import (
    Candidate,
    Judged,
    Known,
    decisions,
    final_scores,
    followers,
)
from sarknowlip.train.rounds.diversity import Diversity, fallen, text_diversity
from sarknowlip.train.rounds.doubts import doubts
from sarknowlip.train.rounds.folds import FOLD, SCORES, FoldScorer, folds_of, judged_texts
from sarknowlip.train.rounds.fusion import Fusion, FusionReport, require_labels
from sarknowlip.train.rounds.record import (
    JUDGED,
    ROUND,
    Round,
    round_folder,
    rounds_of,
    write_judged,
)
from sarknowlip.train.rounds.scorer import ABOUT, forget_models
from sarknowlip.train.rounds.signals import SIGNALS
from sarknowlip.train.rounds.trusted import read_trusted, warning_of
from sarknowlip.train.rounds.validation import Validation, validate
from sarknowlip.train.start import going_on

LOOP, LOCK, FINAL, REPORT, FUSION = "loop.json", ".lock", "final", "report.json", "fusion.json"
TRIES = 4
"""Times that a round tries to keep the floor, each with half the changes of the one before."""

Tell = Callable[[str], None]


class ScioReport(Config):
    """What a finished loop says of itself.

    Attributes:
        recipe: Name of the recipe.
        rounds: Rounds done.
        started: Version of the texts that the first round read.
        ended: Version that the model at the end learned from.
        changed: Texts by what was done to them, over the rounds whose texts were taken; kept ones
            are left out.
        recall: Mean recall on validation tiles, by round; None without any.
        stop: Why the loop ended.
        model: Folder of the model's training.
        seconds: Time this process took.
    """

    recipe: str
    rounds: int
    started: str
    ended: str
    changed: dict[str, int]
    recall: tuple[float | None, ...]
    stop: str
    model: str
    seconds: float


def scio(
    config: ScioConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> ScioReport:
    """Run a closed loop, or go on with one.

    Args:
        config: Complete configuration.
        data: Corpus folder with annotations; versions of the texts are added to it.
        out: Folder of the loop. A finished loop of the same configuration returns at once.
        resume: Go on where it stopped.
        progress: Called with what is done of a stage, all of it, and what it is.
        tell: Called with a line after each stage.

    Raises:
        ConfigError: The folder holds something else, another loop, or an unfinished one and
            `resume` is false; a fold without tiles, an unknown signal or hidden source, or an
            unusable trusted set, before anything is trained or written.
        CorpusError: The corpus is damaged or has too few pairs.
        DivergedError: A loss is no longer a number.
        StorageError: The disk is full or not writable.
        SarKnowlipError: A file of the loop is damaged.
        KeyboardInterrupt: Interrupted; what is finished is kept.
    """
    with contextlib.ExitStack() as held:
        refuse_other_content(out, LOOP, "loop")
        held.enter_context(exclusive(out / LOCK))
        remove_partials(out)
        there = (out / LOOP).is_file()
        fixed, identity = begun(config, data, out / LOOP)
        if (out / REPORT).is_file():
            known = ScioReport.model_validate(read_json(out / REPORT, "choose a new folder"))
            return known.model_copy(update={"model": str(out / FINAL)})  # it may have been moved
        if there and not resume:
            raise ConfigError(
                f"{out} holds an unfinished loop", "add --resume or choose a new folder"
            )
        loop = _Loop(fixed, data, out, progress, tell or _silent)
        if not there:
            write_json(out / LOOP, identity)
        return loop.run()


class _Loop:
    """One process's work on a loop.

    Args:
        config: With the version that the loop starts from by name.
        data: Corpus folder.
        out: Folder of the loop.
        progress: Called within stages.
        tell: Called after them.

    Raises:
        ConfigError: What is configured cannot be done.
    """

    def __init__(
        self, config: ScioConfig, data: Path, out: Path, progress: Progress | None, tell: Tell
    ) -> None:
        self.config, self.data, self.out = config, data, out
        self.progress, self.tell = progress, tell
        self.catalog = Catalog(data)
        self.folds = folds_of(self.catalog, config)
        self.tiles = {record.id for fold in self.folds for record in fold.records}
        self.first = annotation_folder(data, config.train.data.annotation).name
        self.trusted = {} if config.trusted is None else read_trusted(Path(config.trusted))
        self.begun = time.monotonic()
        for name in config.score.signals:
            SIGNALS[name]
        Supporter.of(annotation_folder(data, self.first), hidden=config.score.hidden)
        self.looked_at = [text for text in self._texts(self.first) if text.id in self.trusted]
        if not self.trusted:
            return
        if not self.looked_at:
            raise ConfigError(
                f"none of the {len(self.trusted)} texts of {config.trusted} is one that the loop"
                f" judges in {self.first}",
                "give identifiers of this version, of training tiles and of the levels judged",
            )
        labels = np.array([self.trusted[text.id] for text in self.looked_at])
        require_labels(labels, len(self.trusted) - len(labels))

    def run(self) -> ScioReport:
        """Do what is left to do."""
        while True:
            done = [one for _, one in rounds_of(self.out)]
            if done and done[-1].stop is not None:
                return self._finished(done)
            self._round(done)

    def _round(self, done: Sequence[Round]) -> None:
        """Do one round, after those that are done."""
        start, number = time.monotonic(), len(done) + 1
        version = self.first if not done else (done[-1].revised or done[-1].version)
        folder = round_folder(self.out, number)
        scorer = self._trained(number, version)
        validation = validate(self.data, version, scorer.encoders)
        texts = list(self._texts(version))
        before = _with_rank(text_diversity(texts), validation)
        lost = self._lost(done, before, validation)
        judged, found = self._judged(scorer, number, version, texts)
        scores = final_scores(judged, self.trusted)
        wanted = {} if lost else self._decided(judged, scores, scorer, version)
        self.tell(f"round {number}: {len(judged)} texts judged, {len(wanted)} are to change")
        first = done[0].before if done else before
        revised, after, refused = self._revised(wanted, version, number, first)
        changes = self._changes(revised)
        write_judged(folder / JUDGED, judged, scores, changes)
        ids = {one.text.id for one in judged}
        actions = Counter(change.action for key, change in changes.items() if key in ids)
        followed = len(changes) - actions.total()
        actions["keep"] = len(judged) - actions.total()
        seconds = time.monotonic() - start
        stop = lost or ("no change would keep the floor of diversity" if refused else None)
        one = Round(
            number=number,
            version=version,
            revised=revised,
            judged=len(judged),
            actions={str(name): count for name, count in sorted(actions.items())},
            followed=followed,
            fusion=found,
            validation=validation,
            before=before,
            after=after,
            best=done[-1].version if lost else (revised or version),
            stop=stop or self._stop(done, number, revised, validation, seconds),
            seconds=round(seconds, 3),
        )
        write_json(folder / ROUND, one.model_dump(mode="json"))
        forget_models(self.out / SCORES)
        self.tell(_line(one))

    def _lost(self, done: Sequence[Round], before: Diversity, now: Validation | None) -> str | None:
        """Return why the version before is better than the one that this round reads."""
        if not done:
            return None
        back = "so that the version before is taken"
        fell = fallen(before, done[0].before, self.config.floor)
        if fell is not None:
            return f"{fell}, {back}"
        gain = _gain(done, now)
        if gain is not None and gain < min(0.0, self.config.gain):
            return f"mean recall on validation tiles fell by {-gain:.4f}, {back}"
        return None

    def _texts(self, version: str) -> Iterator[Text]:
        """Yield the texts of a version that are judged."""
        return judged_texts(annotation_folder(self.data, version), self.config, self.tiles)

    def _trained(self, number: int, version: str) -> FoldScorer:
        """Return the scorer of a round, its models trained."""
        runs = []
        for fold in self.folds:
            run = round_folder(self.out, number) / f"fold-{fold.number}"
            config = self.config.of_fold(number, fold.number, version)
            if number > 1:
                before = round_folder(self.out, number - 1) / f"fold-{fold.number}" / MODEL
                config = going_on(config, before)
            report = train(config, self.data, run, resume=True, progress=self._within(run))
            self.tell(f"round {number}, fold {fold.number}: loss {report.loss:.4f}")
            runs.append(run)
        return FoldScorer(self.catalog, self.out, self.config, self.folds, runs)

    def _judged(
        self, scorer: FoldScorer, number: int, version: str, texts: Sequence[Text]
    ) -> tuple[list[Judged], FusionReport | None]:
        """Return what is thought of texts, and what the fusion found of itself."""
        table = scorer.score(texts, annotation_folder(self.data, version), self.progress)
        # what a person looked at is scored as it was then, though it may have changed since
        there = {text.id for text in texts}
        gone = [text for text in self.looked_at if text.id not in there]
        looked_at = annotation_folder(self.data, self.first)
        whole = pa.concat_tables([table, scorer.score(gone, looked_at, self.progress)])
        fusion = Fusion.fit(whole, self.trusted) if self.trusted else Fusion.unsupervised(whole)
        warning = warning_of(whole, self.trusted) if self.trusted and number == 1 else None
        if warning is not None:
            self.tell(warning)
        if number > 1:  # of what was mended since the trusted set was drawn, less is bad
            known = pa.array(list(self.trusted), pa.string())
            new = pa.compute.invert(pa.compute.is_in(table["text_id"], value_set=known))
            fusion = fusion.at_share_of(table.filter(new))
        fusion.save(round_folder(self.out, number) / FUSION)
        chances = fusion.probability(table)
        features = {
            name: np.asarray(table[name].to_numpy(), dtype=np.float64)
            for name in table.column_names
            if name not in (*ABOUT, FOLD)
        }
        groups = zip(table[FOLD].to_pylist(), table["level"].to_pylist(), strict=True)
        why = doubts(features, [f"{fold} {level}" for fold, level in groups])
        by_id = {text.id: text for text in texts}
        judged = [
            Judged(
                by_id[key],
                float(chances[row]),
                Known(features, row),
                why[row],
            )
            for row, key in enumerate(table["text_id"].to_pylist())
        ]
        return judged, fusion.report

    def _decided(
        self, judged: Sequence[Judged], scores: Sequence[float], scorer: FoldScorer, version: str
    ) -> dict[str, Decision]:
        bad = [
            one.text
            for one, score in zip(judged, scores, strict=True)
            if score >= self.config.decide.change and one.text.level == "sentence"
        ]
        folder = annotation_folder(self.data, version)
        others: dict[str, Candidate] = {}
        if bad and "regeneration" in self.config.score.signals:

            def told(tiles: Sequence[str]) -> dict[str, tuple[str, ...]]:
                return scorer.captions(tiles, folder)

            others = candidates(bad, told, folder, hidden=self.config.score.hidden)
        done = decisions(judged, scores, others, self.config.decide, read_weights(folder))
        silent = (
            text
            for text in read_texts(folder)
            if text.level not in self.config.levels and text.tile_id in self.tiles
        )
        return done | followers(silent, judged, done, self.config.decide)

    def _revised(
        self, wanted: Mapping[str, Decision], version: str, number: int, first: Diversity
    ) -> tuple[str | None, Diversity | None, bool]:
        """Write the next version; of too uniform a one with fewer changes, the likeliest first.

        Returns:
            Its name and how varied it is, None if there is none; whether that is for the floor.
        """
        about = {"made_by": "scio", "round": number, "scio": self.config.digest()}

        measured: list[Diversity] = []

        def accept(folder: Path) -> bool:
            measured.append(text_diversity(judged_texts(folder, self.config, self.tiles)))
            return fallen(measured[-1], first, self.config.floor) is None

        # of equally likely ones what was judged comes first, what follows it after
        order = sorted(wanted, key=lambda key: -wanted[key].score)
        hidden = self.config.score.hidden
        for halved in range(TRIES if wanted else 0):
            chosen = {key: wanted[key] for key in order[: max(1, len(order) >> halved)]}
            report = revise(self.data, version, chosen, about=about, accept=accept, hidden=hidden)
            if report is not None and report.version != version:
                if not report.fresh:  # it was there already, and not asked about
                    measured.append(text_diversity(self._texts(report.version)))
                return report.version, measured[-1], False
            if report is not None:  # nothing could be carried out
                return None, None, False
        return None, None, bool(wanted)

    def _changes(self, revised: str | None) -> dict[str, Change]:
        """Return what became of the texts that a version was made of, those kept left out."""
        if revised is None:
            return {}
        changes = read_changes(annotation_folder(self.data, revised))
        return {change.text_id: change for change in changes}

    def _stop(
        self,
        done: Sequence[Round],
        number: int,
        revised: str | None,
        now: Validation | None,
        seconds: float,
    ) -> str | None:
        """Return why no further round follows, None if one does."""
        if revised is None:
            return "nothing is to change"
        if number == self.config.rounds:
            return f"{number} rounds are done"
        gain = _gain(done, now)
        if gain is not None and gain < self.config.gain:
            return f"mean recall on validation tiles rose by {gain:.4f}, less than wanted"
        minutes = (seconds + sum(one.seconds for one in done)) / 60
        if self.config.minutes is not None and minutes >= self.config.minutes:
            return f"{minutes:.0f} minutes are spent"
        return None

    def _finished(self, done: Sequence[Round]) -> ScioReport:
        """Train the model at the end and write the report."""
        last = done[-1]
        ended = last.best
        run = self.out / FINAL
        config = self.config.at_the_end(ended)
        train(config, self.data, run, resume=True, progress=self._within(run), tell=self.tell)
        changed: Counter[str] = Counter()
        for one in done:
            if one.version == ended:  # what this round wrote, and later ones, is not taken
                break
            changed.update({name: n for name, n in one.actions.items() if name != "keep"})
        report = ScioReport(
            recipe=self.config.recipe,
            rounds=len(done),
            started=self.first,
            ended=ended,
            changed=dict(sorted(changed.items())),
            recall=tuple(None if o.validation is None else o.validation.recall for o in done),
            stop=last.stop or "",
            model=str(run),
            seconds=round(time.monotonic() - self.begun, 3),
        )
        write_json(self.out / REPORT, report.model_dump(mode="json"))
        return report

    def _within(self, run: Path) -> Progress | None:
        """Return what tells of the steps of a training."""
        progress, name = self.progress, str(run.relative_to(self.out))
        if progress is None:
            return None
        return lambda done, total, what: progress(done, total, f"{name} {what}")


def _gain(done: Sequence[Round], now: Validation | None) -> float | None:
    """Return by how much recall rose since the round before, None where it was not measured."""
    before = done[-1].validation if done else None
    return None if now is None or before is None else now.recall - before.recall


def _with_rank(texts: Diversity, held_out: Validation | None) -> Diversity:
    return texts.model_copy(update={"rank": None if held_out is None else held_out.rank})


def _line(one: Round) -> str:
    """Return what a person reads of a round."""
    done = ", ".join(f"{count} {name}" for name, count in one.actions.items())
    recall = "" if one.validation is None else f"; recall {one.validation.recall:.4f}"
    stop = "" if one.stop is None else f"; {one.stop}"
    return f"round {one.number}: {done}{recall}; wrote {one.revised or 'nothing'}{stop}"


def _silent(line: str) -> None:
    del line
