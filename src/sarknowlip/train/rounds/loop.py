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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sarknowlip import __version__
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.revise import Decision, revise
from sarknowlip.annotate.store import annotation_folder, read_changes, read_texts
from sarknowlip.annotate.support import Following, Supporter
from sarknowlip.core.config import Config, changed_keys
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import TEMPORARY, exclusive, read_json, write_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.train.loop import train
from sarknowlip.train.rounds.candidates import borne_out
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.rounds.decide import Candidate, Judged, decisions, final_scores, followers
from sarknowlip.train.rounds.diversity import Diversity, fallen, text_diversity
from sarknowlip.train.rounds.doubts import doubts
from sarknowlip.train.rounds.folds import FOLD, FoldScorer, folds_of, judged_texts
from sarknowlip.train.rounds.fusion import Fusion, FusionReport
from sarknowlip.train.rounds.record import (
    JUDGED,
    ROUND,
    Round,
    round_folder,
    rounds_of,
    write_judged,
)
from sarknowlip.train.rounds.regenerate import sentences_of
from sarknowlip.train.rounds.scorer import ABOUT
from sarknowlip.train.rounds.trusted import read_trusted
from sarknowlip.train.rounds.validation import Validation, validate
from sarknowlip.train.task import data_identity, with_annotation

LOOP, LOCK, FINAL, REPORT, FUSION = "loop.json", ".lock", "final", "report.json", "fusion.json"
RETRIES = 4
"""Times that the changes of a round are halved before it changes nothing, to keep the floor."""
CHUNK = 256
"""Tiles whose facts are in memory at once."""

Tell = Callable[[str], None]


class ScioReport(Config):
    """What a finished loop says of itself.

    Attributes:
        recipe: Name of the recipe.
        rounds: Rounds done.
        started: Version of the texts that the first round read.
        ended: Version that the model at the end learned from.
        changed: Texts by what was done to them, over all rounds; kept ones are left out.
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
            `resume` is false; a fold without tiles; an unusable trusted set.
        CorpusError: The corpus is damaged or has too few pairs.
        DivergedError: A loss is no longer a number.
        StorageError: The disk is full or not writable.
        SarKnowlipError: A file of the loop is damaged.
        KeyboardInterrupt: Interrupted; what is finished is kept.
    """
    with contextlib.ExitStack() as held:
        _refuse_other_content(out)
        held.enter_context(exclusive(out / LOCK))
        fixed = _begun(config, data, out, resume)
        if (out / REPORT).is_file():
            return ScioReport.model_validate(read_json(out / REPORT, "choose a new folder"))
        return _Loop(fixed, data, out, progress, tell or _silent).run()


