"""Verification: everything that was written is derived again from the stored pixels.

A fact holds if its identifier is the digest of its content and the same source finds the same fact
in the tile today. A claim holds if its identifier is sound, every fact it cites holds and is about
its tile, and the stages derive it from the facts that hold. A text holds if its identifier is sound
and the grammar can make its words of claims that hold. Precision is the share that holds.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.store import (
    EVIDENCE,
    MANIFEST,
    annotation_folder,
    read_claims,
    read_texts,
)
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.core.config import Config
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import read_json
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.store import read_evidence

LISTED = 100
"""Problems told one by one; all are counted."""


class Count(Config):
    """How many were examined and how many held."""

    total: int
    held: int

    @property
    def precision(self) -> float | None:
        """Share that held, 0…1; None if there was none."""
        return self.held / self.total if self.total else None


class VerifyReport(Config):
    """Outcome of a verification.

    Attributes:
        version: Annotation version.
        tiles: Tiles examined.
        evidence: Facts found again in the pixels.
        claims: Claims that hold, by dimension.
        texts: Texts that say what their claims say.
        coverage: Share of facts that a text rests on, 0…1.
        problems: The first `LISTED` things that do not hold, "tile: what".
    """

    version: str
    tiles: int
    evidence: Count
    claims: dict[str, Count]
    texts: Count
    coverage: float
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether everything holds."""
        parts = [self.evidence, self.texts, *self.claims.values()]
        return all(part.held == part.total for part in parts)

    @property
    def claim_precision(self) -> float | None:
        """Share of all claims that hold, 0…1; None if there is no claim."""
        total = sum(part.total for part in self.claims.values())
        return sum(part.held for part in self.claims.values()) / total if total else None


def verify(
    root: Path,
    version: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> VerifyReport:
    """Verify a version of a corpus's annotations, the newest by default.

    Raises:
        CorpusError: Corpus or annotations are absent or damaged.
    """
    catalog = Catalog(root)
    folder = annotation_folder(root, version)
    manifest = read_json(folder / MANIFEST, "annotate the corpus again")
    annotator = TileAnnotator(AnnotateConfig(**manifest["recipe"]))
    tally = _Tally(annotator)
    evidence = _Stream(read_evidence(folder / EVIDENCE))
    claims, texts = _Stream(read_claims(folder)), _Stream(read_texts(folder))
    done = 0
    for done, record in enumerate(catalog.records(), start=1):
        try:
            seen = annotator.evidence(catalog.image(record))
        except SarKnowlipError as error:
            tally.problem(record.id, str(error))
            seen = []
        stored = evidence.of(record.id), claims.of(record.id), texts.of(record.id)
        tally.tile(record.id, seen, *stored)
        if progress is not None:
            progress(done, len(catalog), record.id)
    # About tiles that the catalog lacks, or out of its order.
    for rest in (evidence.rest(), claims.rest(), texts.rest()):
        for item in rest:
            tally.count(item.tile_id, [item], set())
    return tally.report(folder.name, done)


class _Tally:
    """Counts what holds."""

    def __init__(self, annotator: TileAnnotator) -> None:
        self._annotator = annotator
        self._total: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._cited = 0
        self._problems: list[str] = []

    def tile(
        self,
        tile_id: str,
        seen: list[Evidence],
        evidence: list[Evidence],
        claims: list[Claim],
        texts: list[Text],
    ) -> None:
        """Count one tile's facts, claims and texts."""
        found = {fact.id for fact in seen}
        holding = {fact.id for fact in evidence if fact.intact and fact.id in found}
        self.count(tile_id, evidence, holding)
        if found - holding:
            self.problem(tile_id, f"{len(found - holding)} facts of the pixels are not stored")
        derived = {claim.id for claim in self._annotator.derive(tile_id, seen)}
        true = {
            claim.id: claim
            for claim in claims
            if claim.intact and claim.id in derived and set(claim.evidence_ids) <= holding
        }
        self.count(tile_id, claims, set(true))
        known = [fact for fact in evidence if fact.id in holding]
        fault = self._annotator.composer.fault
        faithful = {text.id for text in texts if fault(text, true, known) is None}
        self.count(tile_id, texts, faithful)
        told = {key for text in texts if text.id in faithful for key in text.claim_ids}
        self._cited += len({key for claim in told for key in true[claim].evidence_ids})

    def count(
        self, tile_id: str, items: Iterable[Evidence | Claim | Text], holding: set[str]
    ) -> None:
        """Count items that the files hold for a tile; `holding` are those that hold.

        An item that appears twice or is about another tile does not hold.
        """
        seen: set[str] = set()
        for item in items:
            key = _key(item)
            self._total[key] += 1
            if item.id in holding and item.id not in seen and item.tile_id == tile_id:
                self._held[key] += 1
            else:
                kind = type(item).__name__.lower()
                self.problem(tile_id, f"{kind} {item.id} does not hold: {_said(item)}")
            seen.add(item.id)

    def problem(self, tile_id: str, message: str) -> None:
        """Note something that does not hold."""
        if len(self._problems) < LISTED:
            self._problems.append(f"{tile_id}: {message}")

    def report(self, version: str, tiles: int) -> VerifyReport:
        """Return the outcome."""
        counts = {key: Count(total=n, held=self._held[key]) for key, n in self._total.items()}
        evidence = counts.pop("evidence", Count(total=0, held=0))
        texts = counts.pop("texts", Count(total=0, held=0))
        return VerifyReport(
            version=version,
            tiles=tiles,
            evidence=evidence,
            claims=dict(sorted(counts.items())),
            texts=texts,
            coverage=self._cited / evidence.total if evidence.total else 0.0,
            problems=tuple(self._problems),
        )


Item = TypeVar("Item", Evidence, Claim, Text)


class _Stream(Generic[Item]):
    """Items in the order of the catalog's tiles, read a tile at a time."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._groups: Iterator[tuple[str, Iterator[Item]]] = itertools.groupby(
            items, key=lambda item: item.tile_id
        )
        self._ahead: tuple[str, list[Item]] | None = None
        self._next()

    def of(self, tile_id: str) -> list[Item]:
        """Return the items of a tile; none if the stream is at another one."""
        if self._ahead is None or self._ahead[0] != tile_id:
            return []
        _, items = self._ahead
        self._next()
        return items

    def rest(self) -> Iterator[Item]:
        """Yield what no tile has asked for."""
        while self._ahead is not None:
            yield from self._ahead[1]
            self._next()

    def _next(self) -> None:
        group = next(self._groups, None)
        self._ahead = None if group is None else (group[0], list(group[1]))


def _key(item: Evidence | Claim | Text) -> str:
    if isinstance(item, Claim):
        return item.dimension
    return "texts" if isinstance(item, Text) else "evidence"


def _said(item: Evidence | Claim | Text) -> str:
    if isinstance(item, Text):
        return item.text
    if isinstance(item, Claim):
        return f"{item.predicate} {item.arguments}"
    return f"{item.subject} {item.predicate} {item.value} {item.label or ''}".rstrip()
