"""Whether the facts that are known of a tile support what a text says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.lookup import Stored, stored
from sarknowlip.annotate.settled import Told
from sarknowlip.annotate.store import CLAIMS, EVIDENCE
from sarknowlip.annotate.support import Basis, Supporter
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json, write_json
from sarknowlip.core.hashing import digest, file_sha256
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
        self._images, self._kept = view.images, view.folder / "bases"
        self._supporter = Supporter.of(self._folder, hidden=self._hidden)

        stages = {stage.name: stage.version for stage in self._supporter.stages}
        recipe = recipe_of(self._folder).digest()
        self._key = [file_sha256(self._folder / EVIDENCE), recipe, stages, self._hidden]

    def key(self) -> Any:
        """Return what scores depend on; a text names its claims, and these all that they say."""
        return self._key

    def score(self, texts: Sequence[Text]) -> Scores:
        """Return the columns, a row a text."""
        scores = np.full((len(texts), len(self.columns)), np.nan)
        of_tile: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            of_tile.setdefault(text.tile_id, []).append(place)
        places = self._images.places(sorted(of_tile))
        for number in np.unique(places // CHUNK).tolist():
            ids = self._images.ids[number * CHUNK : (number + 1) * CHUNK]
            part = [tile_id for tile_id in ids if tile_id in of_tile]
            bases = self._bases(ids)
            placed = any(texts[n].level == "grounding" for i in part for n in of_tile[i])
            tables = (EVIDENCE, CLAIMS) if placed else (CLAIMS,)
            held = stored(self._folder, part, tables=tables)
            for tile_id in part:
                own = [texts[place] for place in of_tile[tile_id]]
                known = Stored(held[tile_id].evidence, held[tile_id].claims, own)
                found = self._supporter.texts(known, bases[tile_id])
                for place, text in zip(of_tile[tile_id], own, strict=True):
                    support = found[text.id]
                    scores[place, 0] = support.value
                    scores[place, 1] = _least(support.claim_values.values())
        return scores

    def _bases(self, ids: Sequence[str]) -> dict[str, Basis]:
        """Return what the facts about tiles say, from a file that appears whole."""
        path = self._kept / digest([self._key, list(ids)]) / "basis.json"
        if not path.is_file():
            held = stored(self._folder, ids, tables=(EVIDENCE,))
            made = {i: self._supporter.basis(i, held[i].evidence) for i in ids}
            write_json(path, {i: _told(basis) for i, basis in made.items()})
        found = read_json(path, "delete it and run again")
        return {
            tile_id: Basis(frozenset(contents), Told(subjects, hidden))
            for tile_id, (contents, subjects, hidden) in found.items()
        }


def _told(basis: Basis) -> list[list[str]]:
    """Return a basis as JSON."""
    return [sorted(part) for part in (basis.contents, basis.told.subjects, basis.told.hidden)]


def _least(values: Any) -> float:
    known = [value for value in values if not np.isnan(value)]
    return min(known, default=np.nan)
