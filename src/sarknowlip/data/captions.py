"""Captions: what a tile can be called, and how some of it makes one caption.

The caption of a visit is drawn by a counter-based generator (Philox, Salmon et al. 2011) keyed by
seed, epoch and index: it is the same whichever process asks, and in whatever order. First a level
is drawn by weight, of those that the tile has. A paragraph is a caption by itself. Of sentences,
phrases and tags a random non-empty subset of at most `most` is taken, in random order; a text comes
early in proportion to the weight of its dimension (Efraimidis and Spirakis 2006). Of questions one
is drawn by the same weights; its caption is the answer, told after the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.lookup import Stored
from sarknowlip.annotate.store import read_texts
from sarknowlip.core.config import Config
from sarknowlip.data.scope import UNKNOWN, Scope, joint, scope_of
from sarknowlip.knowledge.evidence import Facts

STREAM = 1
"""Tells captions from other draws of the same seed."""
LEVELS = ("sentence", "paragraph", "phrase", "tag")
"""Levels that make captions; questions and groundings are examples of another kind."""
QUESTION = "question-answer"
"""Level of a question with its answer."""
JOINTS = {"sentence": " ", "phrase": ", ", "tag": ", "}

Weight = Annotated[float, Field(ge=0.0)]


class LevelWeights(Config):
    """How often captions of a level are drawn, relative to each other.

    Attributes:
        question: Of a question that is given and its answer that is told; choices are not said.
    """

    sentence: Weight = 1.0
    paragraph: Weight = 0.0
    phrase: Weight = 0.0
    tag: Weight = 0.0
    question: Weight = 0.0


class DimensionWeights(Config):
    """How likely texts of a dimension are part of a caption, relative to each other."""

    landform: Weight = 1.0
    function: Weight = 1.0
    target: Weight = 1.0
    relation: Weight = 1.0
    summary: Weight = 1.0


class CaptionConfig(Config):
    """How a caption is drawn.

    Attributes:
        levels: Weights of levels; where a tile has none of positive weight, of its sentences.
        dimensions: Weights of dimensions; texts of weight 0 are taken where there is no other.
        most: Texts of a caption: more than a text encoder reads would only be cut off.
    """

    levels: LevelWeights = LevelWeights()
    dimensions: DimensionWeights = DimensionWeights()
    most: Annotated[int, Field(ge=1)] = 8

    @model_validator(mode="after")
    def _some(self) -> CaptionConfig:
        for name in ("levels", "dimensions"):
            if not any(getattr(self, name).model_dump().values()):
                raise ValueError(f"{name}: all weights are 0")
        return self


@dataclass(frozen=True)
class Said:
    """One text about a tile.

    Attributes:
        level: Sentence, paragraph, phrase, tag or `QUESTION`.
        dimension: Part of the chain of thought.
        text: Words; of a question the answer.
        scope: What it holds of; that of all its claims.
        question: Words of a question, else empty.
    """

    level: str
    dimension: str
    text: str
    scope: Scope = UNKNOWN
    question: str = ""


@dataclass(frozen=True)
class Captions:
    """What a tile can be called.

    Attributes:
        said: Its texts of the levels `LEVELS` and, where they are asked for, its questions, in
            file order.
    """

    said: tuple[Said, ...] = field(default=())

    @property
    def sentences(self) -> tuple[str, ...]:
        """Its sentence-level texts in file order."""
        return tuple(said.text for said in self.said if said.level == "sentence")

    @property
    def whole(self) -> str:
        """What it is called where nothing is drawn: its paragraph, else all its sentences."""
        paragraphs = (said.text for said in self.said if said.level == "paragraph")
        return next(paragraphs, None) or whole_caption(self.sentences)

    def holding(self, window: tuple[int, int, int, int]) -> Captions:
        """Return what holds of a window x0, y0, x1, y1 of the tile."""
        return Captions(tuple(said for said in self.said if said.scope.holds_in(window)))


def read_captions(annotation_folder: Path, *, asked: bool = False) -> dict[str, Captions]:
    """Return the captions of each tile that has a sentence, by tile, with unknown scopes.

    Args:
        annotation_folder: One version, as `annotate.store.annotation_folder` gives it.
        asked: Whether questions are among them.

    Raises:
        CorpusError: The file is absent or damaged.
    """
    found: dict[str, list[Said]] = {}
    for text in read_texts(annotation_folder):
        if text.level in LEVELS or (asked and text.level == QUESTION):
            said = Said(text.level, text.dimension, text.text, question=text.question or "")
            found.setdefault(text.tile_id, []).append(said)
    captions = {tile_id: Captions(tuple(said)) for tile_id, said in found.items()}
    return {tile_id: told for tile_id, told in captions.items() if told.sentences}


def judged(held: Stored, *, asked: bool = False) -> Captions:
    """Return the captions of a tile, and its questions if `asked`, with what they hold of."""
    scopes = claim_scopes(held)
    said = (
        Said(text.level, text.dimension, text.text, text_scope(text, scopes), text.question or "")
        for text in held.texts
        if text.level in LEVELS or (asked and text.level == QUESTION)
    )
    return Captions(tuple(said))


def claim_scopes(held: Stored) -> dict[str, Scope]:
    """Return what each claim about a tile holds of, by identifier."""
    facts, evidence = Facts(held.evidence), {fact.id: fact for fact in held.evidence}
    return {claim.id: scope_of(claim, facts, evidence) for claim in held.claims}


def text_scope(text: Text, scopes: dict[str, Scope]) -> Scope:
    """Return what a text holds of: all that its claims do."""
    return joint(scopes.get(claim_id, UNKNOWN) for claim_id in text.claim_ids)


def whole_caption(sentences: Sequence[str]) -> str:
    """Return all sentences in order, joined by a space."""
    return " ".join(sentences)


def drawn_texts(
    captions: Captions, config: CaptionConfig, *, seed: int, epoch: int, index: int
) -> tuple[Said, ...]:
    """Return the texts of one caption, in the order in which they are said.

    The number of texts is uniform from one to all of a level, or to `config.most`.

    Args:
        captions: Of one tile; at least one text of a level of positive weight, or one sentence.
        config: Weights.
        seed: Of the run, not negative.
        epoch: Of the visit.
        index: Position of the tile in its split.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, STREAM], counter=[0, 0, epoch, index]))
    texts = _of_level(captions, config.levels, float(rng.random()))
    if texts[0].level == "paragraph":
        return (texts[int(rng.integers(len(texts)))],)
    dimensions = config.dimensions.model_dump()
    weights = np.array([dimensions.get(said.dimension, 1.0) for said in texts])
    if weights.any():
        texts, weights = [t for t, w in zip(texts, weights, strict=True) if w], weights[weights > 0]
    else:
        weights = np.ones(len(texts))
    most = 1 if texts[0].level == QUESTION else config.most
    count = int(rng.integers(1, min(most, len(texts)) + 1))
    keys = rng.exponential(size=len(texts)) / weights
    return tuple(texts[i] for i in np.argsort(keys, kind="stable")[:count])


def caption_of(texts: Sequence[Said]) -> str:
    """Return the words of texts of one level."""
    return JOINTS.get(texts[0].level, " ").join(said.text for said in texts)


def can_draw(captions: Captions, config: CaptionConfig) -> bool:
    """Return whether a caption can be drawn."""
    return bool(_levels(captions, config.levels))


def _levels(captions: Captions, weights: LevelWeights) -> dict[str, float]:
    """Return the levels to draw from and their weights."""
    there = {said.level for said in captions.said}
    named = {QUESTION if k == "question" else k: w for k, w in weights.model_dump().items()}
    wanted = {k: w for k, w in named.items() if w > 0 and k in there}
    return wanted or ({"sentence": 1.0} if "sentence" in there else {})


def _of_level(captions: Captions, weights: LevelWeights, chance: float) -> list[Said]:
    """Return the texts of a drawn level."""
    levels = _levels(captions, weights)
    ends = np.cumsum(list(levels.values()))
    place = int(np.searchsorted(ends, chance * ends[-1], side="right"))
    level = list(levels)[min(place, len(levels) - 1)]
    return [said for said in captions.said if said.level == level]
