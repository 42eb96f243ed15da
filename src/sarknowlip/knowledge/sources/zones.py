"""How the ground of each known land cover and function looks to this radar.

For every mask that sources before have given (cover/…, function/…): mean power, variation beyond
speckle, and cross- over co-polarised power of its pixels. The outermost pixels are left out, since
they are mixed and maps lie a pixel off at times, unless too few would remain. Ship candidates that
the image has shown are left out of water: they are on it, not of it. Confidence is that of the
mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from scipy.ndimage import binary_erosion

from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.findings import Findings
from sarknowlip.knowledge.looks import equivalent_looks, texture_variation
from sarknowlip.knowledge.masks import decode_mask
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.vocabulary import WATERS
from sarknowlip.knowledge.windows import Floats, Mask, to_db
from sarknowlip.sar.tile import TileImage

LEAST_PX = 64
"""Fewer valid pixels have no mean that would tell of their ground."""
SHIP_MARGIN_PX = 2
_WATERS = {"cover/water", *(f"function/{name}" for name in WATERS)}
_PAIRS = (("VH", "VV"), ("HV", "HH"))
_KINDS = ("cover/", "function/")


class ZonesSource:
    """Facts about the pixels under the masks of other sources; needs no file.

    Args:
        options: Not used.
    """

    name: ClassVar[str] = "zones"
    looks_at: ClassVar[str] = "known"
    attribution: ClassVar[str] = ""
    version = "1"

    def __init__(self, options: SourceOptions | None = None) -> None:
        pass

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return facts of each masked kind of ground that has enough valid pixels.

        Raises:
            ValueError: A mask among `known` is not of the tile's shape.
        """
        facts = Facts(known)
        time = _time(tile)
        found = Findings(tile.id, self.name, self.version, time)
        shares = [
            facts.find(subject, "share") for kind in _KINDS for subject in facts.subjects(kind)
        ]
        masked = [(fact, fact.mask_rle) for fact in shares if fact is not None and fact.mask_rle]
        if not masked:
            return found.facts
        names = tile.acquisition.polarizations
        power, valid = tile.power.astype(np.float64), tile.valid
        channel = next((i for i, name in enumerate(names) if name in {"VV", "HH"}), 0)
        ships = _ships(facts, valid.shape)
        looks = facts.value("image", "looks") or equivalent_looks(power[channel], valid)
        for fact, text in masked:
            afloat = fact.subject in _WATERS
            inside = _inside(decode_mask(text, valid.shape), valid & ~ships if afloat else valid)
            if inside is not None:
                _describe(found, fact, power[:, inside], names, tile.radiometry.calibrated)
                if looks is not None and power[channel, inside].mean() > 0:
                    variation = texture_variation(power[channel], inside, looks)
                    found.add(
                        f"zone/{fact.subject}", "variation", variation, "1",
                        confidence=fact.confidence,
                    )  # fmt: skip
        return found.facts


def _describe(
    found: Findings, fact: Evidence, power: Floats, names: tuple[str, ...], calibrated: bool
) -> None:
    """Add mean power per polarisation and the first cross-polarisation ratio of some pixels."""
    subject, sure = f"zone/{fact.subject}", fact.confidence
    levels = to_db(power.mean(axis=1))
    means = {name: float(db) for name, db in zip(names, levels, strict=True) if np.isfinite(db)}
    for name, mean in means.items():
        found.add(
            subject, f"mean_{name}", mean, "dB" if calibrated else "dB relative", confidence=sure
        )
    for cross, co in _PAIRS:
        if cross in means and co in means:
            found.add(subject, "ratio", means[cross] - means[co], "dB", confidence=sure)
            return


def _inside(mask: Mask, valid: Mask) -> Mask | None:
    """Return the valid pixels of a mask, without its rim where enough remain; None if too few."""
    for kept in (binary_erosion(mask, np.ones((3, 3), bool), border_value=1), mask):
        inside: Mask = kept & valid
        if np.count_nonzero(inside) >= LEAST_PX:
            return inside
    return None


def _ships(facts: Facts, shape: tuple[int, ...]) -> Mask:
    """Return the boxes of ship candidates, `SHIP_MARGIN_PX` wider on each side."""
    mask = np.zeros(shape, dtype=bool)
    for subject in facts.subjects("target/"):
        fact = facts.find(subject, "water_beside")
        if fact is not None and fact.label == "ship candidate" and fact.bbox_px is not None:
            x0, y0, x1, y1 = fact.bbox_px
            near = SHIP_MARGIN_PX
            mask[max(0, y0 - near) : y1 + near, max(0, x0 - near) : x1 + near] = True
    return mask


def _time(tile: TileImage) -> str | None:
    moment = tile.acquisition.start_datetime
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
