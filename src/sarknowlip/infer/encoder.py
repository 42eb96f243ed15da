"""What turns tiles and words into vectors of one space, whatever model is inside.

Search and the benchmark know only `Encoder`. A foundation model joins by an adapter of these two
methods; `ModelEncoder` is the adapter of this package's own model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.models.generate import evaluating as in_evaluation
from sarknowlip.models.model import SarKnowLIP, without_bars
from sarknowlip.models.processing import SarProcessor
from sarknowlip.sar.tile import TileImage

Embeddings = npt.NDArray[np.float32]


class Encoder(Protocol):
    """An image and text encoder.

    Both methods return one row of unit length an item, float32, shape (items, width), with one
    width for images and texts. A row depends on its item alone, not on the others of the batch
    (to 1e-5), and equal items give equal rows.

    Attributes:
        name: What a result table calls it.
    """

    name: str

    def images(self, tiles: Sequence[TileImage]) -> Embeddings:
        """Return one row a tile."""

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Return one row a text."""


class ModelEncoder:
    """`Encoder` of a `SarKnowLIP` model.

    Args:
        model: Its training or evaluation mode is left as it was.
        processor: Makes its inputs.
        name: What a result table calls it.
    """

    def __init__(
        self, model: SarKnowLIP, processor: SarProcessor, name: str = "sarknowlip"
    ) -> None:
        self.model, self.processor, self.name = model, processor, name

    @classmethod
    def load(cls, run: Path, *, name: str | None = None, device: str | None = None) -> ModelEncoder:
        """Read a trained model; see `model_folder` for what `run` may be.

        Args:
            run: Training run or model folder.
            name: Name in tables; None takes the run's folder name.
            device: PyTorch device; None takes a GPU if there is one.

        Raises:
            SarKnowlipError: No model is there, or it cannot be read.
        """
        folder = model_folder(run)
        model = _weights(folder)
        torch.nn.Module.to(model, device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(model, SarProcessor.from_pretrained(folder), name or run.resolve().name)

    def images(self, tiles: Sequence[TileImage]) -> Embeddings:
        """Return one unit row a tile."""
        with evaluating(self.model) as device:
            inputs = _moved(self.processor.images(list(tiles)), device)
            return _rows(self.model.encode_image(**inputs))

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Return one unit row a text."""
        with evaluating(self.model) as device:
            inputs = _moved(self.processor.texts(list(texts)), device)
            return _rows(self.model.encode_text(**inputs))


def model_folder(run: Path) -> Path:
    """Return where the model of a training run lies: `run/model`, or `run` itself.

    Raises:
        SarKnowlipError: Neither holds a `config.json`.
    """
    for folder in (run / "model", run):
        if (folder / "config.json").is_file():
            return folder
    raise SarKnowlipError(
        f"no model at {run}: neither model/config.json nor config.json is there",
        "give a folder that `sarknowlip train --out` has written",
    )


def _weights(folder: Path) -> SarKnowLIP:
    """Read weights; the library alone would fill absent ones with random numbers."""
    remedy = "train again, or give another model folder"
    try:
        stored = set[str]()
        for path in folder.glob("*.safetensors"):
            with safe_open(path, framework="pt") as file:
                stored |= set(file.keys())
        with without_bars():
            model = SarKnowLIP.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise SarKnowlipError(f"cannot read the model at {folder}: {error}", remedy) from error
    absent = sorted(set(model.state_dict()) - stored)
    if absent:
        raise SarKnowlipError(
            f"the model at {folder} lacks {len(absent)} weights, the first {absent[0]}", remedy
        )
    return model


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[torch.device]:
    """Switch off dropout and gradients for a while; yield the model's device.

    Afterwards each of its members is in the mode in which it was.
    """
    with in_evaluation(model), torch.inference_mode():
        yield next(model.parameters()).device


def _moved(inputs: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def _rows(x_BD: torch.Tensor) -> Embeddings:
    return np.asarray(x_BD.float().cpu().numpy(), dtype=np.float32)
