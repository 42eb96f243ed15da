"""Scores of a trained model on held-out tiles, for the scripts that measure learning.

Protocol. N tiles with one whole caption each (paragraph, else all sentences).

- whole: query is a caption and the gallery all tiles, or a tile and the distinct captions.
- sentence: as before with single sentences, at most `MOST_SENTENCES` of all distinct ones, drawn
  once. Every tile that carries a sentence, word for word, is a right answer to it; any of its own
  sentences is a right answer to a tile. Tiles of which it is true in other words count as wrong.
- The rank of a query is that of its best right answer, ties against the model (`infer.ranking`).
  Chance is exact for a random order and the same right answers.
- matching: area under the ROC curve of the fusion encoder's logit, and of the cosine, for captions
  with their own tile against those with another: a random one ("random"), and the one whose caption
  has the most alike words (TF-IDF; "hard", the same for all models).
- reranked: as "whole", the first 16 by cosine put in the order of the logit.
- caption: nats a token with the tile, with another tile at random, and without any.
- said: CIDEr-D (`bench.captions`) of what the model tells of `SAID` tiles, drawn once, each token
  the likeliest one: its first sentence beside the sentences of the tile ("sentence"), and all of it
  beside the whole caption ("whole"). Words count by how few tiles' captions have them.
- masked: squared error for hidden patches with text, without, and of telling 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score
from torch import Tensor

from sarknowlip.bench.captions import cider
from sarknowlip.data.loader import Batch
from sarknowlip.data.pairs import WHOLE, PairDataset, Visit
from sarknowlip.infer.encoder import ModelEncoder
from sarknowlip.infer.ranking import TIE, chance_recall
from sarknowlip.losses.captioning import caption_nll
from sarknowlip.losses.masked import masked_error
from sarknowlip.losses.masking import random_keep
from sarknowlip.models.decoder import Cache
from sarknowlip.models.generate import Generation, generate
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.objectives.objective import MASK, Objective
from sarknowlip.train.rounds.regenerate import sentences_of

KS = (1, 5, 10)
MOST_SENTENCES = 5000
RERANKED = 16
SAID, SAID_TOKENS = 200, 48
"""Tiles that are told of, and tokens of what is told, at most."""
PART = 64
GEO_COLUMNS = {"geo": [], "no place": [0, 1, 2], "no geo": list(range(8))}
"""What of `geo` is made unknown."""
Array = npt.NDArray[np.float64]


class Score(NamedTuple):
    """One number of a table; `chance` NaN where there is none."""

    metric: str
    direction: str
    k: int
    value: float
    chance: float = float("nan")
    count: int = 0


@dataclass(frozen=True)
class HeldOut:
    """Tiles and what is said about them."""

    images: dict[str, Tensor]
    wholes: list[str]
    sentences: list[tuple[str, ...]]

    @classmethod
    def read(cls, corpus: Path, split: str, version: str, processor: SarProcessor) -> HeldOut:
        """Read a split of a corpus."""
        pairs = PairDataset(corpus, split, annotation=version)  # type: ignore[arg-type]
        tiles = [pairs[Visit(WHOLE, index)].image for index in range(len(pairs))]
        told = [pairs.source.captions(index) for index in range(len(pairs))]
        return cls(
            processor.images(tiles), [one.whole for one in told], [one.sentences for one in told]
        )

    def __len__(self) -> int:
        return len(self.wholes)


class Scorer:
    """A model and what it made of held-out tiles.

    Args:
        model: Trained model.
        processor: Its processor.
        held: Tiles and texts.
        geo: What of the geographic tokens is known, in `GEO_COLUMNS`.
    """

    def __init__(
        self, model: SarKnowLIP, processor: SarProcessor, held: HeldOut, geo: str = "geo"
    ) -> None:
        self.model, self.processor, self.held = model.eval(), processor, held
        self.images = dict(held.images)
        self.images["geo"] = held.images["geo"].clone()
        self.images["geo"][:, GEO_COLUMNS[geo]] = float("nan")
        with torch.inference_mode():
            self.image_NKD = self._parts(lambda part: model.image_tokens(**self._rows(part)))
            self.image_NE = model.project_image(self.image_NKD).float().cpu()
        self.other = np.random.default_rng(0).permutation(len(held))
        fixed = self.other == np.arange(len(held))
        self.other[fixed] = np.roll(np.arange(len(held)), 1)[fixed]

    def retrieval(self) -> Iterator[Score]:
        """Yield recall for whole captions and for sentences."""
        wholes = [(text,) for text in self.held.wholes]
        for name, texts in (("whole", wholes), ("sentence", self.held.sentences)):
            distinct = _drawn(texts)
            right_MN = _right(distinct, texts)
            text_ME = self._texts(distinct)
            yield from _recalls(name, text_ME @ self.image_NE.numpy().T, right_MN)

    def matching(self) -> Iterator[Score]:
        """Yield what the fusion encoder and the cosine tell of pairs, and recall of reranking."""
        wholes = self.held.wholes
        own = np.arange(len(wholes))
        for kind, other in (("random", self.other), ("hard", _alike(wholes))):
            kept = np.array([wholes[i] != wholes[j] for i, j in zip(own, other, strict=True)])
            pairs = np.concatenate([own[kept], own[kept]]), np.concatenate([own[kept], other[kept]])
            truth = np.repeat([1, 0], kept.sum())
            for metric, given in (
                ("matching auroc", self._logits(*pairs)),
                ("cosine auroc", self._cosines(*pairs)),
            ):
                auroc = float(roc_auc_score(truth, given))
                yield Score(metric, kind, 0, auroc, 0.5, int(kept.sum()))
        distinct = _drawn([(text,) for text in wholes])
        place = {text: wholes.index(text) for text in distinct}
        scores_MN = (self._texts(distinct) @ self.image_NE.numpy().T).astype(np.float64)
        first = np.argsort(-scores_MN, axis=1, kind="stable")[:, :RERANKED]
        texts = np.repeat([place[text] for text in distinct], first.shape[1])
        logits = self._logits(texts, first.ravel()).reshape(first.shape)
        # above all that were not asked again, in the order of the logit
        squashed = 2.0 + 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        np.put_along_axis(scores_MN, first, squashed, axis=1)
        right_MN = _right(distinct, [(text,) for text in wholes])
        yield from (s for s in _recalls("reranked", scores_MN, right_MN) if s.direction == "text")

    @torch.inference_mode()
    def captions(self) -> Iterator[Score]:
        """Yield nats a token of whole captions."""
        for kind, image in (
            ("own tile", self.image_NKD),
            ("another tile", self.image_NKD[torch.from_numpy(self.other)]),
            ("no tile", None),
        ):
            total, tokens = 0.0, 0
            for part in _slices(len(self.held)):
                texts = self._told(self.held.wholes[part])
                ids, mask = texts["input_ids"], texts["attention_mask"]
                seen = None if image is None else image[part]
                found = caption_nll(self.model.caption_logits(ids, mask, seen), ids, mask)
                total, tokens = total + float(found[0].sum()), tokens + int(found[1].sum())
            yield Score("caption nats a token", kind, 0, total / tokens, count=tokens)

    @torch.inference_mode()
    def said(self) -> Iterator[Score]:
        """Yield how much what the model tells is like what is said of a tile."""
        drawn = np.sort(np.random.default_rng(0).permutation(len(self.held))[:SAID])
        told = [
            text
            for start in range(0, len(drawn), PART)
            for text in self._says(drawn[start : start + PART])
        ]
        sentences = [list(self.held.sentences[i]) for i in drawn]
        wholes = [[self.held.wholes[i]] for i in drawn]
        firsts = [sentences_of(text)[0] for text in told]
        for kind, given, known in (("sentence", firsts, sentences), ("whole", told, wholes)):
            yield Score("cider", kind, 0, float(cider(given, known).mean()), count=len(drawn))
        yield Score("told", "distinct", 0, len(set(firsts)) / len(firsts), count=len(drawn))

    def _says(self, tiles: npt.NDArray[np.int64]) -> list[str]:
        """Return what the model tells of tiles."""
        model, image = self.model, self.image_NKD[torch.from_numpy(tiles)]
        begin = torch.full((len(tiles), 1), self.processor.marks.begin, device=image.device)
        new = min(SAID_TOKENS, model.config.text_tokens - 1)
        found = generate(
            lambda ids, mask, cache: model.caption_logits(ids, mask, image, cache),
            begin,
            torch.ones_like(begin),
            Generation(max_new_tokens=new),
            cache=Cache(model.config.decoder_depth, 1 + new),
            end=self.processor.marks.end,
        )
        return self.processor.batch_decode(found)

    @torch.inference_mode()
    def masked(self, config: ObjectiveConfig) -> Iterator[Score]:
        """Yield errors for hidden patches; `config` is that of the training."""
        found = {"with text": 0.0, "without text": 0.0, "telling 0": 0.0}
        for part in _slices(len(self.held)):
            count = len(self.held.wholes[part])
            texts = self._told(self.held.wholes[part])
            batch = Batch(self._rows(part), texts, torch.arange(count)).to(self.model.device)
            for kind in found:
                chosen = config.masked.model_copy(update={"text": kind == "with text"})
                asked = config.model_copy(update={"masked": chosen})
                objective = OBJECTIVES["masked"](asked, self.model.config)
                generator = torch.Generator().manual_seed(part.start)
                if kind == "telling 0":
                    loss = _nothing(objective, batch, generator)
                else:
                    loss = objective(self.model, batch, generator).loss
                found[kind] += float(loss) * count
        for kind, total in found.items():
            yield Score("masked error", kind, 0, total / len(self.held), count=len(self.held))

    def _rows(self, part: slice) -> dict[str, Tensor]:
        return {name: value[part].to(self.model.device) for name, value in self.images.items()}

    def _told(self, texts: Sequence[str]) -> dict[str, Tensor]:
        given = self.processor.texts(list(texts))
        return {name: value.to(self.model.device) for name, value in given.items()}

    def _parts(self, of: Callable[[slice], Tensor]) -> Tensor:
        return torch.cat([of(part) for part in _slices(len(self.held))])

    def _texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        encoder = ModelEncoder(self.model, self.processor)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        rows = np.concatenate(
            [encoder.texts([texts[i] for i in order[part]]) for part in _slices(len(texts))]
        )
        return rows[np.argsort(order)]

    def _cosines(self, texts: Array, tiles: Array) -> Array:
        text_NE = self._texts(self.held.wholes)
        return np.asarray((text_NE[texts] * self.image_NE.numpy()[tiles]).sum(axis=1))

    @torch.inference_mode()
    def _logits(self, texts: Array, tiles: Array) -> Array:
        found = []
        for part in _slices(len(texts)):
            given = self._told([self.held.wholes[i] for i in texts[part]])
            tokens = self.model.text_tokens(**given)
            image = self.image_NKD[torch.from_numpy(tiles[part])]
            found.append(self.model.match(tokens, given["attention_mask"], image).float().cpu())
        return np.asarray(torch.cat(found).numpy())


def _nothing(objective: Objective, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return the error of 0 everywhere, for the same hidden patches."""
    term = objective.terms["masked"]
    target, valid = term.targets(batch.images["pixel_values"], batch.images["channel_ids"])
    hidden = random_keep(objective.draw(batch, generator)[MASK], objective.mask_share)[1]
    return masked_error(torch.zeros_like(target), target, hidden, valid).mean()


