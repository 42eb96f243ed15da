"""Verification: everything that was written is derived again from pixels and knowledge.

A fact holds if its identifier is the digest of its content and the same source finds the same fact
in the tile today. Where the file of a source is not there any more, its facts can't be measured
again: they count apart, as stored, and hold if their identifiers are sound. A claim holds if its
identifier is sound, every fact it cites and every claim it rests on holds and is about its tile,
and the stages derive it from the facts that hold, whoever wrote it. A text holds if its identifier
is sound and the grammar can make its words of claims that hold. Precision is the share that holds.
A tile that can't be read, and a fact that is found but not stored, make a version unsound as well.

Whether what holds is also right about the world is another question; `annotate.truth` answers it
where the truth is known.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.compose import Composer
from sarknowlip.annotate.lookup import Item, Stored, stored, strays
from sarknowlip.annotate.stages import STAGES, Stage
from sarknowlip.annotate.store import annotation_folder
from sarknowlip.annotate.tile import derive, recipe_of
from sarknowlip.annotate.truth.judge import TruthJudge
from sarknowlip.annotate.truth.report import TruthReport, TruthTally
from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.core.pool import Chunk, chunks_of, run_jobs
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.sources import SOURCES, KnowledgeSource, SourceOptions
from sarknowlip.sar.tile import TileImage

LISTED = 100
"""Problems told one by one; all are counted."""
CHUNK = 32
"""Tiles a process examines at a time."""

Kind = TypeVar("Kind", Evidence, Claim, Text)


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
        evidence: Facts found again in pixels and files.
        stored: Facts of sources whose files are not there any more; held are those with a sound
            identifier.
        missing: Facts that are found, but not stored.
        unread: Tiles that can't be read.
        claims: Claims that hold, by dimension.
        texts: Texts that say what their claims say.
        coverage: Share of facts that a text rests on, 0…1.
        source_coverage: The same by source.
        problems: The first `LISTED` things that do not hold, "tile: what, and why".
        truth: How right the claims are about simulated worlds; None if it was not asked.
    """

    version: str
    tiles: int
    evidence: Count
    stored: Count
    missing: int
    unread: int
    claims: dict[str, Count]
    texts: Count
    coverage: float
    source_coverage: dict[str, float]
    problems: tuple[str, ...]
    truth: TruthReport | None = None

    @property
    def sound(self) -> bool:
        """Whether everything holds, nothing is missing, and every tile can be read."""
        parts = [self.evidence, self.stored, self.texts, *self.claims.values()]
        whole = not self.missing and not self.unread
        return whole and all(part.held == part.total for part in parts)

    @property
    def claim_precision(self) -> float | None:
        """Share of all claims that hold, 0…1; None if there is no claim."""
        total = sum(part.total for part in self.claims.values())
        return sum(part.held for part in self.claims.values()) / total if total else None


def verify(
    root: Path,
    version: str | None = None,
    progress: Progress | None = None,
    *,
    options: SourceOptions | None = None,
    workers: int = 1,
    truth: Path | None = None,
) -> VerifyReport:
    """Verify a version of a corpus's annotations, the newest by default.

    Args:
        root: Corpus folder.
        version: Name, "v0001".
        progress: Called with tiles done, tiles in all, and the last one's name.
        options: Where sources' files lie now; what is not set in it is as it was annotated.
        workers: Processes; the report does not depend on their number.
        truth: Folder with truth of simulated worlds somewhere below it.

    Raises:
        CorpusError: Corpus or annotations are absent or damaged.
        ConfigError: `options` name a file that is not there.
        SarKnowlipError: A source's file or a truth file is damaged, there is no truth, or a worker
            died.
    """
    _require(options)
    catalog = Catalog(root)
    folder = annotation_folder(root, version)
    names = catalog.identifiers()
    jobs = chunks_of(len(names), CHUNK)
    judge = None if truth is None else TruthJudge.below(truth)
    work = functools.partial(verify_chunk, root=root, folder=folder, options=options, judge=judge)
    total = _Tally()
    done = 0
    try:
        for (number, start, stop), tally in run_jobs(work, jobs, workers):
            total.add(tally, number)
            done += stop - start
            if progress is not None:
                progress(done, len(names), names[stop - 1])
    finally:
        _worker.cache_clear()
    lost = _Tally()
    for item in strays(folder, names):
        lost.count(item.tile_id, [item], {item.id: "the catalog has no such tile"})
    total.add(lost, len(jobs))
    return total.report(folder.name, len(names), truth is not None)


