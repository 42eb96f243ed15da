"""Image–text retrieval on held-out geographic blocks.

Text → image: the query is a tile's caption, the gallery all tiles asked about; every tile with the
same caption is a right answer. Image → text: the query is a tile, the gallery the *distinct*
captions; one is right. Captions are made distinct because a model cannot but give equal texts equal
scores: with repeats in the gallery even random vectors would not score the hypergeometric chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.annotate.store import annotation_folder
from sarknowlip.bench.audit import refuse_leaks
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.protocol import Outcome, Setting, TaskSpec
from sarknowlip.core.files import read_json
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.data.captions import read_captions
from sarknowlip.infer.embed import embed_texts, embed_tiles
from sarknowlip.infer.encoder import Embeddings, Encoder
from sarknowlip.infer.ranking import Ranks, retrieval_ranks
from sarknowlip.sar.tile import TileImage

TEXT_TO_IMAGE, IMAGE_TO_TEXT = "text → image", "image → text"


class RetrievalTask:
    """Retrieval both ways; make it with `RetrievalTask.open`.

    Args:
        catalog: Corpus.
        records: Tiles asked about.
        captions: Caption of each tile.
        silent: Tiles of the split left out because nothing is said about them.
    """

    spec: ClassVar[TaskSpec] = TaskSpec.model_validate(
        read_json(Path(__file__).with_suffix(".json"), "install the package again")
    )

    def __init__(
        self,
        catalog: Catalog,
        records: Sequence[TileRecord],
        captions: Sequence[str],
        silent: int = 0,
    ) -> None:
        self.catalog, self.records = catalog, tuple(records)
        self.texts = tuple(sorted(set(captions)))
        place = {text: index for index, text in enumerate(self.texts)}
        self.labels = np.array([place[caption] for caption in captions], dtype=np.int64)
        self.blocks = tuple(record.block for record in records)
        self.notes = self._notes(silent)

    @classmethod
    def open(cls, setting: Setting) -> Self:
        """Collect the tiles and captions of the held-out split.

        Raises:
            BenchError: The split is empty, says nothing, or shares ground with another.
            CorpusError: The corpus or its annotations cannot be read.
        """
        catalog = Catalog(setting.corpus)
        records = list(catalog.records(cls.spec.split))
        if not records:
            raise BenchError(
                f"{setting.corpus}: split {cls.spec.split!r} holds no tile",
                "build the corpus from more ground or with a smaller --block-km",
            )
        refuse_leaks(catalog, cls.spec.split)
        folder = annotation_folder(setting.corpus, setting.annotations)
        known = read_captions(folder)
        told = [record for record in records if record.id in known]
        if not told:
            raise BenchError(
                f"{folder}: no text for any tile of split {cls.spec.split!r}",
                "annotate the corpus again",
            )
        captions = [known[record.id].whole for record in told]
        return cls(catalog, told, captions, len(records) - len(told))

    def evaluate(
        self, encoder: Encoder, batch_size: int = 32, *, progress: Progress | None = None
    ) -> list[Outcome]:
        """Rank tiles by captions and captions by tiles.

        Raises:
            RankingError: The encoder returns what cannot be scored.
            ProductError: A tile is absent or damaged.
        """
        images_ND = embed_tiles(encoder, self.catalog, self.records, batch_size, progress=progress)
        texts_MD = embed_texts(encoder, self.texts)
        kinds = np.arange(len(self.texts))
        by_text = retrieval_ranks(texts_MD, images_ND, kinds, self.labels)
        asked = Ranks(by_text.rank[self.labels], by_text.positives[self.labels], by_text.gallery)
        by_image = retrieval_ranks(images_ND, texts_MD, self.labels, kinds)
        return [
            Outcome(TEXT_TO_IMAGE, asked, self.blocks),
            Outcome(IMAGE_TO_TEXT, by_image, self.blocks),
        ]

    def oracle(self) -> Encoder:
        """Return an encoder that gives a tile and its caption the same axis."""
        tiles = {record.id: int(i) for record, i in zip(self.records, self.labels, strict=True)}
        return _Oracle(tiles, {text: index for index, text in enumerate(self.texts)})

    def _notes(self, silent: int) -> tuple[str, ...]:
        tiles, texts = len(self.records), len(self.texts)
        notes = [
            f"{tiles} tiles with {texts} distinct captions in {len(set(self.blocks))} held-out "
            "geographic blocks; tiles with the same caption are equally right answers."
        ]
        if silent:
            notes.append(f"{silent} held-out tiles carry no text and are left out.")
        if texts == 1:
            notes.append("All captions are the same: every score is 1 and says nothing.")
        return tuple(notes)


class _Oracle:
    name = "oracle"

    def __init__(self, tiles: dict[str, int], texts: dict[str, int]) -> None:
        self._tiles, self._texts = tiles, texts

    def images(self, tiles: Sequence[TileImage]) -> Embeddings:
        return self._axes([self._tiles[tile.id] for tile in tiles])

    def texts(self, texts: Sequence[str]) -> Embeddings:
        return self._axes([self._texts[text] for text in texts])

    def _axes(self, places: Sequence[int]) -> Embeddings:
        rows = np.zeros((len(places), len(self._texts)), dtype=np.float32)
        rows[np.arange(len(places)), list(places)] = 1.0
        return rows
