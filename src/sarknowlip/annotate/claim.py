"""Claims and texts: what is said about a tile, and what it rests on.

A claim is structured (dimension, predicate, arguments), cites the evidence that supports it, and
tells the rule that drew it and the earlier claims that the rule rests on. A text renders one or
more claims. Identifiers are digests of all other fields: a claim that was changed cannot keep its
name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.hashing import digest
from sarknowlip.knowledge.evidence import Box

Dimension = Literal["landform", "function", "target", "relation", "summary"]
Level = Literal["tag", "phrase", "sentence", "paragraph", "question-answer", "grounding"]
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
        rule: Name of the rule that drew it.
        evidence_ids: Facts it rests on, sorted, those of its premises included; at least one.
        premise_ids: Earlier claims that the rule rests on, sorted.
    """

    id: str
    tile_id: str
    dimension: Dimension
    predicate: str
    arguments: dict[str, Argument]
    confidence: float = Field(ge=0.0, le=1.0)
    stage: str
    stage_version: str
    rule: str
    evidence_ids: tuple[str, ...] = Field(min_length=1)
    premise_ids: tuple[str, ...] = ()

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
        rule: str,
        evidence_ids: Sequence[str],
        premise_ids: Sequence[str] = (),
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
            "rule": rule,
            "evidence_ids": sorted(set(evidence_ids)),
            "premise_ids": sorted(set(premise_ids)),
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
        dimension: Dimension of its claims; "summary" where they are of several.
        level: Form of the text.
        language: BCP 47 tag.
        text: The words; of a question–answer pair the answer, of a grounding the expression.
        claim_ids: Claims it renders, in the order in which they are said.
        question: Of a question–answer pair, else None.
        topic: What a question asks for ("presence", "count", …); None without a question.
        choices: Answers to choose from, one of which is `text`; empty where none are offered.
        boxes_px: Boxes that a grounding refers to, x0, y0, x1, y1 with exclusive ends.
        masks_rle: Masks of the same things (`knowledge.masks`), as many, or none.
    """

    id: str
    tile_id: str
    dimension: Dimension
    level: Level
    language: str
    text: str = Field(min_length=1)
    claim_ids: tuple[str, ...] = Field(min_length=1)
    question: str | None = None
    topic: str | None = None
    choices: tuple[str, ...] = ()
    boxes_px: tuple[Box, ...] = ()
    masks_rle: tuple[str, ...] = ()

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
        question: str | None = None,
        topic: str | None = None,
        choices: Sequence[str] = (),
        boxes_px: Sequence[Box] = (),
        masks_rle: Sequence[str] = (),
    ) -> Text:
        """Return a text with its identifier."""
        fields: dict[str, Any] = {
            "tile_id": tile_id,
            "dimension": dimension,
            "level": level,
            "language": language,
            "text": text,
            "claim_ids": list(claim_ids),
            "question": question,
            "topic": topic,
            "choices": list(choices),
            "boxes_px": [list(box) for box in boxes_px],
            "masks_rle": list(masks_rle),
        }
        return cls(id=digest(fields), **fields)

    @property
    def intact(self) -> bool:
        """Whether the identifier is the digest of the other fields."""
        return self.id == digest(self.model_dump(mode="json", exclude={"id"}))