@functools.lru_cache(maxsize=1)
def _worker(root: Path, folder: Path, options: SourceOptions | None) -> tuple[Catalog, _Again]:
    """Return what a process needs for all its chunks."""
    return Catalog(root), _Again.of(folder, options)


def verify_chunk(
    job: Chunk, root: Path, folder: Path, options: SourceOptions | None, judge: TruthJudge | None
) -> _Tally:
    """Verify some tiles."""
    _, start, stop = job
    catalog, again = _worker(root, folder, options)
    records, tally = catalog.span(start, stop), _Tally()
    found = stored(folder, [record.id for record in records])
    for record in records:
        held = found[record.id]
        try:
            seen = again.measure(catalog.image(record), held.evidence)
        except SarKnowlipError as error:
            tally.lacks["unread"] += 1
            tally.problem(record.id, str(error))
            seen = []
        tally.tile(record.id, seen, held, again)
        if judge is not None:
            judge.judge(record, held.claims, tally.truth, held.evidence)
    return tally


@dataclass(frozen=True)
class _Again:
    """Measures and derives again what a recipe did.

    Attributes:
        sources: By name, in the order in which they are asked; None for one that lacks its file.
        stages: In the order of the chain.
        composer: Judges texts.
    """

    sources: dict[str, KnowledgeSource | None]
    stages: list[Stage]
    composer: Composer

    @classmethod
    def of(cls, folder: Path, options: SourceOptions | None) -> _Again:
        """Return the tools of a version's recipe; `options` as in `verify`."""
        config = recipe_of(folder)
        chosen = _merged(config.options, options)
        return cls(
            {
                name: SOURCES[name](chosen) if _at_hand(name, chosen) else None
                for name in config.asked
            },
            [STAGES[name]() for name in config.stages],
            Composer(config.texts),
        )

    def measure(self, tile: TileImage, known: Sequence[Evidence]) -> list[Evidence]:
        """Return the facts of all sources; of one without its file those known, if sound."""
        found: list[Evidence] = []
        for name, source in self.sources.items():
            if source is not None:
                found.extend(source.evidence(tile, tuple(found)))
            else:
                found.extend(fact for fact in known if fact.source == name and fact.intact)
        return found


def _merged(then: SourceOptions, now: SourceOptions | None) -> SourceOptions:
    """Return options, those of a recipe where newer ones are not set."""
    values = {} if now is None else {key: getattr(now, key) for key in now.model_fields_set}
    return then.model_copy(update=values)


def _require(options: SourceOptions | None) -> None:
    """Check that the files that options name are there."""
    for name in ("osm", "landcover", "dem", "water"):
        for path in () if options is None else _paths(name, options):
            if not path.exists():
                raise ConfigError(f"{name}: {path} is not there", "check the path")


def _paths(name: str, options: SourceOptions) -> tuple[Path, ...]:
    named: Path | tuple[Path, ...] | None = getattr(options, name)
    if isinstance(named, tuple):
        return named
    return () if named is None else (named,)


def _at_hand(name: str, options: SourceOptions) -> bool:
    """Return whether the files that a source needs are named and there."""
    if name not in SourceOptions.model_fields:
        return True
    paths = _paths(name, options)
    return bool(paths) and all(path.exists() for path in paths)


