"""What is said of a tile and why, for people: texts, claims, rules, premises, facts.

`describe` finds a tile by the start of its identifier and reads what a version holds about it,
nothing else. `render` prints it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line
from rich.tree import Tree

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.store import annotation_folder
from sarknowlip.annotate.tile import derive, recipe_of
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.knowledge.evidence import Evidence

NEAR = 3
"""Tiles named when there is none of the name asked for."""


@dataclass(frozen=True)
class Reason:
    """Why a claim is made.

    Attributes:
        claim: What is stated.
        words: Sentences that say it; empty if none does.
        premises: Reasons of the earlier claims that its rule rests on.
        evidence: Facts that the rule itself looked at.
    """

    claim: Claim
    words: tuple[str, ...]
    premises: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "claim": self.claim.model_dump(mode="json"),
            "words": list(self.words),
            "premises": [premise.as_json() for premise in self.premises],
            "evidence": [fact.model_dump(mode="json") for fact in self.evidence],
        }


@dataclass(frozen=True)
class Description:
    """All that a version says of a tile.

    Attributes:
        record: The tile.
        version: Annotation version, "v0001".
        texts: In file order.
        reasons: One for each claim, in the order of the chain.
    """

    record: TileRecord
    version: str
    texts: tuple[Text, ...]
    reasons: tuple[Reason, ...]

    def as_json(self, trace: bool = False) -> dict[str, Any]:
        """Return the same as plain values; claims with their reasons only if asked for."""
        values: dict[str, Any] = {
            "item": self.record.item(),
            "version": self.version,
            "texts": [text.model_dump(mode="json") for text in self.texts],
        }
        if trace:
            values["claims"] = [reason.as_json() for reason in self.reasons]
        return values


def describe(root: Path, tile_id: str, version: str | None = None) -> Description:
    """Return what is said of a tile, with its reasons.

    Args:
        root: Corpus folder.
        tile_id: Its identifier, or the start of it that no other tile has.
        version: Annotation version; None: the newest.

    Raises:
        CorpusError: Corpus, annotations or tile are absent or damaged, or several tiles start so.
    """
    folder = annotation_folder(root, version)
    record = find_tile(root, tile_id)
    held = stored(folder, [record.id])[record.id]
    stages = [STAGES[name]() for name in recipe_of(folder).stages]
    known = {claim.id: claim for claim in derive(stages, record.id, held.evidence)}
    known |= {claim.id: claim for claim in held.claims}
    facts = {fact.id: fact for fact in held.evidence}
    words: dict[str, list[str]] = {}
    for text in held.texts:
        if text.level == "sentence" and len(text.claim_ids) == 1:
            words.setdefault(text.claim_ids[0], []).append(text.text)

    def reason(claim: Claim) -> Reason:
        premises = [known[key] for key in claim.premise_ids if key in known]
        theirs = {key for premise in premises for key in premise.evidence_ids}
        return Reason(
            claim,
            tuple(words.get(claim.id, ())),
            tuple(reason(premise) for premise in premises),
            tuple(facts[key] for key in claim.evidence_ids if key in facts and key not in theirs),
        )

    return Description(record, folder.name, tuple(held.texts), tuple(map(reason, held.claims)))


def find_tile(root: Path, tile_id: str) -> TileRecord:
    """Return the tile of an identifier, or of the start of one.

    Raises:
        CorpusError: There is none, there are several, or the corpus is absent or damaged.
    """
    path = Catalog(root).path
    try:
        names: list[str] = pq.read_table(path, columns=["id"])["id"].to_pylist()
        found = [name for name in names if name == tile_id or name.startswith(tile_id)]
        if tile_id in found or len(found) == 1:
            wanted = pc.field("id") == (tile_id if tile_id in found else found[0])
            return TileRecord.from_row(pq.read_table(path, filters=wanted).to_pylist()[0])
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"cannot read {path}: {error}", "rebuild the corpus") from error
    if found:
        some = ", ".join(found[:NEAR])
        raise CorpusError(f"{len(found)} tiles of {root} start with {tile_id!r}", f"such as {some}")
    near = difflib.get_close_matches(tile_id, names, NEAR, cutoff=0.0)
    raise CorpusError(f"{root} has no tile {tile_id!r}", f"the nearest are {', '.join(near)}")


def render(description: Description, trace: bool = False) -> RenderableType:
    """Return a description as something that `rich` prints.

    Args:
        description: What to show.
        trace: Show claims with rules, premises and facts, too.
    """
    parts: list[RenderableType] = [_heading(description), _texts(description.texts)]
    if trace:
        parts.append(_traces(description.reasons))
    return Group(*parts)


def statement(claim: Claim) -> str:
    """Return a claim in a line: predicate and arguments."""
    arguments = ", ".join(
        f"{name} {value}" for name, value in claim.arguments.items() if value != ""
    )
    return f"{claim.predicate.replace('_', ' ')}: {arguments}" if arguments else claim.predicate


def fact_line(fact: Evidence) -> str:
    """Return a fact in a line: what, value and unit, and which source says so how surely."""
    value = "" if fact.value is None else f"{fact.value:g} {fact.unit}"
    said = " ".join(part for part in (value, fact.label or "") if part)
    when = f", {fact.source_time}" if fact.source_time else ""
    return (
        f"{fact.subject} {fact.predicate} = {said} "
        f"({fact.source} {fact.source_version}{when}; confidence {fact.confidence:.2f})"
    )


def _heading(description: Description) -> RenderableType:
    record = description.record
    acquisition, place, grid = record.acquisition, record.place, record.projection
    west, south, east, north = grid.bbox
    table = Table.grid(padding=(0, 2))
    time = acquisition.start_datetime
    bands = acquisition.frequency_band or "unknown"
    for name, value in (
        ("place", f"{place.distance_km:.0f} km from {place.city}, {place.country}"),
        ("bounds", f"{west:.4f}, {south:.4f}, {east:.4f}, {north:.4f} (degrees)"),
        ("pixels", f"{grid.shape[0]} × {grid.shape[1]} of {grid.gsd_x:g} × {grid.gsd_y:g} m"),
        ("sensor", f"{acquisition.platform or record.sensor}, {bands} band, "
                   f"{', '.join(acquisition.polarizations) or 'unknown polarisation'}"),
        ("time", "unknown" if time is None else time.isoformat(timespec="seconds")),
        ("annotations", description.version),
    ):  # fmt: skip
        table.add_row(Line(name, style="bold"), Line(value))
    return Panel(table, title=Line(record.id), title_align="left")


def _texts(texts: Sequence[Text]) -> RenderableType:
    table = Table(show_edge=False)
    for name in ("dimension", "level", "text"):
        table.add_column(name, overflow="fold")
    dimensions = list(dict.fromkeys(text.dimension for text in texts))
    for text in sorted(texts, key=lambda text: dimensions.index(text.dimension)):
        words = f"{text.question} {text.text}" if text.question else text.text
        table.add_row(Line(text.dimension), Line(text.level), Line(words))
    return table


def _traces(reasons: Sequence[Reason]) -> RenderableType:
    tree = Tree(Line("claims", style="bold"))
    dimensions: dict[str, Tree] = {}
    for reason in reasons:
        name = reason.claim.dimension
        if name not in dimensions:
            dimensions[name] = tree.add(Line(name, style="bold"))
        _add(dimensions[name], reason)
    return tree


def _add(tree: Tree, reason: Reason) -> None:
    claim = reason.claim
    node = tree.add(Line(f"{statement(claim)} (confidence {claim.confidence:.2f})"))
    for words in reason.words:
        node.add(Line(f"“{words}”", style="italic"))
    node.add(Line(f"rule: {claim.rule} of stage {claim.stage} {claim.stage_version}"))
    for premise in reason.premises:
        _add(node.add(Line("because")), premise)
    for line in _fact_lines(reason.evidence):
        node.add(Line(line))


def _fact_lines(evidence: Sequence[Evidence]) -> Iterator[str]:
    ordered = sorted(evidence, key=lambda fact: (fact.subject, fact.predicate, fact.id))
    return (f"fact: {fact_line(fact)}" for fact in ordered)
