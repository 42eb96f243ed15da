"""Models and tokenizers in folders of Hugging Face's form, on this machine."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.adapters.weights import AGAIN, readable
from sarknowlip.bench.metrics import BenchError
from sarknowlip.models.model import without_bars


def folder_of(sheet: Sheet, given: Given, part: str = "") -> Path:
    """Return the folder of a model, or of one of its parts.

    Raises:
        BenchError: It holds no configuration or no weights.
    """
    path = sheet.located(given) / part
    assert sheet.weights is not None
    for name in ("config.json", None):
        names = sheet.weights.files if name is None else (name,)
        if not any((path / one).is_file() for one in names):
            raise sheet.absent(f"{path} holds no {' or '.join(names)}")
    return path


def pretrained(kind: Any, folder: Path, **options: Any) -> Any:
    """Return a model of `transformers`, float32.

    Args:
        kind: Its class.
        folder: Where it lies.
        options: Of `from_pretrained`.

    Raises:
        BenchError: It cannot be read, or lacks weights; the library alone would draw them.
    """
    with readable(folder), without_bars(), _quietly():
        model, told = kind.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
            **options,
        )
    absent = sorted(told["missing_keys"])
    if absent:
        raise BenchError(f"{folder} lacks {len(absent)} weights, the first {absent[0]}", AGAIN)
    return model


class Words:
    """A tokenizer.

    Args:
        folder: Where tokenizer.json and tokenizer_config.json lie.
        longest: Tokens that a text may have; the rest is cut off.

    Raises:
        BenchError: They are absent or damaged.
    """

    def __init__(self, folder: Path, longest: int) -> None:
        with readable(folder), _quietly():
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.longest = longest

    def __call__(self, texts: list[str], device: str, *, padded: bool = False) -> dict[str, Tensor]:
        """Return ids and masks (N, T).

        Args:
            texts: Texts.
            device: Where tensors go.
            padded: To the longest that a text may be, not to the longest here.
        """
        told = self.tokenizer(
            texts,
            padding="max_length" if padded else True,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
        )
        return {name: told[name].to(device) for name in ("input_ids", "attention_mask")}

    def texts(self, rows: Tensor) -> list[str]:
        """Return the texts of rows of ids, without marks."""
        texts: list[str] = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [text.strip() for text in texts]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep `transformers` from telling at length what else a file holds."""
    told = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(told)
