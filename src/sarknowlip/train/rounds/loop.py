"""The closed loop: train, score, revise, round after round; then a model on what is left.

A folder of a loop holds `loop.json` (configuration and what it started from), `rounds/NN/` (the
models of the folds, `judged.parquet`, `round.json`), `scores/` (kept scores, which may be deleted),
`final/` (the training of the model) and `report.json`. Every stage appears whole, so that a loop
that was killed at any moment goes on with the stage that it was in. Versions of the texts are
written to the corpus; none is ever changed, and validation and test texts stay as they are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from sarknowlip import __version__
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import exclusive, read_json, write_json
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.data.folds import fold_of
from sarknowlip.train.loop import train
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.rounds.record import Round, rounds_of
from sarknowlip.train.rounds.trusted import read_trusted
from sarknowlip.train.task import data_identity, with_annotation

LOOP, FINAL, REPORT = "loop.json", "final", "report.json"

Tell = Callable[[str], None]


class ScioReport(Config):
    """What a finished loop says of itself.

    Attributes:
        recipe: Name of the recipe.
        rounds: Rounds done.
        started: Version of the texts that the first round read.
        ended: Version that the model at the end learned from.
        changed: Texts by what was done to them over all rounds, kept ones left out.
        recall: Mean recall on validation tiles, by round; None without any.
        stop: Why the loop ended.
        model: Folder of the model, from that of the loop.
        seconds: Time this process took.
    """

    recipe: str
    rounds: int
    started: str
    ended: str
    changed: dict[str, int]
    recall: tuple[float | None, ...]
    stop: str
    model: str
    seconds: float
