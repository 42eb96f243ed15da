"""Claims and texts: what is said about a tile, and what it rests on.

A claim is structured (dimension, predicate, arguments) and cites the evidence that supports it. A
text renders one or more claims. Identifiers are digests of all other fields: a claim that was
changed cannot keep its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.hashing import digest

Dimension = Literal["landform", "function", "target", "relation", "summary"]
Level = Literal["tag", "phrase", "sentence", "paragraph", "question-answer"]
Argument = str | int | float | bool


class Claim(Config):
    """One structured statement about one tile; make it with `Claim.of`.

    Attributes:
        id: Digest of all other fields.
        tile_id: Tile it is about.
        dimension: Part of the chain of thought it belongs to.
        predicate: What is stated, "surface_share".
        arguments: Values of the statement by name; numbers are already rounded as they are said.
        confidence: Probability that it is right, 0…1.
        stage: Name in the table of stages.
        stage_version: Version of that stage's rules.
        evidence_ids: Facts it rests on, sorted; at least one.
    """

    id: str
    tile_id: str
    dimension: Dimension
    predicate: str
    arguments: dict[str, Argument]
    confidence: float = Field(ge=0.0, le=1.0)
    stage: str
    stage_version: str
    evidence_ids: tuple[str, ...] = Field(min_length=1)

    @classmethod
    def of(
        cls,
        tile_id: str,
        dimension: Dimension,
        predicate: str,
        arguments: Mapping[str, Argument],
        *,
        confidence: float,
        stage: str,
        stage_version: str,
        evidence_ids: Sequence[str],
    ) -> Claim:
        """Return a claim with its identifier.

        Raises:
            pydantic.ValidationError: No evidence is cited.
        """
        fields: dict[str, Any] = {
            "tile_id": tile_id,
            "dimension": dimension,
            "predicate": predicate,
            "arguments": dict(arguments),
            "confidence": round(float(confidence), 5),
            "stage": stage,
            "stage_version": stage_version,
            "evidence_ids": sorted(set(evidence_ids)),
        }
        return cls(id=digest(fields), **fields)

    @property
    def intact(self) -> bool:
        """Whether the identifier is the digest of the other fields."""
        return self.id == digest(self.model_dump(mode="json", exclude={"id"}))


class Text(Config):
    """A rendering of claims; make it with `Text.of`.

    Attributes:
        id: Digest of all other fields.
        tile_id: Tile it is about.
        dimension: Dimension of its claims.
        level: Form of the text.
        language: BCP 47 tag.
        text: The words.
        claim_ids: Claims it renders, in the order in which they are said.
    """

    id: str
    tile_id: str
    dimension: Dimension
    level: Level
    language: str
    text: str = Field(min_length=1)
    claim_ids: tuple[str, ...] = Field(min_length=1)

    @classmethod
    def of(
        cls,
        tile_id: str,
        dimension: Dimension,
        level: Level,
        text: str,
        *,
        claim_ids: Sequence[str],
        language: str = "en",
    ) -> Text:
        """Return a text with its identifier."""
        fields: dict[str, Any] = {
            "tile_id": tile_id,
            "dimension": dimension,
            "level": level,
            "language": language,
            "text": text,
            "claim_ids": list(claim_ids),
        }
        return cls(id=digest(fields), **fields)
