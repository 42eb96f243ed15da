"""From tiles and words to tensors.

Pixels: power is averaged onto the model's grid (each target pixel is the mean of the valid power it
covers, weighted by area), turned into decibels and normalised per channel. Calibrated values use
fixed constants per polarisation; decibels of uncalibrated tiles are relative, so their own median
is subtracted instead. Pixels without data become 0, the value of an average surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers.feature_extraction_utils import BatchFeature

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json, write_json
from sarknowlip.geo.grid import ground_sample_distance, lonlat_of_pixels
from sarknowlip.models.channels import ABSENT, channel_id
from sarknowlip.models.geo import geo_features
from sarknowlip.models.tokenizer import Marks, load_tokenizer, save_tokenizer
from sarknowlip.sar.scaling import db_to_power, power_to_db
from sarknowlip.sar.tile import TileImage

PROCESSOR = "sarknowlip_processor.json"
MEAN_DB = {"VV": -12.5, "HH": -12.5, "VH": -20.0, "HV": -20.0}
"""Centre of calibrated backscatter, dB: round numbers near the means of Sentinel-1 IW over land."""
SPREAD_DB = {"VV": 5.5, "HH": 5.5, "VH": 6.0, "HV": 6.0}
"""Decibels that become 1; for uncalibrated tiles too."""
LIMIT = 8.0
"""Normalised values are clipped to ±8: 44 dB around the co-polarised centre are kept."""
FLOOR = 1e-12


class ProcessorConfig(Config):
    """What the processor must know about the model.

    Attributes:
        image_px: Edge of the square the image encoder sees.
        text_tokens: Longest text, tokens.
    """

    image_px: int
    text_tokens: int


class SarProcessor:
    """Turns tiles and texts into what `SarKnowLIP` takes.

    It is called as the processors of `transformers` are; `models.auto` makes it known to
    `AutoProcessor`.

    Args:
        config: Sizes.
        tokenizer: Trained tokenizer, ours or that of a foreign text encoder.

    Attributes:
        marks: Ids of padding, begin and end.

    Raises:
        ConfigError: The tokenizer has no such marks.
    """

    def __init__(self, config: ProcessorConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.marks = Marks.of(tokenizer)

    def __call__(
        self,
        images: TileImage | Sequence[TileImage] | None = None,
        text: str | Sequence[str] | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Return what `images` and `texts` make of tiles and texts, together.

        Args:
            images: One tile or several; None for none.
            text: One text or several; None for none.
            return_tensors: "pt", tensors of torch; there are no others.

        Raises:
            ValueError: Neither tiles nor texts, or tensors of another library.
        """
        if images is None and text is None:
            raise ValueError("give images, text or both")
        if return_tensors != "pt":
            raise ValueError(f"return_tensors={return_tensors!r}: only 'pt' is made")
        data: dict[str, Tensor] = {}
        if images is not None:
            data |= self.images([images] if isinstance(images, TileImage) else images)
        if text is not None:
            data |= self.texts([text] if isinstance(text, str) else text)
        return BatchFeature(data)

    def batch_decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts of rows of token ids, such as `SarKnowLIP.generate` gives."""
        return self.tokenizer.decode_batch([list(row) for row in rows])

    def images(self, tiles: Sequence[TileImage]) -> dict[str, Tensor]:
        """Return a batch of tiles.

        Channels are put into the order of their identifiers, so that the order in which a product
        stores them does not matter; fewer channels than the widest tile's are filled up.

        Args:
            tiles: At least one tile, of any size and any 1–4 polarisations each.

        Returns:
            `pixel_values` float32 (B, C, Y, X); `channel_ids` int64 (B, C), 0 where absent;
            `gsd_m` float32 (B,), metres between these pixels; `geo` float32 (B, 8), what
            `geo.geo_features` makes of place and acquisition, NaN where unknown.
        """
        ready = [self._one(tile) for tile in tiles]
        widest = max(len(ids) for _, ids, _ in ready)
        edge = self.config.image_px
        pixels = np.zeros((len(ready), widest, edge, edge), dtype=np.float32)
        ids = np.full((len(ready), widest), ABSENT, dtype=np.int64)
        for row, (image, own, _) in enumerate(ready):
            pixels[row, : len(own)] = image
            ids[row, : len(own)] = own
        return {
            "pixel_values": torch.from_numpy(pixels),
            "channel_ids": torch.from_numpy(ids),
            "gsd_m": torch.tensor([gsd for _, _, gsd in ready], dtype=torch.float32),
            "geo": torch.from_numpy(np.stack([tile_geo(tile) for tile in tiles])),
        }

    def texts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return a batch of texts, padded to the longest of them.

        Returns:
            `input_ids` int64 (B, L); `attention_mask` int64 (B, L), 0 for padding.
        """
        limit = self.config.text_tokens
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        rows = [row if len(row) <= limit else [*row[: limit - 1], row[-1]] for row in rows]
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self.marks.pad, dtype=torch.int64)
        mask = torch.zeros((len(rows), longest), dtype=torch.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        return {"input_ids": ids, "attention_mask": mask}

    @classmethod
    def from_pretrained(cls, folder: str | Path, **kwargs: Any) -> SarProcessor:
        """Read a processor from a model's folder on this machine.

        Args:
            folder: Folder.
            kwargs: What `AutoProcessor` passes on about downloads; of no effect here.

        Raises:
            ConfigError: A file is absent or damaged.
        """
        del kwargs
        path = Path(folder) / PROCESSOR
        if not path.is_file():
            raise ConfigError(f"no model at {folder}: {PROCESSOR} is absent", "give a model folder")
        values = read_json(path, "save the model again")
        return cls(ProcessorConfig.model_validate(values), load_tokenizer(Path(folder)))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the processor and its tokenizer beside a model's weights.

        Raises:
            StorageError: The folder cannot be written.
        """
        write_json(Path(folder) / PROCESSOR, self.config.model_dump())
        save_tokenizer(self.tokenizer, Path(folder), self.config.text_tokens)

    def _one(self, tile: TileImage) -> tuple[npt.NDArray[np.float32], list[int], float]:
        names = tile.acquisition.polarizations
        ids = [channel_id(name, tile.acquisition.frequency_band) for name in names]
        order = np.argsort(ids)
        edge = self.config.image_px
        coarse = area_mean(db_to_power(tile.db[order]), edge)
        db = power_to_db(np.maximum(coarse, FLOOR))
        for channel, index in enumerate(order):
            name = names[index]
            valid = np.isfinite(db[channel])
            centre = MEAN_DB[name] if tile.radiometry.calibrated else _median(db[channel][valid])
            db[channel] = (db[channel] - centre) / SPREAD_DB[name]
        normal = np.nan_to_num(np.clip(db, -LIMIT, LIMIT), nan=0.0)
        rows, columns = tile.db.shape[1:]
        gsd_x, gsd_y = ground_sample_distance(tile.geobox)
        gsd = np.sqrt(gsd_x * gsd_y * rows * columns) / edge
        return normal, [ids[index] for index in order], float(gsd)


def tile_geo(tile: TileImage) -> npt.NDArray[np.float32]:
    """Return the features of `geo.geo_features` of a tile: its own centre, its scene's view."""
    rows, columns = tile.geobox.shape
    lon, lat = lonlat_of_pixels(tile.geobox, np.array([columns / 2]), np.array([rows / 2]))
    seen = tile.acquisition
    return geo_features(
        lonlat=(float(lon[0]), float(lat[0])),
        incidence_deg=seen.incidence_angle,
        orbit=seen.orbit_state,
        side=seen.observation_direction,
        time=seen.start_datetime,
    )


def area_mean(power: npt.NDArray[np.float32], edge: int) -> npt.NDArray[np.float32]:
    """Return the mean of the valid power under each pixel of a grid of `edge` × `edge`.

    Args:
        power: Linear power (channels, rows, columns), NaN for no data.
        edge: Rows and columns of the result; larger than the input repeats pixels.
    """
    valid = np.isfinite(power)
    down, across = (_overlap(length, edge) for length in power.shape[1:])
    total = down @ np.where(valid, power, 0.0) @ across.T
    weight = down @ valid.astype(np.float64) @ across.T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(weight > 1e-9, total / weight, np.nan)
    return np.asarray(mean, dtype=np.float32)


@lru_cache(maxsize=32)
def _overlap(length: int, edge: int) -> npt.NDArray[np.float64]:
    """Return how much of each of `length` pixels lies in each of `edge` equal parts."""
    cuts = np.arange(edge + 1) * (length / edge)
    pixel = np.arange(length)
    low = np.maximum(cuts[:-1, None], pixel)
    high = np.minimum(cuts[1:, None], pixel + 1)
    return np.asarray(np.maximum(high - low, 0.0), dtype=np.float64)


def _median(values: npt.NDArray[np.float32]) -> float:
    return float(np.median(values)) if values.size else 0.0
