"""What a source gathers about one tile, before it hands it over."""

from __future__ import annotations

from sarknowlip.knowledge.evidence import Box, Evidence
from sarknowlip.knowledge.masks import encode_mask, mask_box
from sarknowlip.knowledge.windows import Mask

COVERED = 0.99
"""A raster covers a tile if it has values on this share of its pixels; else it is silent."""


class Findings:
    """Facts of one source about one tile.

    Args:
        tile_id: Tile.
        source: Name of the source.
        version: Its version.
        time: When what the source saw was so, RFC 3339, or None.
    """

    def __init__(self, tile_id: str, source: str, version: str, time: str | None = None) -> None:
        self.facts: list[Evidence] = []
        self._tile_id, self._source, self._version, self._time = tile_id, source, version, time

    def add(
        self,
        subject: str,
        predicate: str,
        value: float | None = None,
        unit: str = "class",
        *,
        confidence: float = 1.0,
        label: str | None = None,
        box: Box | None = None,
        mask: Mask | None = None,
    ) -> None:
        """Add a fact; a mask that is not empty gives it its box as well, an empty one neither.

        Without a mask the box is the one given.

        Raises:
            ValueError: Neither number nor label is given, or a number is not finite.
        """
        box = box if mask is None else mask_box(mask)
        self.facts.append(
            Evidence.of(
                self._tile_id,
                subject,
                predicate,
                value=value,
                label=label,
                unit=unit,
                source=self._source,
                source_version=self._version,
                source_time=self._time,
                confidence=confidence,
                bbox_px=box,
                mask_rle=None if mask is None or box is None else encode_mask(mask),
            )
        )
