"""Tokens of tiles on disk: images go through a model once, whatever is asked of them later.

Files of `CHUNK` tiles appear whole, so that an interrupted run goes on at the next one. They are
memory-mapped: memory does not grow with the number of tiles.

Shapes: N tiles, B tiles that are asked for, K tokens, M their width, E width of the joint space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sarknowlip.core.errors import CorpusError, SarKnowlipError
from sarknowlip.core.files import replacing
from sarknowlip.core.hashing import digest, unit_interval
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.infer.encoder import evaluating
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor

CHUNK = 256
"""Tiles a file."""
BATCH = 32
"""Tiles that are read and encoded together."""

Places = npt.NDArray[np.int64]


def model_digest(model: SarKnowLIP, processor: SarProcessor) -> str:
    """Return 16 hexadecimal digits that two models share only if they score alike.

    It is made of all weights, of the sizes and of the tokenizer; not of where the model lies.
    """
    total = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        total.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
        total.update(weight.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    shapes = {k: v for k, v in model.config.to_dict().items() if k not in _NOT_SHAPES}
    return digest(
        {
            "weights": total.hexdigest(),
            "shapes": shapes,
            "processor": processor.config.model_dump(),
            "tokenizer": digest(processor.tokenizer.to_str()),
        }
    )


_NOT_SHAPES = {"run", "_name_or_path", "architectures", "dtype", "transformers_version"}


class TileTokens:
    """What a model made of tiles.

    Args:
        model: Its mode is left as it was.
        processor: Makes its inputs.
        catalog: Corpus of the tiles.
        records: Tiles; no two of one identifier.
        folder: Where files of this model and these tiles go, in a folder named by their digest.

    Attributes:
        ids: Identifiers of the tiles.
        key: Digest of model and tiles.
    """

    def __init__(
        self,
        model: SarKnowLIP,
        processor: SarProcessor,
        catalog: Catalog,
        records: Sequence[TileRecord],
        *,
        folder: Path,
    ) -> None:
        self._model, self._processor = model, processor
        self._catalog, self._records = catalog, tuple(records)
        self.ids = tuple(record.id for record in records)
        self._place = {tile_id: place for place, tile_id in enumerate(self.ids)}
        tiles = [(record.id, record.storage.sha256) for record in records]
        self.key = digest({"model": model_digest(model, processor), "tiles": tiles})
        self._folder = folder / self.key
        self._chunks: list[npt.NDArray[np.float16]] = []
        self._embeds: list[npt.NDArray[np.float32]] = []
        # which tiles come first follows from their names alone
        self._drawn = sorted(range(len(records)), key=lambda n: unit_interval("tile", self.ids[n]))

    def __len__(self) -> int:
        return len(self.ids)

    def make(self, progress: Progress | None = None) -> None:
        """Encode what is not on disk yet; else nothing is done.

        Args:
            progress: Told of tiles done after each file.

        Raises:
            ProductError: A tile is absent or damaged.
            StorageError: The folder cannot be written.
            SarKnowlipError: A file there is damaged.
        """
        for number in range(len(self._chunks), -(-len(self) // CHUNK)):
            part = self._records[number * CHUNK : (number + 1) * CHUNK]
            paths = [self._folder / f"{name}-{number:05d}.npy" for name in ("tokens", "embeds")]
            if not all(path.is_file() for path in paths):
                tokens, embeds = self._encoded(part)
                _save(paths[0], tokens)
                _save(paths[1], embeds)
            self._chunks.append(_mapped(paths[0]))
            self._embeds.append(np.asarray(_mapped(paths[1])))
            if progress is not None:
                progress(min(len(self), (number + 1) * CHUNK), len(self), part[-1].id)

    def places(self, tile_ids: Sequence[str]) -> Places:
        """Return the positions (B,) of tiles.

        Raises:
            CorpusError: One is not among the tiles.
        """
        try:
            return np.array([self._place[tile_id] for tile_id in tile_ids], dtype=np.int64)
        except KeyError as error:
            raise CorpusError(
                f"tile {error.args[0]} has a text and is not among the {len(self)} tiles to score",
                "give the records of all tiles that the texts are about",
            ) from error

    def tokens(self, places: Places) -> Tensor:
        """Return tokens (B, K, M), float32, on the model's device."""
        self.make()
        rows = np.stack([self._chunks[n // CHUNK][n % CHUNK] for n in places.tolist()])
        return torch.from_numpy(rows).to(self._model.device).float()

    def embeds(self, places: Places) -> Tensor:
        """Return unit vectors (B, E), float32, on the model's device."""
        self.make()
        rows = np.stack([self._embeds[n // CHUNK][n % CHUNK] for n in places.tolist()])
        return torch.from_numpy(rows).to(self._model.device)

    def reference(self, count: int) -> Places:
        """Return the positions of at most `count` tiles, the same ones whenever tiles are these."""
        return np.array(self._drawn[:count], dtype=np.int64)

    def _encoded(
        self, records: Sequence[TileRecord]
    ) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]:
        tokens, embeds = [], []
        with evaluating(self._model) as device:
            for start in range(0, len(records), BATCH):
                tiles = [self._catalog.image(record) for record in records[start : start + BATCH]]
                inputs = {k: v.to(device) for k, v in self._processor.images(tiles).items()}
                found_BKM = self._model.image_tokens(**inputs)
                tokens.append(found_BKM.half().cpu().numpy())
                embeds.append(self._model.project_image(found_BKM).cpu().numpy())
        return np.concatenate(tokens), np.concatenate(embeds)


def _save(path: Path, array: npt.NDArray[np.floating]) -> None:
    with replacing(path) as partial, partial.open("wb") as file:
        np.save(file, array)


def _mapped(path: Path) -> npt.NDArray[np.float16]:
    try:
        found: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SarKnowlipError(f"cannot read {path}: {error}", "delete it and run again") from error
    return found
