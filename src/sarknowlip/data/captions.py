"""Captions: what a tile can be called, and how some of it makes one caption.

The caption of a visit is drawn by a counter-based generator (Philox, Salmon et al. 2011) keyed by
seed, epoch and index: it is the same whichever process asks, and in whatever order. First a level
is drawn by weight, of those that the tile has. A paragraph is a caption by itself. Of sentences,
phrases and tags a random non-empty subset of at most `most` is taken, in random order; a text comes
early in proportion to its own weight times that of its dimension (Efraimidis and Spirakis 2006). Of
questions one is drawn by the same weights; its caption is the answer, told after the question. Of
several paragraphs one is drawn by its own weight.

What is drawn from is a few numbers a text, `Heads`; the words are read of what was drawn alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.lookup import Stored
from sarknowlip.annotate.store import read_texts, read_weights
from sarknowlip.core.config import Config
from sarknowlip.data.scope import UNKNOWN, Scope, joint, scope_of
from sarknowlip.knowledge.evidence import Facts

STREAM = 1
"""Tells captions from other draws of the same seed."""
LEVELS = ("sentence", "paragraph", "phrase", "tag")
"""Levels that make captions; questions and groundings are examples of another kind."""
QUESTION = "question-answer"
"""Level of a question with its answer."""
DRAWN = (*LEVELS, QUESTION)
"""What `Heads` numbers levels by; the order in which `LevelWeights` has them."""
SENTENCE, PARAGRAPH = DRAWN.index("sentence"), DRAWN.index("paragraph")
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


DIMENSIONS = tuple(DimensionWeights.model_fields)
"""What `Heads` numbers dimensions by."""


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
        weight: How much it counts beside others, above 0 to 1.
    """

    level: str
    dimension: str
    text: str
    scope: Scope = UNKNOWN
    question: str = ""
    weight: float = 1.0


class Heads(NamedTuple):
    """What a draw looks at, an entry a text.

    Attributes:
        levels: Places in `DRAWN`.
        dimensions: Places in `DIMENSIONS`.
        weights: How much texts count; None where all count alike.
    """

    levels: npt.NDArray[np.int8]
    dimensions: npt.NDArray[np.int8]
    weights: npt.NDArray[np.float64] | None

    @classmethod
    def of(cls, said: Sequence[Said]) -> Heads:
        """Return those of texts."""
        levels = np.array([DRAWN.index(text.level) for text in said], np.int8)
        dimensions = np.array([DIMENSIONS.index(text.dimension) for text in said], np.int8)
        weights = np.array([text.weight for text in said], np.float64)
        return cls(levels, dimensions, None if (weights == 1.0).all() else weights)