@dataclass
class _Tally:
    """Counts what holds; picklable, and of chunks the sum."""

    totals: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    lacks: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[int, int, str]] = field(default_factory=list)
    truth: TruthTally = field(default_factory=TruthTally)

    def add(self, other: _Tally, number: int) -> None:
        """Add the tally of a chunk; sums don't depend on the order in which chunks come."""
        for name in ("totals", "held", "facts", "told", "lacks"):
            getattr(self, name).update(getattr(other, name))
        more = [(number, index, message) for _, index, message in other.problems]
        self.problems = sorted([*self.problems, *more])[:LISTED]
        self.truth.add(other.truth, number)

    def tile(self, tile_id: str, seen: list[Evidence], held: Stored, again: _Again) -> None:
        """Count one tile's facts, claims and texts."""
        found = {fact.id for fact in seen}

        def fault(fact: Evidence) -> str | None:
            if not fact.intact:
                return "its identifier is not the digest of its content"
            return None if fact.id in found else "its source does not find it"

        faults = _faults(held.evidence, fault)
        known = [fact for fact in held.evidence if faults[fact.id] is None]
        holding = {fact.id for fact in known}
        lacking = {name for name, source in again.sources.items() if source is None}
        for key, apart in (("evidence", False), ("stored", True)):
            facts = [fact for fact in held.evidence if (fact.source in lacking) is apart]
            self.count(tile_id, facts, faults, key)
        missing = [fact for fact in seen if fact.id not in holding]
        if missing:
            self.lacks["missing"] += len(missing)
            number, first = len(missing), _said(missing[0])
            self.problem(tile_id, f"facts found but not stored: {number}, the first is {first}")
        true = self._claims(tile_id, held.claims, derive(again.stages, tile_id, seen), holding)
        words = _faults(held.texts, lambda text: again.composer.fault(text, true, known))
        self.count(tile_id, held.texts, words)
        told = {key for text in held.texts if words[text.id] is None for key in text.claim_ids}
        cited = {key for claim in told for key in true[claim].evidence_ids}
        self.facts.update(fact.source for fact in held.evidence)
        self.told.update(fact.source for fact in known if fact.id in cited)

    def _claims(
        self, tile_id: str, claims: list[Claim], derived: list[Claim], holding: set[str]
    ) -> dict[str, Claim]:
        """Count a tile's claims; return those that hold."""
        known: set[str] = set()
        supported: set[str] = set()
        for claim in derived:
            known.add(claim.id)
            if holding.issuperset(claim.evidence_ids) and supported.issuperset(claim.premise_ids):
                supported.add(claim.id)

        def fault(claim: Claim) -> str | None:
            if not claim.intact:
                return "its identifier is not the digest of its content"
            if claim.id not in known:
                return "it does not follow"
            return None if claim.id in supported else "what it cites does not hold"

        faults = _faults(claims, fault)
        self.count(tile_id, claims, faults)
        return {claim.id: claim for claim in claims if faults[claim.id] is None}

    def count(
        self,
        tile_id: str,
        items: Iterable[Item],
        faults: Mapping[str, str | None],
        key: str | None = None,
    ) -> None:
        """Count items that the files hold for a tile; one that stands twice does not hold.

        Args:
            tile_id: Tile.
            items: What the files hold.
            faults: Why an item does not hold, None if it does, by identifier.
            key: What they count as; None: claims by dimension, other things by kind.
        """
        seen: set[str] = set()
        for item in items:
            kind = key or _kind(item)
            fault = faults[item.id] or ("it stands twice" if item.id in seen else None)
            self.totals[kind] += 1
            self.held[kind] += fault is None
            if fault is not None:
                name = type(item).__name__.lower()
                self.problem(tile_id, f"{name} {item.id} does not hold, {fault}: {_said(item)}")
            seen.add(item.id)

    def problem(self, tile_id: str, message: str) -> None:
        """Note something that does not hold."""
        if len(self.problems) < LISTED:
            self.problems.append((0, len(self.problems), f"{tile_id}: {message}"))

    def report(self, version: str, tiles: int, judged: bool) -> VerifyReport:
        """Return the outcome."""
        counts = {key: Count(total=n, held=self.held[key]) for key, n in self.totals.items()}
        none = Count(total=0, held=0)
        facts = self.facts.total()
        return VerifyReport(
            version=version,
            tiles=tiles,
            evidence=counts.pop("evidence", none),
            stored=counts.pop("stored", none),
            missing=self.lacks["missing"],
            unread=self.lacks["unread"],
            texts=counts.pop("texts", none),
            claims=dict(sorted(counts.items())),
            coverage=self.told.total() / facts if facts else 0.0,
            source_coverage={name: self.told[name] / n for name, n in sorted(self.facts.items())},
            problems=tuple(message for *_, message in self.problems),
            truth=self.truth.report() if judged else None,
        )


def _faults(items: Iterable[Kind], fault: Callable[[Kind], str | None]) -> dict[str, str | None]:
    """Return what is wrong with items, by identifier; of equally named ones with any."""
    found: dict[str, str | None] = {}
    for item in items:
        found[item.id] = found.get(item.id) or fault(item)
    return found


def _kind(item: Item) -> str:
    if isinstance(item, Claim):
        return item.dimension
    return "texts" if isinstance(item, Text) else "evidence"


def _said(item: Item) -> str:
    if isinstance(item, Text):
        return item.text
    if isinstance(item, Claim):
        return f"{item.predicate} {item.arguments}"
    return f"{item.subject} {item.predicate} {item.value} {item.label or ''}".rstrip()
