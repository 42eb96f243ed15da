"""Evidence: one looked-up or measured fact about a tile.

A fact is a subject ("water", "VV", "target/00"), a predicate ("share", "mean") and a number or a
label, with its unit, the source that gave it and how sure that source is. The identifier is a
digest of all of it: equal facts have equal identifiers on every machine, and a changed fact cannot
keep its old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.hashing import digest

DECIMALS = 5
"""Values are kept to this many decimals, so that a fact's identifier survives the last bit."""

Box = tuple[int, int, int, int]
"""Columns and rows x0, y0, x1, y1 in pixels; x1 and y1 are exclusive."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("tile_id", pa.string()),
        ("subject", pa.string()),
        ("predicate", pa.string()),
        ("value", pa.float64()),
        ("label", pa.string()),
        ("unit", pa.string()),
        ("source", pa.string()),
        ("source_version", pa.string()),
        ("source_time", pa.string()),
        ("confidence", pa.float64()),
        ("bbox_px", pa.list_(pa.int32(), 4)),
        ("mask_rle", pa.string()),
    ]
)
"""Arrow types of `evidence.parquet`."""


class Evidence(Config):
    """One fact about one tile; make it with `Evidence.of`.

    Attributes:
        id: Digest of all other fields.
        tile_id: Tile the fact is about.
        subject: Thing in the tile the fact is about.
        predicate: What is said of it.
        value: Number in `unit`; None when the fact is a label.
        label: Word; None when the fact is a number alone.
        unit: "dB", "dB relative", "share", "m", "m2", "px", "deg", "count", "looks", "1" or
            "class".
        source: Name in the table of sources.
        source_version: Version of its method or data.
        source_time: When what the source saw was so, RFC 3339; None if unknown.
        confidence: Probability that the fact is right, 0…1.
        bbox_px: Where in the tile, or None when the fact is about the whole tile.
        mask_rle: Which pixels of the tile, as `knowledge.masks` writes them, or None.
    """

    id: str
    tile_id: str
    subject: str
    predicate: str
    value: float | None
    label: str | None
    unit: str
    source: str
    source_version: str
    source_time: str | None
    confidence: float = Field(ge=0.0, le=1.0)
    bbox_px: Box | None = None
    mask_rle: str | None = None

    @classmethod
    def of(
        cls,
        tile_id: str,
        subject: str,
        predicate: str,
        *,
        unit: str,
        source: str,
        source_version: str,
        confidence: float,
        value: float | None = None,
        label: str | None = None,
        source_time: str | None = None,
        bbox_px: Box | None = None,
        mask_rle: str | None = None,
    ) -> Evidence:
        """Return a fact with its identifier; numbers are rounded to `DECIMALS`.

        Raises:
            ValueError: Neither number nor label is given, or a number is not finite.
        """
        if value is None and label is None:
            raise ValueError(f"{subject} {predicate}: a fact needs a value or a label")
        rounded = None if value is None else round(float(value), DECIMALS) + 0.0
        if rounded is not None and not abs(rounded) < float("inf"):
            raise ValueError(f"{subject} {predicate}: {value} is not finite")
        fields: dict[str, Any] = {
            "tile_id": tile_id,
            "subject": subject,
            "predicate": predicate,
            "value": rounded,
            "label": label,
            "unit": unit,
            "source": source,
            "source_version": source_version,
            "source_time": source_time,
            "confidence": round(min(1.0, max(0.0, float(confidence))), DECIMALS),
            "bbox_px": None if bbox_px is None else tuple(int(edge) for edge in bbox_px),
            "mask_rle": mask_rle,
        }
        return cls(id=digest(fields), **fields)

    @property
    def intact(self) -> bool:
        """Whether the identifier is the digest of the other fields."""
        return self.id == digest(self.model_dump(mode="json", exclude={"id"}))


class Facts:
    """Evidence about one tile, looked up by subject and predicate; remembers what was asked.

    Rules see a tile only through this class, so that what a rule used is what its claim cites.

    Args:
        evidence: Facts of one tile.
    """

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._best: dict[tuple[str, str], Evidence] = {}
        for fact in sorted(evidence, key=lambda fact: (-fact.confidence, fact.source, fact.id)):
            self._best.setdefault((fact.subject, fact.predicate), fact)
        self._used: dict[str, Evidence] = {}

    def find(self, subject: str, predicate: str) -> Evidence | None:
        """Return the most certain fact of that kind and note its use, or None."""
        fact = self._best.get((subject, predicate))
        if fact is not None:
            self._used[fact.id] = fact
        return fact

    def value(self, subject: str, predicate: str) -> float | None:
        """Return the number of the most certain fact of that kind, or None."""
        fact = self.find(subject, predicate)
        return None if fact is None else fact.value

    def label(self, subject: str, predicate: str) -> str | None:
        """Return the label of the most certain fact of that kind, or None."""
        fact = self.find(subject, predicate)
        return None if fact is None else fact.label

    def cite(self, used: Iterable[Evidence]) -> None:
        """Note the use of facts that another view of the same facts has found."""
        self._used.update((fact.id, fact) for fact in used)

    def subjects(self, prefix: str = "") -> list[str]:
        """Return the subjects that start with `prefix`, sorted; counts as no use."""
        return sorted({subject for subject, _ in self._best if subject.startswith(prefix)})

    def fresh(self) -> Facts:
        """Return a view of the same facts that has noted no use yet."""
        view = Facts(())
        view._best = self._best
        return view

    @property
    def used(self) -> tuple[Evidence, ...]:
        """The facts asked for since this view was made, in order of first use."""
        return tuple(self._used.values())

    def __iter__(self) -> Iterator[Evidence]:
        return iter(self._best.values())
