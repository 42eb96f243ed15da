"""The folds of a loop: which tiles each model was kept from, and what it makes of their texts.

Kept from it were also tiles of other folds that share ground with these (`data.folds`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import read_texts
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.data.folds import fold_of
from sarknowlip.infer.encoder import ModelEncoder
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.rounds.scorer import TextScorer

SCORES, FOLD = "scores", "fold"


@dataclass(frozen=True)
class Fold:
    """Tiles of the training split that one model was kept from.

    Attributes:
        number: From 0.
        records: The tiles, in the order of the catalog.
    """

    number: int
    records: tuple[TileRecord, ...]


def folds_of(catalog: Catalog, config: ScioConfig) -> list[Fold]:
    """Return the folds of a corpus, by geographic block.

    Raises:
        ConfigError: One has no tile.
    """
    parts: list[list[TileRecord]] = [[] for _ in range(config.folds)]
    for record in catalog.records("train"):
        parts[fold_of(record.block, config.folds, config.train.seed)].append(record)
    empty = [number for number, part in enumerate(parts) if not part]
    if empty:
        raise ConfigError(
            f"fold {empty[0]} of {config.folds} has no tile",
            "take fewer folds, or a corpus of more geographic blocks",
        )
    return [Fold(number, tuple(part)) for number, part in enumerate(parts)]


def judged_texts(folder: Path, config: ScioConfig, tiles: Collection[str]) -> Iterator[Text]:
    """Yield the texts of a version that the loop judges, in file order.

    Args:
        folder: The version.
        config: Which levels.
        tiles: Tiles of the training split.

    Raises:
        CorpusError: The version is damaged.
    """
    return (
        text for text in read_texts(folder) if text.level in config.levels and text.tile_id in tiles
    )


class FoldScorer:
    """Scores texts out of fold, by the models of one round.

    Args:
        catalog: Corpus.
        out: Folder of the loop; what was scored before is kept there.
        config: What texts are asked.
        folds: Of the corpus.
        runs: Training run of each fold.
    """

    def __init__(
        self,
        catalog: Catalog,
        out: Path,
        config: ScioConfig,
        folds: Sequence[Fold],
        runs: Sequence[Path],
    ) -> None:
        self._catalog, self._out, self._config = catalog, out, config
        self._folds = folds
        self._made: dict[Path, list[tuple[Fold, TextScorer]]] = {}
        self.encoders = [ModelEncoder.load(run, device=_device(config)) for run in runs]

    def score(
        self, texts: Sequence[Text], annotation: Path, progress: Progress | None = None
    ) -> pa.Table:
        """Return the scores of texts, fold by fold, with the column `FOLD`.

        Args:
            texts: Texts about tiles of the training split.
            annotation: Version that they are of.
            progress: Told of texts done in a fold, with the signal.
        """
        parts = []
        for fold, scorer in self._scorers(annotation):
            own = {record.id for record in fold.records}
            mine = [text for text in texts if text.tile_id in own]
            table = scorer.score(mine, progress)
            of_fold = pa.array([str(fold.number)] * len(mine), pa.string())
            parts.append(table.append_column(FOLD, of_fold))
        return pa.concat_tables(parts)

    def captions(self, tile_ids: Sequence[str], annotation: Path) -> dict[str, tuple[str, ...]]:
        """Return what the model that was kept from a tile tells of it, by tile."""
        found: dict[str, tuple[str, ...]] = {}
        for fold, scorer in self._scorers(annotation):
            own = {record.id for record in fold.records}
            mine = sorted(own & set(tile_ids))
            found |= dict(zip(mine, scorer.captions(mine), strict=True))
        return found

    def _scorers(self, annotation: Path) -> list[tuple[Fold, TextScorer]]:
        """Return the scorer of each fold, made once: it reads all weights for their digest."""
        if annotation not in self._made:
            self._made[annotation] = [
                (
                    fold,
                    TextScorer(
                        encoder.model,
                        encoder.processor,
                        self._catalog,
                        fold.records,
                        folder=self._out / SCORES,
                        annotation=annotation,
                        config=self._config.score,
                    ),
                )
                for fold, encoder in zip(self._folds, self.encoders, strict=True)
            ]
        return self._made[annotation]


def _device(config: ScioConfig) -> str | None:
    return None if config.train.device == "auto" else config.train.device
