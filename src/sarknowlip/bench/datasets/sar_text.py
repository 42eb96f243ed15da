"""SAR-TEXT: captions, and dialogues, of pictures of several SAR sets."""

from __future__ import annotations

from typing import ClassVar

from sarknowlip.bench.datasets.spoken import Spoken, SpokenSheet


class SarText(Spoken):
    """SAR-TEXT; groups are scenes where names of pictures tell them."""

    card: ClassVar[SpokenSheet] = SpokenSheet.beside(__file__)
    tasks = ("search", "captioning", "answering")
