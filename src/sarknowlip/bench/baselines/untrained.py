"""The tested model before training: what its architecture and its tokenizer alone yield."""

from __future__ import annotations

from typing import ClassVar

import torch

from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.protocol import Setting
from sarknowlip.infer.encoder import ModelEncoder, model_folder
from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor


class UntrainedBaseline:
    """Random weights in the architecture of the model folder's config.json.

    Processor and tokenizer are the trained model's. Random features are no chance level: brightness
    and texture survive a random projection.
    """

    seeded: ClassVar[bool] = True
    needs_model: ClassVar[bool] = True

    @classmethod
    def make(cls, setting: Setting, seed: int) -> ModelEncoder:
        """Return the encoder of one seed; the global random state is left as it was.

        Raises:
            BenchError: No model is tested.
            SarKnowlipError: The model folder cannot be read.
        """
        if setting.model is None:
            raise BenchError("the untrained baseline needs a model folder", "give --model RUN")
        folder = model_folder(setting.model)
        config = SarKnowLIPConfig.from_pretrained(folder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = SarKnowLIP(config)
        torch.nn.Module.to(model, "cuda" if torch.cuda.is_available() else "cpu")
        return ModelEncoder(model, SarProcessor.from_pretrained(folder), "untrained")
