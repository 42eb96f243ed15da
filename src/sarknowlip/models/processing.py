"""From tiles and words to tensors.

Pixels: power is averaged onto the model's grid (each target pixel is the mean of the valid power it
covers, weighted by area), turned into decibels and normalised per channel. Calibrated values use
fixed constants per polarisation; decibels of uncalibrated tiles are relative, so their own median
is subtracted instead. Pixels without data become 0, the value of an average surface.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from odc.geo.geobox import GeoBox
from pyproj import Geod
from scipy import sparse
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.feature_extraction_utils import BatchFeature

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json, write_json
from sarknowlip.geo.grid import pyproj_crs, transformer_between
from sarknowlip.models.channels import ABSENT, channel_id
from sarknowlip.models.geo import geo_features
from sarknowlip.models.tokenizer import Marks, load_tokenizer, save_tokenizer
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.tile import TileImage

PROCESSOR = "sarknowlip_processor.json"
MEAN_DB = {"VV": -12.5, "HH": -12.5, "VH": -20.0, "HV": -20.0}
"""Centre of calibrated backscatter, dB: round numbers near the means of Sentinel-1 IW over land."""
SPREAD_DB = {"VV": 5.5, "HH": 5.5, "VH": 6.0, "HV": 6.0}
"""Decibels that become 1; for uncalibrated tiles too."""
LIMIT = 8.0
"""Normalised values are clipped to ±8: 44 dB around the co-polarised centre are kept."""
NUDGE = 1e-5
"""Added to normalised values, far more than rounding and far less than speckle: the median of an
uncalibrated tile would be 0 otherwise, which stands for no data."""
FLOOR_DB = -120.0
"""Of power 0, or less, in decibels."""
NEPER = np.float32(np.log(10) / 10)
"""Power is exp(NEPER · dB): several times as fast as 10^(dB/10)."""
ELLIPSOID = Geod(ellps="WGS84")


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
        widest = max(len(tile.acquisition.polarizations) for tile in tiles)
        edge = self.config.image_px
        pixels = np.empty((len(tiles), widest, edge, edge), dtype=np.float32)
        ids = np.full((len(tiles), widest), ABSENT, dtype=np.int64)
        for row, tile in enumerate(tiles):
            band = tile.acquisition.frequency_band
            own = {channel_id(name, band): name for name in tile.acquisition.polarizations}
            ids[row, : len(own)] = sorted(own)
            pixels[row, len(own) :] = 0.0
            normalise(tile, [own[key] for key in sorted(own)], pixels[row, : len(own)])
        lonlat, gsd = _places(tiles)
        geo = [_features(tile, (lon, lat)) for tile, (lon, lat) in zip(tiles, lonlat, strict=True)]
        return {
            "pixel_values": torch.from_numpy(pixels),
            "channel_ids": torch.from_numpy(ids),
            "gsd_m": torch.from_numpy((gsd / edge).astype(np.float32)),
            "geo": torch.from_numpy(np.stack(geo)),
        }

    def texts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return a batch of texts, padded to the longest of them.

        What is too long is cut off and then has no mark of end: a decoder must not learn to stop in
        the middle of a sentence. The encoder gets the same tokens; as it takes their mean, the mark
        is one of `text_tokens` parts of it.

        Returns:
            `input_ids` int64 (B, L); `attention_mask` int64 (B, L), 0 for padding.
        """
        limit = self.config.text_tokens
        rows = [encoding.ids[:limit] for encoding in self.tokenizer.encode_batch(list(texts))]
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self.marks.pad, dtype=np.int64)
        ids[mask] = list(chain.from_iterable(rows))
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }

    def asked(
        self, questions: Sequence[str], answers: Sequence[str]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return texts with their questions before them, and how many tokens are given of each.

        A question is the prompt of docs/model.md: its mark of end is left out, and so is the
        answer's mark of begin. Where both are too long, the question loses its last words.

        Args:
            questions: Of each text; empty for a text by itself, whose mark of begin is given.
            answers: What is told.

        Returns:
            What `texts` returns; and int64 (B,), tokens given.
        """
        limit, told = self.config.text_tokens, self.texts(answers)
        before = self.texts([question or "?" for question in questions])
        rows, given = [], []
        for row, question in enumerate(questions):
            ids = _tokens(told, row)
            prompt = _tokens(before, row)[:-1] if question else ids[:1]
            prompt = prompt[: max(1, limit - len(ids) + 1)]
            rows.append(torch.cat([prompt, ids[1:]]))
            given.append(len(prompt))
        mask = [torch.ones_like(row) for row in rows]
        texts = {
            "input_ids": pad_sequence(rows, batch_first=True, padding_value=self.marks.pad),
            "attention_mask": pad_sequence(mask, batch_first=True),
        }
        return texts, torch.tensor(given)

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


def _tokens(texts: dict[str, Tensor], row: int) -> Tensor:
    return texts["input_ids"][row][texts["attention_mask"][row].bool()]


def normalise(tile: TileImage, names: Sequence[str], out: npt.NDArray[np.float32]) -> None:
    """Write what a model sees of a tile: centred decibels on its grid, 0 for no data only.

    A tile of the model's own grid goes from stored integers to the result by one affine map; any
    other by way of power.

    Args:
        tile: A tile.
        names: Its polarisations, in the order wanted.
        out: Result, shape (polarisations, edge, edge).
    """
    order = [tile.acquisition.polarizations.index(name) for name in names]
    spread = np.array([SPREAD_DB[name] for name in names])
    source: npt.NDArray[Any]
    step, base = 1.0, 0.0
    if out.shape[1:] != tile.geobox.shape:
        coarse = area_mean(np.exp(tile.db * NEPER), out.shape[1])
        source = power_to_db(coarse)
    elif tile.codes is not None:
        source, encoding = tile.codes.pixels, tile.codes.encoding
        step, base = encoding.scale, encoding.offset
    else:
        source = tile.db
    if order != list(range(len(source))):
        source = source[order]
    if source.dtype != np.uint16:
        source = np.maximum(source, np.float32(FLOOR_DB))
    # one channel after the other: several times as fast as over two axes
    ends = np.array([[values.min(), values.max()] for values in source]).T
    blank = None
    if source.dtype == np.uint16:
        blank = None if ends.all() else source == 0
    elif not np.isfinite(ends).all():
        blank = ~np.isfinite(source)
    if tile.radiometry.calibrated:
        centre = np.array([MEAN_DB[name] for name in names])
    else:
        centre = base + step * _medians(source, blank)
    gain, shift = step / spread, (base - centre) / spread + NUDGE
    np.copyto(out, source, casting="unsafe")
    out *= _column(gain)
    out += _column(shift)
    if not (abs(ends * gain + shift) <= LIMIT).all():  # NaN, too
        np.clip(out, -LIMIT, LIMIT, out=out)
    if blank is not None:
        np.copyto(out, np.float32(0.0), where=blank)


def tile_geo(tile: TileImage) -> npt.NDArray[np.float32]:
    """Return the features of `geo.geo_features` of a tile: its own centre, its scene's view."""
    ((lon, lat),) = _places([tile])[0]
    return _features(tile, (lon, lat))


def area_mean(power: npt.NDArray[np.float32], edge: int) -> npt.NDArray[np.float32]:
    """Return the mean of the valid power under each pixel of a grid of `edge` × `edge`.

    Args:
        power: Linear power (channels, rows, columns), NaN for no data.
        edge: Rows and columns of the result; larger than the input repeats pixels.
    """
    valid = np.isfinite(power)
    whole = bool(valid.all())
    total = _sums(power if whole else np.where(valid, power, np.float32(0.0)), edge)
    if whole:
        return total / np.float32(power.shape[1] / edge * (power.shape[2] / edge))
    weight = _sums(valid.astype(np.float32), edge)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(weight > 1e-6, total / weight, np.float32(np.nan))
    return np.asarray(mean, dtype=np.float32)


def _sums(values: npt.NDArray[np.float32], edge: int) -> npt.NDArray[np.float32]:
    """Return area-weighted sums under each pixel of a grid of `edge` × `edge`."""
    channels, rows, columns = values.shape
    if rows % edge == columns % edge == 0:
        down = values.reshape(channels, edge, rows // edge, columns).sum(axis=2)
        return np.asarray(down.reshape(channels, edge, edge, columns // edge).sum(axis=3))
    # rows first: (columns · channels) × rows, then the same for columns
    for length in (rows, columns):
        values = np.moveaxis(values, 1, 0)
        flat = values.reshape(length, -1)
        sums = _overlap(length, edge) @ flat
        values = np.moveaxis(sums.reshape(edge, *values.shape[1:]), 0, 2)
    return np.ascontiguousarray(values)


@lru_cache(maxsize=32)
def _overlap(length: int, edge: int) -> sparse.csr_array:
    """Return how much of each of `length` pixels lies in each of `edge` equal parts."""
    cuts = np.arange(edge + 1) * (length / edge)
    pixel = np.arange(length)
    low = np.maximum(cuts[:-1, None], pixel)
    high = np.minimum(cuts[1:, None], pixel + 1)
    return sparse.csr_array(np.maximum(high - low, 0.0).astype(np.float32))


def _medians(
    source: npt.NDArray[Any], blank: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float64]:
    """Return the median of each channel's values with data; 0 of none."""
    if blank is None:
        return np.asarray(np.median(source, axis=(1, 2)), dtype=np.float64)
    kept = [values[~gone] for values, gone in zip(source, blank, strict=True)]
    return np.array([np.median(values) if values.size else 0.0 for values in kept])


def _column(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return values.astype(np.float32)[:, None, None]


def _features(tile: TileImage, lonlat: tuple[float, float]) -> npt.NDArray[np.float32]:
    seen = tile.acquisition
    return geo_features(
        lonlat=None if math.isnan(lonlat[0]) else lonlat,
        incidence_deg=seen.incidence_angle,
        orbit=seen.orbit_state,
        side=seen.observation_direction,
        time=seen.start_datetime,
    )


def _places(
    tiles: Sequence[TileImage],
) -> tuple[list[tuple[float, float]], npt.NDArray[np.float64]]:
    """Return centres in degrees, and ground lengths of a tile in metres (geometric mean).

    Tiles without a coordinate reference system (`sar.chip`) lie nowhere: NaN. Lengths are those of
    `geo.grid.ground_sample_distance`, times pixels; tiles of one coordinate reference system are
    transformed together.
    """
    lonlat = np.full((len(tiles), 2), np.nan)
    ground = np.empty(len(tiles))
    for row in (row for row, tile in enumerate(tiles) if tile.geobox.crs is None):
        shape, affine = tiles[row].geobox.shape, tiles[row].geobox.affine
        ground[row] = math.sqrt(abs(affine.determinant) * shape[0] * shape[1])
    crs = {row: pyproj_crs(tile.geobox) for row, tile in enumerate(tiles) if tile.geobox.crs}
    first = {id(one): one for one in crs.values()}
    for key, one in first.items():
        rows = [row for row, own in crs.items() if id(own) == key]
        at = np.array([_corner_steps(tiles[row].geobox) for row in rows])
        lon, lat = transformer_between(one, 4326).transform(at[:, 0], at[:, 1])
        lonlat[rows] = np.stack([lon[:, 0], lat[:, 0]], axis=1)
        steps = [
            ELLIPSOID.inv(lon[:, 0], lat[:, 0], lon[:, side], lat[:, side])[2] for side in (1, 2)
        ]
        ground[rows] = np.sqrt(np.prod(steps, axis=0) * at[:, 2, 0])
    return [(float(lon), float(lat)) for lon, lat in lonlat], ground


def _corner_steps(geobox: GeoBox) -> list[tuple[float, float, float]]:
    """Return x and y of the centre and one pixel on along columns and rows; number of pixels."""
    rows, columns = geobox.shape
    a, b, c, d, e, f = geobox.affine[:6]
    x, y = a * columns / 2 + b * rows / 2 + c, d * columns / 2 + e * rows / 2 + f
    return [(x, x + a, x + b), (y, y + d, y + e), (rows * columns, 0.0, 0.0)]
