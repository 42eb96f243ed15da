"""SARLANG-1M: captions, and questions with answers, of pictures of four SAR sets.

Questions of the list SARVQA1 are about pictures of SARDet-100K, which the set asks its users to
copy; without them that list is left out, and a note says so.
"""

from __future__ import annotations

from typing import ClassVar

from sarknowlip.bench.datasets.spoken import Spoken, SpokenSheet


class Sarlang(Spoken):
    """SARLANG-1M; groups are places where names of pictures tell them."""

    card: ClassVar[SpokenSheet] = SpokenSheet.beside(__file__)
    tasks = ("search", "captioning", "answering")
