"""Scores of texts by all signals: what was scored before is read, the rest is computed and kept.

A score depends on the text, on the model and on the tiles' images; not on other texts. So after a
change of a few texts only these are scored, and the table equals that of scoring all anew to 1e-6
(tests); to the last bit on a CPU with one thread, as measured (see `signals.rows`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from sarknowlip.annotate.claim import Text
from sarknowlip.core.config import Config
from sarknowlip.core.errors import StorageError
from sarknowlip.core.files import exclusive, remove_partials
from sarknowlip.core.hashing import digest
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor
from sarknowlip.train.rounds.doubts import SUPPORT
from sarknowlip.train.rounds.features import SAME_FOR_ALL
from sarknowlip.train.rounds.images import TileTokens
from sarknowlip.train.rounds.regenerate import CAPTIONS, Regenerator
from sarknowlip.train.rounds.scores import ScoreCache
from sarknowlip.train.rounds.signals import SIGNALS
from sarknowlip.train.rounds.signals.signal import Signal, SignalConfig, View
from sarknowlip.train.rounds.views import EVIDENCE

TOKENS, SCORES = "tokens", "scores"
VERSION = 1
"""Of what signals compute; a change makes all scores anew."""
_FIELDS = {"text_id": "id", "tile_id": "tile_id", "level": "level", "dimension": "dimension"}
ABOUT = tuple(_FIELDS)
"""Columns of a table of scores that are no score."""


class ScoreConfig(Config):
    """What texts are asked.

    Attributes:
        signals: Names of signals.
        how: How signals judge.
        hidden: Knowledge sources whose facts evidence may not use.
        models: Which texts models judge: all, or those alone on which evidence is silent, which
            costs as little as these are few. What models think of others is then unknown.
        part: Texts scored before they are kept; it changes no score.
    """

    signals: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(SIGNALS)
    how: SignalConfig = SignalConfig()
    hidden: tuple[str, ...] = ()
    models: Literal["all", "silent"] = "all"
    part: Annotated[int, Field(ge=1)] = 8192

    @model_validator(mode="after")
    def _evidence_first(self) -> ScoreConfig:
        if self.models == "silent" and EVIDENCE not in self.signals:
            raise ValueError("models: silent needs the signal evidence")
        return self


class TextScorer:
    """Scores texts about the tiles of one fold by a model that was not trained on them.

    Args:
        model: Model; its mode is left as it was.
        processor: Its processor.
        catalog: Corpus of the tiles.
        records: The tiles, always the same ones in the same order.
        folder: Where tokens, captions and scores are kept, by digests of all they depend on; it may
            be shared by models and rounds, and deleted to free space.
        annotation: Version whose facts and claims texts rest on; needed for evidence alone.
        config: What is asked.

    Raises:
        ConfigError: An unknown signal, or evidence without annotations.
    """

    def __init__(
        self,
        model: SarKnowLIP,
        processor: SarProcessor,
        catalog: Catalog,
        records: Sequence[TileRecord],
        *,
        folder: Path,
        annotation: Path | None = None,
        config: ScoreConfig | None = None,
    ) -> None:
        self.config = config or ScoreConfig()
        self._folder = folder
        images = TileTokens(model, processor, catalog, records, folder=folder / TOKENS)
        self.view = View(
            model, processor, images, folder, self.config.how, annotation, self.config.hidden
        )
        self._signals: dict[str, Signal] = {
            name: SIGNALS[name](self.view) for name in dict.fromkeys(self.config.signals)
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores, `signal.column`."""
        return tuple(
            f"{name}.{column}"
            for name, signal in self._signals.items()
            for column in signal.columns
        )

    def score(self, texts: Sequence[Text], progress: Progress | None = None) -> pa.Table:
        """Return the scores of texts, in their order.

        It may be killed at any time and called again: what was kept is not computed again.

        Args:
            texts: Texts about the tiles.
            progress: Told of texts done, over all signals, with the signal's name.

        Returns:
            Columns `ABOUT` and, float64, `columns`; larger is better, NaN where a signal says
            nothing.

        Raises:
            CorpusError: A text is about another tile, or the annotations are damaged.
            ProductError: A tile is absent or damaged.
            SarKnowlipError: Another process is scoring there, or a file there is damaged.
            StorageError: The folder cannot be written.
        """
        self.view.images.places([text.tile_id for text in texts])
        table: dict[str, Any] = {
            name: [getattr(text, field) for text in texts] for name, field in _FIELDS.items()
        }
        distinct = {text.id: text for text in texts}
        total = len(distinct) * len(self._signals)
        silent = np.ones(len(texts), dtype=np.bool_)
        with exclusive(self._folder / ".lock"):
            remove_partials(self._folder)
            for done, name in enumerate(sorted(self._signals, key=lambda one: one != EVIDENCE)):
                signal = self._signals[name]
                asks = silent if name not in SAME_FOR_ALL else np.ones_like(silent)
                asked = {text.id: text for text, ask in zip(texts, asks, strict=True) if ask}
                cache = self._cache(name, signal)
                kept = cache.places(list(asked)) >= 0
                left = [t for t, known in zip(asked.values(), kept, strict=True) if not known]
                told = (done + 1) * len(distinct) - len(left)
                for part in _parts(left, self.config.part):
                    cache.add([text.id for text in part], signal.score(part))
                    told += len(part)
                    if progress is not None:
                        progress(told, total, name)
                scores = cache.scores([text.id for text in texts])
                scores[~asks] = np.nan
                table |= {f"{name}.{c}": scores[:, n] for n, c in enumerate(signal.columns)}
                if name == EVIDENCE and self.config.models == "silent":
                    silent = np.isnan(table[SUPPORT])
        return pa.table({name: table[name] for name in self._schema().names}, schema=self._schema())

    def captions(
        self, tile_ids: Sequence[str], progress: Progress | None = None
    ) -> list[tuple[str, ...]]:
        """Return what the model says of tiles; see `Regenerator.captions`."""
        return Regenerator(self.view).captions(tile_ids, progress)

    def _cache(self, name: str, signal: Signal) -> ScoreCache:
        key = digest([VERSION, name, list(signal.columns), signal.key()])
        return ScoreCache(self._folder / SCORES / f"{name}-{key}", signal.columns)

    def _schema(self) -> pa.Schema:
        about = [(name, pa.string()) for name in ABOUT]
        return pa.schema([*about, *((name, pa.float64()) for name in self.columns)])


def forget_models(folder: Path) -> None:
    """Delete what models of earlier rounds made of tiles and texts; what evidence says stays.

    A model that trained on has other weights, so that nothing of it is asked for again.

    Args:
        folder: That of `TextScorer`.

    Raises:
        SarKnowlipError: Another process is scoring there.
        StorageError: It cannot be deleted.
    """
    if not folder.is_dir():
        return
    with exclusive(folder / ".lock"):
        gone = [folder / TOKENS, folder / CAPTIONS]
        for path in (folder / SCORES).glob("*"):
            if path.name.rpartition("-")[0] not in SAME_FOR_ALL:
                gone.append(path)
        try:
            for path in gone:
                if path.is_dir():
                    shutil.rmtree(path)
        except OSError as error:
            raise StorageError(
                f"cannot delete {path}: {error}", "delete it, then run again"
            ) from error


def _parts(texts: Sequence[Text], size: int) -> Iterator[Sequence[Text]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))