@dataclass(frozen=True)
class Captions:
    """What a tile can be called.

    Attributes:
        said: Its texts of the levels `LEVELS` and, where they are asked for, its questions, in
            file order.
        heads: What draws look at; left out, they are made from the texts.
    """

    said: Sequence[Said] = ()
    heads: Heads = field(default=None, repr=False, compare=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.heads is None:
            object.__setattr__(self, "heads", Heads.of(self.said))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Its sentence-level texts in file order."""
        return tuple(said.text for said in self.said if said.level == "sentence")

    @property
    def whole(self) -> str:
        """What it is called where nothing is drawn: its paragraph, else all its sentences."""
        paragraphs = np.flatnonzero(self.heads.levels == PARAGRAPH)
        if len(paragraphs):
            return self.said[int(paragraphs[0])].text
        return whole_caption(self.sentences)

    def holding(self, window: tuple[int, int, int, int]) -> Captions:
        """Return what holds of a window x0, y0, x1, y1 of the tile."""
        return Captions(tuple(said for said in self.said if said.scope.holds_in(window)))


def read_captions(annotation_folder: Path, *, asked: bool = False) -> dict[str, Captions]:
    """Return the captions of each tile that has a sentence, by tile, with unknown scopes.

    Args:
        annotation_folder: One version, as `annotate.store.annotation_folder` gives it.
        asked: Whether questions are among them.

    Raises:
        CorpusError: The file is absent or damaged, or that of weights is.
    """
    found: dict[str, list[Said]] = {}
    weights = read_weights(annotation_folder)
    for text in read_texts(annotation_folder):
        if text.level in LEVELS or (asked and text.level == QUESTION):
            found.setdefault(text.tile_id, []).append(_said(text, UNKNOWN, weights))
    captions = {tile_id: Captions(tuple(said)) for tile_id, said in found.items()}
    return {tile_id: told for tile_id, told in captions.items() if told.sentences}


def judged(
    held: Stored, *, asked: bool = False, weights: Mapping[str, float] | None = None
) -> Captions:
    """Return the captions of a tile with what they hold of.

    Args:
        held: What is stored about it.
        asked: Whether its questions are among them.
        weights: Of texts by identifier; 1 where absent.
    """
    scopes = claim_scopes(held)
    said = (
        _said(text, text_scope(text, scopes), weights or {})
        for text in held.texts
        if text.level in LEVELS or (asked and text.level == QUESTION)
    )
    return Captions(tuple(said))


def _said(text: Text, scope: Scope, weights: Mapping[str, float]) -> Said:
    weight = weights.get(text.id, 1.0)
    return Said(text.level, text.dimension, text.text, scope, text.question or "", weight)


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
    heads = captions.heads
    level = _level(heads, config.levels, float(rng.random()))
    places = np.flatnonzero(heads.levels == level)
    own = None if heads.weights is None else heads.weights[places]
    if level == PARAGRAPH:
        return (captions.said[int(places[_place(len(places), own, rng)])],)
    weights = _dimension_weights(config.dimensions)[heads.dimensions[places]]
    if weights.any():
        if not weights.all():
            kept = weights > 0
            places, weights = places[kept], weights[kept]
            own = None if own is None else own[kept]
    else:
        weights = np.ones(len(places))
    if own is not None:
        weights = weights * own
    most = 1 if DRAWN[level] == QUESTION else config.most
    count = int(rng.integers(1, min(most, len(places)) + 1))
    keys = rng.exponential(size=len(places)) / weights
    order = places[np.argsort(keys, kind="stable")[:count]]
    return tuple(captions.said[place] for place in order.tolist())


def caption_of(texts: Sequence[Said]) -> str:
    """Return the words of texts of one level."""
    return JOINTS.get(texts[0].level, " ").join(said.text for said in texts)


def can_draw(captions: Captions, config: CaptionConfig) -> bool:
    """Return whether a caption can be drawn."""
    return bool(_chances(captions.heads, config.levels).any())


def _chances(heads: Heads, weights: LevelWeights) -> npt.NDArray[np.float64]:
    """Return the weights of levels to draw from by place in `DRAWN`, 0 for those not there."""
    there = np.bincount(heads.levels, minlength=len(DRAWN)) > 0
    wanted = np.where(there, _level_weights(weights), 0.0)
    if not wanted.any():
        wanted[SENTENCE] = float(there[SENTENCE])
    return wanted


def _level(heads: Heads, weights: LevelWeights, chance: float) -> int:
    """Return the place of a drawn level in `DRAWN`."""
    wanted = _chances(heads, weights)
    ends = np.cumsum(wanted)
    place = int(np.searchsorted(ends, chance * ends[-1], side="right"))
    return min(place, int(np.flatnonzero(wanted)[-1]))


def _place(count: int, weights: npt.NDArray[np.float64] | None, rng: np.random.Generator) -> int:
    """Return a number below `count`, drawn by weight."""
    if weights is None:
        return int(rng.integers(count))
    ends = np.cumsum(weights)
    return min(count - 1, int(np.searchsorted(ends, rng.random() * ends[-1], side="right")))


@lru_cache(maxsize=64)
def _level_weights(weights: LevelWeights) -> npt.NDArray[np.float64]:
    named = {QUESTION if k == "question" else k: w for k, w in weights.model_dump().items()}
    return np.array([named[level] for level in DRAWN])


@lru_cache(maxsize=64)
def _dimension_weights(weights: DimensionWeights) -> npt.NDArray[np.float64]:
    return np.array([getattr(weights, name) for name in DIMENSIONS])
