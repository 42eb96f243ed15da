"""What a model itself says of tiles, and how it ends a text that was begun for it.

Everything is greedy, so that it follows from model and tile alone. Captions of a tile differ in
their first token: the n likeliest ones begin n captions. They are kept on disk, a file for `CHUNK`
tiles, which appears whole.

Shapes: B batch, P tokens of prompts, K tokens of an image, M their width, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sarknowlip.core.files import read_json, write_json
from sarknowlip.core.hashing import digest
from sarknowlip.core.progress import Progress
from sarknowlip.infer.encoder import evaluating
from sarknowlip.models.decoder import Cache
from sarknowlip.models.generate import Generation, generate
from sarknowlip.train.rounds.images import CHUNK, Places
from sarknowlip.train.rounds.signals.signal import View

CAPTIONS = "captions"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
"""Between two sentences; not between "3." and "5 km"."""


class Regenerator:
    """Captions of tiles, made once.

    Args:
        view: Model, tiles, and how many captions of what length.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        config = view.config
        self.key = digest([view.images.key, config.beginnings, config.new_tokens])
        self._folder = view.folder / CAPTIONS / self.key
        self._known: dict[int, list[list[str]]] = {}

    def captions(
        self, tile_ids: Sequence[str], progress: Progress | None = None
    ) -> list[tuple[str, ...]]:
        """Return the captions of each tile, likeliest beginning first.

        Args:
            tile_ids: Tiles, in any order.
            progress: Told of files done.

        Raises:
            CorpusError: A tile is not among those of the view.
            StorageError: The folder cannot be written.
            SarKnowlipError: A file there is damaged.
        """
        places = self._view.images.places(tile_ids).tolist()
        wanted = sorted({place // CHUNK for place in places} - set(self._known))
        for done, number in enumerate(wanted, 1):
            self._known[number] = self._chunk(number)
            if progress is not None:
                progress(done, len(wanted), f"captions {number}")
        return [tuple(self._known[place // CHUNK][place % CHUNK]) for place in places]

    def _chunk(self, number: int) -> list[list[str]]:
        path = self._folder / f"captions-{number:05d}.json"
        if not path.is_file():
            last = min(len(self._view.images), (number + 1) * CHUNK)
            write_json(path, self._made(np.arange(number * CHUNK, last)))
        found: list[list[str]] = read_json(path, "delete it and run again")
        return found

    def _made(self, places: Places) -> list[list[str]]:
        """Return the captions of tiles; batches are filled up to one size."""
        found: list[list[str]] = []
        count, size = self._view.config.beginnings, self._view.config.batch
        with evaluating(self._view.model):
            for start in range(0, len(places), size):
                own = places[start : start + size]
                full = np.concatenate([own, np.repeat(own[:1], size - len(own))])
                said = self._begun(self._view.images.tokens(full))
                found += [said[n * count : (n + 1) * count] for n in range(len(own))]
        return found

    def _begun(self, image_BKM: Tensor) -> list[str]:
        """Return the captions of images, those of an image side by side."""
        model, count = self._view.model, self._view.config.beginnings
        marks = self._view.processor.marks
        begin_B1 = torch.full((len(image_BKM), 1), marks.begin, device=image_BKM.device)
        first_BV = model.caption_logits(begin_B1, None, image_BKM)[:, -1].float()
        first_BV[:, [marks.pad, marks.begin, marks.end]] = -torch.inf
        first = first_BV.topk(count, dim=1).indices.flatten()[:, None]
        prompts = torch.cat([begin_B1.repeat_interleave(count, dim=0), first], dim=1)
        images = image_BKM.repeat_interleave(count, dim=0)
        new = min(self._view.config.new_tokens, model.config.text_tokens - 2)
        ended = continued(self._view, prompts, torch.ones_like(prompts), images, new)
        begun = first.flatten().tolist()
        return self._view.processor.batch_decode(
            [[token, *row] for token, row in zip(begun, ended, strict=True)]
        )


def continued(
    view: View, prompt_BP: Tensor, mask_BP: Tensor, image_BKM: Tensor, new: int
) -> list[list[int]]:
    """Return the likeliest next tokens of texts that were begun, at most `new`, without the end.

    Args:
        view: Model, in evaluation.
        prompt_BP: Token ids; P + `new` at most the model's longest text.
        mask_BP: 1 for a real token, 0 for padding.
        image_BKM: Tokens of the images.
        new: Most tokens.
    """
    model = view.model
    return generate(
        lambda ids, mask, cache: model.caption_logits(ids, mask, image_BKM, cache),
        prompt_BP,
        mask_BP,
        Generation(max_new_tokens=new),
        cache=Cache(model.config.decoder_depth, prompt_BP.shape[1] + new),
        end=view.processor.marks.end,
    )


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text; what is no sentence is one by itself."""
    return SENTENCE_END.split(text.strip())
