"""Identifiers of image channels: polarisation × frequency band, 0 for an absent channel.

Band letters are those of the STAC SAR extension; a band that the provider does not name has its
own identifiers.
"""

from __future__ import annotations

POLARIZATIONS = ("VV", "VH", "HH", "HV")
BANDS = ("unknown", "P", "L", "S", "C", "X", "Ku", "K", "Ka")
ABSENT = 0
CHANNELS = 1 + len(BANDS) * len(POLARIZATIONS)
"""How many identifiers there are."""


def channel_id(polarization: str, band: str | None) -> int:
    """Return the identifier, 1…`CHANNELS` − 1, of a polarisation in a band.

    Args:
        polarization: One of `POLARIZATIONS`.
        band: Letter of the band; None or a letter not in `BANDS` counts as unknown.
    """
    row = BANDS.index(band) if band in BANDS else 0
    return 1 + row * len(POLARIZATIONS) + POLARIZATIONS.index(polarization)
