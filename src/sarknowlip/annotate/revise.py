"""A revised version of the annotations, written from decisions about single texts.

A text is kept, counts for less, is rewritten from evidence, replaced by another text that passes
verification, or dropped. What can't be replaced is rewritten, and what can't be rewritten is
dropped; the reason is told for each in `changes.parquet`. Texts are never said twice of a tile, and
one that evidence has something to say of keeps a sentence. Tiles of the splits val and test stay as
they are, and so do the rows of tiles without a change. The version appears whole; the same parent,
decisions and notes give no second one, and decisions that change no text give none.

Facts of some sources may be hidden, to see what a loop does with incomplete evidence: then nothing
is written of what follows from them alone, and claims that rest on them go where a tile changes and
nothing that stays needs them. A sentence that rests on what is left may be wrong for want of the
rest (`annotate.support`).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.lookup import Stored, rows_of, stored
from sarknowlip.annotate.mend import Draft, Mender
from sarknowlip.annotate.store import (
    CHANGES,
    CLAIM_SCHEMA,
    CLAIMS,
    EVIDENCE,
    TEXT_SCHEMA,
    TEXTS,
    WEIGHTS,
    Action,
    Change,
    annotation_folder,
    changes_table,
    claims_table,
    read_weights,
    texts_table,
    weights_table,
)
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.annotate.version import (
    adding,
    appearing,
    read_manifest,
    version_of,
    write_manifest,
)
from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError, CorpusError
from sarknowlip.core.hashing import digest, file_sha256
from sarknowlip.core.pool import chunks_of
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.knowledge.store import COMPRESSION

CHUNK = 64
"""Tiles in memory at a time."""
UNTOUCHED = ("val", "test")
"""Splits whose texts never change."""
METHOD = "2"
"""Version of the ways to revise; changes with them."""


class Decision(Config):
    """What shall become of a text.

    Attributes:
        text_id: The text.
        tile_id: Tile it is about.
        action: What is done; "keep" leaves its weight, too, as it was.
        weight: How much the text, or the one in its place, counts from now on, 0 < weight ≤ 1.
        score: Probability that it is bad, 0…1.
        reason: Why, a short sentence.
        signals: What the score rests on, by name; none that does not know.
        replacement: The text that takes its place; with action "replace" only.
        replacement_claims: Claims that it rests on, unless the tile has them.
    """

    text_id: str
    tile_id: str
    action: Action
    weight: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    score: Annotated[float, Field(ge=0.0, le=1.0)]
    reason: str
    signals: dict[str, float] = Field(default_factory=dict)
    replacement: Text | None = None
    replacement_claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Decision:
        if (self.action == "replace") != (self.replacement is not None):
            raise ValueError(f"action {self.action!r} and its replacement do not go together")
        return self


class RevisionReport(Config):
    """What a revision did.

    Attributes:
        version: Name of the version; of the parent, if nothing changed.
        parent: Version that was revised.
        actions: Texts by what was done with them in the end, those kept left out.
        fell: Decisions that could not be carried out, by "action → what was done".
        texts: Texts of the version.
        claims: Its claims.
        fresh: False if the version was there already.
    """

    version: str
    parent: str
    actions: dict[str, int]
    fell: dict[str, int]
    texts: int
    claims: int
    fresh: bool = True


def revise(
    root: Path,
    parent: str,
    decisions: Mapping[str, Decision],
    *,
    about: dict[str, Any],
    hidden: Collection[str] = (),
    accept: Callable[[Path], bool] | None = None,
    progress: Progress | None = None,
) -> RevisionReport | None:
    """Write the version that decisions make of another one.

    Args:
        root: Corpus folder.
        parent: Name of the version that is revised.
        decisions: By text; a text without one is kept.
        about: What the manifest tells of the version, as JSON: `made_by`, `round` …
        hidden: Names of knowledge sources whose facts nothing is written from.
        accept: Called with a folder that holds the tables of the version; if it returns false, no
            version is written. Not called for a version that is there already.
        progress: Called with tiles done, tiles in all, and the last one's name.

    Returns:
        What was done; None if the version was not accepted. If every text stays as it was, no
        version is written, and that of the report is the parent.

    Raises:
        ConfigError: A decision is about a text that the version does not have, or one of the
            splits val and test; or `hidden` names a source that was not asked.
        CorpusError: Corpus or annotations are absent or damaged.
        StorageError: The disk is full or not writable; the corpus is as it was.
    """
    folder = annotation_folder(root, parent)
    manifest = read_manifest(folder)
    basis = [file_sha256(folder / name) for name in sorted(manifest["files"])]
    made = [decisions[key].model_dump(mode="json") for key in sorted(decisions)]
    key = digest([manifest["key"], basis, made, about, sorted(set(hidden)), METHOD])
    catalog = Catalog(root)
    with adding(root) as target:
        known = version_of(root, key)
        if known is not None:
            return RevisionReport(**read_manifest(known)["report"] | {"fresh": False})
        _require(catalog, folder, decisions)
        work = _Revision(catalog, folder, decisions, hidden)
        if all(decision.action == "keep" for decision in decisions.values()):
            return _unchanged(folder, work)
        try:
            with appearing(target) as partial:
                return _written(
                    partial,
                    target.name,
                    folder,
                    work,
                    key=key,
                    about=about | {"hidden": sorted(set(hidden))},
                    accept=accept,
                    progress=progress,
                )
        except _NotAcceptedError:
            return None
        except _NothingChangedError:
            return _unchanged(folder, work)


class _NotAcceptedError(Exception):
    """A version in the making is not wanted."""


class _NothingChangedError(Exception):
    """A version in the making is its parent again."""


def _written(
    partial: Path,
    name: str,
    parent: Path,
    work: _Revision,
    *,
    key: str,
    about: dict[str, Any],
    accept: Callable[[Path], bool] | None,
    progress: Progress | None,
) -> RevisionReport:
    """Write all of a version into a folder.

    Args:
        partial: The folder, empty.
        name: Name of the version.
        parent: Version that is revised.
        work: Carries the decisions out.
        key: Digest of all that the version depends on.
        about: What the manifest tells beside.
        accept: See `revise`.
        progress: See `revise`.

    Raises:
        _NothingChangedError: Every text would stay as it was.
        _NotAcceptedError: The version is not wanted.
    """
    manifest = read_manifest(parent)
    shutil.copyfile(parent / EVIDENCE, partial / EVIDENCE)
    counts = work.write(partial, progress)
    if not work.changes:
        raise _NothingChangedError
    if accept is not None and not accept(partial):
        raise _NotAcceptedError
    report = RevisionReport(
        version=name, parent=parent.name, fell=dict(sorted(work.fell.items())),
        actions=dict(sorted(Counter(c.action for c in work.changes).items())), **counts,
    )  # fmt: skip
    told = {name: manifest[name] for name in ("recipe", "versions", "attributions")}
    outcome = report.model_dump(mode="json", exclude={"fresh"})
    write_manifest(partial, key, told | about | {"parent": parent.name, "report": outcome})
    return report


def _unchanged(folder: Path, work: _Revision) -> RevisionReport:
    """Return the report of a revision that changes nothing: the version is its parent."""
    fell = dict(sorted(work.fell.items()))
    return RevisionReport(
        version=folder.name, parent=folder.name, actions={}, fell=fell, fresh=False,
        texts=pq.read_metadata(folder / TEXTS).num_rows,
        claims=pq.read_metadata(folder / CLAIMS).num_rows,
    )  # fmt: skip


def _require(catalog: Catalog, folder: Path, decisions: Mapping[str, Decision]) -> None:
    """Check that decisions are about texts of the version that may change."""
    splits = {record.id: record.split for record in catalog.records()}
    tiles: dict[str, str] = {}
    for batch in pq.ParquetFile(folder / TEXTS).iter_batches(columns=["id", "tile_id"]):
        for text_id, tile_id in zip(
            *(batch[n].to_pylist() for n in ("id", "tile_id")), strict=True
        ):
            if tile_id not in splits:
                raise CorpusError(
                    f"{folder / TEXTS} has texts about {tile_id}, which the catalog does not have",
                    "run `sarknowlip verify`",
                )
            if text_id in decisions:
                tiles[text_id] = tile_id
    for text_id, decision in decisions.items():
        if text_id != decision.text_id or tiles.get(text_id) != decision.tile_id:
            raise ConfigError(
                f"{folder} has no text {text_id} about {decision.tile_id}",
                "decide about texts of the version that is revised",
            )
        if decision.action != "keep" and splits[decision.tile_id] in UNTOUCHED:
            raise ConfigError(
                f"text {text_id} is of split {splits[decision.tile_id]!r}, which never changes",
                "decide about texts of the split train",
            )


class _Revision:
    """Carries decisions out.

    Args:
        catalog: The corpus.
        folder: Version that is revised.
        decisions: By text.
        hidden: Names of sources whose facts are not looked at.

    Raises:
        ConfigError: `hidden` names a source that was not asked.

    Attributes:
        changes: What became of the texts that did not stay as they were, in file order.
        fell: Decisions that could not be carried out.
    """

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        decisions: Mapping[str, Decision],
        hidden: Collection[str],
    ) -> None:
        self._catalog, self._folder = catalog, folder
        self._decisions = {k: d for k, d in decisions.items() if d.action != "keep"}
        self._tiles = {decision.tile_id for decision in self._decisions.values()}
        self._mender = Mender(recipe_of(folder), hidden=hidden)
        self._weights = read_weights(folder)
        self.changes: list[Change] = []
        self.fell: Counter[str] = Counter()

    def write(self, target: Path, progress: Progress | None) -> dict[str, int]:
        """Write claims, texts, weights and changes; return how many claims and texts."""
        names = self._catalog.identifiers()
        counts = {"claims": 0, "texts": 0}
        with (
            pq.ParquetWriter(target / CLAIMS, CLAIM_SCHEMA, compression=COMPRESSION) as claims,
            pq.ParquetWriter(target / TEXTS, TEXT_SCHEMA, compression=COMPRESSION) as texts,
        ):
            for _, start, stop in chunks_of(len(names), CHUNK):
                for said, meant in self._chunk(names[start:stop]):
                    texts.write_table(said)
                    claims.write_table(meant)
                    counts["texts"] += said.num_rows
                    counts["claims"] += meant.num_rows
                if progress is not None:
                    progress(stop, len(names), names[stop - 1])
        if self._weights:
            table = weights_table(dict(sorted(self._weights.items())))
            pq.write_table(table, target / WEIGHTS, compression=COMPRESSION)
        pq.write_table(changes_table(self.changes), target / CHANGES, compression=COMPRESSION)
        return counts

    def _chunk(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield texts and claims of tiles; rows of those without a decision as they are."""
        if self._tiles.isdisjoint(names):
            yield rows_of(self._folder / TEXTS, names), rows_of(self._folder / CLAIMS, names)
            return
        held = stored(self._folder, names)
        texts, claims = list[Text](), list[Claim]()
        for name in names:
            tile = held[name]
            if name not in self._tiles:
                texts += tile.texts
                claims += tile.claims
                continue
            draft = self._revised(name, tile)
            texts += draft.left
            claims += draft.claims.values()
        yield texts_table(texts), claims_table(claims)

    def _revised(self, tile_id: str, held: Stored) -> Draft:
        """Carry out the decisions about a tile."""
        draft = self._mender.draft(tile_id, held)
        decided = [(t, self._decisions[t.id]) for t in held.texts if t.id in self._decisions]
        done: dict[str, tuple[Action, str]] = {}
        for text, decision in decided:
            if decision.action == "drop":
                draft.drop(text)
                done[text.id] = "drop", decision.reason
        written = [pair for pair in decided if pair[1].action in ("rewrite", "replace")]
        for text, decision in sorted(written, key=lambda pair: pair[0].level == "paragraph"):
            done[text.id] = _rewritten(draft, text, decision)  # paragraphs: of claims that are left
        self._keep_a_sentence(draft, decided, done)
        draft.settle()
        for text, decision in decided:
            self._note(draft, text, decision, done.get(text.id, ("weight", decision.reason)))
        return draft

    def _keep_a_sentence(
        self,
        draft: Draft,
        decided: Sequence[tuple[Text, Decision]],
        done: dict[str, tuple[Action, str]],
    ) -> None:
        """Give a tile a sentence again that has lost all, where evidence has anything to say."""
        lost = [text for text, _ in decided if text.level == "sentence"]
        if not lost or not draft.derives() or any(t.level == "sentence" for t in draft.left):
            return
        for text in reversed(lost):
            new = draft.rewrite(text, widely=True)
            if new is not None:
                action: Action = "keep" if new.id == text.id else "rewrite"
                done[text.id] = action, f"{done[text.id][1]}; a tile keeps a sentence"
                return

    def _weight(self, text: Text) -> float:
        return self._weights.get(text.id, 1.0)

    def _note(
        self, draft: Draft, text: Text, decision: Decision, outcome: tuple[Action, str]
    ) -> None:
        """Note what became of a text, and how much the text that is there now counts."""
        action, reason = outcome
        new = draft.texts[text.id]
        if action != decision.action:
            self.fell[f"{decision.action} → {action}"] += 1
        if action == "keep" or (action, decision.weight) == ("weight", self._weight(text)):
            return
        self._weights.pop(text.id, None)
        if new is not None and decision.weight < 1.0:
            self._weights[new.id] = decision.weight
        self.changes.append(
            Change(
                text_id=text.id, tile_id=text.tile_id, action=action, weight=decision.weight,
                score=decision.score, reason=reason, signals=decision.signals,
                new_text_id=None if new is None or new.id == text.id else new.id,
            )
        )  # fmt: skip


def _rewritten(draft: Draft, text: Text, decision: Decision) -> tuple[Action, str]:
    """Replace or rewrite a text, or drop it if neither can be; return what was done, and why."""
    reason = decision.reason
    if decision.replacement is not None:
        fault = draft.replace(text, decision.replacement, decision.replacement_claims)
        if fault is None:
            return "replace", reason
        reason = f"{reason}; the replacement does not hold: {fault}"
    new = draft.rewrite(text)
    if new is not None:
        return ("keep" if new.id == text.id else "rewrite"), reason
    draft.drop(text)
    return "drop", f"{reason}; evidence has nothing else to say"
