"""What is trained. The loop knows a `Task`; a task knows its model, loss, data and files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from sarknowlip.annotate.store import TEXTS, annotation_folder
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data.loader import Batch, EpochBatches, train_loader, whole_loader
from sarknowlip.data.pairs import PairDataset
from sarknowlip.losses import LOSSES, PairLoss
from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP, without_bars
from sarknowlip.models.processing import ProcessorConfig, SarProcessor
from sarknowlip.models.tokenizer import train_tokenizer
from sarknowlip.train.config import TrainConfig


class Task(Protocol):
    """What the loop needs.

    Attributes:
        steps_per_epoch: Steps of a pass over the training data.
        pairs: Training examples.
    """

    steps_per_epoch: int
    pairs: int

    @property
    def module(self) -> nn.Module:
        """Weights."""
        ...

    def batches(self, start: int, stop: int) -> Iterable[Batch]:
        """Yield the batches of steps start…stop − 1."""
        ...

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch on the weights' device, with gradient."""
        ...

    def validate(self) -> float | None:
        """Return the loss on held-out data, None if there is none."""
        ...

    def readings(self) -> dict[str, float]:
        """Return further values for the log."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `from_pretrained` reads."""
        ...


class ContrastiveTask:
    """Images and texts in one space.

    Args:
        config: Of the run.
        root: Corpus folder.
        device: Where the weights live.

    Raises:
        CorpusError: Not enough pairs, or a damaged corpus.
        ConfigError: An unknown loss, or too small a vocabulary.
    """

    def __init__(self, config: TrainConfig, root: Path, device: torch.device) -> None:
        self.config, self.device = config, device
        self._loss: PairLoss = LOSSES[config.loss]
        self._train, self._val = (
            PairDataset(
                root,
                split,
                annotation=config.data.annotation,
                seed=config.seed,
                smallest_crop=config.data.smallest_crop,
            )
            for split in ("train", "val")
        )
        self._train.require_pairs()
        self.pairs = len(self._train)
        self.steps_per_epoch = self._order(0, 0).steps_per_epoch
        tokenizer = train_tokenizer(self._train.texts(), config.vocab_size)
        limits = ProcessorConfig(
            image_px=config.model.image_px, text_tokens=config.model.text_tokens
        )
        self.processor = SarProcessor(limits, tokenizer)
        torch.manual_seed(config.seed)
        shapes = SarKnowLIPConfig.of(config.model, tokenizer.get_vocab_size())
        self.module = SarKnowLIP(shapes)
        nn.Module.to(self.module, device)

    def batches(self, start: int, stop: int) -> Iterable[Batch]:
        """Yield the batches of steps start…stop − 1."""
        order = self._order(start, stop)
        return train_loader(self._train, self.processor, order, self.config.data.workers)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, with gradient; bfloat16 on CUDA, float32 elsewhere."""
        batch = batch.to(self.device)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            out = self.module(**batch.images, **batch.texts)
        return self._loss(out.image_embeds, out.text_embeds, out.scale, batch.group)

    @torch.no_grad()
    def validate(self) -> float | None:
        """Return the loss on the validation split, weighted by batch; None if it has < 2 pairs."""
        if len(self._val) < 2:
            return None
        self.module.eval()  # type: ignore[no-untyped-call]
        total = 0.0
        for batch in whole_loader(self._val, self.processor, self.config.data.batch):
            total += float(self.loss(batch)) * len(batch)
        self.module.train()
        return total / len(self._val)

    def readings(self) -> dict[str, float]:
        """Return the factor on cosines."""
        return {"scale": round(float(self.module.logit_scale.detach().exp()), 4)}

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors, the processor and tokenizer.json."""
        with without_bars():
            self.module.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def _order(self, start: int, stop: int) -> EpochBatches:
        batch, seed = self.config.data.batch, self.config.seed
        return EpochBatches(self.pairs, batch, seed=seed, start=start, stop=stop)


def data_identity(root: Path, annotation: str) -> dict[str, str]:
    """Return what identifies the training data: contents, not where they lie.

    Args:
        root: Corpus folder.
        annotation: Version of the texts.

    Raises:
        CorpusError: The texts are absent.
    """
    texts = annotation_folder(root, annotation) / TEXTS
    if not texts.is_file():
        raise CorpusError(f"cannot read {texts}: it is absent", "annotate the corpus again")
    return {
        "catalog_sha256": file_sha256(Catalog(root).path),
        "texts_sha256": file_sha256(texts),
    }


def with_annotation(config: TrainConfig, root: Path) -> TrainConfig:
    """Return the configuration with the version of the texts by name.

    Raises:
        CorpusError: No corpus, or no such annotations.
    """
    Catalog(root)
    named = annotation_folder(root, config.data.annotation).name
    data = config.data.model_copy(update={"annotation": named})
    return config.model_copy(update={"data": data})