def load(run: Path) -> tuple[SarKnowLIP, SarProcessor]:
    """Return the model of a run, on a GPU if there is one, and its processor."""
    encoder = ModelEncoder.load(run)
    return encoder.model, encoder.processor


def rows(about: Sequence[object], scores: Iterator[Score]) -> Iterator[list[object]]:
    """Yield rows of a table: what a score is about, then the score."""
    for score in scores:
        chance = "" if np.isnan(score.chance) else f"{score.chance:.4f}"
        head = [score.metric, score.direction, score.k or ""]
        yield [*about, *head, f"{score.value:.4f}", chance, score.count]


def _recalls(name: str, scores_MN: Array, right_MN: npt.NDArray[np.bool_]) -> Iterator[Score]:
    """Yield recall from texts (rows) to tiles, and back."""
    for direction, all_scores, all_right in (
        ("text", scores_MN, right_MN),
        ("image", scores_MN.T, right_MN.T),
    ):
        asked = all_right.any(axis=1)  # a tile none of whose sentences was drawn asks nothing
        scores, right = all_scores[asked].astype(np.float64), all_right[asked]
        best = np.max(scores, axis=1, where=right, initial=-np.inf)[:, None]
        rank = 1 + ((scores >= best - TIE) & ~right).sum(axis=1)
        for k in KS:
            chance = chance_recall(right.sum(axis=1), right.shape[1], k)
            yield Score(name, direction, k, float((rank <= k).mean()), chance, len(rank))


def _right(distinct: Sequence[str], texts: Sequence[Sequence[str]]) -> npt.NDArray[np.bool_]:
    place: Mapping[str, int] = {text: index for index, text in enumerate(distinct)}
    right_MN = np.zeros((len(distinct), len(texts)), dtype=np.bool_)
    for tile, own in enumerate(texts):
        right_MN[[place[text] for text in own if text in place], tile] = True
    return right_MN


def _drawn(texts: Sequence[Sequence[str]]) -> list[str]:
    distinct = sorted({text for own in texts for text in own})
    order = np.random.default_rng(0).permutation(len(distinct))[:MOST_SENTENCES]
    return [distinct[i] for i in sorted(order)]


def _alike(wholes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return for each caption the other one with the most alike words."""
    words = TfidfVectorizer(sublinear_tf=True).fit_transform(wholes)
    alike = np.asarray((words @ words.T).todense())
    alike[[[a == b for b in wholes] for a in wholes]] = -1.0
    return np.asarray(alike.argmax(axis=1), dtype=np.int64)


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + PART) for start in range(0, count, PART))
