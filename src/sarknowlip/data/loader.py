"""The order of visits, and batches made in it by any number of processes.

An epoch visits every tile once, in an order that follows from seed and epoch alone, in batches
whose sizes differ by at most one. So the batch of a step follows from the step: to go on after an
interruption is to start at a later step. How processes share a batch is `train.shares`.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sarknowlip.data.pairs import WHOLE, Pair, PairDataset, Visit
from sarknowlip.models.processing import SarProcessor

STREAM = 3
"""Tells orders from other draws of the same seed."""


@dataclass(frozen=True)
class Batch:
    """Tensors of a batch of pairs.

    Attributes:
        images: What `SarKnowLIP.encode_image` takes.
        texts: What `SarKnowLIP.encode_text` takes.
        group: Equal exactly where two captions are equal, with their questions, in whatever
            process, int64 (B,); the first 63 bits of their SHA-256.
        prefix: First tokens of each text that are given and need not be told, such as a question,
            int64 (B,); None for the mark of begin alone.
    """

    images: dict[str, Tensor]
    texts: dict[str, Tensor]
    group: Tensor
    prefix: Tensor | None = None

    def __len__(self) -> int:
        return len(self.group)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; pinned memory is copied while the program goes on."""
        return self._each(lambda value: value.to(device, non_blocking=value.is_pinned()))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, from which a GPU copies by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            images={name: change(value) for name, value in self.images.items()},
            texts={name: change(value) for name, value in self.texts.items()},
            group=change(self.group),
            prefix=None if self.prefix is None else change(self.prefix),
        )


class EpochBatches:
    """Batches of visits from one step to another.

    Args:
        count: Tiles.
        batch: Largest batch.
        seed: Of the run, not negative.
        start: First step.
        stop: Step after the last.
    """

    def __init__(self, count: int, batch: int, *, seed: int, start: int, stop: int) -> None:
        self.count, self.seed = count, seed
        self.start, self.stop = start, stop
        self.steps_per_epoch = -(-count // batch)

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[list[Visit]]:
        parts: list[list[Visit]] = []
        for step in range(self.start, self.stop):
            epoch, part = divmod(step, self.steps_per_epoch)
            if part == 0 or not parts:
                parts = self._epoch(epoch)
            yield parts[part]

    def _epoch(self, epoch: int) -> list[list[Visit]]:
        rng = np.random.Generator(
            np.random.Philox(key=[self.seed, STREAM], counter=[0, 0, 0, epoch])
        )
        order = rng.permutation(self.count)
        return [
            [Visit(epoch, int(index)) for index in part]
            for part in np.array_split(order, self.steps_per_epoch)
        ]


class Collate:
    """Makes tensors of pairs.

    Args:
        processor: That of the model.
    """

    def __init__(self, processor: SarProcessor) -> None:
        self.processor = processor

    def __call__(self, pairs: Sequence[Pair]) -> Batch:
        """Return a batch in the order of the pairs; with `prefix` if anything is asked."""
        captions = [pair.caption for pair in pairs]
        if any(pair.question for pair in pairs):
            texts, prefix = self.processor.asked([pair.question for pair in pairs], captions)
        else:
            texts, prefix = self.processor.texts(captions), None
        whole = [f"{pair.question} {pair.caption}".lstrip() for pair in pairs]
        return Batch(
            images=self.processor.images([pair.image for pair in pairs]),
            texts=texts,
            group=torch.tensor([caption_key(text) for text in whole]),
            prefix=prefix,
        )


def caption_key(caption: str) -> int:
    """Return a number below 2^63 that two captions share only if they are equal."""
    return int.from_bytes(hashlib.sha256(caption.encode()).digest()[:8]) >> 1


def train_loader(
    pairs: PairDataset, processor: SarProcessor, order: Iterable[list[Visit]], workers: int = 0
) -> Iterable[Batch]:
    """Return batches in the order given; neither order nor content depends on `workers`.

    Args:
        pairs: Training pairs.
        processor: That of the model.
        order: Visits of each batch.
        workers: Processes that read ahead; 0 reads between steps.
    """
    return _loader(pairs, processor, order, workers)


def whole_loader(
    pairs: PairDataset, processor: SarProcessor, batch: int, workers: int = 0
) -> Iterable[Batch]:
    """Return each pair once, in order, whole tile and whole caption, batches of nearly one size.

    Args:
        pairs: Pairs of any split.
        processor: That of the model.
        batch: Largest batch.
        workers: Processes that read ahead.
    """
    parts = [
        [Visit(WHOLE, int(index)) for index in part]
        for part in np.array_split(np.arange(len(pairs)), max(1, -(-len(pairs) // batch)))
    ]
    return _loader(pairs, processor, parts, workers)


def _loader(
    pairs: PairDataset,
    processor: SarProcessor,
    order: Iterable[list[Visit]],
    workers: int,
) -> Iterable[Batch]:
    return DataLoader(
        pairs,
        batch_sampler=order,
        collate_fn=Collate(processor),
        num_workers=workers,
        worker_init_fn=_ignore_interrupt,
        pin_memory=torch.cuda.is_available(),
        # GDAL's threads do not survive a fork
        multiprocessing_context="spawn" if workers else None,
        generator=torch.Generator().manual_seed(0),
    )


def _ignore_interrupt(worker: int) -> None:
    """Leave Ctrl-C to the main process, which still wants the batches read ahead."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
