"""Whether the facts that are known of a tile support what a text says of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.lookup import Stored, stored
from sarknowlip.annotate.store import CLAIMS, EVIDENCE
from sarknowlip.annotate.support import Supporter
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import file_sha256
from sarknowlip.train.rounds.signals.signal import Scores, View

CHUNK = 256
"""Tiles whose facts and claims are in memory at once."""


class EvidenceSupport:
    """How far evidence supports a text (`annotate.support`); no model is asked.

    - `support`: 1 supported … 0 contradicted, NaN where the sources say nothing of the kind.
    - `worst_claim`: The least support of the text's claims; NaN where none is known.

    Args:
        view: Version of the annotations, and sources that may not be used.

    Raises:
        ConfigError: The view has no annotations.
    """

    columns: ClassVar[tuple[str, ...]] = ("support", "worst_claim")

    def __init__(self, view: View) -> None:
        if view.annotation is None:
            raise ConfigError(
                "the signal evidence needs annotations",
                "give the version that the texts are of, or leave the signal out",
            )
        self._folder: Path = view.annotation
        self._hidden = tuple(sorted(set(view.hidden)))

    def key(self) -> Any:
        """Return what scores depend on; a text names its claims, and these all that they say."""
        recipe = recipe_of(self._folder)
        return [file_sha256(self._folder / EVIDENCE), recipe.digest(), self._hidden]

    def score(self, texts: Sequence[Text]) -> Scores:
        """Return the columns, a row a text."""
        supporter = Supporter.of(self._folder, hidden=self._hidden)
        scores = np.full((len(texts), len(self.columns)), np.nan)
        of_tile: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            of_tile.setdefault(text.tile_id, []).append(place)
        tiles = iter(sorted(of_tile))
        while part := list(islice(tiles, CHUNK)):
            held = stored(self._folder, part, tables=(EVIDENCE, CLAIMS))
            for tile_id in part:
                own = [texts[place] for place in of_tile[tile_id]]
                known = held[tile_id]
                found = supporter.texts(Stored(known.evidence, known.claims, own))
                for place, text in zip(of_tile[tile_id], own, strict=True):
                    if text.id in found:
                        support = found[text.id]
                        scores[place, 0] = support.value
                        scores[place, 1] = _least(support.claim_values.values())
        return scores


def _least(values: Any) -> float:
    known = [value for value in values if not np.isnan(value)]
    return min(known, default=np.nan)