class _Loop:
    """One process's work on a loop.

    Args:
        config: With the version that the loop starts from by name.
        data: Corpus folder.
        out: Folder of the loop.
        progress: Called within stages.
        tell: Called after them.
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
        texts = judged_texts(annotation_folder(data, self.first), config, self.tiles)
        self.looked_at = [text for text in texts if text.id in self.trusted]
        if self.trusted and not self.looked_at:
            raise ConfigError(
                f"none of the {len(self.trusted)} texts of {config.trusted} is one that the loop"
                f" judges in {self.first}",
                "give identifiers of this version, of training tiles and of the levels judged",
            )

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
        texts = judged_texts(annotation_folder(self.data, version), self.config, self.tiles)
        before = _with_rank(text_diversity(texts), validation)
        fell = fallen(before, done[0].before, self.config.floor) if done else None
        judged, found = self._judged(scorer, texts, version, folder)
        scores = final_scores(judged, self.trusted)
        wanted = {} if fell else self._decided(judged, scores, scorer, version)
        self.tell(f"round {number}: {len(judged)} texts judged, {len(wanted)} are to change")
        revised, after, kept = self._revised(
            wanted, version, number, done[0].before if done else before
        )
        stop = f"{fell}, so that the version before is taken" if fell else None
        if wanted and revised is None:
            stop = "no change would keep the floor of diversity"
        write_judged(folder / JUDGED, judged, scores, kept)
        actions, followed = self._actions(revised, judged)
        one = Round(
            number=number,
            version=version,
            revised=revised,
            judged=len(judged),
            actions=actions,
            followed=followed,
            fusion=found,
            validation=validation,
            before=before,
            after=after,
            best=done[-1].version if fell else (revised or version),
            stop=stop or self._stop(done, number, revised, validation),
            seconds=round(time.monotonic() - start, 3),
        )
        write_json(folder / ROUND, one.model_dump(mode="json"))
        self.tell(_line(one))

    def _trained(self, number: int, version: str) -> FoldScorer:
        """Return the scorer of a round, its models trained."""
        runs = []
        for fold in self.folds:
            run = round_folder(self.out, number) / f"fold-{fold.number}"
            before = round_folder(self.out, number - 1) / f"fold-{fold.number}" / "model"
            start = str(before) if number > 1 else None
            config = self.config.of_fold(number, fold.number, version, start)
            report = train(config, self.data, run, resume=True, progress=self._within(run))
            self.tell(f"round {number}, fold {fold.number}: loss {report.loss:.4f}")
            runs.append(run)
        return FoldScorer(self.catalog, self.out, self.config, self.folds, runs)

    def _judged(
        self, scorer: FoldScorer, texts: Sequence[Text], version: str, folder: Path
    ) -> tuple[list[Judged], FusionReport | None]:
        """Return what is thought of texts, and what the fusion found of itself."""
        table = scorer.score(texts, annotation_folder(self.data, version), self.progress)
        # what a person looked at is scored as it was then, though it may have changed since
        there = {text.id for text in texts}
        gone = [text for text in self.looked_at if text.id not in there]
        looked_at = annotation_folder(self.data, self.first)
        whole = pa.concat_tables([table, scorer.score(gone, looked_at, self.progress)])
        fusion = Fusion.fit(whole, self.trusted) if self.trusted else Fusion.unsupervised(whole)
        fusion.save(folder / FUSION)
        chances = fusion.probability(table)
        features = {
            name: np.asarray(table[name].to_numpy(), dtype=np.float64)
            for name in table.column_names
            if name not in (*ABOUT, FOLD)
        }
        why = doubts(features, table["level"].to_pylist())
        by_id = {text.id: text for text in texts}
        judged = [
            Judged(
                by_id[key],
                float(chances[row]),
                {n: float(v[row]) for n, v in features.items() if np.isfinite(v[row])},
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
        others = self._candidates(bad, scorer, version)
        done = decisions(judged, scores, others, self.config.decide)
        silent = (
            text
            for text in read_texts(annotation_folder(self.data, version))
            if text.level not in self.config.levels and text.tile_id in self.tiles
        )
        return done | followers(silent, judged, done)

    def _candidates(
        self, bad: Sequence[Text], scorer: FoldScorer, version: str
    ) -> dict[str, Candidate]:
        """Return what may take the place of texts whose kind of statement nothing derives."""
        if not bad or "regeneration" not in self.config.score.signals:
            return {}
        folder = annotation_folder(self.data, version)
        supporter = Supporter.of(folder, hidden=self.config.score.hidden)
        tiles = sorted({text.tile_id for text in bad})
        told = scorer.captions(tiles, folder)
        found: dict[str, Candidate] = {}
        for start in range(0, len(tiles), CHUNK):
            for tile_id, held in stored(folder, tiles[start : start + CHUNK]).items():
                facts = [fact for fact in held.evidence if fact.source not in supporter.hidden]
                following = Following(supporter.stages, tile_id, facts).claims
                kinds = {claim.predicate for claim in following}
                stated = {claim.id: claim.predicate for claim in held.claims}
                own = [t for t in bad if t.tile_id == tile_id]
                lost = [t for t in own if not {stated.get(c, "") for c in t.claim_ids} & kinds]
                if not lost:
                    continue
                said = {text.text for text in held.texts}
                sentences = [part for caption in told[tile_id] for part in sentences_of(caption)]
                fresh = [part for part in sentences if part not in said]
                free = borne_out(fresh, following, facts, supporter.composer)
                found |= {text.id: one for text, one in zip(lost, free, strict=False)}
        return found

    def _revised(
        self, wanted: Mapping[str, Decision], version: str, number: int, first: Diversity
    ) -> tuple[str | None, Diversity | None, Mapping[str, Decision]]:
        """Write the next version; of too uniform a one with fewer changes, the likeliest first."""
        about = {"made_by": "scio", "round": number, "scio": self.config.digest()}

        def accept(folder: Path) -> bool:
            texts = judged_texts(folder, self.config, self.tiles)
            return fallen(text_diversity(texts), first, self.config.floor) is None

        order = sorted(wanted, key=lambda key: (-wanted[key].score, key))
        for halved in range(RETRIES if wanted else 0):
            chosen = {key: wanted[key] for key in order[: max(1, len(order) >> halved)]}
            report = revise(self.data, version, chosen, about=about, accept=accept)
            if report is not None and report.version != version:
                folder = annotation_folder(self.data, report.version)
                texts = judged_texts(folder, self.config, self.tiles)
                return report.version, text_diversity(texts), chosen
        return None, None, {}

    def _actions(self, revised: str | None, judged: Sequence[Judged]) -> tuple[dict[str, int], int]:
        """Return judged texts by what was done to them, and how many others changed with them."""
        changes = []
        if revised is not None:
            changes = list(read_changes(annotation_folder(self.data, revised)))
        ids = {one.text.id for one in judged}
        counts = Counter(change.action for change in changes if change.text_id in ids)
        counts["keep"] = len(judged) - counts.total()
        return {str(k): n for k, n in sorted(counts.items())}, sum(
            change.text_id not in ids for change in changes
        )

    def _stop(
        self, done: Sequence[Round], number: int, revised: str | None, now: Validation | None
    ) -> str | None:
        """Return why no further round follows, None if one does."""
        if revised is None:
            return "nothing is to change"
        if number == self.config.rounds:
            return f"{number} rounds are done"
        before = done[-1].validation if done else None
        if now is not None and before is not None:
            gain = now.recall - before.recall
            if gain < self.config.gain:
                return f"mean recall on validation tiles rose by {gain:.4f}, less than wanted"
        minutes = (time.monotonic() - self.begun) / 60
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


def _begun(asked: ScioConfig, data: Path, out: Path, resume: bool) -> ScioConfig:
    """Return the configuration of the loop in a folder, which is begun if it is empty.

    Where no version of the texts is asked for it is the newest when the loop began: the loop itself
    writes newer ones.
    """
    known: dict[str, Any] | None = None
    first = asked.train.data.annotation
    if (out / LOOP).is_file():
        known = read_json(out / LOOP, "choose a new folder")
        first = first or known["config"]["train"]["data"]["annotation"]
    texts = asked.train.data.model_copy(update={"annotation": first})
    train_config = asked.train.model_copy(update={"data": texts})
    config = asked.model_copy(update={"train": with_annotation(train_config, data)})
    identity = {
        "config": config.model_dump(mode="json"),
        "data": data_identity(config.train, data),
        "trusted_sha256": None if config.trusted is None else _digest(Path(config.trusted)),
        "sarknowlip": __version__,
    }
    if known is None:
        write_json(out / LOOP, identity)
        return config
    changed = changed_keys(known, identity)
    if changed:
        raise ConfigError(
            f"{out} holds a loop that differs in {', '.join(changed)}",
            "choose a new folder or repeat that loop's settings and data",
        )
    if not resume and not (out / REPORT).is_file():
        raise ConfigError(f"{out} holds an unfinished loop", "add --resume or choose a new folder")
    return config


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ConfigError(
            f"cannot read the trusted set {path}: {error.strerror}", "check the path"
        ) from error


def _refuse_other_content(out: Path) -> None:
    """Keep a loop from being mixed with files that are not its own."""
    if (out / LOOP).is_file() or not out.is_dir():
        return
    others = [path.name for path in out.iterdir() if not path.name.startswith((LOCK, TEMPORARY))]
    if others:
        raise ConfigError(
            f"{out} holds {sorted(others)[0]} and no loop", "choose a new or an empty folder"
        )


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
