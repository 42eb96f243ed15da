"""Going on from a model of our own: all its weights, its processor and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json
from sarknowlip.infer.encoder import ModelEncoder, model_folder
from sarknowlip.models.config import ImageStyle, ModelSize, SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor
from sarknowlip.train.config import TrainConfig


def begun(run: Path, size: ModelSize) -> tuple[SarKnowLIP, SarProcessor, str]:
    """Return a trained model on the CPU, its processor, and where they come from, for people.

    Args:
        run: Run or model folder.
        size: What the model must be.

    Raises:
        ConfigError: The model is of another size.
        SarKnowlipError: No model is there, or it cannot be read.
    """
    encoder = ModelEncoder.load(run, device="cpu")
    model, processor = encoder.model, encoder.processor
    nn.Module.float(model)  # weights are float32 whatever they were stored as
    wanted = _shapes(SarKnowLIPConfig.of(size, model.config.vocab_size))
    found = _shapes(model.config)
    other = [name for name in wanted if wanted[name] != found[name]]
    if other:
        name = other[0]
        raise ConfigError(
            f"the model at {run} has {name}={found[name]}, the run has {wanted[name]}",
            f"set model.{name}, or start from another model",
        )
    origin = f"weights, processor and tokenizer are those of {run}"
    return model, processor, origin


def going_on(config: TrainConfig, run: Path) -> TrainConfig:
    """Return a run that goes on from a model which the same run gave, wherever that one began.

    A public image encoder, where there was one, is in that model already, and so is its style.

    Args:
        config: Of the run.
        run: Run or model folder of the model.

    Raises:
        SarKnowlipError: No model is there, or it cannot be read.
    """
    about = read_json(model_folder(run) / "config.json", "train it again")
    style = ImageStyle.model_validate(about.get("image_style") or {})
    size = config.model.model_copy(update={"image_style": style})
    return config.model_copy(update={"start": str(run), "init": None, "model": size})


def _shapes(config: SarKnowLIPConfig) -> dict[str, Any]:
    """Return a configuration's values of `ModelSize`, in its order; a style as the full one."""
    values = {name: getattr(config, name) for name in ModelSize.model_fields}
    style = ImageStyle.model_validate(values["image_style"] or {})
    return values | {"image_style": style.model_dump()}
